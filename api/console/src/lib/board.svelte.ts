/** What every page of a site shares: open alarms, unknown rules, open orders, the counts; read again on news. */
import { getContext, setContext } from "svelte";
import { get, of, post } from "./api";
import type { Alarm, Asked, Order, Overview, Page, Priority, UnknownRule } from "./api-types";
import { feed } from "./feed.svelte";
import { byUrgency, pinned, waits } from "./priority";
import { resource } from "./resource.svelte";

const KEY = Symbol("board");
const LOOK_EVERY_MS = 5000;

export class Board {
  readonly site: string;
  readonly overview;
  readonly orders;
  readonly unknown;
  readonly #open;
  #tick = $state(0);

  constructor(site: string) {
    this.site = site;
    const alarms = (): unknown => [feed.serials.alarms, feed.returns];
    this.#open = resource((signal) => openAlarms(site, signal), alarms);
    // What becomes unknown, or known again, is no event of an alarm: no serial tells of it.
    const looks = (): unknown => [alarms(), this.#tick];
    this.unknown = resource(
      (signal) => get<Page<UnknownRule>>(`${of(site, "alarms")}?state=unknown&limit=500`, signal),
      looks,
    );
    this.orders = resource(
      (signal) => get<Page<Order>>(`${of(site, "orders")}?state=open&limit=500`, signal),
      () => [feed.serials.orders, feed.returns],
    );
    this.overview = resource((signal) => get<Overview>(of(site, "overview"), signal), looks);
    $effect(() => {
      const timer = setInterval(() => (this.#tick += 1), LOOK_EVERY_MS);
      return () => clearInterval(timer);
    });
  }

  /** The list of open alarms as read, with its errors. */
  get list() {
    return this.#open;
  }

  /** Active or unacknowledged alarms, the most urgent first. */
  get alarms(): Alarm[] {
    return this.#open.data ?? [];
  }

  get unacknowledged(): Alarm[] {
    return this.alarms.filter(waits);
  }

  /** Unacknowledged fires. */
  get fires(): Alarm[] {
    return pinned(this.unacknowledged);
  }

  /** The most urgent unacknowledged alarm; it sounds. */
  get loudest(): Priority | null {
    return this.unacknowledged[0]?.priority ?? null;
  }

  async acknowledge(alarm: Alarm): Promise<void> {
    await post<Asked>(of(this.site, "alarms", alarm.id, "acknowledge"));
    await this.#open.reload();
  }
}

async function openAlarms(site: string, signal: AbortSignal): Promise<Alarm[]> {
  const pages = await Promise.all(
    ["active", "unacknowledged"].map((state) =>
      get<Page<Alarm>>(`${of(site, "alarms")}?state=${state}&limit=500`, signal),
    ),
  );
  const all = new Map(pages.flatMap((page) => page.items).map((alarm) => [alarm.id, alarm]));
  return [...all.values()].sort(byUrgency);
}

export function provideBoard(site: string): Board {
  return setContext(KEY, new Board(site));
}

export function useBoard(): Board {
  return getContext<Board>(KEY);
}
