/** The live feed of one site: snapshot, changes, beats; knows within 4 s that it is lost, and comes back by itself. */
import type { LiveColumns } from "./api-types";
import { LiveRows, type LiveReading } from "./columns";
import { Liveness } from "./liveness";
import { SiteClock } from "./site-clock";

export type Topic = "alarms" | "orders" | "plans";

const monotonic = (): number => performance.now();

class Feed {
  /** Counts what changed: whoever reads values depends on it. */
  changed = $state(0);
  lost = $state(false);
  /** UTC ms of the site, moving twice a second; stands still at the last word while the feed is lost. */
  now = $state(0);
  /** UTC ms of the site, going on by our own clock even without a feed. */
  local = $state(0);
  /** ms since anything was heard. */
  silence = $state(0);
  /** UTC ms of the last word from the server. */
  heard = $state(0);
  ready = $state(false);
  serials = $state<Record<Topic, number>>({ alarms: 0, orders: 0, plans: 0 });
  /** Grows each time the feed returns after a loss. */
  returns = $state(0);

  #rows = new LiveRows();
  #clock = new SiteClock();
  #liveness = new Liveness(monotonic());
  #source: EventSource | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #site = "";

  open(site: string): void {
    this.close();
    this.#site = site;
    this.#liveness = new Liveness(monotonic());
    this.#connect();
    this.#timer = setInterval(() => this.#tick(), 250);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#source?.close();
    this.#source = null;
    this.ready = false;
  }

  /** Try again now, without waiting for the next step. */
  reconnect(): void {
    this.#connect();
  }

  /** The reading of a point, null where nothing was ever said. */
  get(point: string): LiveReading | null {
    void this.changed;
    return this.#rows.get(point);
  }

  #connect(): void {
    this.#source?.close();
    const source = new EventSource(`/api/v1/sites/${encodeURIComponent(this.#site)}/live/stream`);
    this.#source = source;
    source.addEventListener("snapshot", (e) => this.#data(e, (c) => this.#rows.snapshot(c)));
    source.addEventListener("changes", (e) => this.#data(e, (c) => this.#rows.change(c)));
    source.addEventListener("beat", (e) => this.#heard(stamp(parse<{ now: string | number }>(e).now)));
    for (const topic of ["alarms", "orders", "plans"] as const) {
      source.addEventListener(topic, (e) => {
        this.#heard(null);
        this.serials[topic] = parse<{ serial: number }>(e).serial;
      });
    }
  }

  #data(event: MessageEvent<string>, take: (columns: LiveColumns) => void): void {
    const columns = parse<LiveColumns>(event);
    take(columns);
    this.#heard(stamp(columns.now));
    this.ready = true;
    this.changed += 1;
  }

  #heard(server: number | null): void {
    const local = monotonic();
    this.#liveness.hear(local);
    if (server !== null) this.#clock.set(server, local);
    this.#tick();
  }

  #tick(): void {
    const local = monotonic();
    this.silence = this.#liveness.silence(local);
    const lost = this.#liveness.lost(local);
    if (this.lost && !lost) this.returns += 1;
    this.lost = lost;
    if (this.#clock.known) {
      this.heard = this.#clock.heard;
      this.local = this.#clock.now(local);
      this.now = lost ? this.heard : this.local;
    }
    if (this.#liveness.shouldReconnect(local)) this.#connect();
  }
}

function parse<T>(event: MessageEvent<string>): T {
  return JSON.parse(event.data) as T;
}

function stamp(time: string | number): number {
  return typeof time === "number" ? time : Date.parse(time);
}

export const feed = new Feed();
