/** Addresses of the console and what they mean. */

export type Place =
  | { page: "login" | "setup" | "home" | "missing" }
  | { page: "overview" | "orders" | "due"; site: string }
  | { page: "system"; site: string; id: string }
  | { page: "alarms"; site: string; id: string | null }
  | { page: "asset"; site: string; id: string }
  | { page: "order"; site: string; id: string };

/** The page that a path names. */
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

/** Address of a page of a site. */
export function to(site: string, page: string = "", id: string = ""): string {
  const tail = id ? `/${id.split("/").map(encodeURIComponent).join("/")}` : "";
  return `/sites/${encodeURIComponent(site)}${page ? `/${page}` : ""}${tail}`;
}
