import { expect, test } from "vitest";
import { drawn } from "../src/lib/history";
import { reach } from "../src/lib/plot-decor";

const raw = (time: number[], value: (number | null)[], quality = value.map(() => 0)) => ({ point: "p", unit: "", resolution: "raw" as const, complete_until: 0, time, value, quality });
const S = 1000;

test("a silence is a gap and the line is cut, never joined", () => {
  const line = drawn(raw([0, 10 * S, 60 * S, 70 * S], [1, 2, 3, 4]), 20 * S, 0, 70 * S);
  expect(line.gaps).toEqual([[10 * S, 60 * S]]);
  expect(line.value).toEqual([1, 2, null, 3, 4]);
});

test("a bad reading is no value, however long it is said", () => {
  const line = drawn(raw([0, 10 * S, 20 * S, 30 * S, 40 * S], [1, 9, 9, 9, 2], [0, 65, 65, 65, 0]), 15 * S, 0, 40 * S);
  expect(line.gaps).toEqual([[0, 40 * S]]);
  expect(line.value).toEqual([1, null, 2]);
});

test("no data at either end is a gap as well", () => {
  const line = drawn(raw([50 * S], [1]), 10 * S, 0, 100 * S);
  expect(line.gaps).toEqual([[0, 50 * S], [50 * S, 100 * S]]);
});

test("live readings go on where the history ends", () => {
  const line = drawn(raw([0], [1]), 10 * S, 0, 5 * S, [[2 * S, 5], [4 * S, null]]);
  expect(line.value).toEqual([1, 5]);
  expect(line.gaps).toEqual([]);
});

test("a peak inside a bucket is drawn, not averaged away; a missing bucket is a gap", () => {
  const buckets = { point: "p", unit: "", resolution: 10 * S, complete_until: 0, time: [0, 10 * S, 40 * S], min: [1, 0, 2], max: [1, 9, 2], mean: [1, 2, 2], first: [1, 1, 2], last: [1, 1, 2], count: [3, 3, 3], worst: [0, 0, 0] };
  const line = drawn(buckets, 5 * S, 0, 50 * S);
  expect(line.value).toContain(9);
  expect(line.value).toContain(null);
  expect(line.gaps).toHaveLength(1);
  expect([...line.time].sort((a, b) => a - b)).toEqual(line.time);
});

test("the axis shows values and limits with room, and something where there is nothing", () => {
  const [lo, hi] = reach([10, null, 20], [0, 100], [25]);
  expect(lo).toBeLessThan(10);
  expect(hi).toBeGreaterThan(25);
  expect(hi).toBeLessThan(40);
  expect(reach([], null, [])).toEqual([0, 1]);
  expect(reach([5], null, [])[0]).toBeLessThan(5);
});
