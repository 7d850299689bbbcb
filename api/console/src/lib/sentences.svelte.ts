/** What trends say, in the language of the screen. */
import type { TrendList, TrendRow, TrendState } from "./api-types";
import { name, t } from "./language.svelte";
import { plant } from "./site.svelte";
import { statement, usual, type Phrase } from "./trends";

function say(phrase: Phrase): string {
  const values = Object.entries(phrase.values ?? {}).map(([key, value]) => [key, typeof value === "object" ? say(value) : value]);
  return t(phrase.key, Object.fromEntries(values) as Record<string, string | number>);
}

const places = (row: TrendRow): number => plant()?.points.get(row.point)?.decimals ?? 2;

/** How a point creeps and which limit it reaches when, or why nothing is said. */
export function creeping(row: TrendRow, said: TrendState, list: TrendList): string {
  return statement(said, list, places(row), row.unit).map(say).join(t("semicolon"));
}

/** What is usual for it. */
export function usually(row: TrendRow, said: TrendState, list: TrendList): string {
  return say(usual(said, list, places(row)));
}

/** The point's name; on a page of `asset`, with the part that it is of. */
export function pointName(row: TrendRow, asset = row.asset): string {
  const own = name(plant()?.points.get(row.point)?.name) || row.point;
  return row.asset === asset ? own : `${name(plant()?.assets.get(row.asset)?.name)}${t("colon")}${own}`;
}
