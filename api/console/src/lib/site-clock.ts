/** The site's time between two beats: server time plus what has passed here since, never backward by much. */

export class SiteClock {
  #server = 0;
  #local = 0;

  /** The server says `server` (UTC ms) at monotonic `local` (ms). */
  set(server: number, local: number): void {
    this.#server = server;
    this.#local = local;
  }

  get known(): boolean {
    return this.#server > 0;
  }

  /** UTC ms as the server would say it. */
  now(local: number): number {
    return this.#server + Math.max(0, local - this.#local);
  }

  /** UTC ms that the server last said. */
  get heard(): number {
    return this.#server;
  }
}
