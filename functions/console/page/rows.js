/** The numbers of the chart, one row a period: what is drawn, listed and downloaded is this and nothing else. */

import { RHYTHM, clock, numberOf, step, weekdayOf } from "./periods.js";

/**
 * @typedef {{
 *   name: string, frequency: string, first: number, numbers: number[], labels: string[], clocks: number[],
 *   sales: (number|null)[], estimated: boolean, yhat: (number|null)[], lower: (number|null)[], upper: (number|null)[],
 *   planned: (number|null)[]|null, whatIf: (number|null)[]|null, overlays: {id: string, factor: number, values: (number|null)[]}[],
 *   start: number, end: number, holdout: {start: number, end: number}|null, shut: number[],
 * }} Rows numbers are those of periods, `labels` their names; `start` is the first forecast one, `end` the last. `yhat`
 *   and its bounds also have what was forecast of the periods held out. `shut` are weekdays that sell nothing as a rule,
 *   `planned` is the forecast as people made it, null where nobody did
 */

/**
 * @param {{name: string, history: {ds: string, y: number|null}[], scale: number|null, forecast: any, whatIf: any,
 *   overlays: {id: string, points: {ds: string, y: number|null}[]}[]}} parts `scale` for a store that is not listed:
 *   its history is the other store's times it
 * @returns {Rows}
 */
export function assemble({ name, history, scale, forecast, whatIf, overlays }) {
  const { frequency, points, backtest, holdout } = forecast;
  const number = ({ ds }) => numberOf(frequency, ds);
  const [start, end] = [number(points[0]), number(points.at(-1))];
  const first = history.length ? Math.min(number(history[0]), start) : start;
  const numbers = Array.from({ length: end - first + 1 }, (_, i) => first + i);
  const spread = (some, value) => {
    const column = new Array(numbers.length).fill(null);
    for (const point of some) {
      const i = number(point) - first;
      if (i >= 0 && i < column.length) column[i] = value(point);
    }
    return column;
  };
  const known = spread([...history, ...points], (p) => p.ds);
  const labels = known.map((ds, i) => ds ?? step(frequency, points[0].ds, i + first - start));
  const sales = spread(history, (p) => (p.y === null ? null : p.y * (scale ?? 1)));
  const foreseen = [...(holdout ?? []), ...points];
  return {
    name, frequency, first, numbers, labels, clocks: labels.map(clock), sales, start, end,
    holdout: backtest && { start: numberOf(frequency, backtest.start), end: numberOf(frequency, backtest.end) },
    shut: frequency === "D" ? shut(labels, sales) : [],
    estimated: scale !== null,
    yhat: spread(foreseen, (p) => p.yhat),
    lower: spread(foreseen, (p) => p.lower),
    upper: spread(foreseen, (p) => p.upper),
    planned: points.some((p) => p.planned !== undefined) ? spread(foreseen, made) : null,
    whatIf: whatIf && spread(whatIf.points, made),
    overlays: overlays.map(({ id, points: other }) => {
      const values = spread(other, (p) => p.y);
      const ratio = common(sales, values);
      return { id, factor: ratio, values: values.map((v) => (v === null ? null : v * ratio)) };
    }),
  };
}

/** What is planned for a period: the model's word where nobody has one. */
const made = ({ planned, yhat }) => planned ?? yhat;

/** First and last period of the window named `how`: the forecast with some history, with much of it, or all. */
export function near({ frequency, first, start, end }, how) {
  const { near: some, far } = RHYTHM[frequency];
  const back = { near: Math.max(some, 2 * (end - start + 1)), far, all: Infinity }[how];
  return [Math.max(first, start - back), end];
}

/** What brings `other` to the level of `own`: over the periods that both have, else over all that each has. */
function common(own, other) {
  const both = own.map((value, i) => value !== null && other[i] !== null);
  const shared = both.some(Boolean);
  const level = (values) => {
    const known = values.filter((value, i) => (shared ? both[i] : value !== null));
    return sum(known) / known.length;
  };
  const ratio = level(own) / level(other);
  return ratio > 0 && Number.isFinite(ratio) ? ratio : 1;
}

/** Weekdays that sold nothing, or are not told of, on most of their last eight days; none when that is the whole week. */
function shut(labels, sales) {
  const known = sales.slice(0, sales.findLastIndex((value) => value !== null) + 1);
  const idle = [0, 1, 2, 3, 4, 5, 6].filter((weekday) => {
    const lately = known.filter((_, i) => weekdayOf(labels[i]) === weekday).slice(-8);
    return lately.filter((value) => !value).length > lately.length / 2;
  });
  return idle.length < 7 ? idle : [];
}

const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

/**
 * Totals of the planned horizon, and as the model has it, the stretch (a week, of hours a day) with the largest forecast, the largest period, and as many
 * periods before for comparison.
 * @param {Rows} rows
 */
export function figures(rows) {
  const at = rows.start - rows.first;
  const length = rows.end - rows.start + 1;
  const yhat = (rows.planned ?? rows.yhat).slice(at);
  const total = sum(yhat);
  const before = at >= length ? rows.sales.slice(at - length, at) : [];
  const closed = (i) => rows.shut.includes(weekdayOf(rows.labels[at - length + i]));
  const complete = before.length > 0 && before.every((value, i) => value !== null || closed(i));
  const span = RHYTHM[rows.frequency].stretch;
  const totals = yhat.map((_, i) => (i + span <= length ? sum(yhat.slice(i, i + span)) : -Infinity));
  const best = totals.indexOf(Math.max(...totals));
  const peak = yhat.indexOf(Math.max(...yhat));
  return {
    total, length,
    before: complete ? sum(before) : null,
    stretch: span && length > span
      ? { from: rows.labels[at + best], to: rows.labels[at + best + span - 1], total: totals[best] }
      : null,
    peak: { ds: rows.labels[at + peak], value: yhat[peak], upper: rows.upper[at + peak] },
    model: sum(rows.yhat.slice(at)),
    whatIf: rows.whatIf ? sum(rows.whatIf.slice(at)) : null,
  };
}
