/** Which model answers and how far to trust it, in sentences. */

import { make } from "./dom.js";
import { count, dayOf, fullDay, isBaseline, modelName, percent, sentence, signedPercent, time } from "./words.js";

/**
 * Whether the served model beat the best simple baseline on the held-out days.
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
 * @param {any} forecast
 * @param {string} like the store that stands in for one that is not listed, else empty
 * @returns {Node}
 */
export function trust(forecast, like) {
  const { model, backtest, level, assumptions } = forecast;
  const said = [served(model)];
  if (like) said.unshift(`All of this is about ${like}; nothing is known of the new store but what you said of its size.`);
  if (backtest) said.push(...tested(model, backtest));
  else said.push("There was too little history to hold days out and test on them, so treat it with care.");
  if (level !== 0.95) said.push(`The band drawn is meant to hold ${percent(level)} of the days.`);
  const facts = make(
    "dl", { class: "facts" },
    make("dt", {}, "Trained"), make("dd", {}, time(model.trained_at)),
    make("dt", {}, "Version"), make("dd", {}, make("code", {}, model.version)),
  );
  const list = assumptions.length
    ? make("ul", {}, ...assumptions.map((text) => make("li", {}, sentence(text))))
    : make("p", {}, "Nothing: openings and all else were known for every day.");
  return make(
    "div", {}, ...said.map((text) => make("p", {}, text)), scores(backtest), make("h3", {}, "What was assumed"), list, facts,
  );
}

function served(model) {
  if (isBaseline(model.kind)) {
    return `No model did better than a simple rule here, so the rule is served: ${modelName(model.kind)}.`;
  }
  const spot = model.version.startsWith("spot-") ? " It was made when you asked; the next weekly training replaces it." : "";
  return `${modelName(model.kind)} is served: it did best on earlier days of this store.${spot}`;
}

function tested(model, backtest) {
  const said = [];
  const days = dayOf(backtest.end) - dayOf(backtest.start) + 1;
  const window = `${count(days, "day")} (${fullDay(dayOf(backtest.start))} to ${fullDay(dayOf(backtest.end))})`;
  if (backtest.wape === null || backtest.baseline_wape === null) {
    return [`Nothing was sold on the ${window} held out, so there is no error to tell.`];
  }
  said.push(
    `On ${window} that it had not seen, it was off by ${percent(backtest.wape)} of sales; ` +
    `${isBaseline(model.kind) ? "the best simple rule" : "the simple rule"} (${modelName(backtest.baseline)}) ` +
    `by ${percent(backtest.baseline_wape)}.`,
  );
  if (!isBaseline(model.kind) && backtest.skill !== null && backtest.skill <= 0) {
    said.push("On those days the simple rule did as well or better: this forecast is no surer than that rule.");
  }
  return said;
}

function scores(backtest) {
  if (!backtest || backtest.wape === null) return null;
  const rows = [
    ["Off by, of sales (WAPE)", backtest.wape],
    ["The simple rule (WAPE)", backtest.baseline_wape],
    ["Too high (+) or low (−) overall", backtest.bias, signedPercent],
    [`Days within the ${percent(0.95)} interval`, backtest.coverage],
  ];
  const known = rows.filter(([, value]) => value !== null);
  return make("dl", { class: "scores" }, ...known.flatMap(([name, value, words = percent]) => [
    make("dt", {}, name), make("dd", {}, words(value)),
  ]));
}
