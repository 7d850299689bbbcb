import { describe, expect, test } from "vitest";
import { age, fill, limit, number, share, span, tags, unit } from "../src/lib/format";

const S = 1000;
const MIN = 60 * S;
const H = 60 * MIN;
const D = 24 * H;

describe("numbers", () => {
  test.each([
    [0.784, 2, "0.78"],
    [48211, 0, "48\u2009211"],
    [1234567.891, 1, "1\u2009234\u2009567.9"],
    [999, 0, "999"],
    [-3.14, 1, "\u22123.1"],
    [-0.001, 2, "0.00"],
    [0, 0, "0"],
    [1e21, 0, "1e+21"],
  ])("%d with %d decimals reads %s", (value, decimals, text) => {
    expect(number(value, decimals)).toBe(text);
  });

  test.each([
    ["m3/h", "m³/h"],
    ["bar", "bar"],
    ["W/m2", "W/m²"],
  ])("the unit %s is written %s", (plain, text) => expect(unit(plain)).toBe(text));

  test.each([
    ["Water_Flow_Sensor", ["water", "flow", "sensor"], "Brick Water_Flow_Sensor · Haystack water flow sensor"],
    ["Duration_Sensor", [], "Brick Duration_Sensor"],
    ["", ["sensor"], "Haystack sensor"],
    ["", [], ""],
  ])("the tags %s and %j are said", (brick, haystack, text) => expect(tags({ brick, haystack })).toBe(text));

  test.each([
    [5, 0, 10, 0.5],
    [-1, 0, 10, 0],
    [11, 0, 10, 1],
    [5, 3, 3, 0],
  ])("%d between %d and %d stands at %d", (value, lo, hi, at) => expect(share(value, lo, hi)).toBe(at));
});

describe("ages", () => {
  test.each([
    [600, "0.6 s", "0.6 秒"],
    [-50, "0.0 s", "0.0 秒"],
    [12 * S, "12 s", "12 秒"],
    [4 * MIN + 27 * S, "4 min 27 s", "4 分 27 秒"],
    [4 * MIN + 2 * S, "4 min 02 s", "4 分 02 秒"],
    [30 * MIN, "30 min", "30 分"],
    [3 * H + 12 * MIN, "3 h 12 min", "3 小时 12 分"],
    [D + 4 * H, "1 d 04 h", "1 天 04 小时"],
    [9 * D + 5 * H, "9 d", "9 天"],
  ])("%d ms is %s", (ms, en, zh) => {
    expect(age(ms, "en")).toBe(en);
    expect(age(ms, "zh")).toBe(zh);
  });

  test("what counts down shows whole seconds", () => expect(span(8_600)).toBe("8 s"));
  test("a limit in minutes is said in its own units", () => expect(limit(240)).toBe("4 h"));
});

test("an unknown name in a text stays visible", () => {
  expect(fill("{n} of {of}", { n: 2 })).toBe("2 of {of}");
});
