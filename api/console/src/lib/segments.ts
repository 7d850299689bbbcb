/** A deadline's bar: which stretches were counted, which were paused, and where it is due, in percent. */
import type { OrderClock } from "./api-types";

export interface Bar {
  counted: { left: number; width: number }[];
  paused: { left: number; width: number }[];
  due: number | null;
  start: number;
  end: number;
}

/** Segments of a clock on the axis from its start to its target, or to now where that is later. */
export function bar(clock: OrderClock, now: number): Bar {
  const start = Date.parse(clock.started_at);
  const target = clock.target ? Date.parse(clock.target) : null;
  const stop = clock.stopped_at ? Date.parse(clock.stopped_at) : now;
  const end = Math.max(target ?? stop, stop, start + 1000) + (target && stop > target ? (stop - start) / 50 : 0);
  const at = (t: number): number => (Math.min(Math.max(t - start, 0), end - start) / (end - start)) * 100;
  const counted = clock.segments.map(([a, b]) => ({ left: at(a), width: at(b) - at(a) }));
  return {
    counted,
    paused: holes(clock.segments, clock.state === "paused" ? now : null).map(([a, b]) => ({
      left: at(a),
      width: at(b) - at(a),
    })),
    due: target === null ? null : at(target),
    start,
    end,
  };
}

function holes(segments: [number, number][], until: number | null): [number, number][] {
  const out: [number, number][] = [];
  segments.forEach(([, b], i) => {
    const next = segments[i + 1]?.[0] ?? until;
    if (next !== null && next !== undefined && next > b) out.push([b, next]);
  });
  return out;
}
