/** The axes of a day's picture: distance in km and time in minutes, both as powers of ten, and what stands at their ticks. */

import { factor } from "./words.js";

const DECADES = Array.from({ length: 12 }, (_, i) => 10 ** (i - 5));
const times = (numbers, units) => units.flatMap((unit) => numbers.map((number) => number * unit)).sort((a, b) => a - b);
const [SECOND, HOUR] = [1 / 60, 60];
/** Values that may stand at ticks, densest first. */
const TICKS = {
  km: [times([1, 2, 5], DECADES), times([1, 3], DECADES), DECADES, DECADES.filter((_, i) => i % 2)],
  minutes: [
    [...times([1, 2, 5, 10, 30], [SECOND, 1]), ...times([1, 2, 5], [1, 10, 100, 1000].map((n) => n * HOUR))],
    [...times([1, 3, 10, 30], [SECOND, 1]), ...times([1, 3], [1, 10, 100, 1000].map((n) => n * HOUR))],
    [...times([1, 10], [SECOND, 1]), ...[1, 10, 100, 1000].map((n) => n * HOUR)],
    [SECOND, 1, HOUR, 100 * HOUR],
  ],
};

/** A distance: `350 m`, `12.4 km`. */
export const kmName = (km) => (km < 1 ? `${factor(km * 1000)}\u00a0m` : `${factor(km)}\u00a0km`);
/** A time in seconds below two minutes, in minutes below two hours, else in hours. @param {number} minutes */
export function minutesName(minutes) {
  if (minutes < 2) return `${factor(minutes / SECOND)}\u00a0s`;
  return minutes < 2 * HOUR ? `${factor(minutes)}\u00a0min` : `${factor(minutes / HOUR)}\u00a0h`;
}
/** What stands at a tick of time: whole minutes and hours by their name. */
const tickTime = (minutes) => {
  if (minutes < 1) return `${factor(minutes / SECOND)}\u00a0s`;
  return minutes < HOUR ? `${factor(minutes)}\u00a0min` : `${factor(minutes / HOUR)}\u00a0h`;
};
const TICK_NAME = { km: kmName, minutes: tickTime };

/** Ticks between `low` and `high`, powers of ten, at least `least` of them apart: value, place and name. */
export function ticks(unit, [low, high], least) {
  const within = (values) => values.map((value) => ({ value, at: Math.log10(value) })).filter(({ at }) => at >= low - 1e-9 && at <= high + 1e-9);
  const choices = TICKS[unit].map(within);
  const apart = (marks) => marks.every((mark, i) => !i || mark.at - marks[i - 1].at >= least - 1e-9);
  return (choices.find(apart) ?? choices.at(-1)).map((mark) => ({ ...mark, name: TICK_NAME[unit](mark.value) }));
}

/** The window around everything that `plot` counts. @returns {{x: [number, number], y: [number, number]}} */
export function extent({ bins, cells }) {
  const side = (places) => [Math.min(...places) / bins, (Math.max(...places) + 1) / bins];
  if (!cells.length) return { x: [-1, 2], y: [-1, 3] };
  return { x: side(cells.map(([i]) => i)), y: side(cells.map(([, j]) => j)) };
}

/** A window scaled about its middle, but to no less than half a decade and no more than `all`. */
export function zoomed(window, all, scale) {
  const side = ([low, high], [least, most]) => {
    const half = Math.min(Math.max(((high - low) * scale) / 2, 0.25), (most - least) / 2);
    const middle = Math.min(Math.max((low + high) / 2, least + half), most - half);
    return [middle - half, middle + half];
  };
  return { x: side(window.x, all.x), y: side(window.y, all.y) };
}

/** A window moved by shares of its sides, within `all`. */
export function moved(window, all, [across, up]) {
  const side = ([low, high], [least, most], share) => {
    const by = Math.min(Math.max((high - low) * share, least - low), most - high);
    return [low + by, high + by];
  };
  return { x: side(window.x, all.x, across), y: side(window.y, all.y, up) };
}
