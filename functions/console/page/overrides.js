/** What people know better: words on coming periods, with who gave them and what they were worth. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { step } from "./periods.js";
import { readable } from "./states.js";
import { amount, change, count, fullDay, longTime, percent, signedPercent, time } from "./words.js";

const DAY = 10; // characters of `ds` that name its day

/**
 * Fill `host` with a form and the list of what stands.
 * @param {HTMLElement} host
 * @param {{forecast: any, list: any, put: (word: any) => Promise<any>}} options `list` is the API's answer, as what `put`
 *   resolves to once the forecast is drawn again
 * @returns {{choose: (from: number, to: number) => void}} to fill in coming periods, by their place in the horizon
 */
export function overrides(host, { forecast, list, put }) {
  const { frequency, points } = forecast;
  const today = new Date().toISOString().slice(0, DAY);
  const periods = () => points.map(({ ds }, i) => make("option", { value: i }, longTime(frequency, ds)));
  const from = make("select", { id: "override-from" }, ...periods());
  const to = make("select", { id: "override-to" }, ...periods());
  const number = make("input", { id: "override-number", type: "number", step: "any", required: true, inputmode: "decimal" });
  const kind = make("select", { id: "override-kind" },
    make("option", { value: "factor" }, say("overrides.factor")), make("option", { value: "value" }, say(`overrides.value.${frequency}`)));
  const reason = make("input", { id: "override-reason", required: true, maxlength: 200, autocomplete: "off" });
  const expires = make("input", { id: "override-expires", type: "date", required: true, min: today });
  const wrong = make("p", { class: "wrong", role: "alert" });
  const go = make("button", { class: "primary" }, say("overrides.go"));
  const standing = make("div", { class: "standing", tabindex: -1, role: "group", "aria-label": say("overrides.list") });

  const choose = (first, last) => {
    [from.value, to.value] = [first, last];
    const end = step(frequency, points[last].ds, 1).slice(0, DAY);
    expires.value = end < today ? today : end;
  };
  const span = () => ({ start: points[from.value].ds, end: points[to.value].ds });

  /** Send a word, and show what stands then. */
  async function send(word) {
    wrong.textContent = "";
    host.inert = true;
    try {
      show(await put(word));
    } catch (error) {
      if (error.name !== "AbortError") wrong.textContent = readable(error);
    } finally {
      host.inert = false;
    }
  }

  async function submit(event) {
    event.preventDefault();
    const value = kind.value === "factor" ? number.valueAsNumber / 100 : number.valueAsNumber;
    await send({ ...span(), [kind.value]: value, reason: reason.value, expires: expires.value });
    go.focus();
  }

  function show({ items, by_reason: reasons, total }) {
    standing.replaceChildren(...(items.length ? [make("ul", { class: "stores" }, ...items.map(row))] : [make("p", { class: "facts" }, say("overrides.none"))]));
    if (total) standing.append(make("p", {}, worth(total, frequency, say("overrides.all"))));
    const several = reasons.length > 1 ? reasons : [];
    const by = several.map((one) => make("li", {}, worth(one, frequency, say("overrides.reason", { by: one.by, reason: one.reason }))));
    if (by.length) standing.append(make("ul", {}, ...by));
  }

  function row(one) {
    const back = make("button", {
      type: "button", class: "quiet", onclick: async () => { await send({ start: one.start, end: one.end, value: null }); standing.focus(); },
    }, say("overrides.back"));
    const names = new Set([one.start, one.end].map((ds) => longTime(frequency, ds)));
    const coming = one.end >= points[0].ds;
    const says = one.value === undefined ? say("overrides.times", { share: signedPercent(one.factor - 1) }) : say("overrides.set", { value: amount(one.value) });
    const until = say(one.expires < today ? "overrides.expired" : "overrides.holds", { day: fullDay(one.expires) });
    const added = one.value_added ? say("overrides.added", { value: change(one.value_added.value_added) }) : "";
    return make("li", {},
      make("span", {}, `${[...names].join(" – ")}: `, make("b", {}, says), `, ${one.reason}`),
      make("span", { class: "facts" }, [`${one.by}, ${time(one.at)}`, until, added].filter(Boolean).join("; ")),
      coming ? back : "");
  }

  const field = (name, control, more = "") => make("div", { class: `field ${control === reason ? "grow" : ""}` },
    make("label", { for: control.id }, say(`overrides.${name}`)), make("div", { class: "pairing" }, control, more));
  kind.setAttribute("aria-label", say("overrides.unit"));
  host.replaceChildren(
    make("p", { class: "hint" }, say("overrides.hint")),
    make("form", { class: "controls", onsubmit: submit },
      field("from", from), field("to", to), field("number", number, kind), field("why", reason), field("until", expires), go, wrong),
    standing,
  );
  choose(0, 0);
  show(list);
  return { choose };
}

/** How far a sum of overrides was off, beside the forecast alone. */
function worth({ periods, error_with: made, error_without: without, value_added: added }, frequency, whose) {
  const share = without > 0 ? ` (${percent(Math.abs(added) / without)})` : "";
  const kind = added >= 0 ? "gain" : "loss";
  return say(`overrides.${kind}`, {
    whose, periods: count(periods, frequency), made: amount(made), without: amount(without), added: amount(Math.abs(added)) + share,
  });
}
