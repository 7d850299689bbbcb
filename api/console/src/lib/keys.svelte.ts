/** Everything by keyboard: what each key does now, shown at the foot and asked of one listener. */
import { untrack } from "svelte";
import type { Key as Text } from "./catalogue";

export interface KeyAction {
  /** As `KeyboardEvent.key`, lower case; `shift+a` with shift. Several keys do the same. */
  keys: string[];
  /** What stands on the caps, where it differs from the keys. */
  caps?: string[];
  label: Text;
  /** Told which of its keys it was. */
  run: (key: string) => void;
  /** Leave it out of the foot; `?` still lists it. */
  quiet?: boolean;
}

/** Whose keys win where two want the same: what is open over a part, over its page, over the surroundings. */
export type Level = "overlay" | "part" | "page" | "shell";
const LEVELS: readonly Level[] = ["overlay", "part", "page", "shell"];

let stack = $state.raw<{ level: Level; actions: KeyAction[] }[]>([]);
let listing = $state(false);

/** The actions of the page and of what surrounds it, the innermost first. */
export function actions(): KeyAction[] {
  return LEVELS.flatMap((level) => stack.filter((s) => s.level === level).flatMap((s) => s.actions));
}

export function isListing(): boolean {
  return listing;
}

export function list(show: boolean): void {
  listing = show;
}

/** Binds keys for as long as the component lives. */
export function bind(make: () => KeyAction[], level: Level = "page"): void {
  $effect(() => {
    const mine = { level, actions: make() };
    stack = [...untrack(() => stack), mine];
    return () => {
      stack = untrack(() => stack).filter((other) => other !== mine);
    };
  });
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

function chord(event: KeyboardEvent): string {
  const key = event.key.toLowerCase();
  return event.shiftKey && /^[a-z]$/.test(key) ? `shift+${key}` : key;
}

/** Listen on the whole page. In a field only Escape is ours; on a control, Enter and space are its own. */
export function listen(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const key = chord(event);
    if (typing(event.target) && key !== "escape") return;
    if (key === "enter" && event.target instanceof Element && event.target.closest("a,button")) return;
    const action = actions().find((a) => a.keys.includes(key));
    if (!action) return;
    event.preventDefault();
    action.run(key);
  });
}
