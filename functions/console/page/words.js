/** Times, numbers and names as the reader writes them. */

import { localised, say } from "./language.js";
import { DAY, clock, weekdayOf } from "./periods.js";

const times = (options) => {
  const format = localised((locale) => new Intl.DateTimeFormat(locale, { timeZone: "UTC", ...options }));
  return (/** @type {string} */ ds) => format().format(clock(ds));
};
const DATE = { day: "numeric", month: "short" };
const FULL = { ...DATE, year: "numeric" };
const HOUR = { hour: "2-digit", minute: "2-digit" };
const shortDay = times(DATE);
export const fullDay = times(FULL);
const monthName = times({ month: "long", year: "numeric" });
const shortMonth = times({ month: "short" });
const year = times({ year: "numeric" });
const hour = times(HOUR);
const weekdayLetter = times({ weekday: "narrow" });
const weekdayLong = localised((locale) => new Intl.DateTimeFormat(locale, { timeZone: "UTC", weekday: "long" }));
/** @param {number} weekday 0 for Monday */
export const weekdayName = (weekday) => weekdayLong().format((weekday + 4) * DAY);

/** Weeks named by Friday to Sunday end there, others begin. */
const week = (ds, by = "week") => say(`${by}.${weekdayOf(ds) < 4 ? "of" : "to"}`, { day: fullDay(ds) });

/** `Q1` of calendar quarters, which are named by their first or last days; empty of others. */
function quarter(ds) {
  const [, month, day] = ds.split("-").map(Number);
  const calendar = (month % 3 === 1 && day < 4) || (month % 3 === 0 && day > 27);
  return calendar ? `Q${Math.ceil(month / 3)}` : "";
}
const quarterName = (ds) => (quarter(ds) ? `${quarter(ds)} ${year(ds)}` : monthName(ds));

const LONG = {
  H: times({ weekday: "short", ...FULL, ...HOUR }), D: times({ weekday: "short", ...FULL }),
  W: (ds) => capital(week(ds)), M: monthName, Q: quarterName,
};
const NAMED = { H: times({ ...FULL, ...HOUR }), D: fullDay, W: (ds) => week(ds, "week.the"), M: monthName, Q: quarterName };
const SHORT = { H: times({ ...DATE, ...HOUR }), D: shortDay };
/** A period by itself: `Tue, 4 Mar 2025`, `Week of 3 Mar 2025`, `March 2025`. */
export const longTime = (frequency, ds) => LONG[frequency](ds);
/** A period within a sentence: `4 Mar 2025`, `the week of 3 Mar 2025`. */
export const namedTime = (frequency, ds) => NAMED[frequency](ds);
/** The peak that begins with a period: 24 hours, a week of days, or the period alone. */
export const peakName = (frequency, ds) => (frequency in SHORT ? say(`peak.${frequency}`, { day: SHORT[frequency](ds) }) : LONG[frequency](ds));
/** An hour or a day as an end of a stretch: `4 Mar`. */
export const shortTime = (frequency, ds) => SHORT[frequency](ds);

/** What stands at a tick of the axis. @param {string} unit of `ticks` */
export function tickName(frequency, unit, ds) {
  if (unit === "hour") return ds.slice(11, 13) === "00" ? shortDay(ds) : hour(ds);
  if (unit === "day") return shortDay(ds);
  if (unit === "year") return year(ds);
  if (frequency === "Q" && quarter(ds)) return quarter(ds) === "Q1" ? year(ds) : quarter(ds);
  return ds.slice(5, 7) === "01" ? year(ds) : shortMonth(ds);
}

/** The head of a column of the plan: what `over` several of them, a `letter` and a `number` of its own. */
export function columnHead(frequency, ds) {
  const number = String(Number(frequency === "H" ? ds.slice(11, 13) : ds.slice(8, 10)));
  return {
    over: { H: LONG.D, D: monthName, W: monthName, M: year, Q: year }[frequency](ds),
    letter: frequency === "D" ? weekdayLetter(ds) : "",
    number: { M: shortMonth(ds), Q: quarter(ds) || shortMonth(ds) }[frequency] ?? number,
  };
}

const moment = localised((locale) => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }));
const relative = localised((locale) => new Intl.RelativeTimeFormat(locale, { numeric: "auto" }));
/** How long ago: minutes, hours up to two days, days. @param {string} instant RFC 3339 */
export function ago(instant, now = Date.now()) {
  const minutes = Math.round((now - Date.parse(instant)) / 60_000);
  if (minutes < 120) return relative().format(-minutes, "minute");
  return minutes < 2880 ? relative().format(-Math.round(minutes / 60), "hour") : relative().format(-Math.round(minutes / 1440), "day");
}
/** @param {string} instant RFC 3339 */
export const time = (instant) => moment().format(new Date(instant));

const numbers = (options) => {
  const format = localised((locale) => new Intl.NumberFormat(locale, options));
  return (/** @type {number} */ value) => format().format(value);
};
const whole = numbers({ maximumFractionDigits: 0 });
/** Three digits. */
export const factor = numbers({ maximumSignificantDigits: 3 });
/** Sales: whole numbers, and three digits where they are small. */
export function amount(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 100 || Number.isInteger(value) ? whole(value) : factor(value);
}
/** With its sign. */
export const change = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + amount(Math.abs(value));
export const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + factor(Math.abs(value));

const FIGURES = ["roc_auc", "average_precision", "f1", "brier", "calibration_error", "threshold", "precision", "recall"];
/** What a figure is called. */
export const figureName = (name) => (FIGURES.includes(name) ? say(`figure.${name}`) : name.replaceAll("_", " "));
/** A figure of a model or a run, whose size nobody knows beforehand. */
export const figure = (value) => (Number.isInteger(value) ? whole(value) : factor(value));
const money = { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" };
const coins = numbers({ ...money, maximumFractionDigits: 2 });
const splinters = numbers({ ...money, maximumSignificantDigits: 2 });
/** Dollars; of less than a cent two digits. */
export const dollars = (value) => (value && value < 0.01 ? splinters(value) : coins(value));
const seconds = numbers({ style: "unit", unit: "second", unitDisplay: "narrow", maximumFractionDigits: 1 });
const minutes = numbers({ style: "unit", unit: "minute", unitDisplay: "narrow", maximumFractionDigits: 1 });
/** How long something took. @param {number} n seconds */
export const long = (n) => (n < 120 ? seconds(n) : minutes(n / 60));

/** A share as a percentage. */
export const percent = numbers({ style: "percent", maximumFractionDigits: 1 });
export const signedPercent = (share) => (share > 0 ? "+" : share < 0 ? "−" : "") + percent(Math.abs(share));

/** Periods of a frequency: `1 day`, `42 days`. */
export const count = (n, frequency) => say(`count.${frequency}`, { n });

/** How long ago a day is: days, and months from two on. */
export const age = (days) => (days < 61 ? count(days, "D") : count(Math.round(days / 30.44), "M"));
export const today = () => Math.floor(Date.now() / DAY);

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A regressor's name for people: `school_holiday` becomes `School holiday`. */
export function title(name) {
  if (/^promo(tion)?s?$/i.test(name)) return say("promotion");
  return capital(name.replaceAll(/[_-]+/g, " ").replaceAll(/([a-z])([A-Z])/g, "$1 $2").trim().toLowerCase());
}

const MODELS = ["prophet", "global", "blend", "echo", "smoothing", "additive"];
const RULES = ["seasonal_naive", "weekday_promotion_mean", "year_ago"];
/** What a model or baseline is called; a rule in the periods of its frequency. */
export function modelName(kind, frequency) {
  if (MODELS.includes(kind)) return say(`model.${kind}`);
  return isBaseline(kind) ? say(`rule.${kind}.${frequency}`) : kind.replaceAll("_", " ");
}
export const isBaseline = (kind) => RULES.includes(kind);

/** A fragment as a sentence. */
export function sentence(text) {
  const begun = capital(text.trim());
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
