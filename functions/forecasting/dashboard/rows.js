/** The numbers of the chart, one row a day: what is drawn, listed and downloaded is this and nothing else. */

import { dayOf, weekdayOf } from "./words.js";

/**
 * @typedef {{
 *   name: string, first: number, days: number[], sales: (number|null)[], estimated: boolean,
 *   yhat: (number|null)[], lower: (number|null)[], upper: (number|null)[], whatIf: (number|null)[]|null,
 *   overlays: {id: string, factor: number, values: (number|null)[]}[], start: number, end: number, shut: number[],
 * }} Rows `start` is the first forecast day, `end` the last; `shut` are the weekdays that sell nothing as a rule
 */

/**
 * @param {{name: string, history: {ds: string, y: number|null}[], scale: number|null, forecast: any, whatIf: any,
 *   overlays: {id: string, points: {ds: string, y: number|null}[]}[]}} parts `scale` for a store that is not listed:
 *   its history is the other store's times it
 * @returns {Rows}
 */
export function assemble({ name, history, scale, forecast, whatIf, overlays }) {
  const start = dayOf(forecast.points[0].ds);
  const end = dayOf(forecast.points.at(-1).ds);
  const first = history.length ? Math.min(dayOf(history[0].ds), start) : start;
  const days = Array.from({ length: end - first + 1 }, (_, i) => first + i);
  const spread = (points, value) => {
    const column = new Array(days.length).fill(null);
    for (const point of points) {
      const i = dayOf(point.ds) - first;
      if (i >= 0 && i < column.length) column[i] = value(point);
    }
    return column;
  };
  const sales = spread(history, (p) => (p.y === null ? null : p.y * (scale ?? 1)));
  return {
    name, first, days, sales, start, end, shut: shut(days, sales),
    estimated: scale !== null,
    yhat: spread(forecast.points, (p) => p.yhat),
    lower: spread(forecast.points, (p) => p.lower),
    upper: spread(forecast.points, (p) => p.upper),
    whatIf: whatIf && spread(whatIf.points, (p) => p.yhat),
    overlays: overlays.map(({ id, points }) => {
      const values = spread(points, (p) => p.y);
      const ratio = common(sales, values);
      return { id, factor: ratio, values: values.map((v) => (v === null ? null : v * ratio)) };
    }),
  };
}

/** What brings `other` to the level of `own`: over the days that both have, else over all that each has. */
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
function shut(days, sales) {
  const known = sales.slice(0, sales.findLastIndex((value) => value !== null) + 1);
  const idle = [0, 1, 2, 3, 4, 5, 6].filter((weekday) => {
    const lately = known.filter((_, i) => weekdayOf(days[i]) === weekday).slice(-8);
    return lately.filter((value) => !value).length > lately.length / 2;
  });
  return idle.length < 7 ? idle : [];
}

const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

/**
 * Totals of the horizon, the week with the largest forecast, the largest day, and the days before for comparison.
 * @param {Rows} rows
 */
export function figures(rows) {
  const at = rows.start - rows.first;
  const length = rows.end - rows.start + 1;
  const yhat = rows.yhat.slice(at);
  const total = sum(yhat);
  const before = at >= length ? rows.sales.slice(at - length, at) : [];
  const closed = (i) => rows.shut.includes(weekdayOf(rows.start - length + i));
  const complete = before.length > 0 && before.every((value, i) => value !== null || closed(i));
  const span = Math.min(7, length);
  let week = 0;
  let best = -1;
  for (let i = 0; i + span <= length; i += 1) {
    const value = sum(yhat.slice(i, i + span));
    if (value > best) [week, best] = [i, value];
  }
  const peak = yhat.indexOf(Math.max(...yhat));
  return {
    total, length,
    before: complete ? sum(before) : null,
    week: { from: rows.start + week, to: rows.start + week + span - 1, total: best },
    peak: { day: rows.start + peak, value: yhat[peak], upper: rows.upper[at + peak] },
    whatIf: rows.whatIf ? sum(rows.whatIf.slice(at)) : null,
  };
}
