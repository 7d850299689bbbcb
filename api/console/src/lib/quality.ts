/** What a reading's quality code means to the eye: good, uncertain, stale, bad or unknown. */

export type Look = "good" | "uncertain" | "stale" | "bad" | "unknown";

const NAMES: Record<number, QualityName> = {
  0: "good",
  1: "substituted",
  2: "stale_source",
  3: "clock_suspect",
  4: "frozen",
  5: "out_of_expected_range",
  6: "rate_implausible",
  7: "in_test",
  64: "not_read_yet",
  65: "no_answer",
  66: "link_down",
  67: "device_refused",
  68: "undecodable",
  69: "sensor_fault",
  70: "out_of_physical_range",
  71: "disabled",
};

export type QualityName =
  | "good" | "substituted" | "stale_source" | "clock_suspect" | "frozen" | "out_of_expected_range"
  | "rate_implausible" | "in_test" | "not_read_yet" | "no_answer" | "link_down" | "device_refused"
  | "undecodable" | "sensor_fault" | "out_of_physical_range" | "disabled" | "other";

export const BAD = 64;
/** Codes that this console has a word for. */
export const QUALITY_CODES: readonly number[] = Object.keys(NAMES).map(Number);

/** The reason behind a code; `other` for a code this console does not know yet. */
export function qualityName(code: number): QualityName {
  return NAMES[code] ?? "other";
}

export interface Seen {
  value: number | null;
  quality: number;
  source_time: number;
}

/** How long a point may be silent: its longest silence and one more reading of it, as the server judges. */
export function silence(point: { longest_silence_s: number; period_s: number }): number {
  return point.longest_silence_s + point.period_s;
}

/** How a reading is drawn at `now`; older than the longest silence is stale, whatever was said then. */
export function look(seen: Seen | null, longest_silence_s: number, now: number): Look {
  if (!seen || seen.quality === 64) return "unknown";
  if (seen.quality >= BAD) return "bad";
  if (seen.value === null) return "unknown";
  if (seen.quality === 2 || now - seen.source_time > longest_silence_s * 1000) return "stale";
  return seen.quality === 0 ? "good" : "uncertain";
}

/** Whether somebody may rely on it: good or uncertain. */
export function usable(kind: Look): boolean {
  return kind === "good" || kind === "uncertain";
}
