/** Which model answers and how far to trust it, in sentences. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { DAY, RHYTHM, clock, numberOf } from "./periods.js";
import { age, capital, count, isBaseline, modelName, namedTime, percent, sentence, signedPercent, time, title } from "./words.js";

/**
 * Whether the served model beat the best simple baseline on the held-out periods.
 * @returns {{good: boolean|null, text: string}} for the badge
 */
export function verdict(forecast) {
  const { backtest, model } = forecast;
  if (isBaseline(model.kind)) return { good: false, text: say("verdict.rule") };
  if (!backtest || backtest.skill === null) return { good: null, text: say("verdict.untested") };
  if (backtest.skill > 0) return { good: true, text: say("verdict.better", { share: percent(backtest.skill) }) };
  return { good: false, text: say("verdict.no-better") };
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
  const words = { age: age(days), last: namedTime(frequency, last.ds) };
  return gap ? say("stale.gap", { ...words, first: namedTime(frequency, points[0].ds) }) : say("stale", words);
}

/**
 * @param {any} forecast
 * @param {string} like the store that stands in for one that is not listed, else empty
 * @returns {Node}
 */
export function trust(forecast, like) {
  const { frequency, model, backtest, level, assumptions } = forecast;
  const periods = say(`periods.${frequency}`);
  const said = [served(model, frequency)];
  if (like) said.unshift(say("trust.like", { like }));
  if (backtest) said.push(...tested(model, backtest, frequency));
  else said.push(say("trust.untested"));
  if (level !== 0.95) said.push(say("trust.level", { level: percent(level), periods }));
  const facts = make(
    "dl", { class: "facts" },
    make("dt", {}, say("trust.trained")), make("dd", {}, time(model.trained_at)),
    make("dt", {}, say("trust.version")), make("dd", {}, make("code", {}, model.version)),
  );
  const list = assumptions.length
    ? make("ul", {}, ...assumptions.map((text) => make("li", {}, sentence(text.replace(/^\w+:/, subject)))))
    : make("p", {}, say("trust.nothing"));
  return make(
    "div", {}, ...said.map((text) => make("p", {}, text)), scores(backtest, periods), make("h3", {}, say("trust.assumed")), list, facts,
  );
}

/** A column's name before its colon, as people say it. */
const subject = (name) => (name === "y:" ? `${say("line.sales")}:` : `${title(name.slice(0, -1))}:`);

function served(model, frequency) {
  if (isBaseline(model.kind)) {
    return say("trust.rule", { rule: modelName(model.kind, frequency) });
  }
  const spot = model.version.startsWith("spot-") ? ` ${say("trust.spot")}` : "";
  return say("trust.model", { model: modelName(model.kind, frequency), periods: say(`periods.${frequency}`) }) + spot;
}

function tested(model, backtest, frequency) {
  const said = [];
  const { start, end } = backtest;
  const length = numberOf(frequency, end) - numberOf(frequency, start) + 1;
  const window = say("trust.window", { periods: count(length, frequency), start: namedTime(frequency, start), end: namedTime(frequency, end) });
  if (backtest.wape === null || backtest.baseline_wape === null) {
    return [say("trust.unsold", { window })];
  }
  said.push(say(isBaseline(model.kind) ? "trust.off.rule" : "trust.off", {
    window, error: percent(backtest.wape), rule: modelName(backtest.baseline, frequency), other: percent(backtest.baseline_wape),
  }));
  if (!isBaseline(model.kind) && backtest.skill !== null && backtest.skill <= 0) {
    said.push(say("trust.no-better"));
  }
  return said;
}

function scores(backtest, periods) {
  if (!backtest || backtest.wape === null) return null;
  const rows = [
    [say("scores.off"), backtest.wape],
    [say("scores.rule"), backtest.baseline_wape],
    [say("scores.bias"), backtest.bias, signedPercent],
    [say("scores.within", { periods: capital(periods), level: percent(0.95) }), backtest.coverage],
  ];
  const known = rows.filter(([, value]) => value !== null);
  return make("dl", { class: "scores" }, ...known.flatMap(([name, value, words = percent]) => [
    make("dt", {}, name), make("dd", {}, words(value)),
  ]));
}
