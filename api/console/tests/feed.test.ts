import { describe, expect, test } from "vitest";
import { LiveRows } from "../src/lib/columns";
import { Liveness, LOST_AFTER_MS } from "../src/lib/liveness";
import { SiteClock } from "../src/lib/site-clock";

describe("loss of the feed", () => {
  test("is known within five seconds of the last word, and not before four", () => {
    const feed = new Liveness(0);
    feed.hear(10_000);
    expect(feed.lost(10_000 + LOST_AFTER_MS - 1)).toBe(false);
    expect(feed.lost(10_000 + LOST_AFTER_MS)).toBe(true);
    expect(LOST_AFTER_MS).toBeLessThan(5000 - 500);
  });

  test("ends with the next word", () => {
    const feed = new Liveness(0);
    expect(feed.lost(9000)).toBe(true);
    feed.hear(9001);
    expect(feed.lost(9002)).toBe(false);
    expect(feed.silence(9101)).toBe(100);
  });

  test("a feed that never spoke is lost too", () => {
    const feed = new Liveness(0);
    expect(feed.known).toBe(false);
    expect(feed.lost(LOST_AFTER_MS)).toBe(true);
  });

  test("connections are tried for ever, at most five seconds apart, and at once after it was heard", () => {
    const feed = new Liveness(0);
    const tries: number[] = [];
    for (let now = 0; now <= 60_000; now += 250) if (feed.shouldReconnect(now)) tries.push(now);
    const gaps = tries.slice(1).map((t, i) => t - (tries[i] ?? 0));
    expect(tries[0]).toBe(LOST_AFTER_MS);
    expect(Math.max(...gaps)).toBe(5000);
    expect(gaps.slice(0, 3)).toEqual([1000, 2000, 4000]);
    feed.hear(61_000);
    expect(feed.shouldReconnect(61_000 + LOST_AFTER_MS)).toBe(true);
  });
});

test("the site's clock goes on between two beats and does not depend on the browser's date", () => {
  const clock = new SiteClock();
  expect(clock.known).toBe(false);
  clock.set(1_000_000, 50);
  expect(clock.now(1550)).toBe(1_001_500);
  expect(clock.now(20)).toBe(1_000_000);
  expect(clock.heard).toBe(1_000_000);
});

describe("live columns", () => {
  const columns = { mark: "1", now: "", points: ["a", "b"], value: [1, null], quality: [0, 65], source_time: [5, 6], receive_time: [7, 8], change: [1, 1] };

  test("a change touches only its own points", () => {
    const live = new LiveRows();
    live.snapshot(columns);
    live.change({ ...columns, points: ["b"], value: [2], quality: [0], source_time: [9], receive_time: [9], change: [2] });
    expect(live.get("a")).toMatchObject({ value: 1, quality: 0, source_time: 5 });
    expect(live.get("b")).toMatchObject({ value: 2, change: 2 });
    expect(live.get("c")).toBeNull();
  });

  test("a snapshot forgets what is no longer there", () => {
    const live = new LiveRows();
    live.snapshot(columns);
    live.snapshot({ ...columns, points: ["a"], value: [1], quality: [0], source_time: [5], receive_time: [7], change: [1] });
    expect(live.get("b")).toBeNull();
  });

  test("columns that do not match are refused whole", () => {
    const live = new LiveRows();
    expect(() => live.change({ ...columns, quality: [0] })).toThrow("unequal");
    expect(live.get("a")).toBeNull();
  });
});

test("a site that runs ten times faster than the clock counts on at its own pace", () => {
  const clock = new SiteClock();
  for (let local = 0; local <= 3000; local += 250) clock.set(1_000_000 + local * 10, local);
  expect(clock.now(3100)).toBe(1_031_000);
});
