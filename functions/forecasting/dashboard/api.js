/** The forecasting API: JSON in and out, errors as sentences, waiting where the service asks for it. */

import { sentence, title } from "./words.js";

const TRIES = 6;

/** An error that can be shown as it is; `retryAfter` in seconds when the service asked to wait. */
export class Problem extends Error {
  constructor(message, status, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** From an RFC 9457 document, or the gateway's `{"message"}`. */
  static from(document, status, retryAfter = 0) {
    const field = document.field ? title(document.field.split(".").pop()) : "";
    const detail = document.detail ?? GATEWAY[status] ?? document.message ?? `the service answered ${status}`;
    const subject = field ? `${field}: ` : "";
    return new Problem(sentence(subject + detail), status, document.retry_after ?? retryAfter);
  }
}

const GATEWAY = {
  401: "you are not signed in",
  413: "the request is too large",
  429: "too many requests at once; wait a moment and try again",
  502: "the service failed; try again in a moment",
  503: "the service took too long; try again in a moment",
  504: "the service took too long; try again in a moment",
};

export class Api {
  #session;

  /** @param {import("./auth.js").Session} session */
  constructor(session) {
    this.#session = session;
  }

  /** A page of the catalog. */
  search(q, limit, signal) {
    return this.#send(`/v1/series?${new URLSearchParams({ q, limit })}`, { signal });
  }

  history(id, signal) {
    return this.#send(`/v1/series/${encodeURIComponent(id)}/history`, { signal });
  }

  similar(id, signal) {
    return this.#send(`/v1/series/${encodeURIComponent(id)}/similar?k=5`, { signal });
  }

  forecast(id, horizon, level, signal) {
    const query = new URLSearchParams({ horizon, level });
    return this.#send(`/v1/series/${encodeURIComponent(id)}/forecast?${query}`, { signal });
  }

  /** One question of a batch: `{series_id | like + scale, horizon, level, future}`. */
  ask(question, signal) {
    return waiting(signal, async () => {
      const body = JSON.stringify({ items: [{ id: "page", ...question }] });
      const headers = { "Content-Type": "application/json" };
      const answer = await this.#send("/v1/forecasts", { method: "POST", headers, body, signal });
      const { forecast, problem } = answer.items[0];
      if (problem) throw Problem.from(problem, problem.status);
      return forecast;
    });
  }

  #send(path, options) {
    return waiting(options.signal, async () => {
      const token = await this.#session.token();
      const response = await this.#fetch(path, options, token);
      if (response.status !== 401) return read(response);
      this.#session.refused(token);
      return read(await this.#fetch(path, options, await this.#session.token()));
    });
  }

  async #fetch(path, options, token) {
    try {
      return await fetch(path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("The service cannot be reached. Check the connection and try again.", 0);
    }
  }
}

async function read(response) {
  const document = await response.json().catch(() => ({}));
  if (response.ok) return document;
  throw Problem.from(document, response.status, Number(response.headers.get("Retry-After")) || 0);
}

/** Calls `attempt` again as long as the service says when; a fit by someone else is such a case. */
async function waiting(signal, attempt) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Problem) || !error.retryAfter || tries === TRIES) throw error;
      await new Promise((resolve) => { setTimeout(resolve, Math.min(error.retryAfter, 10) * 1000); });
      signal?.throwIfAborted();
    }
  }
}
