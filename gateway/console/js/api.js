// The gateway's HTTP API. Errors are RFC 9457 problems; whatever else goes wrong becomes one too.
import { OVER, end } from "./session.js";
import { store } from "./store.js";

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.code = body.code || "";
    this.title = body.title || "Something went wrong";
    this.errors = body.errors || [];
    this.retryAfter = body.retry_after_s;
    this.body = body;
  }
}

export async function call(path, { method = "GET", body, headers = {}, signal } = {}) {
  const token = store.get().session?.token;
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      cache: "no-store",
      headers: {
        Accept: "application/json",
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "OFFLINE", title: "The gateway does not answer", detail: "Check that it runs (`dawsos status`), then try again." });
  }
  const text = await response.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    data = null;
  }
  if (response.ok) return { status: response.status, data, headers: response.headers };
  if (response.status === 401 && token) end(OVER);
  throw new Problem(response.status, data && typeof data === "object" ? data : { title: response.statusText, detail: text.slice(0, 300) });
}

export const get = async (path, options) => (await call(path, options)).data;
export const post = async (path, body, options = {}) => call(path, { ...options, method: "POST", body });

export const query = (fields) => {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined && value !== null && value !== "") search.set(name, value);
  const text = search.toString();
  return text ? `?${text}` : "";
};

export async function patterns() {
  const known = store.get().patterns;
  if (known) return known;
  const found = (await get("/patterns")).patterns;
  store.set({ patterns: found });
  return found;
}

export async function portfolios() {
  const known = store.get().portfolios;
  if (known) return known;
  const found = (await get("/portfolios")).portfolios.map((each) => ({ ...each, id: each.portfolio_id }));
  store.set({ portfolios: found });
  return found;
}

const ms = (text) => (text ? Date.parse(text) : null);

// An execution as HTTP gives it, in the form the socket uses.
export const stateOf = (found) => ({
  ...found,
  started_at_ms: ms(found.started_at),
  finished_at_ms: ms(found.finished_at),
  error: found.error_code ? { code: found.error_code, message: found.error || "" } : null,
  steps: (found.steps || []).map((step) => ({ ...step, as: step.name, items: step.items ? [step.items.count, step.items.settled] : null })),
});

// The result of an execution that has ended, however it ended; null while it is under way or not stored yet.
export async function resultOf(id) {
  try {
    const { status, data } = await call(`/executions/${id}/result`);
    return status === 200 ? data : null;
  } catch (problem) {
    if (problem.body?.execution_id !== id) {
      if (problem.status === 404) return null;
      throw problem;
    }
    const [{ status, data: trace }, found] = await Promise.all([call(`/executions/${id}/trace`), get(`/executions/${id}`)]);
    if (status !== 200) return null;
    return { ...stateOf(found), data: {}, charts: [], trace, error: { code: problem.code, message: problem.message } };
  }
}
