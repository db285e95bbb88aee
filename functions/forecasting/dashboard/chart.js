/** The one chart: history, forecast with its band, what-if line, overlays, and the days held out for the test. */

import uPlot from "uplot";
import { make } from "./dom.js";
import { amount, factor, longDay, shortDay, shortMonth, weekdayOf, year } from "./words.js";

const NARROW = 560;
const LEAST = 3;
/** Where `described` puts the edges of the band; series 0 is the days. */
const BAND = [2, 3];

export class Chart {
  #host;
  #readout;
  #moved;
  #plot = null;
  #rows = null;
  #holdout = null;
  #series = [];
  #values = [];
  #day = null;

  /**
   * @param {HTMLElement} host
   * @param {HTMLElement} readout legend and values of the day under the cursor
   * @param {(rows: import("./rows.js").Rows, from: number, to: number) => void} moved the window over these rows changed
   */
  constructor(host, readout, moved) {
    this.#host = host;
    this.#readout = readout;
    this.#moved = moved;
    for (const [name, value] of Object.entries({ role: "slider", tabindex: "0", "aria-label": "Chart, day by day" })) {
      host.setAttribute(name, value);
    }
    host.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#resize()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
  }

  /**
   * @param {import("./rows.js").Rows} rows
   * @param {[number, number]} window first and last day shown
   * @param {{start: number, end: number}|null} holdout
   */
  draw(rows, window, holdout) {
    this.#rows = rows;
    this.#holdout = holdout;
    this.#host.setAttribute("aria-valuemin", rows.first);
    this.#host.setAttribute("aria-valuemax", rows.end);
    this.#make(window);
  }

  /** First and last day shown. */
  get window() {
    const { min, max } = this.#plot.scales.x;
    return [Math.ceil(min), Math.floor(max)];
  }

  /** @param {"near"|"year"|"all"|"in"|"out"} how */
  zoom(how) {
    const [from, to] = how === "in" || how === "out" ? this.#around(how === "in" ? 0.5 : 2) : near(this.#rows, how);
    this.#plot.setScale("x", { min: from, max: to });
  }

  #around(times) {
    const [from, to] = this.window;
    const centre = this.#day !== null && this.#day >= from && this.#day <= to ? this.#day : (from + to) / 2;
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
        { stroke: look.text, grid: { stroke: look.grid, width: 1 }, ticks: { stroke: look.grid }, size: 34, splits: ticks, values: names, font: look.font },
        { stroke: look.text, grid: { stroke: look.grid, width: 1 }, ticks: { show: false }, size: width, values: (_, all) => all.map(amount), font: look.font },
      ],
      series: [{}, ...this.#series.map((one) => one.options)],
      bands: [{ series: BAND, fill: look.band }],
      hooks: {
        drawClear: [(plot) => this.#background(plot, look)],
        setCursor: [(plot) => this.#hover(plot)],
        setScale: [(plot, name) => { if (name === "x" && plot === this.#plot) this.#moved(this.#rows, ...this.window); }],
        ready: [(plot) => plot.over.addEventListener("dblclick", () => this.zoom("all"))],
      },
    };
    const data = [this.#rows.days, ...this.#series.map((one) => bridged(this.#rows, one))];
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

  /** The held-out days as a faint field, and a line where the forecast begins. */
  #background(plot, look) {
    const { ctx, bbox } = plot;
    const at = (day) => Math.min(Math.max(plot.valToPos(day, "x", true), bbox.left), bbox.left + bbox.width);
    ctx.save();
    if (this.#holdout) {
      const [left, right] = [at(this.#holdout.start - 0.5), at(this.#holdout.end + 0.5)];
      ctx.fillStyle = look.held;
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.font = look.canvasFont;
      ctx.fillStyle = look.text;
      const text = "held out for the test";
      if (ctx.measureText(text).width < right - left - 12) ctx.fillText(text, left + 6, bbox.top + 14 * devicePixelRatio);
    }
    const begin = at(this.#rows.start - 0.5);
    ctx.strokeStyle = look.text;
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(begin, bbox.top);
    ctx.lineTo(begin, bbox.top + bbox.height);
    if (begin > bbox.left) ctx.stroke();
    ctx.restore();
  }

  #hover(plot) {
    const { idx, left } = plot.cursor;
    this.#tell(left >= 0 && idx !== null && idx !== undefined ? this.#rows.days[idx] : this.#day ?? this.#rows.start);
  }

  /** Show a day's numbers beside the names of the lines, and say them. */
  #tell(day) {
    const i = day - this.#rows.first;
    const words = [longDay(day)];
    this.#values[0].textContent = longDay(day);
    this.#series.forEach(({ label, values }, n) => {
      const value = values[i];
      if (this.#values[n + 1]) this.#values[n + 1].textContent = amount(value);
      if (value !== null) words.push(`${label} ${amount(value)}`);
    });
    this.#host.setAttribute("aria-valuenow", day);
    this.#host.setAttribute("aria-valuetext", words.join(", "));
  }

  #legend() {
    const values = [make("span", { class: "day" })];
    const items = this.#series.map(({ label, swatch }) => {
      values.push(make("b", {}));
      return make("span", { class: "item" }, make("i", { class: `swatch ${swatch}` }), `${label} `, values.at(-1));
    });
    this.#values = values;
    this.#readout.replaceChildren(values[0], ...items);
  }

  #key(event) {
    if (!this.#plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 7 : 1;
    const now = this.#day ?? this.#rows.start;
    const moves = {
      ArrowRight: now + step, ArrowUp: now + step, ArrowLeft: now - step, ArrowDown: now - step,
      PageDown: now - 28, PageUp: now + 28, Home: this.#rows.first, End: this.#rows.end,
    };
    const zooms = { "+": "in", "-": "out", 0: "all" };
    if (event.key in moves) this.#go(moves[event.key]);
    else if (event.key in zooms) this.zoom(zooms[event.key]);
    else return;
    event.preventDefault();
  }

  #go(day) {
    const { first, end } = this.#rows;
    this.#day = Math.min(Math.max(day, first), end);
    const [from, to] = this.window;
    if (this.#day < from || this.#day > to) {
      const shift = this.#day < from ? this.#day - from : this.#day - to;
      this.#plot.setScale("x", { min: from + shift, max: to + shift });
    }
    this.#plot.setCursor({ left: this.#plot.valToPos(this.#day, "x"), top: this.#plot.over.clientHeight / 2 });
    this.#tell(this.#day);
  }
}

/** The window named `how`: the forecast with some history, with a year of it, or all. */
export function near(rows, how) {
  const length = rows.end - rows.start + 1;
  const back = { near: Math.max(90, 2 * length), year: 365, all: Infinity }[how];
  return [Math.max(rows.first, rows.start - back), rows.end];
}

function described(rows, look) {
  const line = (label, values, stroke, swatch, more = {}) => ({
    label, values, swatch, options: { stroke, width: 1.5, points: { size: 4 }, ...more },
  });
  const edge = { width: 0, points: { show: false } };
  const all = [
    line(rows.estimated ? "Estimated sales" : "Sales", rows.sales, look.sales, "sales", rows.estimated ? { dash: [2, 3] } : {}),
    line("High", rows.upper, look.band, "band", edge),
    line("Low", rows.lower, look.band, "band", edge),
    ...rows.overlays.map(({ id, factor: ratio, values }, i) =>
      line(`${id} × ${factor(ratio)}`, values, look.overlays[i], `overlay-${i}`, { width: 1, dash: [8, 3] })),
    line("Forecast", rows.yhat, look.forecast, "forecast", { width: 2 }),
  ];
  if (rows.whatIf) {
    const whatIf = line("What if", rows.whatIf, look.whatIf, "what-if", { width: 2, dash: [6, 4] });
    all.push({ ...whatIf, drawn: differing(rows) });
  }
  return all;
}

/** A line without zeros and gaps of weekdays that are closed as a rule: undefined, which joins the days beside it. */
function bridged({ days, shut }, { values, drawn }) {
  const known = (value) => value !== null;
  const [first, last] = [values.findIndex(known), values.findLastIndex(known)];
  return drawn ?? values.map((value, i) => (!value && i >= first && i <= last && shut.includes(weekdayOf(days[i])) ? undefined : value));
}

/** The what-if line where it leaves the forecast, with the open day before and after; else it would hide the forecast. */
function differing({ whatIf, yhat, days, shut }) {
  const differs = (i) => i in whatIf && whatIf[i] !== yhat[i];
  const drawn = whatIf.map((value, i) => (value === 0 && !differs(i) && shut.includes(weekdayOf(days[i])) ? undefined : null));
  const open = days.map((_, i) => i).filter((i) => drawn[i] === null);
  open.forEach((i, n) => {
    if (differs(open[n - 1]) || differs(i) || differs(open[n + 1])) drawn[i] = whatIf[i];
  });
  return drawn;
}

function colours(element) {
  const style = getComputedStyle(element);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const family = style.fontFamily;
  return {
    text: value("faint"), grid: value("line"), held: value("held"), band: value("band"), sales: value("sales"),
    forecast: value("forecast"), whatIf: value("what-if"),
    overlays: [0, 1, 2, 3, 4].map((i) => value(`overlay-${i}`)),
    font: `12px ${family}`, canvasFont: `${11 * devicePixelRatio}px ${family}`,
  };
}

/** Width of the y axis for its longest label. */
function width(plot, labels) {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(40, 16 + 7 * longest);
}

/** Days worth a tick: days, Mondays, or firsts of months, so that labels have room. */
function ticks(plot, _, min, max) {
  const room = Math.max(2, Math.floor(plot.bbox.width / devicePixelRatio / 64));
  const span = max - min;
  const [from, to] = [Math.ceil(min), Math.floor(max)];
  const all = Array.from({ length: Math.max(0, to - from + 1) }, (__, i) => from + i);
  for (const step of [1, 2]) if (span / step <= room) return all.filter((day) => day % step === 0);
  for (const weeks of [1, 2]) {
    if (span / (7 * weeks) <= room) return all.filter((day) => weekdayOf(day) === 0 && Math.floor((day + 3) / 7) % weeks === 0);
  }
  for (const months of [1, 2, 3, 6, 12]) {
    if (span / (30.4 * months) <= room || months === 12) {
      return all.filter((day) => {
        const date = new Date(day * 86_400_000);
        return date.getUTCDate() === 1 && date.getUTCMonth() % months === 0;
      });
    }
  }
  return all;
}

function names(_, days) {
  const monthly = days.length > 1 && days[1] - days[0] >= 28;
  return days.map((day) => {
    if (!monthly) return shortDay(day);
    return new Date(day * 86_400_000).getUTCMonth() === 0 ? year(day) : shortMonth(day);
  });
}
