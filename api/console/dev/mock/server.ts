/** The made-up API as a middleware of vite, with the headers that the real one sends. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Connect, Plugin } from "vite";
import { alarmEvents, alarms, columns, counted, due, history, iso, makeMove, moves, orders, overview, plans, site, trends, unknown } from "./world";

const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const serials = { alarms: 1, orders: 1, plans: 1 };
const listeners = new Set<ServerResponse>();
let who = "";

type Answer = { status?: number; body?: unknown; headers?: Record<string, string> };
type Route = [method: string, path: RegExp, answer: (given: { match: RegExpMatchArray; query: URLSearchParams; body: Record<string, string> }) => Answer];

const ok = (body: unknown): Answer => ({ body });
const problem = (status: number, kind: string, extras: object = {}): Answer => ({ status, body: { type: `/problems/${kind}`, title: kind, status, ...extras } });
const paged = (items: unknown[]): Answer => ok({ now: iso(Date.now()), items, next: null });
const find = <T,>(all: T[], is: (one: T) => boolean, then: (one: T) => Answer): Answer => {
  const one = all.find(is);
  return one ? then(one) : problem(404, "not-found");
};

function tell(topic: keyof typeof serials): void {
  serials[topic] += 1;
  for (const to of listeners) event(to, topic, { serial: serials[topic] });
}

function event(to: ServerResponse, name: string, data: unknown): void {
  to.write(`id: 1\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

const routes: Route[] = [
  ["POST", /^\/session$/, ({ body }) => (body.password === "steward" ? ((who = body.name ?? ""), { status: 204, headers: { "set-cookie": "steward_session=mock; Path=/; HttpOnly; SameSite=Strict" } }) : problem(401, "wrong-name-or-password"))],
  ["DELETE", /^\/session$/, () => ({ status: 204, headers: { "set-cookie": "steward_session=; Path=/; Max-Age=0" } })],
  ["GET", /^\/setup$/, ({ query }) => ok({ valid: query.get("link") === "first" })],
  ["POST", /^\/setup$/, () => ({ status: 204 })],
  ["GET", /^\/me$/, () => ok({ name: who || "Chen Wei", roles: who === "viewer" ? ["viewer"] : ["admin"], sites: ["riverside"], csrf: "mock", locale: "en" })],
  ["GET", /^\/sites$/, () => ok([{ id: site.id, name: site.name, time_zone: site.time_zone }])],
  ["GET", /^\/sites\/riverside$/, () => ok(site)],
  ["GET", /\/overview$/, () => ok(overview())],
  ["GET", /\/history$/, ({ query }) => ok(history(query.get("point") ?? "", Date.parse(query.get("start") ?? ""), Date.parse(query.get("end") ?? "")))],
  ["GET", /\/alarms$/, ({ query }) => paged(query.get("state") === "unknown" ? unknown : query.get("state") === "unacknowledged" ? alarms.filter((a) => !a.acknowledged) : alarms)],
  ["POST", /\/alarms\/(.+)\/acknowledge$/, ({ match }) => find(alarms, (a) => a.id === match[1], (a) => {
    if (a.acknowledged) return problem(409, "refused", { reason: "nothing_to_acknowledge" });
    Object.assign(a, { acknowledged: true, letter: "C", acknowledged_by: who || "Chen Wei", acknowledged_at: iso(Date.now()) });
    tell("alarms");
    return { status: 202, body: { ask: "1", outcome: "accepted" } };
  })],
  ["POST", /\/alarms\/(.+)\/reset$/, () => problem(409, "refused", { reason: "still_abnormal" })],
  ["GET", /\/alarms\/(.+)$/, ({ match }) => find(alarms, (a) => a.id === match[1], (a) => {
    const rule = site.rules.find((r) => r.id === a.rule) ?? null;
    const live = columns(site.points.filter((p) => p.id === a.point), Date.now());
    const point = { point: a.point, value: live.value[0] ?? null, quality: live.quality[0] ?? 0, source_time: live.source_time[0] ?? 0 };
    const reasons = [...(a.condition === "ABNORMAL" ? [{ id: "still_abnormal" }] : []), ...(a.latched ? [{ id: "latched" }] : []), ...(a.acknowledged ? [] : [{ id: "not_acknowledged" }])];
    return ok({ ...a, rule_detail: rule, why: { text: "", points: [point] }, why_not_cleared: reasons, events: alarmEvents(a) });
  })],
  ["GET", /\/orders$/, ({ query }) => paged(orders.map(counted).filter((o) => ["closed", "cancelled", "merged"].includes(o.state) === (query.get("state") === "closed") || query.get("state") === "all"))],
  ["GET", /\/orders\/([\d-]+)$/, ({ match }) => find(orders, (o) => o.number === match[1], (o) => ok({ ...counted(o), moves: moves(o, who !== "viewer") }))],
  ["POST", /\/orders\/([\d-]+)\/moves$/, ({ match, body: { move = "", ...said } }) => find(orders, (o) => o.number === match[1], (o) => {
    makeMove(o, move, said, who || "Chen Wei");
    tell("orders");
    return ok(o);
  })],
  ["POST", /\/orders\/([\d-]+)\/comments$/, ({ match, body }) => find(orders, (o) => o.number === match[1], (o) => {
    o.events.push({ at: iso(Date.now()), by: who || "Chen Wei", kind: "comment", data: body });
    tell("orders");
    return { status: 201, body: o };
  })],
  ["GET", /\/trends$/, ({ query }) => ok(trends(query.get("asset") ?? ""))],
  ["POST", /\/trends\/(.+)\/serviced$/, () => ({ status: 202, body: { ask: "1", outcome: "accepted" } })],
  ["GET", /\/plans$/, () => ok({ items: plans })],
  ["GET", /\/due$/, () => ok({ today: iso(Date.now() + 8 * 3_600_000).slice(0, 10), items: due })],
  ["POST", /\/due\/(.+)\/done$/, ({ match }) => find(due, (o) => o.id === match[1], (o) => {
    Object.assign(o, { state: "done", done_at: iso(Date.now()), done_by: who || "Chen Wei" });
    tell("plans");
    return { status: 202, body: { ask: "1", outcome: "accepted" } };
  })],
];

function stream(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  listeners.add(response);
  event(response, "snapshot", columns(site.points, Date.now()));
  let tick = 0;
  const timer = setInterval(() => {
    tick += 1;
    event(response, "changes", columns(site.points.filter((_, i) => (i + tick) % 4 === 0), Date.now()));
    if (tick % 4 === 0) event(response, "beat", { now: iso(Date.now()) });
  }, 250);
  request.on("close", () => {
    clearInterval(timer);
    listeners.delete(response);
  });
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, string>> {
  let text = "";
  for await (const part of request) text += String(part);
  return text ? (JSON.parse(text) as Record<string, string>) : {};
}

async function api(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://x");
  const path = decodeURIComponent(url.pathname.replace(/^\/api\/v1/, ""));
  const signed = (request.headers.cookie ?? "").includes("steward_session=mock") || /^\/(session|setup)/.test(path);
  if (signed && path.endsWith("/live/stream")) return stream(request, response);
  const body = await bodyOf(request);
  let answer = signed ? problem(404, "not-found") : problem(401, "not-signed-in");
  for (const [method, pattern, make] of signed ? routes : []) {
    const match = method === request.method ? path.match(pattern) : null;
    if (match) {
      answer = make({ match, query: url.searchParams, body });
      break;
    }
  }
  response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
  response.end(answer.body === undefined ? "" : JSON.stringify(answer.body));
}

const handle = (strict: boolean): Connect.NextHandleFunction => (request, response, next) => {
  if (strict) response.setHeader("content-security-policy", CSP);
  if (request.url?.startsWith("/api/v1/")) void api(request, response);
  else next();
};

/** `vite` and `vite preview` answer /api/v1; the preview also sends the strict policy of the real server. */
export function mockApi(): Plugin {
  return {
    name: "steward-mock-api",
    configureServer: (server) => void server.middlewares.use(handle(false)),
    configurePreviewServer: (server) => void server.middlewares.use(handle(true)),
  };
}
