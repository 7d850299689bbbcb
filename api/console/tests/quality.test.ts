import { expect, test } from "vitest";
import { look, qualityName, silence, usable, type Look } from "../src/lib/quality";

const NOW = 1_000_000_000;
const seen = (value: number | null, quality: number, age_s = 1) => ({ value, quality, source_time: NOW - age_s * 1000 });

test.each<[string, ReturnType<typeof seen> | null, Look]>([
  ["a good value", seen(1, 0), "good"],
  ["zero", seen(0, 0), "good"],
  ["a frozen value", seen(1, 4), "uncertain"],
  ["a value stale at its source", seen(1, 2), "stale"],
  ["a good value that is too old", seen(1, 0, 61), "stale"],
  ["a good value just not too old", seen(1, 0, 60), "good"],
  ["a sensor fault, whatever it says", seen(5, 69), "bad"],
  ["a point that was not read yet", seen(null, 64), "unknown"],
  ["a good reading without a value", seen(null, 0), "unknown"],
  ["nothing at all", null, "unknown"],
])("%s is drawn as %s", (_, reading, kind) => {
  expect(look(reading, 60, NOW)).toBe(kind);
});

test("only good and uncertain values are relied on", () => {
  const all: Look[] = ["good", "uncertain", "stale", "bad", "unknown"];
  expect(all.filter(usable)).toEqual(["good", "uncertain"]);
});

test("a code from a newer edge has a name", () => {
  expect(qualityName(66)).toBe("link_down");
  expect(qualityName(99)).toBe("other");
});

test("a point may be silent for its longest silence and one more reading", () => {
  expect(silence({ longest_silence_s: 60, period_s: 10 })).toBe(70);
});
