/** The state of every asset of the site, judged anew once a second. */
import { untrack } from "svelte";
import type { Board } from "./board.svelte";
import { feed } from "./feed.svelte";
import { look, usable, silence } from "./quality";
import { states, type AssetState } from "./rollup";
import { plant } from "./site.svelte";

export class Standings {
  readonly #board: Board;
  readonly #all = $derived.by(() => this.#judge());

  constructor(board: Board) {
    this.#board = board;
  }

  get all(): Map<string, AssetState> {
    return this.#all;
  }

  of(assets: readonly { id: string }[]): AssetState[] {
    return assets.map((a) => this.#all.get(a.id)).filter((s) => s !== undefined);
  }

  #judge(): Map<string, AssetState> {
    void Math.floor(feed.now / 1000);
    const here = plant();
    if (!here) return new Map();
    const now = untrack(() => feed.now);
    const unknown = new Set((this.#board.unknown.data?.items ?? []).map((u) => u.asset));
    const blind = untrack(() => blindAssets(now));
    return states([...here.assets.keys()], this.#board.alarms, unknown, (a) => blind.has(a));
  }
}

function blindAssets(now: number): Set<string> {
  const out = new Set<string>();
  if (!feed.ready) return out;
  for (const point of plant()?.site.points ?? []) {
    if (point.derived || out.has(point.asset)) continue;
    if (!usable(look(feed.get(point.id), silence(point), now))) out.add(point.asset);
  }
  return out;
}
