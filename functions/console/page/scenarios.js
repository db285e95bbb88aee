/** Plans that a reader gave a name, side by side with the plan as it stands: what each would sell. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { amount, change, longTime, signedPercent } from "./words.js";

const planned = ({ points }) => points.map((point) => point.planned ?? point.yhat);
const sum = (values) => values.reduce((total, value) => total + value, 0);

/**
 * Fill `host`; nothing where no scenario has a name.
 * @param {HTMLElement} host
 * @param {{forecast: any, answers: {name: string, answer: any, wrong: string}[], open: (i: number) => void, drop: (i: number) => void}} options
 *   `answer` is the forecast with the changes of the scenario, `wrong` a sentence where there is none
 */
export function compare(host, { forecast, answers, open, drop }) {
  if (!answers.length) {
    host.replaceChildren();
    return;
  }
  const base = planned(forecast);
  const head = (text) => make("th", { scope: "col" }, text);
  const act = (name, key, action) => make("button", { type: "button", class: "quiet", "aria-label": say(`${key}.one`, { name }), onclick: action }, say(key));
  const row = (name, line, wrong, ...actions) => {
    const cells = line ? cellsOf(line, base, forecast) : [wrong, "", "", ""];
    return make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((text) => make("td", {}, text)), make("td", {}, ...actions));
  };
  host.replaceChildren(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": say("scenarios") },
    make("table", {}, make("caption", {}, say("scenarios")),
      make("thead", {}, make("tr", {}, ...["name", "total", "difference", "share", "peak"].map((key) => head(say(`scenarios.${key}`))), make("td"))),
      make("tbody", {}, row(say("scenarios.plan"), base, ""), ...answers.map(({ name, answer, wrong }, i) => row(
        name, answer && planned(answer), wrong, act(name, "scenarios.open", () => open(i)), " ", act(name, "scenarios.drop", () => drop(i)),
      ))))));
}

function cellsOf(line, base, { frequency, points }) {
  const [total, before] = [sum(line), sum(base)];
  const peak = line.indexOf(Math.max(...line));
  const same = line === base;
  return [
    amount(total), same ? "" : change(total - before), same || !(before > 0) ? "" : signedPercent(total / before - 1),
    `${amount(line[peak])}, ${longTime(frequency, points[peak].ds)}`,
  ];
}
