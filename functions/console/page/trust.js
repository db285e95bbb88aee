/** Which model answers and how far to trust it, in sentences. */

import { make } from "./dom.js";
import { DAY, RHYTHM, clock, numberOf } from "./periods.js";
import { PERIOD, age, capital, count, isBaseline, modelName, namedTime, percent, sentence, signedPercent, time, title } from "./words.js";

/**
 * Whether the served model beat the best simple baseline on the held-out periods.
 * @returns {{good: boolean|null, text: string}} for the badge
 */
export function verdict(forecast) {
  const { backtest, model } = forecast;
  if (isBaseline(model.kind)) return { good: false, text: "A simple baseline is served" };
  if (!backtest || backtest.skill === null) return { good: null, text: "Not tested yet" };
  if (backtest.skill > 0) return { good: true, text: `${percent(backtest.skill)} better than the baseline` };
  return { good: false, text: "No better than the baseline" };
}

/**
 * That the last observation is long ago, where it is; else empty.
 * @param {{ds: string, y: number|null}[]} history
 * @param {any} forecast
 * @param {number} today days since 1970
 */
export function stale(history, { frequency, points }, today) {
  const last = history.findLast((point) => point.y !== null);
  const days = last ? today - Math.floor(clock(last.ds) / DAY) : 0;
  if (days <= RHYTHM[frequency].old) return "";
  const gap = numberOf(frequency, points[0].ds) - numberOf(frequency, last.ds) > 1;
  const begin = gap ? `with ${namedTime(frequency, points[0].ds)}` : `the ${PERIOD[frequency]} after`;
  return `The last sales are ${age(days)} old: they end with ${namedTime(frequency, last.ds)}, and the forecast begins ${begin}.`;
}

/**
 * @param {any} forecast
 * @param {string} like the store that stands in for one that is not listed, else empty
 * @returns {Node}
 */
export function trust(forecast, like) {
  const { frequency, model, backtest, level, assumptions } = forecast;
  const period = PERIOD[frequency];
  const said = [served(model, frequency)];
  if (like) said.unshift(`All of this is about ${like}; nothing is known of the new store but what you said of its size.`);
  if (backtest) said.push(...tested(model, backtest, frequency));
  else said.push("There was too little history to hold some out and test on them, so treat it with care.");
  if (level !== 0.95) said.push(`The band drawn is meant to hold ${percent(level)} of the ${period}s.`);
  const facts = make(
    "dl", { class: "facts" },
    make("dt", {}, "Trained"), make("dd", {}, time(model.trained_at)),
    make("dt", {}, "Version"), make("dd", {}, make("code", {}, model.version)),
  );
  const list = assumptions.length
    ? make("ul", {}, ...assumptions.map((text) => make("li", {}, sentence(text.replace(/^\w+:/, subject)))))
    : make("p", {}, `Nothing: openings and all else were known for every ${period}.`);
  return make(
    "div", {}, ...said.map((text) => make("p", {}, text)), scores(backtest, period), make("h3", {}, "What was assumed"), list, facts,
  );
}

/** A column's name before its colon, as people say it. */
const subject = (name) => (name === "y:" ? "Sales:" : `${title(name.slice(0, -1))}:`);

function served(model, frequency) {
  if (isBaseline(model.kind)) {
    return `No model did better than a simple rule here, so the rule is served: ${modelName(model.kind, frequency)}.`;
  }
  const spot = model.version.startsWith("spot-") ? " It was made when you asked; the next weekly training replaces it." : "";
  return `${modelName(model.kind, frequency)} is served: it did best on earlier ${PERIOD[frequency]}s of this store.${spot}`;
}

function tested(model, backtest, frequency) {
  const said = [];
  const { start, end } = backtest;
  const length = numberOf(frequency, end) - numberOf(frequency, start) + 1;
  const window = `${count(length, PERIOD[frequency])} (${namedTime(frequency, start)} to ${namedTime(frequency, end)})`;
  if (backtest.wape === null || backtest.baseline_wape === null) {
    return [`Nothing was sold on the ${window} held out, so there is no error to tell.`];
  }
  said.push(
    `On ${window} that it had not seen, it was off by ${percent(backtest.wape)} of sales; ` +
    `${isBaseline(model.kind) ? "the best simple rule" : "the simple rule"} (${modelName(backtest.baseline, frequency)}) ` +
    `by ${percent(backtest.baseline_wape)}.`,
  );
  if (!isBaseline(model.kind) && backtest.skill !== null && backtest.skill <= 0) {
    said.push("There the simple rule did as well or better: this forecast is no surer than that rule.");
  }
  return said;
}

function scores(backtest, period) {
  if (!backtest || backtest.wape === null) return null;
  const rows = [
    ["Off by, of sales (WAPE)", backtest.wape],
    ["The simple rule (WAPE)", backtest.baseline_wape],
    ["Too high (+) or low (−) overall", backtest.bias, signedPercent],
    [`${capital(period)}s within the ${percent(0.95)} interval`, backtest.coverage],
  ];
  const known = rows.filter(([, value]) => value !== null);
  return make("dl", { class: "scores" }, ...known.flatMap(([name, value, words = percent]) => [
    make("dt", {}, name), make("dd", {}, words(value)),
  ]));
}
