/** Where we are: the address is the only navigation state, so every page can be linked to. */
import { parse, type Place } from "./places";

export { to, type Place } from "./places";

const state = $state({ path: location.pathname, search: location.search });

export function place(): Place {
  return parse(state.path);
}

export function search(): URLSearchParams {
  return new URLSearchParams(state.search);
}

/** Go to an address of our own; `replace` keeps the history short while moving in a list. */
export function go(href: string, replace = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", href);
  state.path = location.pathname;
  state.search = location.search;
}

/** Follow plain clicks on our own links without loading the page anew. */
export function followLinks(root: Document): void {
  addEventListener("popstate", () => {
    state.path = location.pathname;
    state.search = location.search;
  });
  root.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || !plain(event, link)) return;
    event.preventDefault();
    go(link.href);
  });
}

function plain(event: MouseEvent, link: HTMLAnchorElement): boolean {
  const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  return event.button === 0 && !modified && !link.target && link.origin === location.origin;
}
