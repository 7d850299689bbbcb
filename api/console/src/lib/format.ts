/** Numbers, ages and spans as the reference writes them: thin thousands, true minus, two units at most. */
import type { Language, Point } from "./api-types";

const THIN = "\u2009";
const MINUS = "\u2212";

/** `decimals` places, thousands parted by a thin space, U+2212 for minus; never an exponent. */
export function number(value: number, decimals = 0): string {
  const fixed = Math.abs(value).toFixed(decimals);
  const [whole = "0", fraction] = fixed.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  const sign = value < 0 && Number(fixed) !== 0 ? MINUS : "";
  return sign + grouped + (fraction ? `.${fraction}` : "");
}

interface Units {
  s: string;
  min: string;
  h: string;
  d: string;
}

const UNITS: Record<Language, Units> = {
  en: { s: "s", min: "min", h: "h", d: "d" },
  zh: { s: "秒", min: "分", h: "小时", d: "天" },
};

const two = (n: number): string => String(n).padStart(2, "0");

function pair(big: number, unit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${unit}` : `${big} ${unit} ${two(small)} ${smallUnit}`;
}

/** How old something is, or how long it lasts: `0.6 s`, `12 s`, `4 min 27 s`, `3 h 12 min`, `2 d`. */
export function age(ms: number, language: Language = "en"): string {
  const u = UNITS[language];
  const s = Math.max(0, ms) / 1000;
  if (s < 9.95) return `${s.toFixed(1)} ${u.s}`;
  return span(ms, language);
}

/** As `age`, in whole seconds: for what counts up or down in front of people. */
export function span(ms: number, language: Language = "en"): string {
  const u = UNITS[language];
  const s = Math.floor(Math.max(0, ms) / 1000);
  if (s < 60) return `${s} ${u.s}`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return pair(minutes, u.min, s % 60, u.s);
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return pair(hours, u.h, minutes % 60, u.min);
  const days = Math.floor(hours / 24);
  return days < 3 ? pair(days, u.d, hours % 24, u.h) : `${days} ${u.d}`;
}

/** A length that is a round limit: `30 min`, `4 h`, `2 h 30 min`, `45 s`. */
export function limit(minutes: number, language: Language = "en"): string {
  return span(Math.round(minutes * 60_000), language);
}

/** A unit as people write it: `m3/h` is `m³/h`. */
export function unit(text: string): string {
  return text.replace(/m2/g, "m²").replace(/m3/g, "m³");
}

/** What a point is to other systems, in words; "" if nobody said. */
export function tags(point: Pick<Point, "brick" | "haystack">): string {
  return [point.brick && `Brick ${point.brick}`, point.haystack.length > 0 && `Haystack ${point.haystack.join(" ")}`].filter(Boolean).join(" · ");
}

/** Where `value` stands between `lo` and `hi`, 0…1, clamped. */
export function share(value: number, lo: number, hi: number): number {
  if (!(hi > lo)) return 0;
  return Math.min(1, Math.max(0, (value - lo) / (hi - lo)));
}

/** Fills `{name}` in a text from `values`; an unknown name stays visible. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (all, name: string) =>
    name in values ? String(values[name]) : all,
  );
}
