/** Moves of an order as buttons: which one comes next, what each must be told. */
import type { Move, OrderDetail } from "./api-types";

/** Where each move leads: the state line reads it from the order's events. */
export const LEADS_TO: Readonly<Record<string, string>> = {
  raised: "reported", reopen: "reported", triage: "triaged", dispatch: "dispatched", accept: "accepted",
  depart: "departed", arrive: "arrived", start: "in_progress", resume: "in_progress", pause: "paused",
  complete: "completed", verify: "verified", close: "closed", cancel: "cancelled", merge: "merged",
  hand_over: "handed_over",
};

/** The way from reported to closed; the first of them that the state allows is the next. */
const ONWARD = ["triage", "dispatch", "accept", "depart", "arrive", "start", "resume", "complete", "verify", "close"];

/** Another dispatch of a dispatched order is no step onward. */
function onward(order: OrderDetail, move: Move): boolean {
  return ONWARD.includes(move.move) && !(move.move === "dispatch" && order.state === "dispatched");
}

/** The move that `N` makes: onward, one that is ours if there is one. */
export function nextMove(order: OrderDetail): Move | null {
  const all = order.moves.filter((m) => onward(order, m));
  all.sort((a, b) => ONWARD.indexOf(a.move) - ONWARD.indexOf(b.move));
  return all.find((m) => m.allowed) ?? all[0] ?? null;
}

/** What must be asked before a move is sent. Only what readings must prove is verified with a reason. */
export function asks(order: OrderDetail, move: Move): string[] {
  if (move.move === "verify" && order.proof === null) return [];
  return move.needs;
}
