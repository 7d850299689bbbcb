/** Which states an order went through, where it is, and which may follow: for the state line. */
import type { OrderDetail } from "./api-types";
import { LEADS_TO } from "./moves";

export interface Step {
  state: string;
  is: "done" | "now" | "";
  at: number | null;
  note?: string;
}

const MAIN = [
  "reported", "triaged", "dispatched", "accepted", "departed", "arrived", "in_progress", "completed",
  "verified", "closed",
];
const ENDS = ["cancelled", "merged", "handed_over"];

/** Time of the last entry into each state, from the order's events. */
export function entries(order: OrderDetail): Map<string, number> {
  const out = new Map<string, number>([["reported", Date.parse(order.raised_at)]]);
  for (const event of order.events) {
    const to = LEADS_TO[event.kind];
    if (to) out.set(to, Date.parse(event.at));
  }
  return out;
}

/** The line of one order: the main states, and a pause or an end where it is there. */
export function steps(order: OrderDetail, note: (state: string) => string | undefined): Step[] {
  const at = entries(order);
  const states = line(order.state);
  const now = states.indexOf(order.state);
  return states.map((state, i) => ({
    state,
    is: i === now ? "now" : i < now ? "done" : "",
    at: i <= now ? (at.get(state) ?? null) : null,
    note: i > now ? note(state) : undefined,
  }));
}

function line(state: string): string[] {
  if (state === "paused") return MAIN.flatMap((s) => (s === "in_progress" ? [s, "paused"] : [s]));
  if (ENDS.includes(state)) return ["reported", state];
  return MAIN;
}
