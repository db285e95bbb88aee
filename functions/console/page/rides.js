/** The room of rides: days as a calendar, a day's picture and its flags, and how often the flags were right. */

import { calendar, judgedTables, monthOf, precision, reach, standing } from "./calendar.js";
import { make } from "./dom.js";
import { Flags } from "./flags.js";
import { say } from "./language.js";
import { KINDS, Picture } from "./picture.js";
import { empty } from "./states.js";
import { amount, longTime, percent, time } from "./words.js";

/** How many months are seen at once. */
const MONTHS = 2;
const DATE = /^\d{4}-\d{2}-\d{2}$/;

let room = null;

/** A room of the shell. */
export function show(root, api, place) {
  room ??= new Rides(root, api);
  return room.take(place);
}

class Rides {
  #root;
  #api;
  #place;
  #flags;
  #picture;
  #days = [];
  #day = null;
  #newest = "";
  #range = "";
  #entered = false;
  #parts = {};

  constructor(root, api) {
    [this.#root, this.#api] = [root, api];
    this.#picture = new Picture((flag) => this.#flags.point(flag), (kind) => this.#go({ kind }));
    this.#flags = new Flags(api, (...change) => this.#judged(...change), (flags, current) => this.#drawn(flags, current));
  }

  /** Load what a place asks for: a day, the months around it, and which of its flags. */
  async take(place) {
    this.#place = place;
    const { query, signal } = place;
    const ask = { kind: KINDS.includes(query.get("kind")) ? query.get("kind") : "", min: Number(query.get("min")) > 0 ? query.get("min") : "" };
    const load = (day) => Promise.all([this.#api.day(day, signal), this.#flags.load(day, ask, signal)]);
    const [asked, shown] = ["day", "month"].map((name) => (DATE.test(query.get(name) ?? "") ? query.get(name) : null));
    const early = asked && load(asked);
    if (early) early.catch(() => null); // it is awaited once the calendar is there
    if (!this.#newest || !asked) this.#newest = (await this.#api.days({}, signal)).items.at(-1)?.dt ?? "";
    if (!this.#newest) {
      this.#root.replaceChildren(empty(say("rides.empty"), say("rides.empty.why")));
      return;
    }
    const month = monthOf(shown ?? asked ?? this.#newest);
    const [from, to] = reach(month > monthOf(this.#newest) ? monthOf(this.#newest) : month, MONTHS);
    // What is said here is counted here: another day of the same months is one call less.
    if (`${from} ${to}` !== this.#range || !asked) this.#days = (await this.#api.days({ from, to }, signal)).items;
    this.#range = `${from} ${to}`;
    const dt = asked ?? this.#days.at(-1)?.dt ?? "";
    const focus = this.#root.contains(document.activeElement) || !this.#entered;
    this.#calendar(dt, to);
    if (!dt) return;
    const [day, page] = await (early || load(dt));
    this.#day = day;
    this.#show(ask, page);
    if (focus && this.#entered) this.#parts.title.focus({ preventScroll: true });
    this.#entered = true;
  }

  /** Another part of this room; what is not named stays. */
  #go(changes) {
    const asked = Object.fromEntries(this.#place.query);
    this.#place.go(Object.entries({ day: this.#day?.dt ?? "", ...asked, ...changes }).filter(([, value]) => value));
  }

  #calendar(dt, last) {
    const month = monthOf(last);
    const months = Array.from({ length: MONTHS }, (_, i) => monthOf(month, i + 1 - MONTHS));
    const by = (n) => () => this.#place.go({ month: monthOf(month, n) });
    const later = make("button", { type: "button", disabled: month >= monthOf(this.#newest), onclick: by(MONTHS) }, say("rides.later"));
    this.#parts = {
      months: make("div", {}, this.#months(months, dt)),
      said: make("div", { class: "tables" }, ...judgedTables(this.#days)),
      day: make("div", { class: "room" }),
      again: () => this.#months(months, dt),
    };
    this.#root.replaceChildren(
      make("section", { class: "card", "aria-labelledby": "days-title" },
        make("div", { class: "heading" }, make("h2", { id: "days-title" }, say("rides.days")),
          make("div", { class: "tabs" }, make("button", { type: "button", onclick: by(-MONTHS) }, say("rides.earlier")), later)),
        this.#parts.months, make("p", { class: "facts" }, say("rides.days.how"))),
      this.#parts.day,
      make("div", { class: "pair" },
        make("section", { class: "card", "aria-labelledby": "said-title" }, make("h2", { id: "said-title" }, say("rides.said")), this.#parts.said),
        this.#parts.right = make("section", { class: "card", "aria-labelledby": "right-title", hidden: true }, make("h2", { id: "right-title" }, say("rides.precision")),
          make("div", { class: "tables" }))));
  }

  #months(months, dt) {
    return calendar(this.#days, months, dt, (day) => this.#go({ day, month: "" }));
  }

  #show(ask, page) {
    const day = this.#day;
    const far = standing(day);
    const title = this.#parts.title = make("h2", { tabindex: "-1" }, longTime("D", day.dt));
    const figures = [
      ["rides", amount(day.rides), ""],
      ["flagged", amount(day.anomalies), percent(day.share)],
      ["usual.share", day.usual_share === null ? "–" : percent(day.usual_share), far ? say(`rides.${far}`) : ""],
      ["rejected", amount(day.rejected), ""],
    ].map(([name, value, small]) => make("div", {}, make("dt", {}, say(`rides.figure.${name}`)), make("dd", {}, make("b", {}, value), make("span", {}, small))));
    const published = day.published_at ? make("p", { class: "facts late" }, say("rides.published", { at: time(day.published_at) })) : null;
    const picture = day.plot ? this.#picture.element : make("p", {}, say("rides.picture.none"));
    const card = make("section", { class: "card", "aria-label": say("rides.of.day", { day: longTime("D", day.dt) }) },
      make("div", { class: "heading" }, title), make("dl", { class: "figures" }, ...figures), picture, published);
    this.#parts.day.replaceChildren(card, this.#flags.element);
    this.#parts.day.onkeydown = (event) => { this.#flags.key(event); };
    this.#parts.right.lastChild.replaceChildren(...precision(day.verdicts));
    this.#parts.right.hidden = false;
    this.#flags.show(day.dt, ask, page, KINDS, ({ kind, min }) => this.#go({ kind, min }));
  }

  #drawn(flags, current) {
    if (!this.#day?.plot) return;
    this.#picture.draw(this.#day.plot, flags, this.#day);
    this.#picture.point(current);
  }

  /** Count another word: in the day's row, and so in the calendar and the shares. */
  #judged({ kind }, from, to) {
    const day = this.#days.find(({ dt }) => dt === this.#day.dt);
    if (!day || from === to) return;
    const counts = day.kinds[kind] ??= [0, 0];
    for (const [verdict, by] of [[from, -1], [to, 1]]) {
      if (!verdict) continue;
      counts[verdict === "confirmed" ? 0 : 1] += by;
      day[verdict === "confirmed" ? "confirmed" : "false_alarms"] += by;
    }
    this.#parts.months.replaceChildren(this.#parts.again());
    this.#parts.said.replaceChildren(...judgedTables(this.#days));
  }
}
