/** One site as the API describes it, indexed; where assets stand and what they are part of. */
import type { Asset, Names, Point, Rule, Site } from "./api-types";

export class Plant {
  readonly site: Site;
  readonly assets: ReadonlyMap<string, Asset>;
  readonly points: ReadonlyMap<string, Point>;
  readonly rules: ReadonlyMap<string, Rule>;

  constructor(site: Site) {
    this.site = site;
    this.assets = new Map(site.assets.map((a) => [a.id, a]));
    this.points = new Map(site.points.map((p) => [p.id, p]));
    this.rules = new Map(site.rules.map((r) => [r.id, r]));
  }

  /** Points of one asset in the order of its profile. */
  pointsOf(asset: string): Point[] {
    return this.site.points.filter((p) => p.asset === asset);
  }

  /** Parts of an asset. */
  partsOf(asset: string): Asset[] {
    return this.site.assets.filter((a) => a.parent === asset);
  }

  rulesOf(point: string): Rule[] {
    return this.site.rules.filter((r) => r.point === point);
  }

  /** The asset and what it is part of, outermost first. */
  path(asset: string): Asset[] {
    const out: Asset[] = [];
    for (let a = this.assets.get(asset); a; a = this.assets.get(a.parent)) {
      if (out.includes(a)) break;
      out.unshift(a);
    }
    return out;
  }

  /** The location of an asset or of what it is part of, outermost name first. */
  location(asset: string): Names[] {
    const path = this.path(asset).reverse().find((a) => a.location)?.location ?? "";
    const parts = path.split("/");
    return parts
      .map((_, i) => this.site.locations[parts.slice(0, i + 1).join("/")])
      .filter((n) => n !== undefined);
  }

  /** The outermost location id of an asset, "" without one. */
  area(asset: string): string {
    return this.path(asset).reverse().find((a) => a.location)?.location.split("/")[0] ?? "";
  }
}
