/** Rows of a list: a click anywhere in one picks it; the picked one is kept in view. */
import type { Attachment } from "svelte/attachments";

/** Calls `take` with the `data-id` of the row clicked; links and buttons inside do their own work. */
export function picks(take: (id: string) => void): Attachment<HTMLElement> {
  return (node) => {
    const click = (event: MouseEvent): void => {
      const at = event.target instanceof Element ? event.target : null;
      if (!at || at.closest("a,button,input")) return;
      const row = at.closest<HTMLElement>("[data-id]");
      if (row?.dataset.id) take(row.dataset.id);
    };
    node.addEventListener("click", click);
    return () => node.removeEventListener("click", click);
  };
}

/** Keeps the node in view while `when` holds. */
export function inView(when: boolean): Attachment<HTMLElement> {
  return (node) => {
    if (when) node.scrollIntoView({ block: "nearest" });
  };
}

/** The id `step` rows away from `current`, staying inside the list. */
export function neighbour(ids: readonly string[], current: string | null, step: number): string | null {
  if (ids.length === 0) return null;
  const at = current === null ? -1 : ids.indexOf(current);
  const next = at < 0 ? (step > 0 ? 0 : ids.length - 1) : Math.min(ids.length - 1, Math.max(0, at + step));
  return ids[next] ?? null;
}
