import { expect, test } from "vitest";
import { clock, day, daysBetween, localDate, longDate, moment, offset, zoneName } from "../src/lib/time";

const AT = Date.parse("2026-11-20T06:32:07Z");
const ZONE = "Asia/Shanghai";

test("the clock and the date are the site's, not the browser's", () => {
  expect(clock(AT, ZONE)).toBe("14:32:07");
  expect(longDate(AT, ZONE, "en")).toBe("Fri 20 Nov 2026");
  expect(longDate(AT, ZONE, "zh")).toBe("2026-11-20 周五");
  expect(day(Date.parse("2026-11-20T17:00:00Z"), ZONE)).toBe("2026-11-21");
});

test.each([
  ["Asia/Shanghai", "UTC+8"],
  ["America/St_Johns", "UTC\u22123:30"],
  ["UTC", "UTC+0"],
])("the offset of %s in November is %s", (zone, text) => expect(offset(AT, zone)).toBe(text));

test("the zone is named in both languages", () => {
  expect(zoneName(AT, ZONE, "en")).toBe("Shanghai, UTC+8");
  expect(zoneName(AT, ZONE, "zh")).toBe("上海 UTC+8");
  expect(zoneName(AT, "Europe/Berlin", "zh")).toBe("Berlin UTC+1");
});

test.each([
  ["2026-11-20T01:00:00Z", "09:00:00", "09:00:00"],
  ["2026-11-17T01:02:03Z", "Tue 17 09:02", "周二 09:02"],
  ["2026-09-02T01:02:03Z", "2 Sep 09:02", "09-02 09:02"],
])("%s seen on that Friday is %s", (time, en, zh) => {
  expect(moment(Date.parse(time), AT, ZONE, "en")).toBe(en);
  expect(moment(Date.parse(time), AT, ZONE, "zh")).toBe(zh);
});

test("a local date says its year only where it is another", () => {
  expect(localDate("2026-11-30", "2026-11-20", "en")).toBe("Mon 30 Nov");
  expect(localDate("2027-01-04", "2026-11-20", "en")).toBe("Mon 4 Jan 2027");
  expect(localDate("2027-01-04", "2026-11-20", "zh")).toBe("2027-01-04 周一");
  expect(localDate("soon", "2026-11-20", "en")).toBe("soon");
});

test("days are counted by the calendar", () => expect(daysBetween("2026-11-20", "2026-12-01")).toBe(11));
