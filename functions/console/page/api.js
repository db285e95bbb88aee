/** The forecasting API: JSON in and out, errors as sentences, asking again where the service had no room. */

import { say } from "./language.js";
import { sentence, title } from "./words.js";

/** Each call is an execution of a function, of which an account may have as few as ten. */
const AT_ONCE = 3;
const TRIES = 7;
const PATIENCE = 30_000;
const JSON_BODY = { "Content-Type": "application/json" };

/** An error that can be shown as it is; `wait` is how long until asking again makes sense, ms; 0 for never. */
export class Problem extends Error {
  constructor(message, status, wait = 0) {
    super(message);
    this.status = status;
    this.wait = wait;
  }

  /** From an RFC 9457 document, or the gateway's `{"message"}`. */
  static from(document, status, retryAfter = 0) {
    const refused = !document.detail && status in GATEWAY && status !== 401 && status !== 413;
    const field = document.field ? title(document.field.split(".").pop()) : "";
    const detail = document.detail ?? (GATEWAY[status] ? say(GATEWAY[status]) : document.message) ?? say("service.answered", { status: String(status) });
    const subject = field ? `${field}: ` : "";
    const wait = Math.min(document.retry_after ?? retryAfter, 10) * 1000;
    return new Problem(sentence(subject + detail), status, wait || (refused ? SOON : 0));
  }
}

const SOON = 250;
/** What the gateway says without words of ours, as keys of such. Where a function has no room for a call, it is one of the 5xx or 429. */
const GATEWAY = {
  401: "service.401",
  413: "service.413",
  429: "service.429",
  500: "service.failed",
  502: "service.failed",
  503: "service.slow",
  504: "service.slow",
};

export class Api {
  #session;

  /** @param {import("./auth.js").Session} session */
  constructor(session) {
    this.#session = session;
  }

  /** A page of the catalog. */
  search(q, limit, signal, { sort = "series_id", cursor = "" } = {}) {
    return this.#send(`/v1/series?${new URLSearchParams({ q, sort, limit, cursor })}`, { signal });
  }

  history(id, signal) {
    return this.#send(`/v1/series/${encodeURIComponent(id)}/history`, { signal });
  }

  similar(id, signal) {
    return this.#send(`/v1/series/${encodeURIComponent(id)}/similar?k=5`, { signal });
  }

  /** With its parts; `horizon` is null for the usual one. */
  forecast(id, horizon, level, signal) {
    const query = new URLSearchParams({ ...(horizon && { horizon }), level, parts: true });
    return this.#send(`/v1/series/${encodeURIComponent(id)}/forecast?${query}`, { signal });
  }

  /** What people made of the forecast. */
  overrides(id, signal) {
    return this.#send(`/v1/series/${encodeURIComponent(id)}/overrides`, { signal });
  }

  /** `{start, end, value | factor, reason, expires}`; null takes back. */
  override(id, word, signal) {
    return this.#send(`/v1/series/${encodeURIComponent(id)}/overrides`, { method: "PUT", headers: JSON_BODY, body: JSON.stringify(word), signal });
  }

  /** One question of a batch: `{series_id | like + scale, horizon, level, future}`. */
  ask(question, signal) {
    return this.#batch([question], signal, ([{ forecast, problem }]) => {
      if (problem) throw problem;
      return forecast;
    });
  }

  /** Several such questions: `{forecast}` or `{problem}` of each, in order. */
  askAll(questions, signal) {
    return this.#batch(questions, signal);
  }

  #batch(questions, signal, take = (items) => items) {
    const body = JSON.stringify({ items: questions.map((question, i) => ({ id: String(i), ...question })) });
    return this.#send("/v1/forecasts", { method: "POST", headers: JSON_BODY, body, signal }, ({ items }) => take(items.map(
      ({ forecast, problem }) => ({ forecast, problem: problem && Problem.from(problem, problem.status) }),
    )));
  }

  /** Published days of rides from `from` to `to`; by default those that end with the newest. */
  days(range, signal) {
    return this.#send(`/v1/days?${new URLSearchParams(range)}`, { signal });
  }

  day(dt, signal) {
    return this.#send(`/v1/days/${dt}`, { signal });
  }

  /** Flags of a day, of a kind and from a severity on where these are given. */
  flags(dt, { kind, min, limit, cursor = "" }, signal) {
    const query = new URLSearchParams({ limit, ...(kind && { kind }), ...(min && { min_severity: min }), ...(cursor && { cursor }) });
    return this.#send(`/v1/days/${dt}/flags?${query}`, { signal });
  }

  /** Answers the word that stands on the ride. @param {{verdict: string|null, note: string}} word */
  judge(dt, rideId, word) {
    return this.#send(`/v1/days/${dt}/verdict?${new URLSearchParams({ ride_id: rideId })}`, { method: "PUT", headers: JSON_BODY, body: JSON.stringify(word) });
  }

  operation(signal) {
    return this.#send("/v1/operation", { signal });
  }

  segments(signal) {
    return this.#send("/v1/segments", { signal });
  }

  /** A person's newest result. */
  person(id) {
    return this.#send("/v1/segments/people", { method: "POST", headers: JSON_BODY, body: JSON.stringify({ user_id: id }) });
  }

  #send(path, options, take = (answer) => answer) {
    return persist(options.signal, async () => {
      const token = await this.#session.token();
      let response = await this.#fetch(path, options, token);
      if (response.status === 401) {
        this.#session.refused(token);
        response = await this.#fetch(path, options, await this.#session.token());
      }
      return take(await read(response));
    });
  }

  #fetch(path, options, token) {
    return reach(path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } });
  }
}

/** What the page is told of where it is. */
export const configuration = () => persist(undefined, async () => read(await reach("/static/config.json")));

let free = AT_ONCE;
const queue = [];

/** `fetch`, a few at a time. */
async function reach(path, options) {
  if (free > 0) free -= 1;
  else await new Promise((resolve) => { queue.push(resolve); });
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const wait = navigator.onLine ? SOON : 0;
    throw new Problem(say("service.away"), 0, wait);
  } finally {
    if (queue.length) queue.shift()();
    else free += 1;
  }
}

async function read(response) {
  const document = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error; // the reader went elsewhere while it came
    if (response.ok) throw new Problem(say("service.away"), 0, SOON); // broken off
    return {};
  });
  if (response.ok) return document;
  throw Problem.from(document, response.status, Number(response.headers.get("Retry-After")) || 0);
}

/** Calls `attempt` again while its problem says when: later each time, and not in step with other pages. */
async function persist(signal, attempt) {
  const end = performance.now() + PATIENCE;
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      const wait = (error.wait === SOON ? SOON * 2 ** (tries - 1) : error.wait) * (1 + Math.random() / 2);
      if (!(error instanceof Problem) || !wait || tries === TRIES || performance.now() + wait > end) throw error;
      await new Promise((resolve) => { setTimeout(resolve, wait); });
      signal?.throwIfAborted();
    }
  }
}
