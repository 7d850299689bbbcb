/** The site's time between two words of the server: what it said, and what has passed here since. */

/** A demo may run faster than the clock; how much is measured over no less than this. */
const MEASURED_OVER_MS = 2000;
const RATE_MAX = 1000;

export class SiteClock {
  #server = 0;
  #local = 0;
  #rate = 1;
  #anchor = { server: 0, local: 0 };

  /** The server says `server` (UTC ms) at monotonic `local` (ms). */
  set(server: number, local: number): void {
    const passed = local - this.#anchor.local;
    if (!this.known) this.#anchor = { server, local };
    else if (passed >= MEASURED_OVER_MS) {
      const rate = Math.round((server - this.#anchor.server) / passed);
      this.#rate = rate > 1 && rate <= RATE_MAX ? rate : 1;
      this.#anchor = { server, local };
    }
    this.#server = server;
    this.#local = local;
  }

  get known(): boolean {
    return this.#server > 0;
  }

  /** UTC ms as the server would say it. */
  now(local: number): number {
    return this.#server + Math.max(0, local - this.#local) * this.#rate;
  }

  /** UTC ms that the server last said. */
  get heard(): number {
    return this.#server;
  }
}
