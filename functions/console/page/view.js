/** What the room of forecasts shows, and the same as the part of the URL behind `#`. */

import { clock, step } from "./periods.js";

/**
 * @typedef {Object<string, Object<string, number>>} Changes name of a regressor (or `open`) -> period -> value
 * @typedef {{
 *   series: string, like: string, scale: number, horizon: number|null, level: number, changes: Changes,
 *   scenarios: {name: string, changes: Changes}[], similar: string[], table: boolean, from: string|null, to: string|null,
 * }} View `horizon` is null for the usual one of the frequency; `from` and `to` name the first and last period shown
 */

/** Levels of the interval that are offered; the API takes any from .5 to .99. */
export const LEVELS = [0.5, 0.8, 0.9, 0.95, 0.99];
/** Scenarios that the address keeps at most. */
export const MOST = 5;
const SET = "set.";
/** Changes of the scenario of that number. */
const set = (n) => `${n}.${SET}`;
const DS = String.raw`\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?:[+-]\d\d:\d\d)?)?`;
const TIME = new RegExp(`^${DS}$`);
const RUN = new RegExp(String.raw`^(${DS})(?:\.\.(${DS}))?:(-?\d+(?:\.\d+)?)$`);

/** @returns {View} */
export const blank = () => ({
  series: "", like: "", scale: 1, horizon: null, level: 0.95, changes: {}, scenarios: [], similar: [], table: false, from: null, to: null,
});

/** @param {URLSearchParams} query @returns {View} what cannot be read keeps its default */
export function parse(query) {
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
  view.changes = readChanges(query, SET);
  view.scenarios = query.getAll("scenario").slice(0, MOST).map((name, n) => ({ name, changes: readChanges(query, set(n)) }));
  return view;
}

function readChanges(query, prefix) {
  const changes = {};
  for (const [key, value] of query) {
    const values = key.startsWith(prefix) ? readTimes(value) : {};
    if (Object.keys(values).length) changes[key.slice(prefix.length)] = values;
  }
  return changes;
}

function writeChanges(query, prefix, changes) {
  for (const [name, values] of Object.entries(changes)) {
    if (Object.keys(values).length) query.set(prefix + name, writeTimes(values));
  }
}

/** @param {View} view */
export function format(view) {
  const query = new URLSearchParams();
  if (view.series) query.set("series", view.series);
  if (view.like) {
    query.set("like", view.like);
    query.set("scale", String(view.scale));
  }
  if (view.horizon) query.set("horizon", String(view.horizon));
  query.set("level", String(view.level));
  writeChanges(query, SET, view.changes);
  view.scenarios.forEach(({ name, changes }, n) => {
    query.append("scenario", name);
    writeChanges(query, set(n), changes);
  });
  for (const id of view.similar) query.append("similar", id);
  if (view.table) query.set("show", "table");
  if (view.from !== null && view.to !== null) {
    query.set("from", view.from);
    query.set("to", view.to);
  }
  return query;
}

function range(from, to) {
  const known = [from, to].every((ds) => TIME.test(ds ?? ""));
  return known && clock(from) < clock(to) ? [from, to] : [null, null];
}

/** Runs are of hours or days; periods of other lengths stand alone. */
const next = (ds) => step(ds.length > 10 ? "H" : "D", ds, 1);

/** `2015-08-03..2015-08-07:1,2015-08-10:0` */
function writeTimes(values) {
  const runs = [];
  for (const [ds, value] of Object.entries(values).sort()) {
    const last = runs.at(-1);
    if (last && last.value === value && next(last.end) === ds) last.end = ds;
    else runs.push({ start: ds, end: ds, value });
  }
  return runs.map(({ start, end, value }) => `${start}${end === start ? "" : `..${end}`}:${value}`).join(",");
}

function readTimes(text) {
  const values = {};
  for (const run of text.split(",")) {
    const [, start, end = start, value] = RUN.exec(run) ?? [];
    if (!start || !(clock(start) <= clock(end))) continue;
    let ds = start;
    for (let n = 0; n <= 365 && clock(ds) <= clock(end); n += 1, ds = next(ds)) values[ds] = Number(value);
  }
  return values;
}
