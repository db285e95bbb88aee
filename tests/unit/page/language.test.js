import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { languages, say, speak } from "../../../functions/console/page/language.js";
import { ago, count, dollars, long, longTime, percent } from "../../../functions/console/page/words.js";
import de from "../../../functions/console/page/words.de.js";
import en from "../../../functions/console/page/words.en.js";

const PAGE = new URL("../../../functions/console/page/", import.meta.url);
const texts = (words) => (typeof words === "string" ? { all: words } : words);
const shape = (words) => Object.fromEntries(Object.entries(words).map(([key, text]) => [
  key, Object.fromEntries(Object.entries(texts(text)).map(([form, one]) => [form, [...new Set(one.match(/\{\w+\}/g))].sort()])),
]));

test("every language has the same words, with the same places to fill in", () => {
  assert.deepEqual(shape(de), shape(en));
  assert.deepEqual(languages(), [["en", "English"], ["de", "Deutsch"]]);
});

test("what the page says is in the files of words, and nothing is there that it does not say", async () => {
  const names = (await readdir(PAGE)).filter((name) => /\.(js|html)$/.test(name) && !name.startsWith("words."));
  const sources = await Promise.all([...names, "words.js"].map((name) => readFile(new URL(name, PAGE), "utf8")));
  const source = sources.join("\n");
  const said = [...source.matchAll(/\bsay\("([^"]+)"|data-say(?:-[a-z-]+)?"?[=:] ?"([^"]+)"/g)].map(([, a, b]) => a ?? b);
  assert.ok(said.length > 100);
  assert.deepEqual(said.filter((key) => !(key in en)), []);
  const begun = [...source.matchAll(/`([a-z]+\.(?:[a-z_]+\.)?)\$\{/g)].map(([, start]) => start);
  const unsaid = Object.keys(en).filter((key) => !source.includes(`"${key}"`) && !begun.some((start) => key.startsWith(start)));
  assert.deepEqual(unsaid.filter((key) => !/^(language|week\.|rule\.)/.test(key)), []);
});

test("counts, dates and shares are written as the language does", () => {
  assert.equal(count(1, "D"), "1 day");
  assert.equal(count(1200, "W"), "1,200 weeks");
  speak("de");
  assert.equal(count(1, "D"), "1 Tag");
  assert.equal(count(1200, "W"), "1.200 Wochen");
  assert.equal(longTime("W", "2026-06-22"), "Woche vom 22. Juni 2026");
  assert.match(percent(0.123), /^12,3.%$/);
  assert.equal(say("plan.grid", { period: "Tag" }), "Plan, Tag für Tag");
  speak("en");
  assert.match(percent(0.123), /^12\.3%$/);
});

test("times ago, durations and small sums are written as people read them", () => {
  const now = Date.parse("2026-11-27T12:00:00Z");
  const before = (minutes) => ago(new Date(now - minutes * 60_000).toISOString(), now);
  assert.deepEqual([0, 90, 600, 3000].map(before), ["this minute", "90 minutes ago", "10 hours ago", "2 days ago"]);
  assert.deepEqual([0, 5.4e-4, 1.234].map(dollars), ["$0.00", "$0.00054", "$1.23"]);
  assert.deepEqual([42.25, 600].map(long), ["42.3s", "10m"]);
});
