/** Deadlines that run: the clocks of open orders, the next one first. */
import type { Order, OrderClock } from "./api-types";

export interface Deadline {
  order: Order;
  clock: OrderClock;
  /** UTC ms; null while paused. */
  target: number | null;
  /** Used part of the limit, 0…1 and more. */
  used: number;
}

const OPEN = new Set(["running", "warning", "breached", "paused"]);

/** Open clocks by what is left; a paused one has no target and comes last, a stopped one is no deadline. */
export function deadlines(orders: readonly Order[]): Deadline[] {
  return orders
    .flatMap((order) =>
      order.clocks
        .filter((clock) => OPEN.has(clock.state) && clock.stopped_at === null)
        .map((clock) => ({
          order,
          clock,
          target: clock.state === "paused" || !clock.target ? null : Date.parse(clock.target),
          used: clock.elapsed_s / Math.max(1, clock.elapsed_s + clock.remaining_s),
        })),
    )
    .sort((a, b) => (a.target ?? Infinity) - (b.target ?? Infinity));
}

/** Used part of the limit at `now`, 0…1 and more; a clock that counts only some hours is as the server last said. */
export function used(clock: OrderClock, now: number): number {
  const limit = Math.max(1, clock.elapsed_s + clock.remaining_s);
  return clock.unit === "wall_minutes" ? 1 - left(clock, now) / 1000 / limit : clock.elapsed_s / limit;
}

/** What is left of a clock at `now` (ms, negative when late), counting on from the server's figure. */
export function left(clock: OrderClock, now: number): number {
  if (clock.state === "paused" || clock.stopped_at || !clock.target) return clock.remaining_s * 1000;
  return Date.parse(clock.target) - now;
}
