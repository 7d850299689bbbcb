/** Speaks /api/v1: JSON, the CSRF header on changes, problems as errors that say what and why. */
import type { Problem } from "./api-types";

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }

  /** The last part of the problem's type, e.g. `illegal-move`; a code people can quote. */
  get code(): string {
    const name = this.problem.type.split("/").at(-1) ?? "";
    return name && name !== "about:blank" ? name : `http-${this.problem.status}`;
  }
}

let csrf = "";
let onSignedOut: () => void = () => {};

/** The session's CSRF value, and what to do when the API no longer knows us. */
export function configure(value: string, signedOut?: () => void): void {
  csrf = value;
  if (signedOut) onSignedOut = signedOut;
}

interface Change {
  method?: "POST" | "DELETE" | "PUT";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body = (await response.json()) as Partial<Problem>;
    return { ...body, type: body.type ?? "", title: body.title ?? response.statusText, status: response.status };
  } catch {
    return { type: "", title: response.statusText || "no answer", status: response.status };
  }
}

async function send(path: string, change: Change): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json", ...change.headers };
  if (change.body !== undefined) headers["content-type"] = "application/json";
  if (change.method) headers["x-csrf"] = csrf;
  const body = change.body === undefined ? undefined : JSON.stringify(change.body);
  try {
    return await fetch(`/api/v1${path}`, { ...change, headers, body, credentials: "same-origin" });
  } catch (error) {
    if (change.signal?.aborted) throw error;
    throw new ApiError({ type: "no-answer", title: "no answer", status: 0 });
  }
}

/** One call. Raises `ApiError` for every problem; `status` 0 where nobody answered. */
export async function call<T>(path: string, change: Change = {}): Promise<T> {
  const response = await send(path, change);
  if (!response.ok) {
    if (response.status === 401 && path !== "/session") onSignedOut();
    throw new ApiError(await problemOf(response));
  }
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => call<T>(path, { signal });

export const post = <T>(path: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<T> =>
  call<T>(path, { method: "POST", body, headers });

/** A path of a site, each part encoded. */
export function of(site: string, ...rest: (string | number)[]): string {
  return ["/sites", site, ...rest.map(String)]
    .map((part, i) => (i === 0 ? part : encodeURIComponent(part)))
    .join("/");
}
