/** The live table in the browser: one row per point, taken over from snapshots and changes in columns. */
import type { LiveColumns } from "./api-types";
import type { Seen } from "./quality";

export interface LiveReading extends Seen {
  receive_time: number;
  change: number;
}

export class LiveRows {
  readonly rows = new Map<string, LiveReading>();

  /** Replace everything. */
  snapshot(columns: LiveColumns): void {
    this.rows.clear();
    this.change(columns);
  }

  /** Take over the points named; returns their ids. Columns that do not match are refused whole. */
  change(columns: LiveColumns): string[] {
    const { points, value, quality, source_time, receive_time, change } = columns;
    const sizes = [value, quality, source_time, receive_time, change].map((c) => c.length);
    if (sizes.some((n) => n !== points.length)) throw new Error("live columns of unequal length");
    points.forEach((id, i) => {
      this.rows.set(id, {
        value: value[i] ?? null,
        quality: quality[i] ?? BAD_COLUMN,
        source_time: source_time[i] ?? 0,
        receive_time: receive_time[i] ?? 0,
        change: change[i] ?? 0,
      });
    });
    return points;
  }

  get(id: string): LiveReading | null {
    return this.rows.get(id) ?? null;
  }
}

const BAD_COLUMN = 68;
