/** The calendar strip: future periods as columns, what may be planned as rows, a button for each. Numbers are painted with. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { RHYTHM, weekdayOf } from "./periods.js";
import { capital, columnHead, factor, longTime, title } from "./words.js";

/**
 * @typedef {{name: string, label: string, on: number, off: number|null, base: number[]}} Lane `on` is the value of a
 *   pressed button: 0 for `open`, which is shown as closed periods; `off` is null for numbers, where it is that of the plan
 */

/** What may be planned of this forecast: closings, and every regressor, those that are on or off first. @returns {Lane[]} */
export function lanes(forecast) {
  const order = (one) => [one.kind, !one.used, !/promo/i.test(one.name), one.name].join();
  const sorted = [...forecast.regressors].sort((a, b) => (order(a) < order(b) ? -1 : 1));
  const values = ({ name, kind }) => (kind === "binary" ? { on: 1, off: 0 } : { on: round(forecast.plan[name][0]), off: null });
  return [
    ...sorted.map((one) => ({
      name: one.name, label: one.used ? title(one.name) : say("plan.idle", { name: title(one.name) }), ...values(one), base: forecast.plan[one.name],
    })),
    { name: "open", label: say("plan.closed"), on: 0, off: 1, base: forecast.plan.open },
  ];
}

const round = (value) => Number(value.toPrecision(6));

/**
 * `future` of the API for the changes that fall on the horizon, null when nothing differs from the plan.
 * @param {any} forecast
 * @param {import("./view.js").Changes} changes
 */
export function future(forecast, changes) {
  const times = forecast.points.map((point) => point.ds);
  const asked = {};
  for (const [name, values] of Object.entries(changes)) {
    const base = forecast.plan[name];
    if (base && times.some((ds, i) => (values[ds] ?? base[i]) !== base[i])) {
      asked[name] = times.map((ds, i) => values[ds] ?? base[i]);
    }
  }
  return Object.keys(asked).length ? asked : null;
}

/**
 * Fill `host` with the strip.
 * @param {HTMLElement} host
 * @param {{frequency: string, times: string[], lanes: Lane[], changes: import("./view.js").Changes, changed: () => void}} options
 *   `changes` is written to
 */
export function strip(host, { frequency, times, lanes: rows, changes, changed }) {
  const { leap } = RHYTHM[frequency];
  const buttons = rows.map((lane) => lane.base.map((_, i) => button(lane, i)));
  let painting = null;
  let painted = null;

  function button(lane, i) {
    return make("button", {
      type: "button", tabindex: "-1", "aria-pressed": "false", "aria-label": `${lane.label}, ${longTime(frequency, times[i])}`,
      "data-ds": times[i], "data-lane": lane.name,
    });
  }

  const value = (lane, i) => changes[lane.name]?.[times[i]] ?? lane.base[i];
  const pressed = (lane, i) => (lane.off === null ? value(lane, i) !== lane.base[i] : value(lane, i) === lane.on);

  function show(n, i) {
    const lane = rows[n];
    buttons[n][i].setAttribute("aria-pressed", String(pressed(lane, i)));
    buttons[n][i].classList.toggle("changed", value(lane, i) !== lane.base[i]);
    if (lane.off !== null) return;
    buttons[n][i].textContent = factor(value(lane, i));
    buttons[n][i].setAttribute("aria-label", `${lane.label}, ${longTime(frequency, times[i])}: ${factor(value(lane, i))}`);
  }

  function set(n, i, on) {
    const lane = rows[n];
    const wanted = on ? lane.on : lane.off ?? lane.base[i];
    if (value(lane, i) === wanted) return;
    const mine = (changes[lane.name] ??= {});
    if (wanted === lane.base[i]) delete mine[times[i]];
    else mine[times[i]] = wanted;
    show(n, i);
    changed();
  }

  function place(element) {
    const cell = element.closest("button");
    const n = buttons.findIndex((row) => row.includes(cell));
    return n < 0 ? null : { cell, n, i: buttons[n].indexOf(cell) };
  }

  function hold(n, i) {
    grid.querySelector("button[tabindex='0']")?.setAttribute("tabindex", "-1");
    buttons[n][i].setAttribute("tabindex", "0");
  }

  function down(event) {
    const at = place(event.target);
    if (!at || event.button !== 0) return;
    painting = { n: at.n, on: !pressed(rows[at.n], at.i) };
    painted = at.cell;
    hold(at.n, at.i);
    set(at.n, at.i, painting.on);
  }

  function over(event) {
    if (!(event.buttons & 1)) painting = null;
    const at = painting && place(event.target);
    if (at && at.n === painting.n) set(at.n, at.i, painting.on);
  }

  function click(event) {
    const at = place(event.target);
    if (at && at.cell !== painted) set(at.n, at.i, !pressed(rows[at.n], at.i));
    painted = null;
  }

  function key(event) {
    const at = place(event.target);
    const moves = {
      ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], PageDown: [0, leap], PageUp: [0, -leap],
      Home: [0, -Infinity], End: [0, Infinity],
    };
    if (!at || !(event.key in moves)) return;
    event.preventDefault();
    const n = Math.min(Math.max(at.n + moves[event.key][0], 0), rows.length - 1);
    const i = Math.min(Math.max(at.i + moves[event.key][1], 0), times.length - 1);
    if (event.shiftKey && n === at.n) set(n, i, pressed(rows[n], at.i));
    hold(n, i);
    buttons[n][i].focus();
  }

  /** The name of a row; that of numbers has the one to paint with. */
  function name(lane) {
    const head = make("div", { role: "rowheader", class: "lane-name" }, lane.label);
    if (lane.off !== null) return head;
    const brush = make("input", { type: "number", step: "any", class: "brush", value: lane.on, "aria-label": say("plan.brush", { name: lane.label }) });
    brush.onchange = () => { lane.on = Number.isFinite(brush.valueAsNumber) ? brush.valueAsNumber : lane.on; };
    head.append(brush);
    return head;
  }

  const grid = make(
    "div", {
      class: "strip", role: "grid", "aria-label": say("plan.grid", { period: say(`period.${frequency}`) }), onmousedown: down, onmouseover: over,
      onclick: click, onkeydown: key,
    },
    heads(frequency, times),
    ...rows.map((lane, n) => make(
      "div", { role: "row", class: `lane lane-${lane.name === "open" ? "closed" : lane.off === null ? "number" : "on"}` },
      name(lane),
      ...buttons[n].map((one, i) => make("div", { role: "gridcell", class: cell(frequency, times[i]) }, one)),
    )),
  );
  rows.forEach((lane, n) => lane.base.forEach((_, i) => show(n, i)));
  hold(0, 0);
  host.replaceChildren(grid);
}

const cell = (frequency, ds) => ("HD".includes(frequency) && weekdayOf(ds) > 4 ? "cell weekend" : "cell");

function heads(frequency, times) {
  const all = times.map((ds) => columnHead(frequency, ds));
  const begins = (i) => all[i]?.over !== all[i - 1]?.over;
  const cells = all.map(({ over, letter, number }, i) => {
    const roomy = over.length < 5 || ![1, 2, 3].some((n) => all[i + n] && begins(i + n));
    return make(
      "div", { role: "columnheader", class: cell(frequency, times[i]), "aria-label": longTime(frequency, times[i]) },
      make("span", { class: "over" }, begins(i) && roomy ? over : ""), make("span", {}, letter), make("b", {}, number),
    );
  });
  const period = capital(say(`period.${frequency}`));
  return make("div", { role: "row", class: "heads" }, make("div", { role: "columnheader", class: "lane-name" }, period), ...cells);
}
