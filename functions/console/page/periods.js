/**
 * Periods of a series, by frequency. A period has a whole number, one more than the period before it, and is named by
 * `ds` as the API writes it: a date, or of hours a time, with its offset where there are zones.
 */

const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
/** How long a period is, ms; of months and quarters the longest. */
const LENGTH = { H: HOUR, D: DAY, W: 7 * DAY, M: 31 * DAY, Q: 92 * DAY };

/**
 * What is counted in periods: `near` and `far` are how many observed ones a window begins with, `leap` is the stride of
 * the keyboard, `stretch` what has a total of its own (0 for none), `old` the age in days at which sales are worth a word,
 * `ahead` what is forecast unless something else is asked for.
 */
export const RHYTHM = {
  H: { near: 336, far: 8760, leap: 24, stretch: 24, old: 14, ahead: 168 },
  D: { near: 90, far: 365, leap: 7, stretch: 7, old: 14, ahead: 42 },
  W: { near: 78, far: 260, leap: 4, stretch: 0, old: 35, ahead: 13 },
  M: { near: 48, far: 120, leap: 3, stretch: 0, old: 92, ahead: 12 },
  Q: { near: 24, far: 80, leap: 4, stretch: 0, old: 275, ahead: 8 },
};

/** What the clock shows at `ds`, as if it stood in universal time: ms since 1970. @param {string} ds */
export const clock = (ds) => Date.parse(`${ds.slice(0, 10)}T${ds.slice(11, 16) || "00:00"}Z`);

/** 0 for Monday to 6 for Sunday. @param {string} ds */
export const weekdayOf = (ds) => (((Math.floor(clock(ds) / DAY) + 3) % 7) + 7) % 7;

/** Number of the period. @param {string} frequency @param {string} ds */
export function numberOf(frequency, ds) {
  if (frequency === "H") return Math.floor((ds.length > 16 ? Date.parse(ds) : clock(ds)) / HOUR);
  const days = clock(ds) / DAY;
  if (frequency === "D") return days;
  if (frequency === "W") return Math.floor((days + 3) / 7);
  const [year, month] = ds.split("-").map(Number);
  return Math.floor((year * 12 + month - 1) / (frequency === "M" ? 1 : 3));
}

/** The name of the period `n` later. The last day of a month leads to last days. */
export function step(frequency, ds, n) {
  const text = (at) => new Date(at).toISOString().slice(0, Math.min(ds.length, 16)) + ds.slice(16);
  if (!"MQ".includes(frequency)) return text(clock(ds) + n * LENGTH[frequency]);
  const [year, month, day] = ds.split("-").map(Number);
  const last = (of) => new Date(Date.UTC(year, of, 0)).getUTCDate();
  const then = month + n * (frequency === "M" ? 1 : 3);
  return text(Date.UTC(year, then - 1, day === last(month) ? last(then) : Math.min(day, last(then))));
}

const months = (at) => new Date(at).getUTCFullYear() * 12 + new Date(at).getUTCMonth();
/** What ticks may stand for, finest first: unit, about how long it is, and the number of the one that a time lies in. */
const UNITS = [
  ...[1, 3, 6, 12].map((n) => ["hour", n * HOUR, (at) => Math.floor(at / (n * HOUR))]),
  ...[1, 2].map((n) => ["day", n * DAY, (at) => Math.floor(at / (n * DAY))]),
  ...[1, 2].map((n) => ["day", 7 * n * DAY, (at) => Math.floor((at / DAY + 3) / (7 * n))]),
  ...[1, 2, 3, 6].map((n) => ["month", 31 * n * DAY, (at) => Math.floor(months(at) / n)]),
  ...[1, 2, 5, 10, 25, 100].map((n) => ["year", 372 * n * DAY, (at) => Math.floor(months(at) / (12 * n))]),
];

/**
 * Rows worth a tick: the first of each hour, day, week, month or year that begins in the window, in the finest unit that
 * has room. So a tick stands on a period, which on an axis of time those of weeks and months would not.
 * @param {string} frequency
 * @param {number[]} clocks of every row
 * @param {number} from @param {number} to first and last row shown @param {number} room the most ticks
 * @returns {{unit: string, at: number[]}}
 */
export function ticks(frequency, clocks, from, to, room) {
  const fits = ([, length]) => length >= LENGTH[frequency] && (clocks[to] - clocks[from]) / length <= room;
  const [unit, , number] = UNITS.find(fits) ?? UNITS.at(-1);
  const at = [];
  for (let i = from; i <= to; i += 1) {
    if (number(clocks[i]) !== number(clocks[i - 1] ?? clocks[i] - LENGTH[frequency])) at.push(i);
  }
  return { unit, at };
}
