/** Days of rides as months: the share flagged of each, which days are far from their usual one, and moving between them. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { numberOf, step, weekdayOf } from "./periods.js";
import { factor, longTime, percent, shortTime, weekdayName } from "./words.js";

/** How far from usual a day stands out: by this factor, and by more deviations than chance gives a count. */
const FAR = 1.5;
const DEVIATIONS = 3;
const SHADES = 4;
const MARKS = { high: "▲", low: "▼", "": "" };
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };

/** `high` or `low` of a day far from its usual share, else empty. */
export function standing({ rides, anomalies, usual_share: usual }) {
  if (usual === null) return "";
  const expected = usual * rides;
  if (Math.abs(anomalies - expected) <= DEVIATIONS * Math.sqrt(expected + 1)) return "";
  return anomalies >= FAR * expected ? "high" : anomalies * FAR <= expected ? "low" : "";
}

/** The month of a day, `n` later. @param {string} ds */
export const monthOf = (ds, n = 0) => step("M", `${ds.slice(0, 7)}-01`, n);

/** First and last day of `n` months that end with `month`. */
export const reach = (month, n) => [monthOf(month, 1 - n), step("D", monthOf(month, 1), -1)];

/** Weeks of a month from Monday on: seven days each, null where another month is. @param {string} month its first day */
export function weeks(month) {
  const [, last] = reach(month, 1);
  const before = weekdayOf(month);
  const days = numberOf("D", last) - numberOf("D", month) + 1;
  return Array.from({ length: Math.ceil((before + days) / 7) }, (_, week) =>
    Array.from({ length: 7 }, (__, weekday) => {
      const place = 7 * week + weekday - before;
      return place < 0 || place >= days ? null : step("D", month, place);
    }));
}

/** What stands in the tooltip of a day, and what a screen reader says. */
export function described(day) {
  const parts = [
    say("rides.day.share", { day: longTime("D", day.dt), share: percent(day.share), rides: say("rides.count", { n: day.rides }) }),
    day.usual_share === null ? say("rides.usual.unknown") : say("rides.usual", { share: percent(day.usual_share) }),
  ];
  const far = standing(day);
  if (far) parts.push(say(`rides.${far}`));
  if (day.confirmed + day.false_alarms) parts.push(say("rides.day.judged", { confirmed: day.confirmed, wrong: day.false_alarms }));
  return parts.join("; ");
}

/**
 * @param {any[]} days as `/v1/days` tells them
 * @param {string[]} months their first days
 * @param {string} selected the day that is shown
 * @param {(dt: string) => void} choose
 */
export function calendar(days, months, selected, choose) {
  const published = new Map(days.map((day) => [day.dt, day]));
  const most = Math.max(...days.map((day) => day.share), 1e-9);
  const buttons = new Map();

  const cell = (dt) => {
    if (!dt) return make("td");
    const number = String(Number(dt.slice(8)));
    const day = published.get(dt);
    if (!day) return make("td", {}, make("span", { class: "day none", title: say("rides.day.none", { day: longTime("D", dt) }) }, number, make("small", {}, "–")));
    const far = standing(day);
    const shade = Math.min(SHADES - 1, Math.floor((day.share / most) * SHADES));
    const button = make("button", {
      type: "button", class: `day shade-${shade} ${far}`, title: described(day), "aria-pressed": String(dt === selected), tabindex: dt === selected ? 0 : -1, "data-day": dt, onclick: () => choose(dt),
    }, make("span", { "aria-hidden": "true" }, `${number}${MARKS[far]}`), make("small", { "aria-hidden": "true" }, short(day.share)), make("span", { class: "unseen" }, described(day)));
    buttons.set(dt, button);
    return make("td", {}, button);
  };
  const month = (first) => make("table", { class: "month" },
    make("caption", {}, longTime("M", first)),
    make("thead", {}, make("tr", {}, ...[0, 1, 2, 3, 4, 5, 6].map((weekday) =>
      make("th", { scope: "col", abbr: weekdayName(weekday) }, weekdayName(weekday).slice(0, 2))))),
    make("tbody", {}, ...weeks(first).map((week) => make("tr", {}, ...week.map(cell)))));

  const element = make("div", { class: "months", role: "group", "aria-label": say("rides.calendar") }, ...months.map(month));
  if (!buttons.has(selected)) [...buttons.values()].at(-1)?.setAttribute("tabindex", "0");
  element.addEventListener("keydown", (event) => {
    const stride = STEPS[event.key];
    const from = event.target.dataset.day;
    if (!stride || !from) return;
    event.preventDefault();
    let to = from;
    do to = step("D", to, stride); while (!buttons.has(to) && to >= days[0].dt && to <= days.at(-1).dt);
    if (!buttons.has(to)) return;
    buttons.get(from).setAttribute("tabindex", "-1");
    buttons.get(to).setAttribute("tabindex", "0");
    buttons.get(to).focus();
  });
  return element;
}

/** A share for a small place. */
const short = (share) => (share && share < 0.0005 ? "<0.1%" : percent(share));

/** Confirmed and judged flags over days: by kind of reason, most judged first, and by week, newest first. */
export function judgedShares(days) {
  const [kinds, byWeek] = [new Map(), new Map()];
  const add = (map, key, confirmed, wrong) => {
    const [before, judged] = map.get(key) ?? [0, 0];
    if (confirmed + wrong) map.set(key, [before + confirmed, judged + confirmed + wrong]);
  };
  for (const day of days) {
    add(byWeek, step("D", day.dt, -weekdayOf(day.dt)), day.confirmed, day.false_alarms);
    for (const [kind, [confirmed, wrong]] of Object.entries(day.kinds)) add(kinds, kind, confirmed, wrong);
  }
  const rows = (map) => [...map].map(([name, [confirmed, judged]]) => ({ name, confirmed, judged }));
  return {
    kinds: rows(kinds).sort((one, other) => other.judged - one.judged),
    weeks: rows(byWeek).sort((one, other) => (one.name < other.name ? 1 : -1)),
  };
}

const share = ({ confirmed, judged }) => [say("rides.of", { n: confirmed, all: judged }), percent(confirmed / judged)];

function shares(caption, head, rows, name) {
  const heads = [head, say("rides.confirmed"), say("rides.share")].map((text) => make("th", { scope: "col" }, text));
  return make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows.map((row) =>
      make("tr", {}, make("th", { scope: "row" }, name(row.name)), ...share(row).map((text) => make("td", {}, text))))));
}

/** What was said of the flags of these days. */
export function judgedTables(days) {
  const { kinds, weeks: byWeek } = judgedShares(days);
  if (!kinds.length) return [make("p", { class: "facts" }, say("rides.judged.none"))];
  return [
    shares(say("rides.by.kind"), say("rides.kind"), kinds, (kind) => say(`rides.kind.${kind || "other"}`)),
    shares(say("rides.by.week"), say("rides.week"), byWeek, (week) => shortTime("D", week)),
  ];
}

/** The nightly run's word on verdicts: precision by severity, and the severity that would have served. */
export function precision(verdicts) {
  if (!verdicts?.precision.length) return [make("p", { class: "facts" }, say("rides.precision.none"))];
  const served = verdicts.precision.find((one) => one.severity === verdicts.severity);
  const text = served
    ? say("rides.served", { severity: factor(served.severity), share: percent(verdicts.share ?? 0), confirmed: served.confirmed, judged: served.judged })
    : say("rides.served.none");
  const heads = ["rides.severity.from", "rides.confirmed", "rides.share", "rides.interval"].map((key) => make("th", { scope: "col" }, say(key)));
  const rows = verdicts.precision.map((one) => make("tr", one === served ? { class: "served" } : {},
    make("th", { scope: "row" }, factor(one.severity)),
    ...[...share(one), say("rides.between", { low: percent(one.low), high: percent(one.high) })].map((cell) => make("td", {}, cell))));
  return [
    make("p", {}, text),
    make("table", {}, make("caption", {}, say("rides.precision.caption")), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)),
  ];
}
