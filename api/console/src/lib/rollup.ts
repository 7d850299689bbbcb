/** What the overview shows of assets: abnormal, else unknown, else normal; rolled up by system and area. */
import type { Alarm } from "./api-types";
import { rollUp, type RollUp } from "./priority";

export type Standing = "abnormal" | "unknown" | "normal";

export interface AssetState {
  asset: string;
  standing: Standing;
  alarms: Alarm[];
}

/** Whether the alarm's rule says abnormal now; one that has returned and waits for somebody does not. */
export function abnormal(alarm: Alarm): boolean {
  return alarm.condition.toLowerCase() === "abnormal";
}

/** The state of each asset: its own alarms, its unknown rules, and its points without a usable value. */
export function states(
  assets: readonly string[],
  alarms: readonly Alarm[],
  unknownAssets: ReadonlySet<string>,
  blind: (asset: string) => boolean,
): Map<string, AssetState> {
  const of = grouped(alarms);
  return new Map(
    assets.map((asset) => {
      const mine = (of.get(asset) ?? []).filter(abnormal);
      const unknown = unknownAssets.has(asset) || blind(asset);
      const standing: Standing = mine.length > 0 ? "abnormal" : unknown ? "unknown" : "normal";
      return [asset, { asset, standing, alarms: mine }];
    }),
  );
}

function grouped(alarms: readonly Alarm[]): Map<string, Alarm[]> {
  const out = new Map<string, Alarm[]>();
  for (const alarm of alarms) out.set(alarm.asset, [...(out.get(alarm.asset) ?? []), alarm]);
  return out;
}

export interface Cell {
  assets: number;
  abnormal: number;
  unknown: number;
  worst: RollUp | null;
}

/** One cell of the matrix: its counts and its worst symbol. */
export function cell(members: readonly AssetState[]): Cell {
  return {
    assets: members.length,
    abnormal: members.filter((m) => m.standing === "abnormal").length,
    unknown: members.filter((m) => m.standing === "unknown").length,
    worst: rollUp(members.flatMap((m) => m.alarms)),
  };
}
