import { describe, expect, test } from "vitest";
import type { TrendList, TrendState } from "../src/lib/api-types";
import { ahead, decimals, statement, usual } from "../src/lib/trends";

const NOW = Date.parse("2026-11-20T08:00:00Z");
const DAY = 86_400_000;
const at = (days: number): string => new Date(NOW + days * DAY).toISOString();
const LIST: TrendList = { now: at(0), learn_rows: 500, days_needed: 15, items: [] };
const NOTHING: TrendState = { state: null, learnt: 200, days: 4, mean: null, sigma: null, change: null, slope: null, refusal: "too_short", reached: null };
const creeping = (per_day: number, reached: TrendState["reached"]): TrendState => ({ ...NOTHING, refusal: null, slope: { per_day, low: 0, high: 0, level: 0, at: at(0) }, reached });

describe("how far ahead", () => {
  test.each([
    [21, 42, "trend.weeks_range", { a: 3, b: 6 }],
    [21.9, 41.1, "trend.weeks_range", { a: 3, b: 6 }],
    [5.9, 20.1, "trend.days_range", { a: 5, b: 21 }],
    [-3, 9, "trend.days_range", { a: 0, b: 9 }],
    [70, 70, "trend.weeks", { n: 10 }],
    [3.5, null, "trend.days", { n: 3 }],
    [36, null, "trend.weeks", { n: 5 }],
  ])("%d to %s days", (near, far, key, values) => {
    expect(ahead(NOW + near * DAY, far === null ? null : NOW + far * DAY, NOW)).toEqual({ key, values });
  });
});

describe("what is said of a point", () => {
  test("it creeps, and reaches a limit in a span", () => {
    const said = creeping(0.12 / 7, { limit: 7.1, earliest: at(21), latest: at(42) });
    expect(statement(said, LIST, 2, "mm/s")).toEqual([
      { key: "trend.rises", values: { much: "0.12 mm/s" } },
      { key: "trend.reaches", values: { limit: "7.10", time: { key: "trend.weeks_range", values: { a: 3, b: 6 } } } },
    ]);
  });
  test("it falls, and there is no limit", () => {
    expect(statement(creeping(-0.001, null), LIST, 2, "m3/h")).toEqual([{ key: "trend.falls", values: { much: "0.0070 m³/h" } }, { key: "trend.no_limit" }]);
  });
  test.each([[-1, "trend.reaches_now"], [2, "trend.reaches_earliest"]])("its flattest slope leads nowhere, its steepest in %d days", (near, key) => {
    expect(statement(creeping(1, { limit: 9, earliest: at(near), latest: null }), LIST, 0, "")[1]?.key).toBe(key);
  });
  test("nothing, and why", () => {
    expect(statement(NOTHING, LIST, 2, "bar")).toEqual([{ key: "trend.too_short", values: { n: 4, of: 15 } }]);
  });
  test("what is usual, and how much of it is learnt", () => {
    expect(usual(NOTHING, LIST, 2)).toEqual({ key: "trend.learning", values: { n: 200, of: 500 } });
    expect(usual({ ...NOTHING, mean: 2.314, sigma: 0.0012 }, LIST, 2)).toEqual({ key: "trend.usual", values: { mean: "2.31", sigma: "0.0012" } });
  });
  test.each([[0, 2, 2], [0.12, 2, 2], [0.012, 2, 3], [123, 0, 0], [1e-9, 2, 6]])("%d with at least %d decimals has %d", (value, least, want) => {
    expect(decimals(value, least)).toBe(want);
  });
});
