/** A day's rides on a canvas: how many there are by distance and time, and the flagged ones by reason. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { extent, kmName, minutesName, moved, ticks, zoomed } from "./scale.js";
import { factor } from "./words.js";

export const KINDS = ["impossible", "fast", "slow", "far", "near", "long", "brief"];
/** Of each kind the colour, and its shape: a polygon of so many corners, turned by so many quarters. */
const MARKS = {
  impossible: ["--bad", 4, 0], fast: ["--what-if", 3, 0], slow: ["--overlay-1", 3, 2], far: ["--overlay-0", 3, 1],
  near: ["--overlay-3", 3, 3], long: ["--overlay-2", 4, 0.5], brief: ["--overlay-4", 24, 0], "": ["--overlay-4", 24, 0],
};
const PAD = { left: 58, right: 12, top: 10, bottom: 44 };
const APART = { x: 62, y: 22 };
const SPEEDS = [1, 10, 100];
const NEAR = 14;
const KEYS = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, 0.2], ArrowDown: [0, -0.2] };

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Draw the mark of a kind; false alarms are hollow. */
function mark(pen, kind, x, y, size, hollow) {
  const [name, corners, turn] = MARKS[kind] ?? MARKS[""];
  pen.beginPath();
  for (let i = 0; i < corners; i += 1) {
    const angle = (turn - 1) * (Math.PI / 2) + (i * 2 * Math.PI) / corners;
    pen.lineTo(x + size * Math.cos(angle), y + size * Math.sin(angle));
  }
  pen.closePath();
  pen.lineWidth = 1.5;
  pen.strokeStyle = hollow ? colour(name) : colour("--card");
  if (!hollow) {
    pen.fillStyle = colour(name);
    pen.fill();
  }
  pen.stroke();
}

function swatch(draw) {
  const canvas = make("canvas", { width: 32, height: 32, class: "mark", "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  draw(pen);
  return canvas;
}

export class Picture {
  element;
  #canvas = make("canvas", { role: "img", tabindex: "0" });
  #readout = make("p", { class: "readout" });
  #legend = make("ul", { class: "legend" });
  #buttons = make("div", { class: "zooms", role: "group" });
  #pick;
  #like;
  #plot = null;
  #flags = [];
  #current = null;
  #all;
  #window;
  #drag = null;

  /** @param {(flag: any) => void} pick a flag was clicked @param {(kind: string) => void} like those of a kind are wanted */
  constructor(pick, like) {
    [this.#pick, this.#like] = [pick, like];
    this.element = make("div", { class: "picture" }, this.#buttons, this.#canvas, this.#readout, this.#legend);
    const canvas = this.#canvas;
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("dblclick", () => this.zoom("all"));
    canvas.addEventListener("pointerdown", (event) => { this.#drag = { from: this.#place(event), to: this.#place(event) }; });
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    for (const name of ["pointercancel", "pointerleave"]) {
      canvas.addEventListener(name, () => { this.#drag = null; this.#paint(); });
    }
    new ResizeObserver(() => this.#paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
  }

  /** Another day, or more of its flags. @param {any} plot as the API tells it @param {any[]} flags @param {any} day */
  draw(plot, flags, day) {
    if (plot !== this.#plot) {
      this.#all = zoomed(extent(plot), extent(plot), 1);
      this.#window = this.#all;
    }
    [this.#plot, this.#flags] = [plot, flags];
    this.#canvas.setAttribute("aria-label", say("rides.picture", { rides: day.rides, anomalies: day.anomalies }));
    this.#buttons.setAttribute("aria-label", say("rides.zoom"));
    const button = (name, text) => make("button", { type: "button", "aria-label": say(`rides.zoom.${name}`), onclick: () => this.zoom(name) }, text);
    this.#buttons.replaceChildren(button("all", say("rides.zoom.all")), button("in", "+"), button("out", "−"),
      make("span", { class: "hint" }, say("rides.zoom.hint")));
    this.#redraw();
  }

  /** The flag whose row is the current one. */
  point(flag) {
    this.#current = flag;
    this.#paint();
  }

  /** @param {"all"|"in"|"out"} how */
  zoom(how) {
    this.#window = how === "all" ? this.#all : zoomed(this.#window, this.#all, how === "in" ? 0.5 : 2);
    this.#paint();
  }

  #redraw() {
    if (!this.#plot) return;
    const counts = KINDS.concat("").map((kind) => [kind, this.#flags.filter((flag) => flag.kind === kind).length]);
    const sampled = this.#plot.sample.filter(([, , flagged]) => flagged).length;
    this.#legend.replaceChildren(
      make("li", {}, swatch((pen) => { pen.globalAlpha = 0.6; pen.fillStyle = colour("--forecast"); pen.fillRect(2, 2, 12, 12); }), say("rides.ordinary")),
      make("li", {}, swatch((pen) => { pen.fillStyle = colour("--faint"); pen.beginPath(); pen.arc(8, 8, 2.5, 0, 7); pen.fill(); }), say("rides.sample", { n: sampled })),
      ...counts.filter(([, count]) => count).map(([kind, count]) => {
        const text = say("rides.legend", { kind: say(`rides.kind.${kind || "other"}`), n: count });
        return make("li", {}, swatch((pen) => mark(pen, kind, 8, 8, 6, false)),
          kind ? make("button", { type: "button", class: "link", title: say("rides.like"), onclick: () => this.#like(kind) }, text) : text);
      }),
      make("li", {}, swatch((pen) => mark(pen, "", 8, 8, 6, true)), say("rides.hollow")));
    this.#paint();
  }

  /** Places on the canvas: of powers of ten, and back. */
  #scale() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    const inner = { width: width - PAD.left - PAD.right, height: height - PAD.top - PAD.bottom };
    const { x, y } = this.#window;
    return {
      width, height, inner,
      x: (at) => PAD.left + ((at - x[0]) / (x[1] - x[0])) * inner.width,
      y: (at) => PAD.top + (1 - (at - y[0]) / (y[1] - y[0])) * inner.height,
      back: ([left, top]) => [x[0] + ((left - PAD.left) / inner.width) * (x[1] - x[0]), y[1] - ((top - PAD.top) / inner.height) * (y[1] - y[0])],
    };
  }

  #paint() {
    const to = this.#plot && this.#scale();
    if (!to || to.inner.width <= 0) return;
    const ratio = devicePixelRatio;
    this.#canvas.width = to.width * ratio;
    this.#canvas.height = to.height * ratio;
    const pen = this.#canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    this.#axes(pen, to);
    pen.save();
    pen.beginPath();
    pen.rect(PAD.left, PAD.top, to.inner.width, to.inner.height);
    pen.clip();
    this.#rides(pen, to);
    pen.restore();
  }

  #axes(pen, to) {
    const [bottom, right] = [PAD.top + to.inner.height, PAD.left + to.inner.width];
    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--faint");
    const width = ({ x: [low, high] }) => ((high - low) * APART.x) / to.inner.width;
    const height = ({ y: [low, high] }) => ((high - low) * APART.y) / to.inner.height;
    pen.textAlign = "center";
    for (const { at, name } of ticks("km", this.#window.x, width(this.#window))) {
      pen.strokeRect(to.x(at), PAD.top, 0, to.inner.height);
      pen.fillText(name, Math.min(to.x(at), right - 12), bottom + 16);
    }
    pen.textAlign = "right";
    for (const { at, name } of ticks("minutes", this.#window.y, height(this.#window))) {
      pen.strokeRect(PAD.left, to.y(at), to.inner.width, 0);
      pen.fillText(name, PAD.left - 6, to.y(at) + 4);
    }
    pen.textAlign = "center";
    pen.fillText(say("rides.distance"), PAD.left + to.inner.width / 2, bottom + 36);
    pen.save();
    pen.translate(11, PAD.top + to.inner.height / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(say("rides.time"), 0, 0);
    pen.restore();
    pen.strokeStyle = colour("--edge");
    pen.strokeRect(PAD.left, PAD.top, to.inner.width, to.inner.height);
  }

  #rides(pen, to) {
    const { bins, cells, sample } = this.#plot;
    const most = Math.log1p(Math.max(1, ...cells.map(([, , ordinary]) => ordinary)));
    pen.fillStyle = colour("--forecast");
    for (const [i, j, ordinary] of cells) {
      pen.globalAlpha = ordinary ? 0.06 + 0.6 * (Math.log1p(ordinary) / most) : 0;
      const [left, top] = [to.x(i / bins), to.y((j + 1) / bins)];
      pen.fillRect(left, top, to.x((i + 1) / bins) - left + 0.5, to.y(j / bins) - top + 0.5);
    }
    pen.globalAlpha = 1;
    this.#speeds(pen, to);
    pen.fillStyle = colour("--faint");
    for (const [km, hours, flagged] of sample) {
      if (!flagged) continue;
      pen.beginPath();
      pen.arc(to.x(Math.log10(km)), to.y(Math.log10(hours * 60)), 2, 0, 7);
      pen.fill();
    }
    const [now, rest] = [this.#flags.filter((flag) => flag === this.#current), this.#flags.filter((flag) => flag !== this.#current)];
    for (const flag of [...rest, ...now]) {
      const [x, y] = this.#at(flag, to);
      mark(pen, flag.kind, x, y, flag === this.#current ? 9 : 5.5, flag.verdict?.verdict === "false_alarm");
      if (flag !== this.#current) continue;
      pen.beginPath();
      pen.arc(x, y, 14, 0, 7);
      pen.strokeStyle = colour("--ink");
      pen.stroke();
    }
    if (this.#drag) {
      const [[x0, y0], [x1, y1]] = [this.#drag.from, this.#drag.to];
      pen.strokeStyle = colour("--ink");
      pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
  }

  #speeds(pen, to) {
    const { x: [low, high], y: [least, most] } = this.#window;
    pen.strokeStyle = pen.fillStyle = colour("--faint");
    pen.textAlign = "right";
    pen.setLineDash([4, 4]);
    for (const speed of SPEEDS) {
      const shift = Math.log10(60 / speed);
      const [from, until] = [Math.max(low, least - shift), Math.min(high, most - shift)];
      if (from >= until) continue;
      pen.beginPath();
      pen.moveTo(to.x(from), to.y(from + shift));
      pen.lineTo(to.x(until), to.y(until + shift));
      pen.stroke();
      const label = [`${factor(speed)} km/h`, to.x(until) - 8, to.y(until + shift) + 14];
      pen.setLineDash([]);
      pen.save();
      pen.lineWidth = 4;
      pen.strokeStyle = colour("--card");
      pen.strokeText(...label);
      pen.restore();
      pen.fillText(...label);
      pen.setLineDash([4, 4]);
    }
    pen.setLineDash([]);
  }

  #at(flag, to) {
    return [to.x(Math.log10(flag.ride_dist)), to.y(Math.log10(flag.ride_time * 60))];
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** The flag under the pointer. */
  #under(place) {
    if (!this.#plot) return null;
    const to = this.#scale();
    const distance = (flag) => Math.hypot(...this.#at(flag, to).map((at, i) => at - place[i]));
    const [nearest] = this.#flags.map((flag) => [distance(flag), flag]).sort(([one], [other]) => one - other);
    return nearest && nearest[0] <= NEAR ? nearest[1] : null;
  }

  #move(event) {
    if (this.#drag && event.pointerType !== "touch") {
      this.#drag.to = this.#place(event);
      this.#paint();
      return;
    }
    const flag = this.#under(this.#place(event));
    this.#canvas.classList.toggle("over", Boolean(flag));
    this.#readout.textContent = flag ? `${flag.ride_id}: ${kmName(flag.ride_dist)}, ${minutesName(flag.ride_time * 60)}, ${say("rides.severity")} ${factor(flag.severity)}` : "";
  }

  #release(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    const [from, to] = [drag.from, this.#place(event)];
    if (event.pointerType === "touch" || Math.hypot(to[0] - from[0], to[1] - from[1]) < 8) {
      const flag = this.#under(to);
      if (flag) this.#pick(flag);
    } else {
      const [a, b] = [from, to].map(this.#scale().back);
      const side = (i) => [Math.min(a[i], b[i]), Math.max(a[i], b[i])];
      this.#window = zoomed({ x: side(0), y: side(1) }, this.#all, 1);
    }
    this.#paint();
  }

  #key(event) {
    const how = { "+": "in", "=": "in", "-": "out", 0: "all" }[event.key];
    if (how) this.zoom(how);
    else if (KEYS[event.key]) {
      this.#window = moved(this.#window, this.#all, KEYS[event.key]);
      this.#paint();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
