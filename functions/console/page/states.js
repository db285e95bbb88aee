/** What every room shows alike: that it loads, that there is nothing yet, what went wrong. */

import { Problem } from "./api.js";
import { byId, make } from "./dom.js";
import { say } from "./language.js";

/** Say what is under way; nothing for an empty text. */
export function busy(text) {
  byId("status").replaceChildren(...(text ? [make("progress", { "aria-label": say("loading") }), make("span", {}, text)] : []));
}

/** Say what went wrong; `again` is offered as a button, and an error that asking again does not mend has none. */
export function fail(error, again) {
  const retry = again && error.status !== 404 ? make("button", { type: "button", onclick: again }, say("again")) : "";
  byId("problem").replaceChildren(make("span", {}, readable(error)), retry);
  byId("problem").hidden = false;
}

/** Nothing is wrong any more. */
export function calm() {
  byId("problem").hidden = true;
}

/** The sentence of an error that has one; anything else is a fault of this page, which the browser's console is told. */
export function readable(error) {
  if (error instanceof Problem || error.kind === "offline") return error.message;
  reportError(error);
  return say("fault");
}

/** A card that says that there is nothing to show, and what would change that. @param {...Node} more */
export function empty(title, text, ...more) {
  return make("section", { class: "card empty", "aria-label": title }, make("h2", {}, title), make("p", {}, text), ...more);
}
