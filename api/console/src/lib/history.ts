/** History as it is drawn: points of the line with nulls where it is cut, and the spans without data. */
import type { History } from "./api-types";
import { BAD } from "./quality";

export interface Drawn {
  /** UTC ms, ascending. */
  time: number[];
  /** null cuts the line. */
  value: (number | null)[];
  gaps: [number, number][];
}

/** One reading of a line: UTC ms and value, null where it says nothing. */
export type Sample = [time: number, value: number | null];

function samples(history: History): Sample[] {
  if (history.resolution === "raw") {
    return history.time.map((t, i) => {
      const bad = (history.quality[i] ?? 0) >= BAD;
      return [t, bad ? null : (history.value[i] ?? null)];
    });
  }
  return buckets(history);
}

/** First, least, greatest, last of each bucket, so that a peak is never averaged away. */
function buckets(history: Exclude<History, { resolution: "raw" }>): Sample[] {
  const width = history.resolution;
  return history.time.flatMap((t, i): Sample[] => {
    const [lo, hi] = [history.min[i] ?? null, history.max[i] ?? null];
    if (lo === null || hi === null) return [[t, null]];
    if (lo === hi) return [[t + width / 2, lo]];
    const four = [history.first[i] ?? lo, lo, hi, history.last[i] ?? hi];
    return four.map((v, k): Sample => [t + (width * (k + 0.5)) / 4, v]);
  });
}

/**
 * The line and its gaps between `start` and `end` (UTC ms). Longer than `silence_ms` without a usable
 * reading is a gap: hatched, the line cut, never joined. `more` are live readings after the history.
 */
export function drawn(history: History, silence_ms: number, start: number, end: number, more: readonly Sample[] = []): Drawn {
  const width = history.resolution === "raw" ? 0 : history.resolution;
  const longest = Math.max(silence_ms * 1.2, width * 1.75, 2000);
  const out: Drawn = { time: [], value: [], gaps: [] };
  let last = start;
  for (const [t, value] of [...samples(history), ...more]) {
    if (value === null || t < start) continue;
    if (t - last > longest) {
      out.gaps.push([last, t]);
      if (out.time.length > 0) push(out, last + 1, null);
    }
    push(out, t, value);
    last = Math.max(last, t);
  }
  if (end - last > longest) out.gaps.push([last, end]);
  return out;
}

function push(out: Drawn, t: number, value: number | null): void {
  const before = out.time.at(-1);
  out.time.push(before !== undefined && t <= before ? before + 1 : t);
  out.value.push(value);
}
