/** What the page makes of answers that do not come whole. */

import assert from "node:assert/strict";
import test from "node:test";

import { Api } from "../../../functions/console/page/api.js";

const session = { token: async () => "token" };
const answers = (...bodies) => {
  globalThis.fetch = async () => ({ ok: true, status: 200, headers: new Headers(), json: bodies.shift() });
  return new Api(session);
};
const broken = (error) => async () => { throw error; };

test("an answer that the reader went away from is none, and no empty one", async () => {
  const api = answers(broken(new DOMException("gone", "AbortError")));
  await assert.rejects(api.history("a", new AbortController().signal), { name: "AbortError" });
});

test("an answer that breaks off is asked for again", async () => {
  const api = answers(broken(new TypeError("network error")), async () => ({ points: [] }));
  assert.deepEqual(await api.history("a"), { points: [] });
});
