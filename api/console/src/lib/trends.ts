/** What trends say, as texts of the catalogue: a creep and when it reaches a limit, or why nothing is said. */
import type { Refusal, TrendList, TrendState } from "./api-types";
import type { Key } from "./catalogue";
import { number, unit } from "./format";

const DAY = 86_400_000;
/** Up to here people count in days. */
const DAYS_MAX = 28;
const DECIMALS_MAX = 6;

const REFUSED: Record<Refusal, Key> = {
  after_reset: "trend.after_reset",
  too_short: "trend.too_short",
  too_few: "trend.too_few",
  stale: "trend.stale",
  gap: "trend.gap",
  not_significant: "trend.not_significant",
};

/** A text and what is filled in; a value may be a text itself. */
export interface Phrase {
  key: Key;
  values?: Record<string, string | number | Phrase>;
}

/** Enough decimals to show two digits of it, no fewer than the point has. */
export function decimals(value: number, least: number): number {
  if (value === 0) return least;
  return Math.min(DECIMALS_MAX, Math.max(least, 1 - Math.floor(Math.log10(Math.abs(value)))));
}

/** `3 to 6 weeks`, `5 to 21 days`; the near end rounded down, the far end up. */
export function ahead(earliest: number, latest: number | null, now: number): Phrase {
  const near = Math.max(0, (earliest - now) / DAY);
  const far = latest === null ? null : Math.max(near, (latest - now) / DAY);
  const inDays = (far ?? near) <= DAYS_MAX;
  const a = Math.floor(inDays ? near : near / 7);
  const b = far === null ? a : Math.ceil(inDays ? far : far / 7);
  if (a === b) return { key: inDays ? "trend.days" : "trend.weeks", values: { n: a } };
  return { key: inDays ? "trend.days_range" : "trend.weeks_range", values: { a, b } };
}

/** Whether and how fast it creeps, and which limit it reaches when; else why nothing is said. */
export function statement(said: TrendState, list: TrendList, places: number, of: string): Phrase[] {
  if (!said.slope) return [{ key: said.refusal ? REFUSED[said.refusal] : "trend.waiting", values: { n: said.days, of: list.days_needed } }];
  const weekly = said.slope.per_day * 7;
  const much = `${number(Math.abs(weekly), decimals(weekly, places))} ${unit(of)}`.trim();
  const creep: Phrase = { key: weekly > 0 ? "trend.rises" : "trend.falls", values: { much } };
  return [creep, said.reached ? arrival(said.reached, list, places) : { key: "trend.no_limit" }];
}

function arrival(reached: NonNullable<TrendState["reached"]>, list: TrendList, places: number): Phrase {
  const now = Date.parse(list.now);
  const earliest = Date.parse(reached.earliest);
  const limit = number(reached.limit, places);
  if (reached.latest === null) {
    return earliest <= now ? { key: "trend.reaches_now", values: { limit } } : { key: "trend.reaches_earliest", values: { limit, time: ahead(earliest, null, now) } };
  }
  return { key: "trend.reaches", values: { limit, time: ahead(earliest, Date.parse(reached.latest), now) } };
}

/** What is usual for it, or how much of that is learnt. */
export function usual(said: TrendState, list: TrendList, places: number): Phrase {
  if (said.mean === null || said.sigma === null) return { key: "trend.learning", values: { n: said.learnt, of: list.learn_rows } };
  return { key: "trend.usual", values: { mean: number(said.mean, places), sigma: number(said.sigma, decimals(said.sigma, places)) } };
}
