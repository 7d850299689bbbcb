/** One moment at Riverside: values that move, some alarms, orders and duties in every state. */
import { readFileSync } from "node:fs";
import type { Alarm, AlarmEvent, History, LiveColumns, Move, Occurrence, Order, OrderEvent, Overview, Plan, Point, Priority, Site, TrendList, TrendRow, TrendState, UnknownRule } from "../../src/lib/api-types";

const recorded = JSON.parse(readFileSync(new URL("./riverside.json", import.meta.url), "utf8")) as { site: Site; plans: Plan[] };
export const site = recorded.site;
export const plans = recorded.plans;

const S = 1000;
const MIN = 60 * S;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
export const iso = (ms: number): string => new Date(ms).toISOString();
const ago = (ms: number): string => iso(Date.now() - ms);

const MEAN: Record<string, number> = {
  discharge_pressure: 5.2, suction_pressure: 2.4, flow: 11.6, tank_level: 2.34, set_pressure: 5.2, mode: 1, run_hours_total: 11_482, energy: 48_211,
  "pump-1/state": 2, "pump-2/state": 1, "pump-1/current": 0, "pump-2/current": 21.3, "pump-1/speed": 0, "pump-2/speed": 43.6, "pump-1/bearing_temperature": 27.9,
  "pump-2/bearing_temperature": 106.4, "pump-1/vibration": 0.2, "pump-2/vibration": 3.9, "pump-1/run_hours": 5_210, "pump-2/run_hours": 6_272, floor: 7, direction: 1,
  car_load: 320, motor_temperature: 46, trips: 182_311, mains: 1, level: 0, level_m: 2.36, reachable: 1, stream: 1, media: 1, battery_voltage: 25.9, fuel_level: 71,
  coolant_temperature: 38, oil_pressure: 0, frequency: 0, temperature: 17.5, run_hours: 410,
};
const RIGID = /state|mode|direction|door|run_hours|energy|trips|starts|fire$|fault|^zone|reachable|stream|media|pump_|flood|set_pressure/;
const SET: Record<string, { value: number | null; quality: number; late?: number }> = {
  "fire-panel/zone_3_fire": { value: 1, quality: 0 },
  "fire-panel/fire": { value: 1, quality: 0 },
  "fire-panel/zone_17_fault": { value: 1, quality: 0 },
  "a-booster/pump-2/vibration": { value: 3.9, quality: 4 },
  "b-booster/energy": { value: 48_211, quality: 0, late: 51 * MIN },
  "b-booster/pump-2/bearing_temperature": { value: null, quality: 69 },
  "camera-2/media": { value: 0, quality: 0 },
  "generator/fuel_level": { value: null, quality: 65 },
  "generator/coolant_temperature": { value: null, quality: 65 },
  "b-booster/pump-1/state": { value: 1, quality: 0 },
  "b-booster/pump-2/state": { value: 0, quality: 0 },
};

const local = (point: Point): string => point.id.slice(point.asset.split("/")[0]?.length ?? 0).replace(/^\//, "");

function level(point: Point): number {
  const id = local(point);
  return MEAN[id] ?? MEAN[id.split("/").at(-1) ?? ""] ?? (point.kind === "measurement" ? ((point.expected?.[0] ?? 0) + (point.expected?.[1] ?? 10)) / 2 : 0);
}

/** A smooth wander that depends on nothing but time and name: history and live values agree. */
function wander(point: Point, ms: number): number {
  const base = level(point);
  if (point.kind !== "measurement" || RIGID.test(local(point)) || base === 0) return base;
  const seed = [...point.id].reduce((n, c) => (n * 31 + c.charCodeAt(0)) % 997, 7);
  const t = ms / MIN;
  const wave = Math.sin(t / 7 + seed) + 0.5 * Math.sin(t / 1.7 + seed * 3) + 0.25 * Math.sin(t * 3.1 + seed);
  if (local(point) === "floor") return Math.round(12 + 11 * Math.sin(t / 2 + seed));
  return base * (1 + 0.02 * wave);
}

function reading(point: Point, now: number): { value: number | null; quality: number; time: number } {
  const set = SET[point.id];
  if (set) return { value: set.value, quality: set.quality, time: now - (set.late ?? 600) };
  return { value: Number(wander(point, now).toFixed(point.decimals + 1)), quality: 0, time: now - 400 };
}

let mark = 1;

/** Columns of some points at `now`. */
export function columns(points: Point[], now: number): LiveColumns {
  const rows = points.map((p) => reading(p, now));
  mark += 1;
  return {
    mark: String(mark), now: iso(now), points: points.map((p) => p.id), value: rows.map((r) => r.value), quality: rows.map((r) => r.quality),
    source_time: rows.map((r) => r.time), receive_time: rows.map((r) => r.time + 200), change: rows.map(() => mark),
  };
}

/** History of one point with a gap of 14 minutes two hours and forty minutes ago. */
export function history(id: string, start: number, end: number): History {
  const point = site.points.find((p) => p.id === id) as Point;
  const step = Math.max(S, Math.ceil((end - start) / 700 / S) * S);
  const hole = Date.now() - 160 * MIN;
  const time: number[] = [];
  for (let t = start; t < end; t += step) if (t < hole || t > hole + 14 * MIN) time.push(t);
  const heat = (t: number): number => (id.endsWith("pump-2/bearing_temperature") && id.startsWith("a-") ? -Math.max(0, 20 - ((t - (Date.now() - 3 * HOUR)) / MIN) * 0.16) : 0);
  const value = time.map((t) => (id in SET && SET[id]?.value === null ? null : wander(point, t) + heat(t)));
  return { point: id, unit: point.unit, resolution: "raw", complete_until: end, time, value, quality: value.map((v) => (v === null ? 65 : 0)) };
}

interface Story {
  rule: string;
  age: number;
  priority?: Priority;
  by?: string;
  value?: number;
  returned?: number;
  order?: string;
  latched?: boolean;
}

const STORIES: Story[] = [
  { rule: "zone-fire@fire-panel/zone_3_fire", age: 48 * S, order: "0188" },
  { rule: "level-high@sump-pit", age: 115 * S, value: 2.31, order: "0187" },
  { rule: "no-media@camera-2", age: 42 * S },
  { rule: "hot-bearing@a-booster/pump-2", age: 33 * MIN + 37 * S, by: "Zhao Min", value: 101.2, order: "0183" },
  { rule: "tripped@a-booster/pump-1", age: 3 * HOUR, by: "Chen Wei", order: "0164", latched: true },
  { rule: "alarm-button@elevator-1", age: 26 * MIN, by: "Chen Wei", returned: 4 * MIN, latched: true, order: "0186" },
];

function alarmOf(story: Story): Alarm | null {
  const rule = site.rules.find((r) => r.id === story.rule) ?? site.rules.find((r) => r.id.startsWith(story.rule.split("@")[0] ?? "") && r.point.includes(story.rule.split("@")[1] ?? "?"));
  if (!rule) return null;
  const point = site.points.find((p) => p.id === rule.point) as Point;
  const now = reading(point, Date.now());
  return {
    id: `${rule.id}~1`, rule: rule.id, asset: rule.asset, point: rule.point, name: rule.name, class: rule.class, priority: rule.levels[0]?.priority ?? rule.priority,
    letter: story.by ? "C" : "B", condition: story.returned ? "NORMAL" : "ABNORMAL", acknowledged: Boolean(story.by), acknowledged_by: story.by ?? null,
    acknowledged_at: story.by ? ago(story.age - 20 * S) : null, note: null, latched: Boolean(story.latched && story.returned), raised_at: ago(story.age),
    condition_since: ago(story.returned ?? story.age), returned_at: story.returned ? ago(story.returned) : null, closed_at: null, close_reason: null, value: story.value ?? null,
    value_now: now.value, quality_now: now.quality, unit: point.unit, uncertain: false, annunciations: 1, chatter: 0, order: story.order ? `202611-${story.order}` : null,
    order_state: story.order ? "departed" : null,
  };
}

export const alarms: Alarm[] = STORIES.map(alarmOf).filter((a) => a !== null);

export const unknown: UnknownRule[] = site.rules
  .filter((r) => SET[r.point]?.value === null)
  .map((r) => ({ id: `unknown:${r.id}`, rule: r.id, asset: r.asset, point: r.point, name: r.name, since: ago(9 * MIN), quality_now: SET[r.point]?.quality ?? 65 }));

export const alarmEvents = (alarm: Alarm): AlarmEvent[] => [
  { seq: 1, kind: "raised", at: alarm.raised_at ?? "", by: "", data: {} },
  { seq: 2, kind: "annunciated", at: alarm.raised_at ?? "", by: "", data: {} },
  ...(alarm.acknowledged_at ? [{ seq: 3, kind: "acknowledged", at: alarm.acknowledged_at, by: alarm.acknowledged_by ?? "", data: {} }] : []),
  ...(alarm.returned_at ? [{ seq: 4, kind: "returned", at: alarm.returned_at, by: "", data: {} }] : []),
];

const PATH = ["triage", "dispatch", "accept", "depart", "arrive", "start", "complete"];
const STATES = ["reported", "triaged", "dispatched", "accepted", "departed", "arrived", "in_progress", "completed"];
const LIMITS: Record<Priority, [number, number]> = { critical: [15, 240], high: [30, 480], medium: [120, 1440], low: [480, 4320] };

export interface Kept extends Order {
  events: OrderEvent[];
}

function orderOf(number: string, alarm: Alarm | undefined, done: number, age: number, assignee: string | null): Kept {
  const start = Date.now() - age;
  const at = (i: number): number => start + ((i + 1) * age) / (done + 2);
  const events: OrderEvent[] = [{ at: iso(start), by: "readings", kind: "raised", data: {} }];
  PATH.slice(0, done).forEach((kind, i) => events.push({ at: iso(at(i)), by: i < 2 ? "Chen Wei" : (assignee ?? ""), kind, data: kind === "dispatch" ? { assignee } : {} }));
  const priority = alarm?.priority ?? "medium";
  const accepted = done > 2 ? at(2) : null;
  const completed = done > 6 ? at(6) : null;
  const clock = (kind: string, i: 0 | 1, stop: number | null): Order["clocks"][number] => {
    const limit = LIMITS[priority][i];
    const elapsed = ((stop ?? Date.now()) - start) / S;
    return {
      kind, unit: "wall_minutes", limit, target: iso(start + limit * MIN), elapsed_s: elapsed, remaining_s: limit * 60 - elapsed, state: stop ? (elapsed > limit * 60 ? "breached" : "met") : elapsed > limit * 60 ? "breached" : elapsed > limit * 45 ? "warning" : "running",
      segments: [[start, stop ?? Date.now()]], started_at: iso(start), stopped_at: stop ? iso(stop) : null,
    };
  };
  const title = alarm ? { en: `${name(alarm.asset, "en")}: ${alarm.name.en}`, zh: `${name(alarm.asset, "zh")}：${alarm.name.zh ?? ""}` } : { en: "Drip from the ceiling, Tower A 9F", zh: "A 座九层吊顶滴水" };
  return {
    number: `202611-${number}`, kind: alarm ? "fault" : "request", title, asset: alarm?.asset ?? "a-booster", state: STATES[done] ?? "reported", priority, cause: "", alarm: alarm?.id ?? null, occurrence: null,
    fault_class: alarm ? "pump" : "", assignee, raised_at: iso(start), updated_at: events.at(-1)?.at ?? "", version: events.length, clocks: [clock("respond", 0, accepted), clock("resolve", 1, completed)],
    proof: completed ? { needed_s: 300, healthy_s: 0, since: Date.now() - 132 * S, reason: "healthy" } : alarm ? { needed_s: 300, healthy_s: 0, since: null, reason: "abnormal" } : null,
    paused_reason: null, merged_into: null, closed_by: null, note: alarm ? null : "Seen by the night guard", events,
  };
}

function name(asset: string, language: "en" | "zh"): string {
  return site.assets.find((a) => a.id === asset)?.name[language] ?? asset;
}

const byOrder = (number: string): Alarm | undefined => alarms.find((a) => a.order === `202611-${number}`);
export const orders: Kept[] = [
  orderOf("0188", byOrder("0188"), 0, 47 * S, null),
  orderOf("0187", byOrder("0187"), 1, 110 * S, null),
  orderOf("0186", byOrder("0186"), 7, 26 * MIN, "Liu Yang"),
  orderOf("0183", byOrder("0183"), 4, 33 * MIN, "Liu Yang"),
  orderOf("0164", byOrder("0164"), 6, 3 * HOUR, "Liu Yang"),
  orderOf("0180", undefined, 2, 5 * HOUR, "Zhou Ke"),
];

/** The order with its running clocks counted up to now. */
export function counted<T extends Order>(order: T): T {
  const now = Date.now();
  const clocks = order.clocks.map((clock) => {
    if (clock.stopped_at) return clock;
    const elapsed_s = (now - Date.parse(clock.started_at)) / S;
    const limit_s = clock.limit * 60;
    const segments: [number, number][] = [[Date.parse(clock.started_at), now]];
    return { ...clock, segments, elapsed_s, remaining_s: limit_s - elapsed_s, state: elapsed_s > limit_s ? "breached" as const : clock.state };
  });
  return { ...order, clocks };
}

/** Legal moves of an order, for somebody with all rights or none. */
export function moves(order: Kept, all: boolean): Move[] {
  const row = (move: string, needs: string[] = []): Move => ({ move, to: "", roles: ["operator", "supervisor", "manager", "admin"], needs, allowed: all, why_not: all ? null : "role_missing" });
  const next = PATH[STATES.indexOf(order.state)];
  const out = [];
  if (order.state === "paused") out.push(row("resume"));
  if (next) out.push(row(next, next === "dispatch" ? ["assignee"] : []));
  if (order.state === "in_progress") out.push(row("pause", ["reason"]));
  if (order.state === "completed") out.push(row("verify", ["reason"]), row("reopen", ["reason"]));
  if (next) out.push(row("cancel", ["reason"]), row("merge", ["into"]));
  if (STATES.indexOf(order.state) > 1 && next) out.push(row("hand_over", ["assignee"]));
  return out;
}

const TO: Record<string, string> = { triage: "triaged", dispatch: "dispatched", accept: "accepted", depart: "departed", arrive: "arrived", start: "in_progress", resume: "in_progress", pause: "paused", complete: "completed", verify: "verified", reopen: "reported", cancel: "cancelled", merge: "merged", hand_over: "handed_over" };

export function makeMove(order: Kept, move: string, said: Record<string, string>, by: string): void {
  order.state = TO[move] ?? order.state;
  order.assignee = said.assignee ?? order.assignee;
  order.paused_reason = move === "pause" ? (said.reason ?? null) : null;
  order.version += 1;
  order.updated_at = iso(Date.now());
  order.events.push({ at: order.updated_at, by, kind: move, data: said });
}

const day = (n: number): string => iso(Date.now() + 8 * HOUR + n * DAY).slice(0, 10);
const VERDICTS: Occurrence["verdict"][] = [null, "confirmed", "contradicted", "absent", "not_observable"];
export const due: Occurrence[] = plans.map((plan, i) => {
  const done = i % 4 === 1;
  const late = i === 2;
  const at = late ? -2 : done ? -i : (i * 5) % 40;
  return {
    id: plan.id.replaceAll("/", "."), plan: plan.id, duty: plan.duty, asset: plan.asset, name: plan.name, key: String(i), early: day(at - 5), due: day(at), late: day(at + 5), state: done ? "done" : late ? "late" : at < 8 ? "due" : "coming",
    verdict: done || late ? (VERDICTS[1 + (i % 4)] ?? null) : null, verdict_span: done ? [Date.now() - i * DAY, Date.now() - i * DAY + 11 * MIN] : null, verdict_text: null,
    done_at: done ? ago(i * DAY) : null, done_by: done ? "Zhou Ke" : null, order: null, source: plan.source, every_text: plan.every_text,
  };
});

export function overview(): Overview {
  const bad = new Set(alarms.filter((a) => a.condition === "ABNORMAL").map((a) => a.asset));
  const blind = new Set([...Object.entries(SET).filter(([, s]) => s.value === null || s.late).map(([p]) => site.points.find((x) => x.id === p)?.asset ?? "")].filter((a) => !bad.has(a)));
  const count = (assets: string[]) => ({
    assets: assets.length, abnormal: assets.filter((a) => bad.has(a)).length, unknown: assets.filter((a) => blind.has(a)).length,
    normal: assets.filter((a) => !bad.has(a) && !blind.has(a)).length, suppressed: 0,
  });
  const by = (rows: Alarm[]) => Object.fromEntries(["critical", "high", "medium", "low"].map((p) => [p, rows.filter((a) => a.priority === p).length])) as Record<Priority, number>;
  return {
    now: iso(Date.now()), totals: count(site.assets.map((a) => a.id)), unacknowledged: by(alarms.filter((a) => !a.acknowledged)), active: by(alarms),
    systems: site.systems.map((s) => {
      const mine = alarms.filter((a) => site.assets.find((x) => x.id === a.asset)?.system === s.id);
      const worst = (["critical", "high", "medium", "low"] as const).find((p) => mine.some((a) => a.priority === p)) ?? null;
      return { id: s.id, name: s.name, ...count(site.assets.filter((a) => a.system === s.id).map((a) => a.id)), worst, worst_unacknowledged: mine.some((a) => a.priority === worst && !a.acknowledged) };
    }),
  };
}

/** Two watched points of the pumps of set A: one creeps, one is too young. */
export function trends(asset: string): TrendList {
  const now = Date.now();
  const nothing: TrendState = { state: { en: "Running", zh: "运行" }, learnt: 500, days: 4, mean: 61.3, sigma: 1.8, change: null, slope: null, refusal: "too_short", reached: null };
  const creeping: TrendState = {
    ...nothing, days: 41, mean: 3.1, sigma: 0.12, refusal: null,
    slope: { per_day: 0.017, low: 0.013, high: 0.021, level: 6.6, at: iso(now) },
    reached: { limit: 7.1, earliest: iso(now + 21 * 86_400_000), latest: iso(now + 42 * 86_400_000) },
  };
  const row = { asset: "a-booster/pump-1", by: "a-booster/pump-1/state", horizon_s: 5_184_000, at: iso(now) };
  const items: TrendRow[] = [
    { ...row, point: "a-booster/pump-1/bearing_temperature", unit: "°C", suggested: false, states: [nothing] },
    { ...row, point: "a-booster/pump-1/vibration", unit: "mm/s", suggested: true, states: [creeping] },
  ];
  return { now: iso(now), learn_rows: 500, days_needed: 15, items: items.filter((one) => one.asset.startsWith(asset)) };
}
