import { describe, expect, test } from "vitest";
import type { Move, Order, OrderClock, OrderDetail } from "../src/lib/api-types";
import { deadlines, left } from "../src/lib/deadlines";
import { asks, nextMove } from "../src/lib/moves";
import { bar } from "../src/lib/segments";
import { steps } from "../src/lib/steps";

const T0 = Date.parse("2026-11-20T06:00:00Z");
const MIN = 60_000;
const iso = (ms: number): string => new Date(ms).toISOString();

const clock = (given: Partial<OrderClock> = {}): OrderClock => ({
  kind: "resolve", unit: "wall_minutes", limit: 60, target: iso(T0 + 60 * MIN), elapsed_s: 600, remaining_s: 3000, state: "running", segments: [[T0, T0 + 10 * MIN]],
  started_at: iso(T0), stopped_at: null, ...given,
});

const order = (given: Partial<OrderDetail> = {}): OrderDetail => ({
  number: "202611-0001", kind: "fault", title: { en: "x" }, asset: "p", state: "reported", priority: "high", cause: "", alarm: null, occurrence: null, fault_class: "", assignee: null,
  raised_at: iso(T0), updated_at: iso(T0), version: 1, clocks: [clock()], proof: null, paused_reason: null, merged_into: null, closed_by: null, note: null, moves: [], events: [], ...given,
});

const move = (name: string, given: Partial<Move> = {}): Move => ({ move: name, to: "", roles: [], needs: [], allowed: true, why_not: null, ...given });

describe("deadlines", () => {
  test("the next one comes first, a paused one last, a stopped one is none", () => {
    const orders: Order[] = [
      order({ number: "late", clocks: [clock({ target: iso(T0 - MIN), state: "breached" })] }),
      order({ number: "paused", clocks: [clock({ target: null, state: "paused" })] }),
      order({ number: "kept", clocks: [clock({ state: "met", stopped_at: iso(T0) })] }),
      order({ number: "soon" }),
    ];
    expect(deadlines(orders).map((d) => d.order.number)).toEqual(["late", "soon", "paused"]);
    expect(deadlines(orders)[1]?.used).toBeCloseTo(1 / 6);
  });

  test("what is left goes on counting, a pause stands still", () => {
    expect(left(clock(), T0 + 50 * MIN)).toBe(10 * MIN);
    expect(left(clock(), T0 + 70 * MIN)).toBe(-10 * MIN);
    expect(left(clock({ state: "paused", target: null }), T0 + 70 * MIN)).toBe(3_000_000);
  });
});

describe("the bar of a clock", () => {
  test("shows what was counted, what was not, and where it is due", () => {
    const drawn = bar(clock({ segments: [[T0, T0 + 15 * MIN], [T0 + 30 * MIN, T0 + 45 * MIN]] }), T0 + 45 * MIN);
    expect(drawn.counted).toEqual([{ left: 0, width: 25 }, { left: 50, width: 25 }]);
    expect(drawn.paused).toEqual([{ left: 25, width: 25 }]);
    expect(drawn.due).toBe(100);
  });

  test("goes past the due line when it is late", () => {
    const drawn = bar(clock({ segments: [[T0, T0 + 120 * MIN]], state: "breached" }), T0 + 120 * MIN);
    expect(drawn.due).toBeLessThan(51);
    expect(drawn.due).toBeGreaterThan(45);
  });

  test("a running pause is hatched up to now", () => {
    const drawn = bar(clock({ state: "paused", target: null, segments: [[T0, T0 + 10 * MIN]] }), T0 + 20 * MIN);
    expect(drawn.paused).toHaveLength(1);
    expect(drawn.due).toBeNull();
  });
});

describe("the state line", () => {
  test("says when each state began and what may follow", () => {
    const events = [{ at: iso(T0 + MIN), by: "x", kind: "triage", data: {} }, { at: iso(T0 + 2 * MIN), by: "x", kind: "comment", data: {} }];
    const line = steps(order({ state: "triaged", events }), (state) => (state === "verified" ? "later" : undefined));
    expect(line.slice(0, 3).map((s) => [s.state, s.is, s.at])).toEqual([["reported", "done", T0], ["triaged", "now", T0 + MIN], ["dispatched", "", null]]);
    expect(line.find((s) => s.state === "verified")?.note).toBe("later");
  });

  test("a pause and an end have their own place", () => {
    expect(steps(order({ state: "paused" }), () => undefined).map((s) => s.state)).toContain("paused");
    expect(steps(order({ state: "cancelled" }), () => undefined).map((s) => s.state)).toEqual(["reported", "cancelled"]);
  });
});

describe("moves", () => {
  test("the next one is onward, one that is ours before one that is not", () => {
    const moves = [move("cancel"), move("arrive", { allowed: false }), move("start")];
    expect(nextMove(order({ moves }))?.move).toBe("start");
    expect(nextMove(order({ moves: moves.slice(0, 2) }))?.move).toBe("arrive");
    expect(nextMove(order({ moves: [move("cancel")] }))).toBeNull();
    expect(nextMove(order({ state: "dispatched", moves: [move("dispatch")] }))).toBeNull();
  });

  test("what readings must prove is verified with a reason, anything else without", () => {
    const verify = move("verify", { needs: ["reason"] });
    const proof = { needed_s: 300, healthy_s: 0, since: null, reason: "waiting" as const };
    expect(asks(order({ proof }), verify)).toEqual(["reason"]);
    expect(asks(order(), verify)).toEqual([]);
  });
});
