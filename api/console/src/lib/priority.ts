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

/** Whether it waits for somebody: ISA letters B (stands) and D (returned), nobody has acknowledged. */
export function waits(alarm: Pick<Alarm, "letter">): boolean {
  return alarm.letter === "B" || alarm.letter === "D";
}

/** When it was raised, UTC ms; 0 for one that was not announced yet. */
export function raised(alarm: Pick<Alarm, "raised_at">): number {
  return alarm.raised_at ? Date.parse(alarm.raised_at) : 0;
}

/** Unacknowledged first, then by priority, then the newest. */
export function byUrgency(a: Alarm, b: Alarm): number {
  return (
    Number(waits(b)) - Number(waits(a)) ||
    rank(a.priority) - rank(b.priority) ||
    raised(b) - raised(a)
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
  const acknowledged = atWorst.every((a) => !waits(a));
  return { priority: worst, acknowledged, also: acknowledged && alarms.some(waits) };
}

/** A fire that nobody has acknowledged: pinned above everything, red even when the feed is lost. */
export function pinned(alarms: readonly Alarm[]): Alarm[] {
  return alarms.filter((a) => a.class === "fire" && waits(a)).sort(byUrgency);
}
