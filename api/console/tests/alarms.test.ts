import { describe, expect, test } from "vitest";
import { matching, ofTab } from "../src/lib/alarm-list";
import { byUrgency, letter, pinned, rollUp } from "../src/lib/priority";
import { cell, states } from "../src/lib/rollup";
import { returnsAt, ruleText } from "../src/lib/why";
import type { Rule } from "../src/lib/api-types";
import { alarm } from "./alarm";

const acked = { letter: "C", acknowledged: true } as const;

describe("the worst of many", () => {
  test("nothing is nothing", () => expect(rollUp([])).toBeNull());

  test("an unacknowledged one stands before an acknowledged one of the same priority", () => {
    expect(rollUp([alarm(acked), alarm()])).toEqual({ priority: "high", acknowledged: false, also: false });
  });

  test("a hollow symbol says that something less urgent inside waits", () => {
    expect(rollUp([alarm({ priority: "critical", ...acked }), alarm({ priority: "low" })])).toEqual({ priority: "critical", acknowledged: true, also: true });
  });

  test("letters follow the language", () => {
    expect(letter("critical", "en")).toBe("C");
    expect(letter("low", "zh")).toBe("IV");
  });
});

describe("order of urgency", () => {
  test("who waits comes first, then priority, then the newest", () => {
    const old = alarm({ id: "old", raised_at: "2026-11-20T05:00:00Z" });
    const fresh = alarm({ id: "fresh" });
    const done = alarm({ id: "done", priority: "critical", ...acked });
    const returned = alarm({ id: "returned", letter: "D", condition: "NORMAL", priority: "low" });
    expect([done, old, returned, fresh].sort(byUrgency).map((a) => a.id)).toEqual(["fresh", "old", "returned", "done"]);
  });

  test("only an unacknowledged fire is pinned", () => {
    const fires = [alarm({ class: "fire", id: "f" }), alarm({ class: "fire", ...acked }), alarm()];
    expect(pinned(fires).map((a) => a.id)).toEqual(["f"]);
  });
});

describe("the state of assets", () => {
  const judged = states(["a", "b", "c", "d"], [alarm({ asset: "a" }), alarm({ asset: "d", condition: "NORMAL", letter: "D" })], new Set(["a", "b"]), (asset) => asset === "c");

  test.each([
    ["a", "abnormal"],
    ["b", "unknown"],
    ["c", "unknown"],
    ["d", "normal"],
  ])("%s is %s", (asset, standing) => expect(judged.get(asset)?.standing).toBe(standing));

  test("unknown is counted on its own, never with normal", () => {
    expect(cell([...judged.values()])).toMatchObject({ assets: 4, abnormal: 1, unknown: 2 });
  });
});

describe("the list", () => {
  const rows = [alarm({ id: "1" }), alarm({ id: "2", ...acked, priority: "low" })];

  test("its tabs", () => {
    expect(ofTab(rows, "unacknowledged").map((a) => a.id)).toEqual(["1"]);
    expect(ofTab(rows, "active")).toHaveLength(2);
  });

  test("every word must be there, and the level where one is asked for", () => {
    const texts = (a: { id: string }) => [a.id, "Pump One"];
    expect(matching(rows, "pump ONE", texts)).toHaveLength(2);
    expect(matching(rows, "pump two", texts)).toHaveLength(0);
    expect(matching(rows, "", texts, "low", (a) => a.priority).map((a) => a.id)).toEqual(["2"]);
  });
});

describe("why", () => {
  const rule: Rule = {
    id: "hot@p", name: { en: "Hot" }, asset: "p", point: "p/bearing", kind: "limit", class: "equipment", priority: "medium",
    levels: [{ side: "high", limit: 75, priority: "medium" }, { side: "high", limit: 85, priority: "high" }], deadband: 2, on_delay_s: 30, off_delay_s: 0, latch: false,
    cause: null, consequence: null, action: null,
  };
  const point = { decimals: 1, unit: "°C" } as never;

  test("the level of the alarm's priority is the one that is told", () => {
    expect(ruleText(rule, point, { priority: "high" })).toEqual({ test: "bearing > 85.0 °C", on_delay_s: 30 });
  });

  test("it returns below the limit less its deadband", () => {
    expect(returnsAt(rule, { priority: "medium" })).toEqual({ sign: "<", limit: 73 });
    expect(returnsAt({ ...rule, levels: [{ side: "low", limit: 5, priority: "low" }] }, { priority: "low" })).toEqual({ sign: ">", limit: 7 });
    expect(returnsAt({ ...rule, levels: [] }, { priority: "low" })).toBeNull();
  });
});
