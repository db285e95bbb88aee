/** The room of segments: how many customers are where, which model says so, and whether it still can be believed. */

import { card, draw, listing, make } from "./dom.js";
import { say } from "./language.js";
import { empty, readable } from "./states.js";
import { ago, amount, factor, figure, figureName, longTime, percent, signed, time } from "./words.js";

const SEGMENTS = ["target", "nurture", "leave"];
const SCORE = "(score)";
const BINS = 10;

/** A room of the shell. */
export async function show(root, api, { signal, again }) {
  const { champion, watch } = await api.segments(signal);
  signal.throwIfAborted();
  if (!champion) {
    root.replaceChildren(empty(say("segments.none"), say("segments.none.how")));
    return;
  }
  const reports = watch ? [counts(watch.segments), drift(watch), truth(watch, champion.version)] : [empty(say("watch.none"), say("watch.none.how"))];
  root.replaceChildren(model(champion, watch, again), person(api), ...reports);
}

function model({ version, since, created_at: made, figures }, watch, again) {
  const reload = make("button", { type: "button", class: "quiet", onclick: again }, say("reload"));
  const tested = Object.entries(figures).filter(([, value]) => typeof value === "number");
  return card(
    [say("segments.model"), reload],
    make("p", {}, say("segments.since", { ago: ago(since), day: time(since) }), made ? ` ${say("segments.made", { ago: ago(made) })}` : "", " ", make("code", {}, version)),
    make("div", { class: "pair" }, part("segments.tested", scores(tested.map(([name, value]) => [figureName(name), figure(value)]))), expected(watch, version)),
  );
}

const part = (key, ...children) => make("div", {}, make("h3", {}, say(key)), ...children);
const scores = (rows) => make("dl", { class: "scores" }, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));

/** What the probabilities alone lead to expect, or why nothing is expected of them. */
function expected(watch, version) {
  if (watch?.version !== version) return part("segments.expected", make("p", {}, say("segments.expected.none")));
  const { expected: quality, expected_withdrawn: why } = watch;
  if (!quality) return part("segments.expected", make("p", { class: "age" }, why ? say("segments.withdrawn", { why }) : say("segments.expected.none")));
  const rows = ["precision", "recall", "average_precision"].map((name) => [figureName(name), percent(quality[name])]);
  return part("segments.expected", scores(rows), make("p", { class: "facts" }, say("segments.expected.how", { n: watch.events })));
}

/** The newest result of one person. Whose it is goes into no address. */
function person(api) {
  const input = make("input", { id: "person", required: true, maxlength: 256, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const answer = make("div", { role: "status" });
  async function look(event) {
    event.preventDefault();
    answer.replaceChildren();
    try {
      answer.replaceChildren(result(await api.person(input.value)));
    } catch (error) {
      answer.replaceChildren(make("p", { class: "wrong" }, error.status === 404 ? say("person.none") : readable(error)));
    }
  }
  return card(say("person"), make(
    "form", { class: "controls", onsubmit: look },
    make("div", { class: "field grow" }, make("label", { for: "person" }, say("person.id")), input), make("button", { class: "primary" }, say("person.go")),
  ), answer);
}

function result({ segment, probability, observed_at: seen, model_version: version, explanation }) {
  const moved = (explanation ?? []).map(({ feature, contribution }) => `${feature} ${signed(contribution)}`);
  return scores([
    [say("person.segment"), segmentName(segment)], [say("person.probability"), percent(probability)], [say("person.seen"), time(seen)],
    [say("models.version"), make("code", {}, version)], ...(moved.length ? [[say("person.moved"), moved.join(", ")]] : []),
  ]);
}

const segmentName = (name) => (SEGMENTS.includes(name) ? say(`segment.${name}`) : name);

/** Events of each day, newest first, of every model that answered then. */
function counts(segments) {
  const days = Object.entries(segments).sort().reverse().map(([day, versions]) => {
    const of = {};
    for (const by of Object.values(versions)) for (const [name, n] of Object.entries(by)) of[name] = (of[name] ?? 0) + n;
    return { day, of, all: Object.values(of).reduce((sum, n) => sum + n, 0) };
  });
  if (!days.length) return empty(say("counts.none"), say("counts.none.how"));
  const most = Math.max(...days.map(({ all }) => all));
  const rows = days.map(({ day, of, all }) => [
    longTime("D", day), bar(SEGMENTS.map((name) => [`seg-${name}`, (of[name] ?? 0) / most])), ...SEGMENTS.map((name) => amount(of[name] ?? 0)), amount(all),
  ]);
  const names = SEGMENTS.map((name) => make("span", {}, make("i", { class: `swatch seg-${name}` }), segmentName(name)));
  return card(say("counts"), listing(say("counts"), [say("counts.day"), "", ...names, say("runs.all")], rows), make("p", { class: "facts" }, say("counts.note")));
}

/** Parts of a whole of 1 beside each other, and a mark; numbers stand beside it. @param {[string, number][]} parts */
function bar(parts, mark = null) {
  let x = 0;
  const boxes = parts.map(([name, width]) => draw("rect", { class: name, x: 100 * (x += width) - 100 * width, width: 100 * width, height: 10 }));
  const line = mark === null ? [] : [draw("rect", { class: "chance", x: 100 * mark - 0.4, width: 0.8, height: 10 })];
  return draw("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...boxes, ...line);
}

/** How far each column moved, those that chance does not explain first. */
function drift({ drift: indices, chance, unknown, reason, events }) {
  const columns = Object.entries(indices).map(([name, index]) => ({ name, index, chance: chance[name] ?? null, unknown: unknown[name] ?? null }));
  const beyond = ({ index, chance: by }) => by !== null && index > by;
  columns.sort((a, b) => beyond(b) - beyond(a) || b.index - a.index);
  const most = Math.max(...columns.flatMap(({ index, chance: by }) => [index, by ?? 0]), 1e-9);
  const rows = columns.map((one) => [
    one.name === SCORE ? say("drift.score") : one.name,
    bar([[beyond(one) ? "beyond" : "within", one.index / most]], one.chance === null ? null : one.chance / most),
    factor(one.index), one.chance === null ? "–" : factor(one.chance), one.unknown === null ? "" : percent(one.unknown),
    beyond(one) ? make("span", { class: "badge fair" }, say("drift.beyond")) : "",
  ]);
  const n = columns.filter(beyond).length;
  const badge = make("span", { class: `badge ${n ? "fair" : "good"}` }, n ? say("drift.moved", { n }) : say("drift.still"));
  return card(
    [say("drift"), badge], reason ? make("p", {}, say("drift.reason", { reason })) : null,
    listing(say("drift"), [say("drift.column"), "", say("drift.index"), say("drift.chance"), say("drift.unknown"), ""], rows),
    make("p", { class: "facts" }, say("drift.how", { n: events })),
  );
}

/** What came true: by week, and of the model that answers how often what it thought likely did. */
function truth({ realised }, version) {
  const weeks = Object.entries(realised).flatMap(([model_, of]) => Object.entries(of).map(([week, told]) => ({ model: model_, week, ...told })));
  if (!weeks.length) return empty(say("truth.none"), say("truth.none.how"));
  weeks.sort((a, b) => (a.week < b.week ? 1 : a.week > b.week ? -1 : (b.model === version) - (a.model === version)));
  const heads = ["week", "outcomes", "precision", "recall", "average_precision", "calibration_error", "model"];
  const rows = weeks.map((one) => [
    one.week, amount(one.events), ...["precision", "recall", "average_precision", "calibration_error"].map((name) => percent(one[name])),
    make("span", {}, make("code", {}, one.model), " ", one.contradicted ? make("span", { class: "badge bad" }, say("truth.contradicted")) : ""),
  ]);
  const names = heads.map((name) => (["week", "outcomes", "model"].includes(name) ? say(`truth.${name}`) : figureName(name)));
  return card(say("truth"), listing(say("truth"), names, rows), ...calibration(weeks.filter((one) => one.model === version)));
}

/** Bins of all weeks together as `[mean probability, share that came true, outcomes]`. */
export function pooled(weeks) {
  const bins = new Map();
  for (const [mean, share, n] of weeks.flatMap((week) => week.calibration ?? [])) {
    const bin = Math.min(Math.floor(mean * BINS), BINS - 1);
    const [p = 0, y = 0, all = 0] = bins.get(bin) ?? [];
    bins.set(bin, [p + mean * n, y + share * n, all + n]);
  }
  return [...bins].sort(([a], [b]) => a - b).map(([, [p, y, n]]) => [p / n, y / n, n]);
}

function calibration(weeks) {
  const points = pooled(weeks);
  if (!points.length) return [];
  const most = Math.max(...points.map(([, , n]) => n));
  const at = (value) => 100 * value;
  const picture = draw(
    "svg", { class: "calibration", viewBox: "-22 -5 132 127", role: "img", "aria-label": say("calibration.picture") },
    draw("rect", { class: "frame", width: 100, height: 100 }), draw("line", { class: "ideal", x1: 0, y1: 100, x2: 100, y2: 0 }),
    draw("polyline", { points: points.map(([mean, share]) => `${at(mean)},${100 - at(share)}`).join(" ") }),
    ...[0, 0.5, 1].flatMap((tick) => [
      draw("text", { x: at(tick), y: 109 }, percent(tick)), draw("text", { x: -9, y: 102 - at(tick) }, percent(tick)),
    ]),
    draw("text", { x: 50, y: 119 }, say("calibration.thought")), draw("text", { transform: "translate(-17 50) rotate(-90)" }, say("calibration.came")),
    ...points.map(([mean, share, n]) => draw("circle", { cx: at(mean), cy: 100 - at(share), r: 1 + 2.5 * Math.sqrt(n / most) })),
  );
  const rows = points.map(([mean, share, n]) => [percent(mean), percent(share), amount(n)]);
  const heads = ["thought", "came", "outcomes"].map((name) => say(`calibration.${name}`));
  return [
    make("h3", {}, say("calibration")), make("p", { class: "facts" }, say("calibration.how")),
    make("div", { class: "pair" }, picture, listing(say("calibration"), heads, rows)),
  ];
}
