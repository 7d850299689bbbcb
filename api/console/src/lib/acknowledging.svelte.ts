/** Acknowledging an alarm from anywhere, and the last refusal, shown where people look. */
import { ApiError } from "./api";
import type { Alarm } from "./api-types";
import type { Board } from "./board.svelte";
import { waits } from "./priority";
import { feed } from "./feed.svelte";

const SHOWN_MS = 10_000;

let refusal = $state.raw<{ alarm: string; reason: string } | null>(null);
let timer: ReturnType<typeof setTimeout> | undefined;
/** Asked for, and the list not read again yet: a second press of the key asks nothing. */
const asked = new Set<string>();

/** Why the last acknowledgement was refused, null if it was not. `reason` is a key of `reason.*` or a text. */
export function lastRefusal(): { alarm: string; reason: string } | null {
  return refusal;
}

/** Asks for it; without a feed nothing is acknowledged, because nobody sees what it is now. */
export async function acknowledge(board: Board, alarm: Alarm | null | undefined): Promise<void> {
  if (!alarm || !waits(alarm) || feed.lost || asked.has(alarm.id)) return;
  refusal = null;
  asked.add(alarm.id);
  try {
    await board.acknowledge(alarm);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    refusal = { alarm: alarm.id, reason: error.problem.reason ?? error.message };
    clearTimeout(timer);
    timer = setTimeout(() => (refusal = null), SHOWN_MS);
  } finally {
    asked.delete(alarm.id);
  }
}
