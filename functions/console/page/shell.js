/**
 * The frame around the rooms: which of them is shown, and what they share.
 *
 * A room is a module with `show(root, api, place)`: it fills `root`, an element of its own that stays, with what
 * `place.query` asks for. It is called when somebody enters the room, at each change of its part of the URL, and in
 * another language. While its promise is open the shell says that it loads; what it throws is said and can be tried
 * again. To add one: import it into ROOMS, which is the order of the menu, and give `room.NAME` to each file of words.
 *
 * @typedef {Object} Place
 * @property {URLSearchParams} query the part of the URL behind `#`
 * @property {AbortSignal} signal ends when something else is to be shown: hand it to each call of the API
 * @property {(query: any) => void} go show another part of this room, from which the reader can go back
 * @property {(query: any) => void} note write what is shown into the URL, without a step back
 * @property {() => void} again show the same once more, as it is now
 */

import { byId, make } from "./dom.js";
import * as forecasts from "./forecasts.js";
import { current, languages, say, speak, translate } from "./language.js";
import * as operation from "./operation.js";
import * as rides from "./rides.js";
import * as segments from "./segments.js";
import { busy, calm, fail } from "./states.js";

const ROOMS = { forecasts, rides, segments, operation };
const FIRST = "forecasts";
const PATIENCE = 600;

/** A room's URL: the first one's has no name, so that those of before it had neighbours still lead there. */
const address = (name, query) => `#${new URLSearchParams([...(name === FIRST ? [] : [["room", name]]), ...new URLSearchParams(query)])}`;

export class Shell {
  #api;
  #stop = new AbortController();
  #room = "";
  #links;

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
    this.#links = Object.fromEntries(Object.keys(ROOMS).map((name) => [name, make("a", { href: `#room=${name}`, "data-say": `room.${name}` })]));
    byId("rooms").replaceChildren(...Object.values(this.#links));
    byId("rooms").hidden = false;
    byId("skip").onclick = (event) => {
      event.preventDefault();
      byId("main").focus();
    };
    this.#offerLanguages();
    addEventListener("popstate", () => this.show());
  }

  /** Show what the URL asks for. */
  async show() {
    const query = new URLSearchParams(location.hash.slice(1));
    const name = query.get("room") in ROOMS ? query.get("room") : FIRST;
    query.delete("room");
    this.#stop.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const root = this.#enter(name);
    const go = (wanted) => { history.pushState(null, "", address(name, wanted)); this.show(); };
    const note = (shown) => { history.replaceState(null, "", address(name, shown)); this.#links[name].href = location.hash; };
    calm();
    busy(say("loading"));
    const patient = setTimeout(() => busy(say("loading.long")), PATIENCE);
    try {
      await ROOMS[name].show(root, this.#api, { query, signal, go, note, again: () => this.show() });
    } catch (error) {
      if (!signal.aborted) fail(error, () => this.show());
    } finally {
      clearTimeout(patient);
      if (!signal.aborted) busy("");
    }
  }

  /** The element of a room, which is the only one to be seen; the link to the one before leads back to where it was left. */
  #enter(name) {
    const root = byId(name) ?? byId("main").appendChild(make("div", { id: name, class: "room" }));
    const moved = this.#room && this.#room !== name;
    this.#room = name;
    byId("room").textContent = document.title = say("title", { room: say(`room.${name}`) });
    for (const [other, link] of Object.entries(this.#links)) {
      if (other === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (location.hash) this.#links[name].href = location.hash;
    for (const one of document.querySelectorAll(".room")) one.hidden = one !== root;
    if (moved) byId("main").focus();
    return root;
  }

  /** The choice of a language; the address keeps it. */
  #offerLanguages() {
    const choice = byId("language");
    choice.replaceChildren(...languages().map(([code, name]) => make("option", { value: code, lang: code, selected: code === current() }, name)));
    choice.onchange = () => {
      speak(choice.value);
      history.replaceState(null, "", `?lang=${choice.value}${location.hash}`);
      translate();
      this.show();
    };
    translate();
  }
}
