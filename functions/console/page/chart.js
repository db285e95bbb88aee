/** The one chart: history, forecast with its band, what-if line, overlays, and what was forecast of the periods held out. */

import uPlot from "uplot";
import { make } from "./dom.js";
import { say } from "./language.js";
import { RHYTHM, ticks, weekdayOf } from "./periods.js";
import { near } from "./rows.js";
import { amount, factor, longTime, tickName } from "./words.js";

const NARROW = 560;
const LEAST = 3;
/** Width of a tick with its name, px. */
const TICK = 64;

export class Chart {
  #host;
  #readout;
  #moved;
  #told;
  #plot = null;
  #rows = null;
  #series = [];
  #values = [];
  #at = null;
  #ticks = null;

  /**
   * @param {HTMLElement} host
   * @param {HTMLElement} readout legend and values of the period under the cursor
   * @param {(rows: import("./rows.js").Rows, from: number, to: number) => void} moved the window over these rows changed
   * @param {(number: number) => void} told the readout is of this period now
   */
  constructor(host, readout, moved, told) {
    this.#host = host;
    this.#readout = readout;
    this.#moved = moved;
    this.#told = told;
    for (const [name, value] of Object.entries({ role: "slider", tabindex: "0", "aria-describedby": "why" })) {
      host.setAttribute(name, value);
    }
    host.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#resize()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
  }

  /**
   * @param {import("./rows.js").Rows} rows
   * @param {[number, number]} window first and last period shown
   */
  draw(rows, window) {
    this.#rows = rows;
    this.#host.setAttribute("aria-label", say("chart.label", { period: say(`period.${rows.frequency}`) }));
    this.#host.setAttribute("aria-valuemin", rows.first);
    this.#host.setAttribute("aria-valuemax", rows.end);
    this.#make(window);
  }

  /** First and last period shown. */
  get window() {
    const { min, max } = this.#plot.scales.x;
    return [Math.ceil(min), Math.floor(max)];
  }

  /** @param {"near"|"far"|"all"|"in"|"out"} how */
  zoom(how) {
    const [from, to] = how === "in" || how === "out" ? this.#around(how === "in" ? 0.5 : 2) : near(this.#rows, how);
    this.#plot.setScale("x", { min: from, max: to });
  }

  #around(times) {
    const [from, to] = this.window;
    const centre = this.#at !== null && this.#at >= from && this.#at <= to ? this.#at : (from + to) / 2;
    const half = ((to - from) / 2) * times;
    return [centre - half, centre + half];
  }

  #redraw() {
    if (this.#plot) this.#make(this.window);
  }

  #make(window) {
    this.#plot?.destroy();
    const look = colours(this.#host);
    this.#series = described(this.#rows, look);
    this.#legend();
    const options = {
      ...this.#size(),
      padding: [12, 28, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: true, y: false }, y: false, points: { size: 7 } },
      scales: {
        x: { time: false, range: (_, min, max) => this.#clamp(min, max) },
        y: { range: (_, min, max) => [Math.min(0, min ?? 0), (max ?? 1) * 1.05 || 1] },
      },
      axes: [
        { stroke: look.text, grid: { stroke: look.grid, width: 1 }, ticks: { stroke: look.grid }, size: 34, splits: (plot, _, min, max) => this.#splits(plot, min, max), values: () => this.#names(), font: look.font },
        { stroke: look.text, grid: { stroke: look.grid, width: 1 }, ticks: { show: false }, size: width, values: (_, all) => all.map(amount), font: look.font },
      ],
      series: [{}, ...this.#series.map((one) => one.options)],
      bands: bands(this.#series).map((series) => ({ series, fill: look.band })),
      hooks: {
        drawClear: [(plot) => this.#background(plot, look)],
        drawAxes: [(plot) => this.#caption(plot, look)],
        setCursor: [(plot) => this.#hover(plot)],
        setScale: [(plot, name) => { if (name === "x" && plot === this.#plot) this.#moved(this.#rows, ...this.window); }],
        ready: [(plot) => plot.over.addEventListener("dblclick", () => this.zoom("all"))],
      },
    };
    const data = [this.#rows.numbers, ...this.#series.map(({ values, drawn = bridged(this.#rows, values) }) => drawn)];
    this.#plot = new uPlot(options, data, this.#host);
    this.#plot.setScale("x", { min: window[0], max: window[1] });
    this.#tell(this.#rows.start);
  }

  #clamp(min, max) {
    const { first, end } = this.#rows;
    const missing = Math.max(0, LEAST - (max - min)) / 2;
    return [Math.max(first - 0.5, min - missing), Math.min(end + 0.5, max + missing)];
  }

  #size() {
    const width = this.#host.clientWidth;
    return { width, height: width < NARROW ? 260 : 380 };
  }

  #resize() {
    const size = this.#size();
    if (this.#plot && size.width && size.width !== this.#plot.width) this.#plot.setSize(size);
  }

  #splits(plot, min, max) {
    const { first, frequency, clocks, numbers } = this.#rows;
    const room = Math.max(2, plot.bbox.width / devicePixelRatio / TICK);
    this.#ticks = ticks(frequency, clocks, Math.ceil(min) - first, Math.floor(max) - first, room);
    return this.#ticks.at.map((i) => numbers[i]);
  }

  /** Names of the ticks that `#splits` has just found. */
  #names() {
    const { unit, at } = this.#ticks;
    return at.map((i) => tickName(this.#rows.frequency, unit, this.#rows.labels[i]));
  }

  /** The held-out periods as a faint field, and a line where the forecast begins. */
  #background(plot, look) {
    const { ctx, bbox } = plot;
    const { holdout, start } = this.#rows;
    ctx.save();
    if (holdout) {
      const [left, right] = [placed(plot, holdout.start - 0.5), placed(plot, holdout.end + 0.5)];
      ctx.fillStyle = look.held;
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    const begin = placed(plot, start - 0.5);
    ctx.strokeStyle = look.text;
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(begin, bbox.top);
    ctx.lineTo(begin, bbox.top + bbox.height);
    if (begin > bbox.left) ctx.stroke();
    ctx.restore();
  }

  /** What the field is, above the grid. */
  #caption(plot, look) {
    const { ctx, bbox } = plot;
    const { holdout } = this.#rows;
    if (!holdout) return;
    const [left, right] = [placed(plot, holdout.start - 0.5), placed(plot, holdout.end + 0.5)];
    ctx.save();
    ctx.font = look.canvasFont;
    ctx.fillStyle = look.text;
    ctx.textAlign = "left";
    const words = say("chart.held");
    const wide = ctx.measureText(words).width < right - left - 12;
    if (wide) ctx.fillText(words, left + 6, bbox.top + 14 * devicePixelRatio);
    ctx.restore();
  }

  #hover(plot) {
    const { idx, left } = plot.cursor;
    this.#tell(left >= 0 && idx !== null && idx !== undefined ? this.#rows.numbers[idx] : this.#at ?? this.#rows.start);
  }

  /** Show a period's numbers beside the names of the lines, and say them. */
  #tell(number) {
    const i = number - this.#rows.first;
    const words = [longTime(this.#rows.frequency, this.#rows.labels[i])];
    this.#values[0].textContent = words[0];
    this.#named.forEach(({ label, values }, n) => {
      const value = values[i];
      this.#values[n + 1].textContent = amount(value);
      if (value !== null) words.push(`${label} ${amount(value)}`);
    });
    this.#told(number);
    this.#host.setAttribute("aria-valuenow", number);
    this.#host.setAttribute("aria-valuetext", words.join(", "));
  }

  /** The lines that have a name. */
  get #named() {
    return this.#series.filter(({ label }) => label);
  }

  #legend() {
    const values = [make("span", { class: "at" })];
    const items = this.#named.map(({ label, swatch }) => {
      values.push(make("b", {}));
      return make("span", { class: "item" }, make("i", { class: `swatch ${swatch}` }), `${label} `, values.at(-1));
    });
    this.#values = values;
    this.#readout.replaceChildren(values[0], ...items);
  }

  #key(event) {
    if (!this.#plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const { leap } = RHYTHM[this.#rows.frequency];
    const step = event.shiftKey ? leap : 1;
    const now = this.#at ?? this.#rows.start;
    const moves = {
      ArrowRight: now + step, ArrowUp: now + step, ArrowLeft: now - step, ArrowDown: now - step,
      PageDown: now - 4 * leap, PageUp: now + 4 * leap, Home: this.#rows.first, End: this.#rows.end,
    };
    const zooms = { "+": "in", "-": "out", 0: "all" };
    if (event.key in moves) this.#go(moves[event.key]);
    else if (event.key in zooms) this.zoom(zooms[event.key]);
    else return;
    event.preventDefault();
  }

  #go(number) {
    const { first, end } = this.#rows;
    this.#at = Math.min(Math.max(number, first), end);
    const [from, to] = this.window;
    if (this.#at < from || this.#at > to) {
      const shift = this.#at < from ? this.#at - from : this.#at - to;
      this.#plot.setScale("x", { min: from + shift, max: to + shift });
    }
    this.#plot.setCursor({ left: this.#plot.valToPos(this.#at, "x"), top: this.#plot.over.clientHeight / 2 });
    this.#tell(this.#at);
  }
}

function described(rows, look) {
  const line = (label, values, stroke, swatch, more = {}) => ({
    label, values, swatch, options: { stroke, width: 1.5, points: { size: 4 }, ...more },
  });
  const edge = { width: 0, points: { show: false } };
  const at = rows.start - rows.first;
  const ahead = ({ values, ...one }) => ({ ...one, values, drawn: bridged(rows, values.map((v, i) => (i < at ? null : v))) });
  const held = ({ values, ...one }) => ({ ...one, label: "", values, drawn: bridged(rows, values.map((v, i) => (i < at ? v : null))) });
  const high = line(say("line.high"), rows.upper, look.band, "band", edge);
  const low = line(say("line.low"), rows.lower, look.band, "band", edge);
  const forecast = (more) => line(say("line.forecast"), rows.yhat, look.forecast, "forecast", more);
  const all = [
    line(say(rows.estimated ? "line.estimated" : "line.sales"), rows.sales, look.sales, "sales", rows.estimated ? { dash: [2, 3] } : {}),
    ahead(high), ahead(low), held(high), held(low),
    ...rows.overlays.map(({ id, factor: ratio, values }, i) =>
      line(`${id} × ${factor(ratio)}`, values, look.overlays[i], `overlay-${i}`, { width: 1, dash: [8, 3] })),
    held(forecast({ dash: [3, 3] })), ahead(forecast({ width: 2 })),
  ];
  if (rows.planned) {
    const planned = line(say("overrides.line"), rows.planned, look.planned, "planned", { width: 2.5 });
    all.push({ ...planned, drawn: differing(rows, rows.planned, rows.yhat) });
  }
  if (rows.whatIf) {
    const whatIf = line(say("line.what-if"), rows.whatIf, look.whatIf, "what-if", { width: 2, dash: [6, 4] });
    all.push({ ...whatIf, drawn: differing(rows, rows.whatIf, rows.planned ?? rows.yhat) });
  }
  return all;
}

/** The places of the upper and lower edges of bands among the series of the plot, whose first is the periods. */
function bands(series) {
  const edges = series.flatMap(({ swatch }, i) => (swatch === "band" ? [i + 1] : []));
  return [edges.slice(0, 2), edges.slice(2)];
}

/** A line without zeros and gaps of weekdays that are closed as a rule: undefined, which joins the days beside it. */
function bridged({ labels, shut }, values) {
  const known = (value) => value !== null;
  const [first, last] = [values.findIndex(known), values.findLastIndex(known)];
  return values.map((value, i) => (!value && i >= first && i <= last && shut.includes(weekdayOf(labels[i])) ? undefined : value));
}

/** A line where it leaves the one it is of, with the open day before and after; else it would hide that. */
function differing({ labels, shut }, line, base) {
  const differs = (i) => (line[i] ?? null) !== null && line[i] !== base[i];
  const drawn = line.map((value, i) => (value === 0 && !differs(i) && shut.includes(weekdayOf(labels[i])) ? undefined : null));
  const open = labels.map((_, i) => i).filter((i) => drawn[i] === null);
  open.forEach((i, n) => {
    if (differs(open[n - 1]) || differs(i) || differs(open[n + 1])) drawn[i] = line[i];
  });
  return drawn;
}

/** Where a place between periods is on the canvas, within the plot. */
function placed(plot, number) {
  const { left, width: breadth } = plot.bbox;
  return Math.min(Math.max(plot.valToPos(number, "x", true), left), left + breadth);
}

function colours(element) {
  const style = getComputedStyle(element);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const family = style.fontFamily;
  return {
    text: value("faint"), grid: value("line"), held: value("held"), band: value("band"), sales: value("sales"),
    forecast: value("forecast"), whatIf: value("what-if"), planned: value("planned"),
    overlays: [0, 1, 2, 3, 4].map((i) => value(`overlay-${i}`)),
    font: `12px ${family}`, canvasFont: `${11 * devicePixelRatio}px ${family}`,
  };
}

/** Width of the y axis for its longest label. */
function width(plot, labels) {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(40, 16 + 7 * longest);
}
