/** Why an alarm is active, as the rule says it: `bearing_temperature > 75.0 °C`, and how long it must hold. */
import type { Alarm, Point, Rule } from "./api-types";
import { number, unit } from "./format";

export interface RuleText {
  test: string;
  on_delay_s: number;
}

const COMPARE = { high: ">", low: "<" } as const;

/** The rule in one line. `stateName` names the states that are abnormal where the rule knows none. */
export function ruleText(rule: Rule, point: Point | undefined, alarm: Pick<Alarm, "priority">): RuleText {
  const id = rule.point.split("/").at(-1) ?? rule.point;
  return { test: `${id} ${test(rule, point, alarm)}`, on_delay_s: rule.on_delay_s };
}

function test(rule: Rule, point: Point | undefined, alarm: Pick<Alarm, "priority">): string {
  if (rule.kind === "silent") return "…";
  const level = rule.levels.find((l) => l.priority === alarm.priority) ?? rule.levels[0];
  if (!level) return "≠ ✓";
  return `${COMPARE[level.side]} ${number(level.limit, point?.decimals ?? 2)} ${unit(point?.unit ?? "")}`.trim();
}

/** The value beyond which it returns: limit minus deadband, or plus for a low limit. */
export function returnsAt(rule: Rule, alarm: Pick<Alarm, "priority">): { sign: string; limit: number } | null {
  const level = rule.levels.find((l) => l.priority === alarm.priority) ?? rule.levels[0];
  if (!level) return null;
  return level.side === "high"
    ? { sign: "<", limit: level.limit - rule.deadband }
    : { sign: ">", limit: level.limit + rule.deadband };
}
