/** What is shown, and the same as the part of the URL behind `#`. */

import { dayOf, isoOf } from "./words.js";

/**
 * @typedef {Object<string, Object<string, number>>} Changes name of a regressor (or `open`) -> day -> value
 * @typedef {{
 *   series: string, like: string, scale: number, horizon: number, level: number, changes: Changes,
 *   similar: string[], table: boolean, from: number|null, to: number|null,
 * }} View
 */

/** Levels of the interval that are offered; the API takes any from .5 to .99. */
export const LEVELS = [0.5, 0.8, 0.9, 0.95, 0.99];
const SET = "set.";

/** @returns {View} */
export const blank = () => ({
  series: "", like: "", scale: 1, horizon: 42, level: 0.95, changes: {}, similar: [], table: false, from: null, to: null,
});

/** @param {string} hash @returns {View} what cannot be read keeps its default */
export function parse(hash) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const view = blank();
  view.series = query.get("series") ?? "";
  view.like = view.series ? "" : query.get("like") ?? "";
  const scale = Number(query.get("scale"));
  if (scale > 0 && scale <= 1e6) view.scale = scale;
  const horizon = Number(query.get("horizon"));
  if (Number.isInteger(horizon) && horizon >= 1 && horizon <= 365) view.horizon = horizon;
  const level = Number(query.get("level"));
  if (LEVELS.includes(level)) view.level = level;
  view.similar = query.getAll("similar").slice(0, 5);
  view.table = query.get("show") === "table";
  [view.from, view.to] = range(query.get("from"), query.get("to"));
  for (const [key, value] of query) {
    const days = key.startsWith(SET) ? readDays(value) : {};
    if (Object.keys(days).length) view.changes[key.slice(SET.length)] = days;
  }
  return view;
}

/** @param {View} view */
export function format(view) {
  const query = new URLSearchParams();
  if (view.series) query.set("series", view.series);
  if (view.like) {
    query.set("like", view.like);
    query.set("scale", String(view.scale));
  }
  query.set("horizon", String(view.horizon));
  query.set("level", String(view.level));
  for (const [name, days] of Object.entries(view.changes)) {
    if (Object.keys(days).length) query.set(SET + name, writeDays(days));
  }
  for (const id of view.similar) query.append("similar", id);
  if (view.table) query.set("show", "table");
  if (view.from !== null && view.to !== null) {
    query.set("from", isoOf(view.from));
    query.set("to", isoOf(view.to));
  }
  return `#${query}`;
}

function range(from, to) {
  const days = [from, to].map((ds) => (/^\d{4}-\d\d-\d\d$/.test(ds ?? "") ? dayOf(ds) : NaN));
  return days[0] < days[1] ? days : [null, null];
}

/** `2015-08-03..2015-08-07:1,2015-08-10:0` */
function writeDays(days) {
  const runs = [];
  for (const [ds, value] of Object.entries(days).sort()) {
    const last = runs.at(-1);
    if (last && last.value === value && dayOf(ds) === dayOf(last.end) + 1) last.end = ds;
    else runs.push({ start: ds, end: ds, value });
  }
  return runs.map(({ start, end, value }) => `${start}${end === start ? "" : `..${end}`}:${value}`).join(",");
}

function readDays(text) {
  const days = {};
  for (const run of text.split(",")) {
    const found = /^(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?:(-?\d+(?:\.\d+)?)$/.exec(run);
    if (!found) continue;
    const first = dayOf(found[1]);
    const last = Math.min(found[2] ? dayOf(found[2]) : first, first + 365);
    for (let day = first; day <= last; day += 1) days[isoOf(day)] = Number(found[3]);
  }
  return days;
}
