/** The shapes that /api/v1 speaks. Times ending in `_at`, `_since` are RFC 3339; columns and spans are UTC ms. */

export type Language = "en" | "zh";
export type Names = { en: string } & Partial<Record<Language, string>>;
export type Priority = "critical" | "high" | "medium" | "low";
export type Count<T extends string> = Record<T, number>;

export interface Me {
  name: string;
  roles: string[];
  sites: string[];
  csrf: string;
  locale: string | null;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  reason?: string;
  legal?: string[];
}

export interface SiteRow {
  id: string;
  name: Names;
  time_zone: string;
}

export interface System {
  id: string;
  name: Names;
}

export interface Asset {
  id: string;
  name: Names;
  system: string;
  location: string;
  class: string;
  parent: string;
  device: string;
}

export interface StateName extends Names {
  id: string;
}

export interface Point {
  id: string;
  asset: string;
  name: Names;
  kind: "measurement" | "counter" | "state" | "flag";
  unit: string;
  decimals: number;
  range: [number, number] | null;
  expected: [number, number] | null;
  states: Record<string, StateName>;
  longest_silence_s: number;
  period_s: number;
  lane: "data" | "event";
  /** Made of readings by the server: without a value it says nothing of the equipment. */
  derived: boolean;
  /** What it is to other systems: its Brick class or "", its Haystack markers. */
  brick: string;
  haystack: string[];
}

export interface Level {
  side: "high" | "low";
  limit: number;
  priority: Priority;
}

export interface Rule {
  id: string;
  name: Names;
  asset: string;
  point: string;
  kind: "limit" | "state" | "silent";
  class: string;
  priority: Priority;
  levels: Level[];
  deadband: number;
  on_delay_s: number;
  off_delay_s: number;
  latch: boolean;
  cause: Names | null;
  consequence: Names | null;
  action: Names | null;
}

export interface Site extends SiteRow {
  systems: System[];
  locations: Record<string, Names>;
  assets: Asset[];
  points: Point[];
  rules: Rule[];
  agents: string[];
}

export interface SystemCounts {
  id: string;
  name: Names;
  assets: number;
  normal: number;
  abnormal: number;
  unknown: number;
  suppressed: number;
  worst: Priority | null;
  worst_unacknowledged: boolean;
}

export interface Overview {
  now: string;
  systems: SystemCounts[];
  totals: { assets: number; normal: number; abnormal: number; unknown: number; suppressed: number };
  unacknowledged: Count<Priority>;
  active: Count<Priority>;
}

export interface LiveColumns {
  mark: string;
  now: string;
  points: string[];
  value: (number | null)[];
  quality: number[];
  source_time: number[];
  receive_time: number[];
  change: number[];
}

export interface RawHistory {
  point: string;
  unit: string;
  resolution: "raw";
  complete_until: number | null;
  time: number[];
  value: (number | null)[];
  quality: number[];
}

export interface BucketHistory {
  point: string;
  unit: string;
  resolution: number;
  complete_until: number | null;
  time: number[];
  min: (number | null)[];
  max: (number | null)[];
  mean: (number | null)[];
  first: (number | null)[];
  last: (number | null)[];
  count: number[];
  worst: number[];
}

export type History = RawHistory | BucketHistory;

export interface Alarm {
  id: string;
  rule: string;
  asset: string;
  point: string;
  name: Names;
  class: string;
  priority: Priority;
  letter: string;
  condition: string;
  acknowledged: boolean;
  acknowledged_by: string | null;
  acknowledged_at: string | null;
  note: string | null;
  latched: boolean;
  raised_at: string | null;
  condition_since: string | null;
  returned_at: string | null;
  closed_at: string | null;
  close_reason: string | null;
  value: number | null;
  value_now: number | null;
  quality_now: number;
  unit: string;
  uncertain: boolean;
  annunciations: number;
  chatter: number;
  order: string | null;
  order_state: string | null;
}

export interface UnknownRule {
  id: string;
  rule: string;
  asset: string;
  point: string;
  name: Names;
  since: string | null;
  quality_now: number;
}

export interface AlarmEvent {
  seq: number;
  kind: string;
  at: string;
  by: string;
  data: Record<string, unknown>;
}

export interface WhyPoint {
  point: string;
  value: number | null;
  quality: number;
  source_time: number;
}

export interface NotCleared {
  id: string;
  [number: string]: string | number | boolean | null;
}

export interface AlarmDetail extends Alarm {
  rule_detail: Rule | null;
  why: { text: string; points: WhyPoint[] };
  why_not_cleared: NotCleared[];
  events: AlarmEvent[];
}

export interface Page<T> {
  now: string;
  items: T[];
  next: string | null;
}

export type ClockState = "running" | "warning" | "met" | "breached" | "paused" | "cancelled";

export interface OrderClock {
  kind: string;
  unit: string;
  limit: number;
  target: string | null;
  elapsed_s: number;
  remaining_s: number;
  state: ClockState;
  segments: [number, number][];
  started_at: string;
  stopped_at: string | null;
}

export interface Proof {
  needed_s: number;
  healthy_s: number;
  since: number | null;
  reason: "healthy" | "abnormal" | "unknown" | "waiting";
}

export interface Order {
  number: string;
  kind: string;
  title: Names;
  asset: string;
  state: string;
  priority: Priority;
  cause: string;
  alarm: string | null;
  occurrence: string | null;
  fault_class: string;
  assignee: string | null;
  raised_at: string;
  updated_at: string;
  version: number;
  clocks: OrderClock[];
  proof: Proof | null;
  paused_reason: string | null;
  merged_into: string | null;
  closed_by: string | null;
  note: string | null;
}

export interface Move {
  move: string;
  to: string;
  roles: string[];
  allowed: boolean;
  needs: string[];
  why_not: string | null;
  /** Of a pause: what stops the clocks. */
  reasons?: string[];
}

export interface OrderEvent {
  at: string;
  by: string;
  kind: string;
  data: Record<string, unknown>;
}

export interface OrderDetail extends Order {
  moves: Move[];
  events: OrderEvent[];
}

export type Verdict = "confirmed" | "contradicted" | "absent" | "not_observable";

export interface Occurrence {
  id: string;
  plan: string;
  duty: string;
  asset: string;
  name: Names;
  key: string;
  early: string | null;
  due: string | null;
  late: string | null;
  state: string;
  verdict: Verdict | null;
  verdict_span: [number, number] | null;
  verdict_text: string | null;
  done_at: string | null;
  done_by: string | null;
  order: string | null;
  source: string[];
  every_text: Names | null;
}

export interface Plan {
  id: string;
  duty: string;
  standard: string;
  name: Names;
  asset: string;
  every_text: Names;
  statutory: boolean;
  source: string[];
  evidence: boolean;
}

export type Refusal = "after_reset" | "too_short" | "too_few" | "stale" | "gap" | "not_significant";

/** What may be said of a point in one state of its equipment; without a slope, `refusal` says why. */
export interface TrendState {
  state: Names | null;
  learnt: number;
  days: number;
  mean: number | null;
  sigma: number | null;
  change: { seen_at: string; since: string; up: boolean } | null;
  slope: { per_day: number; low: number; high: number; level: number; at: string } | null;
  refusal: Refusal | null;
  reached: { limit: number; earliest: string; latest: string | null } | null;
}

export interface TrendRow {
  point: string;
  asset: string;
  unit: string;
  by: string | null;
  horizon_s: number;
  at: string | null;
  suggested: boolean;
  states: TrendState[];
}

export interface TrendList {
  now: string;
  learn_rows: number;
  days_needed: number;
  items: TrendRow[];
}

export interface DueList {
  today: string;
  items: Occurrence[];
}

export interface Asked {
  ask: string;
  outcome?: string;
}
