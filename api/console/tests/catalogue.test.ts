import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { catalogue } from "../src/lib/catalogue";
import { QUALITY_CODES, qualityName } from "../src/lib/quality";
import { LEADS_TO } from "../src/lib/moves";

const SRC = new URL("../src/", import.meta.url);
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((f) => /\.(svelte|ts)$/.test(f) && !f.endsWith("catalogue.ts"));
const sources = files.map((file) => ({ file, text: readFileSync(new URL(file, SRC), "utf8") }));
const rows = Object.entries(catalogue);
const names = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1] ?? "").sort();

describe("every text", () => {
  test("is there in both languages", () => {
    expect(rows.filter(([, [en, zh]]) => !en || !zh)).toEqual([]);
  });

  test("takes the same names in both languages", () => {
    expect(rows.filter(([, [en, zh]]) => names(en).join() !== names(zh).join())).toEqual([]);
  });

  test("of the Chinese is Chinese, without polite words and with full-width stops", () => {
    const latin = rows.filter(([key, [, zh]]) => !/[\u4e00-\u9fff]/.test(zh) && !/^(comma|colon|semicolon|tally\.of)$/.test(key));
    expect(latin.map(([key]) => key)).toEqual([]);
    expect(rows.filter(([, [, zh]]) => /您|请/.test(zh))).toEqual([]);
    expect(rows.filter(([, [, zh]]) => /[\u4e00-\u9fff][,;:?!]|\.$/.test(zh))).toEqual([]);
  });

  test("of the English neither shouts nor begs", () => {
    expect(rows.filter(([, [en]]) => /!|please|successfully/i.test(en))).toEqual([]);
  });

  test("is used, or its area is put together from data", () => {
    const all = sources.map((s) => s.text).join("\n");
    const composed = [...all.matchAll(/(?:t\(`|word\(")([a-z_]+)[."]/g)].map((m) => m[1]);
    const unused = rows.map(([key]) => key).filter((key) => !all.includes(`"${key}"`) && !composed.includes(key.split(".")[0]));
    expect(unused).toEqual([]);
  });
});

test("no sentence stands outside the catalogue", () => {
  const spoken = sources.flatMap(({ file, text }) => {
    const markup = file.endsWith(".svelte") ? text.replace(/<script[\s\S]*?<\/script>/, "").replace(/<!--[\s\S]*?-->/g, "") : "";
    const plain = markup.replace(/\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}/g, "");
    return [...plain.matchAll(/>([^<>{}]*[A-Za-z\u4e00-\u9fff]{2,}[^<>{}]*)</g)].map((m) => `${file}: ${m[1]?.trim()}`);
  });
  const allowed = /: (Steward|· Steward|English|中文|Esc|xml.*)$/;
  expect(spoken.filter((s) => !allowed.test(s))).toEqual([]);
});

test("every quality, move and state has a word", () => {
  const keys = new Set(rows.map(([key]) => key));
  const wanted = [
    ...QUALITY_CODES.map((code) => `quality.${qualityName(code)}`),
    ...Object.entries(LEADS_TO).flatMap(([move, state]) => [`order_event.${move}`, `state.${state}`]),
  ];
  expect(wanted.filter((key) => !keys.has(key))).toEqual([]);
});

test("no style stands in the markup: the content security policy would drop it", () => {
  expect(sources.filter(({ text }) => /\sstyle="[^{]/.test(text)).map((s) => s.file)).toEqual([]);
});
