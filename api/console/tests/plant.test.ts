import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Site } from "../src/lib/api-types";
import { neighbour } from "../src/lib/pick";
import { parse, to } from "../src/lib/places";
import { Plant } from "../src/lib/plant";
import { NONE, short, tiles } from "../src/lib/tiles";

const { site } = JSON.parse(readFileSync(new URL("../dev/mock/riverside.json", import.meta.url), "utf8")) as { site: Site };
const plant = new Plant(site);

describe("the plant", () => {
  test("a part knows what it is part of and where that stands", () => {
    expect(plant.path("a-booster/pump-2").map((a) => a.id)).toEqual(["a-booster", "a-booster/pump-2"]);
    expect(plant.area("a-booster/pump-2")).toBe("tower-a");
    expect(plant.location("a-booster").map((n) => n.en)).toEqual(["Tower A", "Tower A, pump room"]);
    expect(plant.path("nothing")).toEqual([]);
  });

  test("points of an asset are its own, not its parts'", () => {
    expect(plant.pointsOf("a-booster").every((p) => p.asset === "a-booster")).toBe(true);
    expect(plant.rulesOf("a-booster/pump-1/state").length).toBeGreaterThan(0);
  });
});

describe("what the overview draws", () => {
  const real = tiles(plant);

  test("is what is really there", () => {
    expect(real.boosters.map((b) => [b.asset.id, b.pumps.length])).toEqual([["a-booster", 2], ["b-booster", 2]]);
    expect(real.elevators.map((e) => e.asset.id)).toEqual(["elevator-1"]);
    expect(real.zones).toHaveLength(32);
    expect(real.zones[2]?.points.map((p) => p.id)).toContain("fire-panel/zone_3_fire");
    expect(real.cameras).toHaveLength(3);
  });

  test("and nothing where there is nothing", () => {
    expect(tiles(null)).toBe(NONE);
    expect(tiles(new Plant({ ...site, assets: [], points: [], rules: [] }))).toEqual(NONE);
  });

  test.each([
    ["Elevator A1", "A1"],
    ["A1 电梯", "A1"],
    ["Booster set B", "B"],
    ["B 座加压机组", "B"],
    ["Great pump", "ump1"],
  ])("%s is called %s where there is no room", (name, text) => expect(short(name, "x/pump1")).toBe(text));
});

describe("addresses", () => {
  test.each([
    ["/", { page: "home" }],
    ["/login", { page: "login" }],
    ["/nowhere", { page: "missing" }],
    ["/sites/riverside", { page: "overview", site: "riverside" }],
    ["/sites/riverside/alarms", { page: "alarms", site: "riverside", id: null }],
    ["/sites/riverside/alarms/hot%40a/pump-1", { page: "alarms", site: "riverside", id: "hot@a/pump-1" }],
    ["/sites/riverside/assets/a-booster/pump-1", { page: "asset", site: "riverside", id: "a-booster/pump-1" }],
    ["/sites/riverside/orders/202611-0001", { page: "order", site: "riverside", id: "202611-0001" }],
    ["/sites/riverside/x", { page: "missing" }],
  ])("%s", (path, place) => expect(parse(path)).toEqual(place));

  test("an id survives the way there and back", () => {
    expect(parse(to("riverside", "alarms", "low@a/b/c d~1"))).toMatchObject({ id: "low@a/b/c d~1" });
  });
});

test("moving in a list stays inside it", () => {
  expect(neighbour(["a", "b"], "b", 1)).toBe("b");
  expect(neighbour(["a", "b"], null, -1)).toBe("b");
  expect(neighbour(["a", "b"], "gone", 1)).toBe("a");
  expect(neighbour([], null, 1)).toBeNull();
});
