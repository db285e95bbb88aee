/** The calendar strip: future days as columns, what may be planned as rows, a button for each. */

import { make } from "./dom.js";
import { isoOf, longDay, monthName, title, weekdayLetter, weekdayOf } from "./words.js";

/**
 * @typedef {{name: string, label: string, on: number, off: number, base: number[]}} Lane `on` is the value of a
 *   pressed button: 0 for `open`, which is shown as closed days
 */

/** What may be planned of this forecast: closings, and every regressor that is on or off. @returns {Lane[]} */
export function lanes(forecast) {
  const switches = forecast.regressors.filter((one) => one.kind === "binary");
  const order = (one) => [!one.used, !/promo/i.test(one.name), one.name].join();
  switches.sort((a, b) => (order(a) < order(b) ? -1 : 1));
  return [
    ...switches.map(({ name, used }) => ({
      name, label: used ? title(name) : `${title(name)} (no effect)`, on: 1, off: 0, base: forecast.plan[name],
    })),
    { name: "open", label: "Closed", on: 0, off: 1, base: forecast.plan.open },
  ];
}

/**
 * `future` of the API for the changes that fall on the horizon, null when nothing differs from the plan.
 * @param {any} forecast
 * @param {import("./view.js").Changes} changes
 */
export function future(forecast, changes) {
  const days = forecast.points.map((point) => point.ds);
  const asked = {};
  for (const [name, values] of Object.entries(changes)) {
    const base = forecast.plan[name];
    if (base && days.some((ds, i) => (values[ds] ?? base[i]) !== base[i])) {
      asked[name] = days.map((ds, i) => values[ds] ?? base[i]);
    }
  }
  return Object.keys(asked).length ? asked : null;
}

/**
 * Fill `host` with the strip.
 * @param {HTMLElement} host
 * @param {{start: number, lanes: Lane[], changes: import("./view.js").Changes, changed: () => void}} options
 *   `changes` is written to
 */
export function strip(host, { start, lanes: rows, changes, changed }) {
  const length = rows[0].base.length;
  const buttons = rows.map((lane) => lane.base.map((_, i) => button(lane, i)));
  let painting = null;
  let painted = null;

  function button(lane, i) {
    const day = start + i;
    return make("button", {
      type: "button", tabindex: "-1", "aria-pressed": "false", "aria-label": `${lane.label}, ${longDay(day)}`,
      "data-day": isoOf(day), "data-lane": lane.name,
    });
  }

  const value = (lane, i) => changes[lane.name]?.[isoOf(start + i)] ?? lane.base[i];
  const pressed = (lane, i) => value(lane, i) === lane.on;

  function show(n, i) {
    const lane = rows[n];
    buttons[n][i].setAttribute("aria-pressed", String(pressed(lane, i)));
    buttons[n][i].classList.toggle("changed", value(lane, i) !== lane.base[i]);
  }

  function set(n, i, on) {
    const lane = rows[n];
    if (pressed(lane, i) === on) return;
    const mine = (changes[lane.name] ??= {});
    const wanted = on ? lane.on : lane.off;
    if (wanted === lane.base[i]) delete mine[isoOf(start + i)];
    else mine[isoOf(start + i)] = wanted;
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
      ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], PageDown: [0, 7], PageUp: [0, -7],
      Home: [0, -Infinity], End: [0, Infinity],
    };
    if (!at || !(event.key in moves)) return;
    event.preventDefault();
    const n = Math.min(Math.max(at.n + moves[event.key][0], 0), rows.length - 1);
    const i = Math.min(Math.max(at.i + moves[event.key][1], 0), length - 1);
    if (event.shiftKey && n === at.n) set(n, i, pressed(rows[n], at.i));
    hold(n, i);
    buttons[n][i].focus();
  }

  const grid = make(
    "div", {
      class: "strip", role: "grid", "aria-label": "Plan, day by day", onmousedown: down, onmouseover: over,
      onclick: click, onkeydown: key,
    },
    heads(start, length),
    ...rows.map((lane, n) => make(
      "div", { role: "row", class: `lane lane-${lane.name === "open" ? "closed" : "on"}` },
      make("div", { role: "rowheader", class: "lane-name" }, lane.label),
      ...buttons[n].map((one, i) => make("div", { role: "gridcell", class: weekend(start + i) }, one)),
    )),
  );
  rows.forEach((lane, n) => lane.base.forEach((_, i) => show(n, i)));
  hold(0, 0);
  host.replaceChildren(grid);
}

const weekend = (day) => (weekdayOf(day) > 4 ? "cell weekend" : "cell");

function heads(start, length) {
  const cells = Array.from({ length }, (_, i) => {
    const day = start + i;
    const date = new Date(day * 86_400_000).getUTCDate();
    return make(
      "div", { role: "columnheader", class: weekend(day), "aria-label": longDay(day) },
      make("span", { class: "month" }, i === 0 || date === 1 ? monthName(day) : ""),
      make("span", {}, weekdayLetter(day)), make("b", {}, String(date)),
    );
  });
  return make("div", { role: "row", class: "heads" }, make("div", { role: "columnheader", class: "lane-name" }, "Day"), ...cells);
}
