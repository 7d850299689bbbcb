/** The language of the screen, its texts and names; remembered on this screen. */
import type { Language, Names } from "./api-types";
import { catalogue, type Key } from "./catalogue";
import { fill } from "./format";

const LANGUAGES: readonly Language[] = ["en", "zh"];
const KEEP = "steward.language";

function first(): Language {
  const kept = localStorage.getItem(KEEP);
  if (kept === "en" || kept === "zh") return kept;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

const state = $state({ language: first() });

export function language(): Language {
  return state.language;
}

/** Shows everything in `next` from now on. */
export function speak(next: Language, keep = true): void {
  state.language = next;
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  if (keep) localStorage.setItem(KEEP, next);
}

/** Whether somebody chose a language on this screen. */
export function chosen(): boolean {
  return localStorage.getItem(KEEP) !== null;
}

/** A text of the catalogue, its `{names}` filled. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return fill(catalogue[key][LANGUAGES.indexOf(state.language)] ?? key, values);
}

/** A text whose key is put together from data: the catalogue's, else what the data say. */
export function word(area: string, id: string | null | undefined): string {
  if (!id) return "";
  const key = `${area}.${id}`;
  return key in catalogue ? t(key as Key) : id.replaceAll("_", " ");
}

/** A name from the plant in the language of the screen, English where it has none. */
export function name(names: Names | string | null | undefined): string {
  if (!names) return "";
  if (typeof names === "string") return names;
  return names[state.language] ?? names.en;
}
