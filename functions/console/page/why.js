/** Why a period is high or low: what each part of its forecast adds, against that part's mean over the horizon. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { change, count, signedPercent, title } from "./words.js";

/** Parts that move a forecast by less than this share are left out; and all beyond the first few. */
const LEAST = 0.005;
const MOST = 4;

/**
 * The parts of period `i` of the horizon, largest effect first, and that of all. Effects are shares where parts are of
 * the logarithm, which is so of a mean of models too; else amounts. Null where it has no parts (a closed period).
 * @param {{scale: "log"|"linear", values: Object<string, (number|null)[]>}} parts
 * @param {number} i
 */
export function reasons({ scale, values }, i) {
  const effects = Object.entries(values).map(([name, all]) => {
    const known = all.filter((value) => value !== null);
    return { name, effect: all[i] - known.reduce((sum, value) => sum + value / known.length, 0) };
  });
  if (Object.values(values).some((all) => all[i] === null)) return null;
  const shown = (effect) => (scale === "log" ? Math.exp(effect) - 1 : effect);
  const sorted = effects.sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
  return {
    all: shown(effects.reduce((sum, { effect }) => sum + effect, 0)),
    parts: sorted.map(({ name, effect }) => ({ name, effect: shown(effect) })),
  };
}

/** Whether a forecast has parts: a rule is one. */
export const explained = ({ parts }) => Object.keys(parts?.values ?? {}).length > 1;

/**
 * Words for period `i`; none where it is not forecast, or not explained.
 * @param {any} forecast
 * @param {number} i
 * @returns {(Node|string)[]}
 */
export function why(forecast, i) {
  const { parts, points, frequency } = forecast;
  if (!points[i] || !explained(forecast)) return [];
  const found = reasons(parts, i);
  if (!found) return [say("why.closed")];
  const words = parts.scale === "log" ? signedPercent : change;
  const least = parts.scale === "log" ? LEAST : LEAST * Math.abs(points[i].yhat);
  const large = found.parts.filter(({ effect }) => Math.abs(effect) >= least).slice(0, MOST);
  const whole = say("why.mean", { change: words(found.all), periods: count(points.length, frequency) }) + (large.length ? ":" : ".");
  return [
    make("span", {}, whole),
    ...large.map(({ name, effect }) => make("span", { class: "item" }, `${title(name)} `, make("b", {}, words(effect)))),
  ];
}
