/** Alarm priorities: their order, their letters, and the worst of many for a roll-up. */
import type { Alarm, Language, Priority } from "./api-types";

export const PRIORITIES: readonly Priority[] = ["critical", "high", "medium", "low"];

const LETTERS: Record<Language, Record<Priority, string>> = {
  en: { critical: "C", high: "H", medium: "M", low: "L" },
  zh: { critical: "I", high: "II", medium: "III", low: "IV" },
};

export function letter(priority: Priority, language: Language): string {
  return LETTERS[language][priority];
}

export function rank(priority: Priority): number {
  return PRIORITIES.indexOf(priority);
}

/** Unacknowledged first, then by priority, then the newest. */
export function byUrgency(a: Alarm, b: Alarm): number {
  return (
    Number(a.acknowledged) - Number(b.acknowledged) ||
    rank(a.priority) - rank(b.priority) ||
    Date.parse(b.raised_at) - Date.parse(a.raised_at)
  );
}

export interface RollUp {
  priority: Priority;
  acknowledged: boolean;
  /** The worst is acknowledged, but something less urgent inside is not. */
  also: boolean;
}

/** The worst symbol of several alarms, null for none. Of equal priority the unacknowledged one stands. */
export function rollUp(alarms: readonly Alarm[]): RollUp | null {
  if (alarms.length === 0) return null;
  const worst = alarms.reduce((a, b) => (rank(b.priority) < rank(a.priority) ? b : a)).priority;
  const atWorst = alarms.filter((a) => a.priority === worst);
  const acknowledged = atWorst.every((a) => a.acknowledged);
  return { priority: worst, acknowledged, also: acknowledged && alarms.some((a) => !a.acknowledged) };
}

/** A fire that nobody has acknowledged: pinned above everything, red even when the feed is lost. */
export function pinned(alarms: readonly Alarm[]): Alarm[] {
  return alarms.filter((a) => a.class === "fire" && !a.acknowledged).sort(byUrgency);
}
