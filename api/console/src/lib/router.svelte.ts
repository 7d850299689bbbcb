/** Where we are: the address is the only navigation state, so every page can be linked to. */

export type Place =
  | { page: "login" | "setup" | "home" | "missing" }
  | { page: "overview" | "orders" | "due"; site: string }
  | { page: "system"; site: string; id: string }
  | { page: "alarms"; site: string; id: string | null }
  | { page: "asset"; site: string; id: string }
  | { page: "order"; site: string; id: string };

const state = $state({ path: location.pathname, search: location.search });

export function parse(path: string): Place {
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  const [head, site, page, ...rest] = parts;
  if (parts.length === 0) return { page: "home" };
  if (head === "login" || head === "setup") return { page: head };
  if (head !== "sites" || !site) return { page: "missing" };
  return inSite(site, page, rest.join("/"));
}

function inSite(site: string, page: string | undefined, id: string): Place {
  switch (page) {
    case undefined:
      return { page: "overview", site };
    case "due":
      return { page, site };
    case "orders":
      return id ? { page: "order", site, id } : { page, site };
    case "alarms":
      return { page, site, id: id || null };
    case "systems":
      return id ? { page: "system", site, id } : { page: "overview", site };
    case "assets":
      return id ? { page: "asset", site, id } : { page: "overview", site };
    default:
      return { page: "missing" };
  }
}

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

/** Address of a page of a site. */
export function to(site: string, page: string = "", id: string = ""): string {
  const tail = id ? `/${id.split("/").map(encodeURIComponent).join("/")}` : "";
  return `/sites/${encodeURIComponent(site)}${page ? `/${page}` : ""}${tail}`;
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
