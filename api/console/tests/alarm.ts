import type { Alarm } from "../src/lib/api-types";

let made = 0;

/** An alarm for a test: unacknowledged and abnormal unless said otherwise. */
export function alarm(given: Partial<Alarm> = {}): Alarm {
  made += 1;
  return {
    id: `a${made}`, rule: "r", asset: "pump", point: "pump/state", name: { en: "Tripped", zh: "跳闸" }, class: "equipment", priority: "high", letter: "B",
    condition: "ABNORMAL", acknowledged: false, acknowledged_by: null, acknowledged_at: null, note: null, latched: false, raised_at: "2026-11-20T06:00:00Z",
    condition_since: null, returned_at: null, closed_at: null, close_reason: null, value: null, value_now: null, quality_now: 0, unit: "", uncertain: false,
    annunciations: 1, chatter: 0, order: null, order_state: null, ...given,
  };
}
