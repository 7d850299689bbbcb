/** The alarm list as people filter it: by tab, by level, by words. */
import type { Alarm, Priority } from "./api-types";
import { waits } from "./priority";

export type Show = "active" | "unacknowledged" | "unknown" | "all";
export const SHOWS: readonly Show[] = ["active", "unacknowledged", "unknown", "all"];

export function showOf(text: string | null): Show {
  return SHOWS.find((s) => s === text) ?? "active";
}

/** Open alarms of one tab. Active: everything open. */
export function ofTab(alarms: readonly Alarm[], show: Show): Alarm[] {
  if (show === "unacknowledged") return alarms.filter(waits);
  return [...alarms];
}

/** Those whose texts hold every word, and whose priority is the level, where one is asked for. */
export function matching<T>(rows: readonly T[], words: string, texts: (row: T) => string[], level?: Priority | null, of?: (row: T) => Priority): T[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (level && of && of(row) !== level) return false;
    const all = texts(row).join(" ").toLowerCase();
    return wanted.every((w) => all.includes(w));
  });
}
