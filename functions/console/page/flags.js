/** Flagged rides of a day, most severe first, and what people say of them: by buttons or keys, saved at once, undone as easily. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { kmName, minutesName } from "./scale.js";
import { readable } from "./states.js";
import { file, save } from "./table.js";
import { factor, fullDay, time } from "./words.js";

const PAGE = 100;
const COLUMNS = ["ride_id", "ride_dist", "ride_time", "severity", "kind", "reason"];
const SAID = ["verdict", "note", "by", "at"];

/** The flags as a file: km, h, and the standing word of each. */
export function csv(flags) {
  const row = (flag) => [...COLUMNS.map((name) => flag[name]), ...SAID.map((name) => (flag.verdict?.verdict ? flag.verdict[name] : ""))];
  return file([[...COLUMNS, ...SAID], ...flags.map(row)]);
}

export class Flags {
  element = make("section", { class: "card flags" });
  #api;
  #changed;
  #pointed;
  #dt = "";
  #flags = [];
  #cursor = null;
  #page = null;
  #ask = {};
  #at = 0;
  #undo = [];
  #rows = [];
  #body;
  #note;
  #told;
  #wrong;
  #current;
  #more;
  #counted;

  /**
   * @param {import("./api.js").Api} api
   * @param {(flag: any, from: string|null, to: string|null) => void} changed another word stands, or seems to
   * @param {(flags: any[], current: any) => void} pointed these are shown, and this one is the current one
   */
  constructor(api, changed, pointed) {
    [this.#api, this.#changed, this.#pointed] = [api, changed, pointed];
  }

  /** The first page of a day's flags. @param {{kind: string, min: string}} ask */
  load(dt, ask, signal) {
    return this.#api.flags(dt, { ...ask, limit: PAGE }, signal);
  }

  /** Show a page that was loaded. @param {string[]} kinds @param {(ask: {kind: string, min: string}) => void} filter */
  show(dt, ask, page, kinds, filter) {
    [this.#dt, this.#ask, this.#page, this.#at, this.#undo] = [dt, ask, page, 0, []];
    [this.#flags, this.#cursor] = [page.items, page.next_cursor];
    const { kind, min } = ask;
    const choice = make("select", { id: "kind", onchange: () => filter({ kind: choice.value, min: least.value }) },
      make("option", { value: "" }, say("rides.kind.all")),
      ...kinds.map((one) => make("option", { value: one, selected: one === kind }, say(`rides.kind.${one}`))));
    const least = make("input", {
      id: "least", type: "number", min: 0, step: "any", value: min, inputmode: "decimal", onchange: () => filter({ kind: choice.value, min: least.value }),
    });
    this.#body = make("tbody");
    this.#told = make("p", { role: "status", class: "facts" });
    this.#wrong = make("p", { role: "alert", class: "wrong" });
    this.#note = make("input", { id: "note", maxlength: 1000, onkeydown: (event) => { if (event.key === "Enter") this.#annotate(); } });
    this.#current = make("p", { class: "current" });
    this.#more = make("button", { type: "button", onclick: () => this.#load() }, say("more"));
    this.#counted = make("p", { class: "facts" });
    const heads = ["ride", "verdict", "severity", "distance", "time", "reason"].map((name) => make("th", { scope: "col", class: name }, say(`rides.${name}`)));
    const key = (name, press) => make("button", { type: "button", "aria-keyshortcuts": name[0], onclick: press }, say(`rides.do.${name}`), make("kbd", { "aria-hidden": "true" }, name[0]));
    const table = make("div", { class: "scroll", role: "region", "aria-label": say("rides.flags") },
      make("table", {}, make("thead", {}, make("tr", {}, ...heads)), this.#body));
    this.element.setAttribute("aria-label", say("rides.flags"));
    this.element.replaceChildren(
      make("div", { class: "heading" }, make("h2", {}, say("rides.flags")),
        make("div", { class: "tabs" }, make("button", { type: "button", onclick: () => this.#download() }, say("rides.csv")))),
      make("form", { class: "controls", onsubmit: (event) => event.preventDefault() },
        make("div", { class: "field" }, make("label", { for: "kind" }, say("rides.kind")), choice),
        make("div", { class: "field" }, make("label", { for: "least" }, say("rides.severity.from")), least)),
      this.#counted,
      ...(this.#flags.length ? [
        make("div", { class: "judge" }, this.#current,
          make("div", { class: "field grow" }, make("label", { for: "note" }, say("rides.note")), this.#note),
          key("confirm", () => this.judge("confirmed")), key("false", () => this.judge("false_alarm")), key("undo", () => this.undo())),
        make("p", { class: "hint" }, say("rides.keys"))] : []),
      this.#told, this.#wrong,
      ...(this.#flags.length ? [table] : [make("p", {}, this.#none())]),
      this.#more);
    this.#fill();
  }

  /** A key of the whole day's card. @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const does = {
      c: () => this.judge("confirmed"), f: () => this.judge("false_alarm"), u: () => this.undo(),
      j: () => this.#step(1), k: () => this.#step(-1), ArrowDown: () => this.#step(1), ArrowUp: () => this.#step(-1),
    }[event.key];
    if (!does || !this.#flags.length) return;
    event.preventDefault();
    does();
  }

  /** Make a flag the current one. */
  point(flag) {
    this.#step(this.#flags.indexOf(flag) - this.#at);
  }

  /** Say it of the current flag, and go on to the next. */
  judge(verdict) {
    const flag = this.#flags[this.#at];
    this.#undo.push([flag, flag.verdict]);
    this.#say(flag, { verdict, note: this.#note.value });
    this.#step(1);
  }

  /** Take the last word of this reader back, or the one that stands on the current flag. */
  undo() {
    const [flag, before] = this.#undo.pop() ?? [this.#flags[this.#at], null];
    if (!flag.verdict?.verdict) return;
    this.#say(flag, { verdict: before?.verdict ?? null, note: before?.note ?? "" });
    this.point(flag);
  }

  #annotate() {
    const flag = this.#flags[this.#at];
    if (!flag.verdict?.verdict) return;
    this.#undo.push([flag, flag.verdict]);
    this.#say(flag, { verdict: flag.verdict.verdict, note: this.#note.value });
  }

  /** Show a word at once, save it behind those before it, and show what stands in the end. */
  async #say(flag, word) {
    flag.stands ??= { verdict: flag.verdict };
    this.#set(flag, { ...word, saving: true });
    const shown = flag.verdict;
    const dt = this.#dt;
    this.#wrong.textContent = "";
    const saved = (flag.saving ?? Promise.resolve()).catch(() => null).then(() => this.#api.judge(dt, flag.ride_id, word));
    flag.saving = saved;
    try {
      flag.stands.verdict = await saved;
      if (flag.verdict !== shown) return;
      this.#set(flag, flag.stands.verdict);
      const other = flag.verdict.verdict !== word.verdict;
      const key = other ? "rides.told.other" : `rides.told.${word.verdict ?? "undone"}`;
      this.#told.textContent = say(key, { ride: flag.ride_id, by: flag.verdict.by });
    } catch (error) {
      if (flag.verdict !== shown) return;
      this.#set(flag, flag.stands.verdict);
      this.#wrong.replaceChildren(say("rides.lost", { ride: flag.ride_id, why: readable(error) }), " ",
        make("button", { type: "button", class: "quiet", onclick: () => this.#say(flag, word) }, say("again")));
    }
  }

  #set(flag, verdict) {
    const from = flag.verdict?.verdict ?? null;
    flag.verdict = verdict;
    this.#changed(flag, from, verdict?.verdict ?? null);
    const i = this.#flags.indexOf(flag);
    if (i < 0 || !this.#rows[i]) return;
    this.#rows[i].querySelector(".verdict").replaceChildren(...this.#word(flag));
    if (i === this.#at) this.#show();
  }

  #word({ verdict }) {
    if (!verdict?.verdict) return [make("span", { class: "facts" }, "–")];
    const badge = make("span", { class: `badge ${verdict.verdict === "confirmed" ? "good" : "fair"}` }, `${verdict.verdict === "confirmed" ? "✓" : "✗"} ${say(`rides.${verdict.verdict}`)}`);
    const detail = verdict.saving ? say("rides.saving") : [verdict.by, verdict.note].filter(Boolean).join(": ");
    return [badge, make("span", { class: "facts", title: verdict.at ? time(verdict.at) : null }, ` ${detail}`)];
  }

  #fill() {
    const { matched, listed, anomalies } = this.#page;
    this.#counted.textContent = [
      say("rides.shown", { n: this.#flags.length, matched }), anomalies > listed ? say("rides.listed", { listed, anomalies }) : "",
    ].filter(Boolean).join(" ");
    this.#more.hidden = !this.#cursor;
    this.#rows = this.#flags.map((flag, i) => this.#rows[i] && this.#rows[i].flag === flag && this.#body.contains(this.#rows[i]) ? this.#rows[i] : this.#row(flag));
    this.#body.replaceChildren(...this.#rows);
    this.#show();
  }

  #row(flag) {
    const name = make("button", { type: "button", class: "link", tabindex: -1, onclick: () => this.point(flag) }, flag.ride_id);
    const row = make("tr", { onclick: () => this.point(flag) },
      make("th", { scope: "row" }, name),
      make("td", { class: "verdict" }, ...this.#word(flag)),
      ...[factor(flag.severity), kmName(flag.ride_dist), minutesName(flag.ride_time * 60)].map((text) => make("td", {}, text)),
      make("td", { class: "reason" }, make("b", {}, say(`rides.kind.${flag.kind || "other"}`)), make("span", { class: "facts", lang: "en" }, ` ${flag.reason}`)));
    row.flag = flag;
    return row;
  }

  #none() {
    if (this.#ask.kind || this.#ask.min) return say("rides.none.match");
    return this.#page.anomalies ? say("rides.none.listed") : say("rides.none");
  }

  #step(by) {
    if (!this.#flags.length) return;
    const last = this.#flags.length - 1;
    if (this.#at + by > last && this.#cursor) this.#load();
    this.#at = Math.min(Math.max(this.#at + by, 0), last);
    this.#show();
    const button = this.#rows[this.#at].querySelector("button");
    button.focus({ preventScroll: true });
    this.#rows[this.#at].scrollIntoView({ block: "nearest" });
  }

  /** What depends on which flag is the current one. */
  #show() {
    const flag = this.#flags[this.#at];
    this.#rows.forEach((row, i) => {
      if (i === this.#at) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      row.querySelector("button").tabIndex = i === this.#at ? 0 : -1;
    });
    if (flag) {
      this.#current.replaceChildren(make("b", {}, flag.ride_id), make("span", { lang: "en" }, ` ${flag.reason}`));
      this.#note.value = flag.verdict?.note ?? "";
    }
    this.#pointed(this.#flags, flag ?? null);
  }

  async #load() {
    const cursor = this.#cursor;
    this.#cursor = null;
    try {
      const page = await this.#api.flags(this.#dt, { ...this.#ask, limit: PAGE, cursor });
      this.#page = page;
      this.#flags.push(...page.items);
      this.#cursor = page.next_cursor;
      this.#fill();
    } catch (error) {
      this.#cursor = cursor;
      this.#wrong.textContent = readable(error);
    }
  }

  #download() {
    save(`${say("rides.file")}-${this.#dt}`, csv(this.#flags));
    this.#told.textContent = say("rides.saved", { n: this.#flags.length, day: fullDay(this.#dt) });
  }
}
