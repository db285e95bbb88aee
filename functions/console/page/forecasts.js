/** The room of forecasts: one view at a time, loaded in the order in which people look at it. */

import { Problem } from "./api.js";
import { Chart } from "./chart.js";
import { byId, make, settle } from "./dom.js";
import { say, translate } from "./language.js";
import { overrides } from "./overrides.js";
import { future, lanes, strip } from "./plan.js";
import { overview } from "./overview.js";
import { numberOf } from "./periods.js";
import { assemble, figures, near } from "./rows.js";
import { compare } from "./scenarios.js";
import { storeSearch } from "./search.js";
import { similarStores } from "./similar.js";
import { download, table } from "./table.js";
import { busy, calm, fail, readable } from "./states.js";
import { stale, trust, verdict } from "./trust.js";
import { LEVELS, MOST, blank, format, parse } from "./view.js";
import { amount, change, count, longTime, percent, shortTime, signedPercent, today, weekdayName } from "./words.js";
import { explained, why } from "./why.js";

let room = null;

/** A room of the shell; `root` has its markup already. */
export function show(root, api, place) {
  const first = !room;
  room ??= new Forecasts(api);
  return room.take(place, first);
}

class Forecasts {
  #api;
  #place;
  #view = blank();
  #stopPlan = new AbortController();
  #chart;
  #store;
  #like;
  #shown = null;
  #loaded = "";
  #overview = null;
  #histories = new Map();

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
    const moved = settle((...window) => this.#moved(...window), 150);
    this.#chart = new Chart(byId("plot"), byId("readout"), moved, (number) => this.#why(number));
    const find = (q, limit) => api.search(q, limit);
    this.#store = storeSearch(byId("store-search"), {
      id: "store", find, fail, choose: (item) => this.#open(item.series_id, item.frequency),
      typed: settle((q) => this.#overview?.filter(q), 200),
    });
    this.#like = storeSearch(byId("like-search"), { id: "like", find, fail, choose: () => byId("scale").focus() });
    this.#listen();
    translate();
  }

  #listen() {
    byId("controls").onsubmit = (event) => event.preventDefault();
    byId("horizon").onchange = () => this.#set("horizon", byId("horizon").valueAsNumber || null);
    byId("level").onchange = () => this.#set("level", Number(byId("level").value));
    byId("unlisted-go").onclick = () => this.#unlisted();
    byId("plan-reset").onclick = () => this.#replan({});
    byId("keep").onsubmit = (event) => { event.preventDefault(); this.#keep(byId("keep-name").value); };
    byId("as-chart").onclick = () => this.#as(false);
    byId("as-table").onclick = () => this.#as(true);
    byId("download").onclick = () => download(this.#shown.rows);
    for (const button of document.querySelectorAll("[data-zoom]")) {
      button.onclick = () => this.#chart.zoom(button.dataset.zoom);
    }
  }

  /** Take over the view of a place and load it. */
  take(place, first) {
    this.#place = place;
    const view = this.#view = parse(place.query);
    byId("level").replaceChildren(...LEVELS.map((level) => make("option", { value: level }, percent(level))));
    byId("horizon").value = view.horizon ?? "";
    byId("level").value = view.level;
    this.#store.set(view.series);
    if (view.like) {
      this.#like.set(view.like);
      byId("scale").value = Math.round(view.scale * 1e6) / 1e4;
    }
    if (view.like) byId("unlisted").open = true;
    if (first && !view.series && !view.like) this.#store.focus();
    return this.#load();
  }

  /** A new view of which the reader can go back. */
  #go(changes) {
    this.#place.go(format({ ...this.#view, ...changes }));
  }

  /** A horizon that was asked for stays where it means the same. */
  #open(series, frequency) {
    const { horizon, level, table: asTable } = this.#view;
    const shown = this.#shown?.forecast.frequency;
    const same = !shown || !frequency || shown === frequency;
    this.#go({ ...blank(), horizon: same ? horizon : null, level, table: asTable, series });
  }

  #unlisted() {
    const like = this.#like.value();
    const share = byId("scale").valueAsNumber;
    const wrong = !like ? say("unlisted.choose") : !(share > 0) ? say("unlisted.number") : "";
    byId("unlisted-wrong").textContent = wrong;
    if (wrong) return;
    const { horizon, level } = this.#view;
    this.#go({ ...blank(), horizon, level, like, scale: share / 100 });
  }

  #set(name, value) {
    if (!byId(name).reportValidity()) return;
    const typed = this.#store.value();
    if (typed && typed !== this.#view.series) {
      this.#view[name] = value;
      this.#open(typed);
    } else if (this.#view.series || this.#view.like) this.#go({ [name]: value, from: null, to: null });
    else this.#view[name] = value;
  }

  /** Note the view in the URL without a step back. */
  #note() {
    this.#place.note(format(this.#view));
  }

  async #load() {
    this.#stopPlan.abort();
    const { signal } = this.#place;
    const { series, like } = this.#view;
    byId("empty").hidden = true;
    this.#overview = null;
    if ((series || like) !== this.#loaded) this.#histories.clear();
    this.#loaded = series || like;
    byId("view").inert = true;
    try {
      if (!series && !like) {
        await this.#welcome(signal);
        return;
      }
      document.title = say("title.store", { store: series || say("store.like", { like }) });
      busy(say("loading.store", { store: series || like }));
      const [points, forecast] = await Promise.all([this.#history(series || like, signal), this.#forecast(signal)]);
      signal.throwIfAborted();
      this.#shown = { history: points, forecast, whatIf: null, overlays: [], missing: [], items: null, rows: null, signal };
      byId("view").hidden = false;
      byId("view").inert = false;
      this.#name(forecast);
      this.#draw();
      this.#strip();
      this.#trust();
      await Promise.all([this.#compare(), this.#ask()]);
      await Promise.all([this.#overrides(), this.#scenarios()]);
    } catch (error) {
      if (!signal.aborted) byId("view").hidden = true;
      throw error.status === 404 ? new Problem(say("store.unknown", { store: series || like }), 404) : error;
    }
  }

  /** Words for the frequency that is shown. */
  #name({ frequency, horizon }) {
    byId("ahead").textContent = say(`ahead.${frequency}`);
    byId("horizon").value = horizon;
    byId("far").textContent = say(`far.${frequency}`);
  }

  async #welcome(signal) {
    byId("view").hidden = true;
    const list = overview({
      find: (q, sort, limit, cursor) => this.#api.search(q, limit, signal, { sort, cursor }),
      open: ({ series_id: id, frequency }) => this.#open(id, frequency),
      fail: (error, again) => {
        if (signal.aborted) return;
        if (!this.#overview) throw error;
        fail(error, () => { calm(); again(); });
      },
    });
    busy(say("loading.stores"));
    const page = await list.load();
    signal.throwIfAborted();
    this.#overview = list;
    byId("empty").replaceChildren(
      make("h2", {}, say(page.items.length ? "welcome" : "welcome.none")),
      make("p", {}, say(page.items.length ? "welcome.how" : "welcome.none.how")),
      ...(page.items.length ? [list.element] : []),
    );
    byId("empty").hidden = false;
  }

  async #history(id, signal) {
    if (!this.#histories.has(id)) this.#histories.set(id, (await this.#api.history(id, signal)).points);
    return this.#histories.get(id);
  }

  #forecast(signal) {
    const { series, like, scale, horizon, level } = this.#view;
    if (series) return this.#api.forecast(series, horizon, level, signal);
    return this.#api.ask({ like, scale, level, horizon: horizon ?? undefined }, signal);
  }

  /** Similar stores, and the histories of those laid over the chart; without them the forecast stands. */
  async #compare() {
    const { series, like } = this.#view;
    const shown = this.#shown;
    try {
      shown.items = (await this.#api.similar(series || like, shown.signal)).items;
    } catch (error) {
      if (shown.signal.aborted) return;
      const again = make("button", { type: "button", class: "quiet", onclick: () => this.#compare() }, say("again"));
      byId("similar").replaceChildren(make("p", { class: "wrong", role: "alert" }, readable(error)), again);
      return;
    }
    await this.#overlay();
  }

  /** What people made of the forecast; without their list the forecast stands. */
  async #overrides() {
    const { series } = this.#view;
    const shown = this.#shown;
    byId("overrides-part").hidden = !series;
    if (!series) return;
    const put = async (word) => {
      const list = await this.#api.override(series, word, shown.signal);
      shown.forecast = await this.#forecast(shown.signal);
      await Promise.all([this.#ask(), this.#scenarios()]);
      this.#draw(true);
      return list;
    };
    try {
      const list = await this.#api.overrides(series, shown.signal);
      shown.overrides = overrides(byId("overrides"), { forecast: shown.forecast, list, put });
    } catch (error) {
      if (shown.signal.aborted) return;
      const again = make("button", { type: "button", class: "quiet", onclick: () => this.#overrides() }, say("again"));
      byId("overrides").replaceChildren(make("p", { class: "wrong", role: "alert" }, readable(error)), again);
    }
  }

  async #overlay() {
    const shown = this.#shown;
    const chosen = this.#view.similar;
    this.#similar();
    const laid = await Promise.allSettled(chosen.map((id) => this.#history(id, shown.signal)));
    if (shown.signal.aborted || chosen !== this.#view.similar) return;
    shown.overlays = chosen.flatMap((id, i) => (laid[i].value ? [{ id, points: laid[i].value }] : []));
    shown.missing = chosen.filter((_, i) => !laid[i].value);
    this.#similar();
    this.#draw(true);
  }

  #similar() {
    const { items, missing } = this.#shown;
    similarStores(byId("similar"), {
      items, missing, chosen: this.#view.similar, lay: (id, on) => this.#lay(id, on), open: (id) => this.#open(id),
    });
  }

  #lay(id, on) {
    const others = this.#view.similar.filter((one) => one !== id);
    this.#view.similar = on ? [...others, id] : others;
    this.#shown.missing = [];
    this.#note();
    return this.#overlay();
  }

  #draw(keep = false) {
    const { series, like, scale } = this.#view;
    const shown = this.#shown;
    const name = series || say("store.like.at", { like, share: percent(scale) });
    shown.rows = assemble({ name, scale: series ? null : scale, ...shown });
    const window = keep ? this.#chart.window : this.#window();
    byId("title").textContent = series || say("store.new", { like, share: percent(scale) });
    const { good, text } = verdict(shown.forecast);
    byId("badge").textContent = like ? `${like}: ${text.charAt(0).toLowerCase()}${text.slice(1)}` : text;
    byId("badge").className = `badge ${good === null ? "" : good ? "good" : "fair"}`;
    const { shut } = shown.rows;
    byId("shut").textContent = shut.length ? say("chart.shut", { days: shut.map(weekdayName).join(", ") }) : "";
    byId("age").textContent = stale(shown.history, shown.forecast, today());
    this.#figures();
    this.#show();
    this.#chart.draw(shown.rows, window);
  }

  /** First and last period that the view names, else the usual ones. */
  #window() {
    const { rows } = this.#shown;
    const { from, to } = this.#view;
    return from ? [numberOf(rows.frequency, from), numberOf(rows.frequency, to)] : near(rows, "near");
  }

  #figures() {
    const { frequency } = this.#shown.forecast;
    const { total, model, length, before, stretch, peak } = figures(this.#shown.rows);
    const both = { total: amount(total), model: amount(model), change: change(total - model), periods: count(length, frequency) };
    byId("overrides-total").textContent = this.#shown.rows.planned ? say("overrides.total", both) : "";
    const rows = [
      [say("figures.next", { periods: count(length, frequency) }), amount(total), before ? say("figures.before", { change: signedPercent(total / before - 1), periods: count(length, frequency) }) : ""],
      ...(stretch ? [[say(`figures.stretch.${frequency}`), amount(stretch.total), [stretch.from, stretch.to].map((ds) => shortTime(frequency, ds)).join(" – ")]] : []),
      [say(`figures.peak.${frequency}`), amount(peak.value), say("figures.up-to", { when: longTime(frequency, peak.ds), amount: amount(peak.upper) })],
    ];
    byId("figures").replaceChildren(...rows.map(([name, value, note]) => make(
      "div", {}, make("dt", {}, name), make("dd", {}, make("b", {}, value), make("span", {}, note)),
    )));
  }

  #why(number) {
    const { forecast, rows } = this.#shown;
    byId("why").hidden = !explained(forecast);
    byId("why").replaceChildren(...why(forecast, number - rows.start));
  }

  #as(table) {
    this.#view.table = table;
    this.#note();
    this.#show();
  }

  #show() {
    const asTable = this.#view.table;
    byId("plot-part").hidden = asTable;
    byId("table-part").hidden = !asTable;
    byId("as-chart").setAttribute("aria-pressed", String(!asTable));
    byId("as-table").setAttribute("aria-pressed", String(asTable));
    if (!asTable) return;
    const { rows } = this.#shown;
    const part = byId("table-part");
    part.replaceChildren(table(rows, ...this.#window()));
    const [first, head] = [part.querySelector("tr.future"), part.querySelector("thead")];
    part.scrollTop = first ? first.offsetTop - head.offsetHeight : 0;
  }

  #moved(rows, from, to) {
    if (rows !== this.#shown.rows || this.#shown.signal.aborted) return;
    const usual = near(rows, "near");
    const apart = from !== usual[0] || to !== usual[1];
    [this.#view.from, this.#view.to] = apart ? [from, to].map((number) => rows.labels[number - rows.first]) : [null, null];
    this.#note();
    this.#show();
    if (apart && from >= rows.start) this.#shown.overrides?.choose(from - rows.start, to - rows.start);
  }

  #strip() {
    const shown = this.#shown;
    const { forecast } = shown;
    strip(byId("plan"), {
      frequency: forecast.frequency, times: forecast.points.map((point) => point.ds), lanes: lanes(forecast),
      changes: this.#view.changes, changed: settle(() => this.#planned(shown), 200),
    });
  }

  #planned(shown) {
    if (shown.signal.aborted) return;
    this.#note();
    this.#ask();
  }

  #replan(changes) {
    this.#view.changes = changes;
    this.#note();
    this.#strip();
    this.#ask();
  }

  /** Give the changes a name; a scenario of that name is replaced. */
  #keep(name) {
    const others = this.#view.scenarios.filter((one) => one.name !== name);
    this.#view.scenarios = [...others, { name, changes: structuredClone(this.#view.changes) }];
    byId("keep-name").value = "";
    byId("keep").hidden = this.#view.scenarios.length >= MOST;
    this.#note();
    return this.#scenarios();
  }

  /** What each scenario would sell, in one call. */
  async #scenarios() {
    const { series, like, scale, level, scenarios } = this.#view;
    const shown = this.#shown;
    const { forecast } = shown;
    const store = series ? { series_id: series } : { like, scale };
    const ask = ({ changes }) => ({ ...store, horizon: forecast.horizon, level, future: future(forecast, changes) ?? {} });
    let answers;
    try {
      answers = scenarios.length ? await this.#api.askAll(scenarios.map(ask), shown.signal) : [];
    } catch (problem) {
      answers = scenarios.map(() => ({ problem }));
    }
    if (shown.signal.aborted || scenarios !== this.#view.scenarios) return;
    compare(byId("scenarios"), {
      forecast,
      answers: scenarios.map(({ name }, i) => ({ name, answer: answers[i].forecast, wrong: answers[i].problem && readable(answers[i].problem) })),
      open: (i) => this.#replan(structuredClone(scenarios[i].changes)),
      drop: (i) => {
        this.#view.scenarios = scenarios.filter((_, n) => n !== i);
        this.#note();
        this.#ask();
        this.#scenarios();
      },
    });
  }

  /** Ask for the forecast with the changes, and say what they make. */
  async #ask() {
    this.#stopPlan.abort();
    this.#stopPlan = new AbortController();
    const { signal } = this.#stopPlan;
    const shown = this.#shown;
    const { series, like, scale, level, changes } = this.#view;
    const { frequency, horizon } = shown.forecast;
    const asked = future(shown.forecast, changes);
    byId("plan-reset").hidden = !asked;
    byId("keep").hidden = !asked || this.#view.scenarios.length >= MOST;
    if (!asked) {
      this.#result(say("plan.how", { periods: say(`periods.${frequency}`) }));
      if (shown.whatIf) this.#answered(shown, null);
      return;
    }
    this.#result(say("plan.busy"));
    try {
      const store = series ? { series_id: series } : { like, scale };
      const answer = await this.#api.ask({ ...store, horizon, level, future: asked }, signal);
      if (!signal.aborted && shown === this.#shown) this.#answered(shown, answer);
    } catch (error) {
      if (!signal.aborted) this.#result(readable(error), true);
    }
  }

  #answered(shown, answer) {
    shown.whatIf = answer;
    this.#draw(true);
    if (!answer) return;
    const { total, whatIf, length } = figures(shown.rows);
    const share = total > 0 ? ` (${signedPercent(whatIf / total - 1)})` : "";
    this.#result(say("plan.result", {
      change: change(whatIf - total) + share, periods: count(length, shown.forecast.frequency), then: amount(whatIf), now: amount(total),
    }));
  }

  #result(text, wrong = false) {
    byId("plan-result").textContent = text;
    byId("plan-result").classList.toggle("wrong", wrong);
  }

  #trust() {
    byId("trust").replaceChildren(trust(this.#shown.forecast, this.#view.like));
  }
}
