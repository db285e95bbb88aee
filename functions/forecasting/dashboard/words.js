/** Days, numbers and names as the reader writes them. Days are whole numbers since 1970, free of time zones. */

const DAY = 86_400_000;

/** @param {string} ds an ISO date */
export const dayOf = (ds) => Date.parse(`${ds}T00:00:00Z`) / DAY;
/** @param {number} day */
export const isoOf = (day) => new Date(day * DAY).toISOString().slice(0, 10);
/** @param {number} day 0 for Monday to 6 for Sunday */
export const weekdayOf = (day) => (day + 3) % 7;

const dates = (options) => {
  const format = new Intl.DateTimeFormat(undefined, { timeZone: "UTC", ...options });
  return (/** @type {number} */ day) => format.format(day * DAY);
};
export const longDay = dates({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
export const shortDay = dates({ day: "numeric", month: "short" });
export const fullDay = dates({ day: "numeric", month: "short", year: "numeric" });
export const monthName = dates({ month: "long", year: "numeric" });
export const shortMonth = dates({ month: "short" });
export const year = dates({ year: "numeric" });
export const weekdayLetter = dates({ weekday: "narrow" });
const weekdayLong = dates({ weekday: "long" });
/** @param {number} weekday 0 for Monday */
export const weekdayName = (weekday) => weekdayLong(weekday + 4);

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
/** @param {string} instant RFC 3339 */
export const time = (instant) => moment.format(new Date(instant));

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
/** Sales: whole numbers, and three digits where they are small. */
export function amount(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 100 || Number.isInteger(value) ? whole.format(value) : fine.format(value);
}
/** With its sign. */
export const change = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + amount(Math.abs(value));

const percentage = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
/** A share as a percentage. */
export const percent = (share) => percentage.format(share);
export const signedPercent = (share) => (share > 0 ? "+" : share < 0 ? "−" : "") + percent(Math.abs(share));
export const factor = (value) => new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 }).format(value);

/** What a period of each frequency is called. */
export const PERIOD = { H: "hour", D: "day", W: "week", M: "month", Q: "quarter" };

/** `1 day`, `42 days`. */
export const count = (n, noun) => `${whole.format(n)} ${noun}${n === 1 ? "" : "s"}`;

/** How long ago a day is: days, and months from two on. */
export const age = (days) => (days < 61 ? count(days, "day") : count(Math.round(days / 30.44), "month"));
export const today = () => Math.floor(Date.now() / DAY);

/** A regressor's name for people: `school_holiday` becomes `School holiday`. */
export function title(name) {
  if (/^promo(tion)?s?$/i.test(name)) return "Promotion";
  const words = name.replaceAll(/[_-]+/g, " ").replaceAll(/([a-z])([A-Z])/g, "$1 $2").trim().toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const MODELS = {
  prophet: "Prophet",
  global: "Trees over all stores",
  blend: "Prophet with trees over all stores",
  additive: "An approximation of Prophet",
  seasonal_naive: "the same weekday a week ago",
  weekday_promotion_mean: "the mean by weekday and promotion",
  year_ago: "the same weekday a year ago",
};
/** What a model or baseline is called. */
export const modelName = (kind) => MODELS[kind] ?? kind.replaceAll("_", " ");
export const isBaseline = (kind) => ["seasonal_naive", "weekday_promotion_mean", "year_ago"].includes(kind);

/** A fragment as a sentence. */
export function sentence(text) {
  const trimmed = text.trim();
  const begun = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
