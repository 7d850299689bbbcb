/** Clock times and dates in the site's zone, 24 h; the zone itself is said once per page. */
import type { Language } from "./api-types";

type Parts = Record<string, string>;

const formats = new Map<string, Intl.DateTimeFormat>();

function parts(ms: number, zone: string): Parts {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      year: "numeric",
      month: "numeric",
      day: "numeric",
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hourCycle: "h23",
    });
    formats.set(zone, format);
  }
  const found = Object.fromEntries(format.formatToParts(ms).map((p) => [p.type, p.value]));
  return { ...found, day: String(Number(found.day)) };
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const WEEKDAYS: Record<string, string> = {
  Mon: "周一", Tue: "周二", Wed: "周三", Thu: "周四", Fri: "周五", Sat: "周六", Sun: "周日",
};
const CITIES: Record<string, string> = { "Asia/Shanghai": "上海", "Asia/Urumqi": "乌鲁木齐" };

const pad = (text: string | undefined): string => (text ?? "").padStart(2, "0");

/** `14:32:07` */
export function clock(ms: number, zone: string): string {
  const p = parts(ms, zone);
  return `${p.hour}:${p.minute}:${p.second}`;
}

/** `14:32` */
export function minute(ms: number, zone: string): string {
  const p = parts(ms, zone);
  return `${p.hour}:${p.minute}`;
}

/** `2026-11-20`, the site's local day. */
export function day(ms: number, zone: string): string {
  const p = parts(ms, zone);
  return `${p.year}-${pad(p.month)}-${pad(p.day)}`;
}

/** `Fri 20 Nov 2026`, `2026-11-20 周五` */
export function longDate(ms: number, zone: string, language: Language): string {
  const p = parts(ms, zone);
  if (language === "zh") return `${day(ms, zone)} ${WEEKDAYS[p.weekday ?? ""]}`;
  return `${p.weekday} ${p.day} ${MONTHS[Number(p.month) - 1]} ${p.year}`;
}

/** Time of day for today, weekday and time within the last six days, else the date and time. */
export function moment(ms: number, now: number, zone: string, language: Language): string {
  if (day(ms, zone) === day(now, zone)) return clock(ms, zone);
  const p = parts(ms, zone);
  const near = Math.abs(now - ms) < 6 * 86_400_000;
  if (near) {
    return `${language === "zh" ? WEEKDAYS[p.weekday ?? ""] : `${p.weekday} ${p.day}`} ${minute(ms, zone)}`;
  }
  return `${shortDate(ms, zone, language)} ${minute(ms, zone)}`;
}

/** `29 Nov`, `11-29` */
export function shortDate(ms: number, zone: string, language: Language): string {
  const p = parts(ms, zone);
  return language === "zh" ? `${pad(p.month)}-${pad(p.day)}` : `${p.day} ${MONTHS[Number(p.month) - 1]}`;
}

/** A local date `2026-11-30` as `Mon 30 Nov` or `11-30 周一`, with the year where it is not this one. */
export function localDate(date: string, today: string, language: Language): string {
  const ms = Date.parse(`${date}T12:00:00Z`);
  if (Number.isNaN(ms)) return date;
  const p = parts(ms, "UTC");
  const year = date.slice(0, 4) === today.slice(0, 4) ? "" : p.year;
  if (language === "zh") return `${year ? `${year}-` : ""}${pad(p.month)}-${pad(p.day)} ${WEEKDAYS[p.weekday ?? ""]}`;
  return `${p.weekday} ${p.day} ${MONTHS[Number(p.month) - 1]}${year ? ` ${year}` : ""}`;
}

/** Whole days from one local date to another. */
export function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000);
}

/** `UTC+8`, `UTC-3:30` */
export function offset(ms: number, zone: string): string {
  const p = parts(ms, zone);
  const local = Date.UTC(
    Number(p.year), Number(p.month) - 1, Number(p.day),
    Number(p.hour), Number(p.minute), Number(p.second),
  );
  const minutes = Math.round((local - ms) / 60_000);
  const rest = Math.abs(minutes) % 60;
  const hours = Math.floor(Math.abs(minutes) / 60);
  return `UTC${minutes < 0 ? "\u2212" : "+"}${hours}${rest ? `:${pad(String(rest))}` : ""}`;
}

/** `Shanghai, UTC+8`, `上海 UTC+8` */
export function zoneName(ms: number, zone: string, language: Language): string {
  const city = zone.split("/").at(-1)?.replaceAll("_", " ") ?? zone;
  if (language === "zh") return `${CITIES[zone] ?? city} ${offset(ms, zone)}`;
  return `${city}, ${offset(ms, zone)}`;
}
