/** The room of operation: whether all is well, what ran and what it cost, which models answer, what waits. */

import { card, listing, make } from "./dom.js";
import { say } from "./language.js";
import { ago, amount, dollars, figure, figureName, long, time } from "./words.js";

const GOOD = { done: "good", empty: "fair", failed: "bad" };

/** A room of the shell. */
export async function show(root, api, { signal, again }) {
  const told = await api.operation(signal);
  signal.throwIfAborted();
  root.replaceChildren(
    health(told, again), runs(told), models(told),
    make("div", { class: "pair" }, card(say("operation.queues"), queues(told.queues)), card(say("operation.alarms"), alarms(told.alarms))),
  );
}

function health({ healthy, attention }, again) {
  const badge = make("span", { class: `badge ${healthy ? "good" : "bad"}` }, healthy ? say("operation.healthy") : say("operation.attention", { n: attention.length }));
  const reload = make("button", { type: "button", class: "quiet", onclick: again }, say("reload"));
  return card([say("operation.well"), badge, reload], attention.length ? make("ul", { class: "attention" }, ...attention.map((text) => make("li", {}, text))) : null);
}

function runs({ runs: last, yesterday, dollars: spent }) {
  const sum = (of) => Object.values(of).reduce((total, value) => total + value, 0);
  const cost = (used, paid) => [amount(used), dollars(paid)];
  const rows = Object.entries(last).map(([job, run]) => [job, ...ran(run), ...cost(yesterday[job], spent[job])]);
  const heads = ["job", "outcome", "last", "took", "what", "gb-seconds", "dollars"].map((name) => (name === "what" ? make("span", { class: "what" }, say("runs.what")) : say(`runs.${name}`)));
  const total = [say("runs.all"), "", "", "", "", ...cost(sum(yesterday), sum(spent))];
  return card(say("operation.runs"), listing(say("operation.runs"), heads, [...rows, total]), make("p", { class: "facts" }, say("runs.note")));
}

function ran(run) {
  if (!run) return ["", say("runs.never"), "", ""];
  const { started_at: begun, finished_at: done, outcome, detail, key } = run;
  const counts = Object.entries(run.counts).filter(([, value]) => typeof value === "number");
  const what = [key.length < 64 ? key : key.slice(0, 16), ...counts.map(([name, value]) => `${name.replaceAll("_", " ")} ${figure(value)}`), detail];
  return [
    make("span", { class: `badge ${GOOD[outcome] ?? ""}` }, say(`outcome.${outcome}`)),
    make("span", { title: time(begun) }, ago(begun)), done ? long((new Date(done) - new Date(begun)) / 1000) : say("runs.open"),
    make("span", { class: "what" }, what.filter(Boolean).join(", ")),
  ];
}

function models({ models: champions }) {
  const heads = ["leaf", "version", "since", "reason", "figures"].map((name) => (name === "figures" ? make("span", { class: "what" }, say("models.figures")) : say(`models.${name}`)));
  const rows = Object.entries(champions).map(([leaf, model]) => (model
    ? [leaf, make("code", {}, model.version), make("span", { title: time(model.since) }, ago(model.since)), model.reason, figures(model.figures)]
    : [leaf, say("models.none"), "", "", ""]));
  const some = Object.entries(champions).filter(([, model]) => model);
  const lines = some.flatMap(([leaf, model]) => commands(leaf, model)).map((line) => make("li", {}, make("code", {}, line), copier(line)));
  return card(
    say("operation.models"), listing(say("operation.models"), heads, rows),
    ...(lines.length ? [make("p", { class: "facts" }, say("models.terminal")), make("ul", { class: "commands" }, ...lines)] : []),
  );
}

/** What changes a model is for the terminal, where a person says yes to it. */
const commands = (leaf, { previous }) => [
  `trefoil models list ${leaf}`, `trefoil models promote ${leaf} VERSION`, ...(previous ? [`trefoil models rollback ${leaf}`] : []),
];

function figures(values) {
  const numbers = Object.entries(values).filter(([, value]) => typeof value === "number");
  return make("span", { class: "what" }, numbers.map(([name, value]) => `${figureName(name)} ${figure(value)}`).join(", "));
}

function copier(text) {
  const button = make("button", { type: "button", class: "quiet", "aria-label": say("copy.one", { text }), onclick: copy }, say("copy"));
  async function copy() {
    await navigator.clipboard.writeText(text);
    button.textContent = say("copied");
  }
  return button;
}

function queues(depths) {
  return make("dl", { class: "scores" }, ...Object.entries(depths).flatMap(([name, depth]) => [make("dt", {}, name), make("dd", {}, amount(depth))]));
}

function alarms(names) {
  return names.length ? make("ul", { class: "attention" }, ...names.map((name) => make("li", {}, name))) : make("p", {}, say("alarms.none"));
}
