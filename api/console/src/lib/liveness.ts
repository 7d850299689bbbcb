/** Whether the feed is alive: pure, on a monotonic clock, so that a wrong wall clock changes nothing. */

export const LOST_AFTER_MS = 4000;
const RETRY_MS: readonly number[] = [0, 1000, 2000, 4000, 5000];

export class Liveness {
  #heard: number | null = null;
  #since: number;
  #attempts = 0;
  #retryAt = 0;

  /** `now` is monotonic milliseconds, here and below. */
  constructor(now: number) {
    this.#since = now;
  }

  /** Any event came: a beat, data, a snapshot. */
  hear(now: number): void {
    this.#heard = now;
    this.#since = now;
    this.#attempts = 0;
    this.#retryAt = 0;
  }

  /** Silence in ms since the last event, or since we began to listen. */
  silence(now: number): number {
    return Math.max(0, now - this.#since);
  }

  lost(now: number): boolean {
    return this.silence(now) >= LOST_AFTER_MS;
  }

  /** Whether anything was ever heard. */
  get known(): boolean {
    return this.#heard !== null;
  }

  /** Whether to open the connection anew; says so once per step of the back-off. */
  shouldReconnect(now: number): boolean {
    if (!this.lost(now) || now < this.#retryAt) return false;
    const step = RETRY_MS[Math.min(this.#attempts + 1, RETRY_MS.length - 1)] ?? 5000;
    this.#attempts += 1;
    this.#retryAt = now + step;
    return true;
  }
}
