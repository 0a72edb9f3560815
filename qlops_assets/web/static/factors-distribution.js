// How Rank ICIR is spread over the set: a histogram, and below it a stroke per factor.

import { draw, make } from "./charts.js";
import { LABELS } from "./factors-volcano.js";
import { Tip } from "./factors-tip.js";
import { decimal, digitsOf, numberTicks } from "./scales.js";

const GUTTER = { left: 34, right: 14, top: 18, bottom: 36 };
const STRIP = 34;
const NEAR = 8;
const LISTED = 8;

export class Distribution {
  constructor(host, choice) {
    Object.assign(this, { host, choice });
    this.points = choice.factors
      .map((factor) => ({ factor, x: factor.value("rank_icir") }))
      .filter(({ x }) => x !== null)
      .sort((a, b) => a.x - b.x);
    const legend = make(host, "div", "legend");
    for (const [tone, words] of [["pos", "significant, positive"], ["neg", "significant, negative"], ["none", "not significant"]]) {
      const entry = make(legend, "span", "entry-still");
      make(entry, "i", `block ${tone}`);
      make(entry, "span", "", words);
    }
    this.plot = make(host, "div", "plot pick");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", "Histogram of Rank ICIR over all factors, with a stroke per factor. Arrow keys go from factor to factor, Enter opens one.");
    this.svg = draw(this.plot, "svg", { "aria-hidden": "true" });
    this.tip = new Tip(this.plot);
    this.spoken = make(host, "output", "unseen");
    this.bin = null;
    this.listen();
    new ResizeObserver(() => this.render()).observe(this.plot);
  }

  listen() {
    this.plot.addEventListener("pointermove", (event) => this.onMove(event));
    this.plot.addEventListener("pointerleave", () => this.onMove(null));
    this.plot.addEventListener("click", () => this.choice.press(this.choice.pointed, this));
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    this.choice.on(["shown"], () => this.render());
    this.choice.on(["pointed", "chosen"], () => this.renderMarks());
  }

  visible() {
    return this.points.filter(({ factor }) => this.choice.shown.has(factor.name));
  }

  onKey(event) {
    const factor = this.choice.walk(event, this.visible(), this);
    if (factor) this.spoken.textContent = `${factor.name}, Rank ICIR ${factor.text("rank_icir")}`;
  }

  // Over the strokes the nearest factor is meant, over the bars the bin.
  onMove(event) {
    this.bin = null;
    let name = null;
    if (event && this.scale) {
      const box = this.plot.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      if (y > this.scale.base + 2) {
        let least = NEAR;
        for (const { factor, x: value } of this.visible()) {
          const away = Math.abs(this.scale.x(value) - x);
          if (away < least) [name, least] = [factor.name, away];
        }
      } else this.bin = this.bins.find(({ from, to }) => this.scale.x(from) <= x && x < this.scale.x(to)) ?? null;
    }
    this.choice.point(name);
    this.renderMarks();
  }

  render() {
    const width = this.plot.clientWidth;
    if (!width || !this.points.length) return;
    const height = width < 480 ? 256 : 306;
    const most = Math.max(...this.points.map(({ x }) => Math.abs(x)), 1e-6) * 1.04;
    const ticks = numberTicks(-most, most, Math.max(8, Math.min(30, width / 22)));
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : most;
    const first = Math.floor(-most / step);
    this.bins = [];
    for (let i = first; i * step < most; i++) this.bins.push({ from: i * step, to: (i + 1) * step, members: [] });
    for (const point of this.visible()) this.bins[Math.min(this.bins.length - 1, Math.floor(point.x / step + 1e-9) - first)].members.push(point);
    const highest = Math.max(1, ...this.bins.map(({ members }) => members.length));
    const [low, high] = [this.bins[0].from, this.bins.at(-1).to];
    const base = height - GUTTER.bottom - STRIP;
    this.scale = {
      width, height, base, low, high, step,
      x: (value) => GUTTER.left + ((value - low) / (high - low)) * (width - GUTTER.left - GUTTER.right),
      y: (value) => GUTTER.top + (1 - value / highest) * (base - GUTTER.top),
    };
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.svg.replaceChildren();
    this.renderAxes(highest);
    for (const bin of this.bins) this.renderBin(bin);
    this.renderStrip();
    this.over = draw(this.svg, "g");
    this.renderMarks();
  }

  renderAxes(highest) {
    const { width, height, base, low, high, x, y } = this.scale;
    for (const value of numberTicks(0, highest, 5).filter(Number.isInteger)) {
      draw(this.svg, "line", { class: value ? "grid" : "grid zero", x1: GUTTER.left, x2: width - GUTTER.right, y1: y(value), y2: y(value) });
      draw(this.svg, "text", { class: "tick", x: GUTTER.left - 8, y: y(value) + 4, "text-anchor": "end" }, String(value));
    }
    const ticks = numberTicks(low, high, Math.max(2, width / 90));
    const digits = digitsOf(ticks.length > 1 ? ticks[1] - ticks[0] : high - low);
    for (const value of ticks) {
      const zero = Math.abs(value) < 1e-12;
      if (zero) draw(this.svg, "line", { class: "grid zero", x1: x(value), x2: x(value), y1: GUTTER.top, y2: base + STRIP });
      draw(this.svg, "text", { class: "tick", x: x(value), y: height - GUTTER.bottom + 16, "text-anchor": "middle" }, decimal(zero ? 0 : value, digits));
    }
    draw(this.svg, "text", { class: "axis-name", x: 0, y: 10 }, "factors");
    draw(this.svg, "text", { class: "axis-name", x: width - GUTTER.right, y: height - 4, "text-anchor": "end" }, "Rank ICIR, daily");
  }

  renderBin({ from, to, members }) {
    const { x, y } = this.scale;
    const sure = members.filter(({ factor }) => factor.tags.has("significant"));
    const bar = (low, high, tone) => high > low && draw(this.svg, "rect", { class: `bar ${tone}`, x: x(from) + 1, width: Math.max(1, x(to) - x(from) - 2), y: y(high), height: y(low) - y(high) });
    bar(0, sure.length, from >= -1e-12 ? "pos" : "neg");
    bar(sure.length, members.length, "none");
  }

  renderStrip() {
    const { base, x } = this.scale;
    for (const { factor, x: value } of this.visible()) {
      const tone = factor.tags.has("significant") ? (value > 0 ? "pos" : "neg") : "none";
      draw(this.svg, "line", { class: `stroke ${tone}`, x1: x(value), x2: x(value), y1: base + 10, y2: base + STRIP - 6 });
    }
  }

  renderMarks() {
    if (!this.over) return;
    this.over.replaceChildren();
    const { base, x, y } = this.scale;
    const { pointed, chosen } = this.choice;
    for (const [name, kind] of [[chosen, "chosen"], [pointed, "pointed"]]) {
      const point = name && this.points.find(({ factor }) => factor.name === name);
      if (point) draw(this.over, "line", { class: `stroke ${kind}`, x1: x(point.x), x2: x(point.x), y1: base + 4, y2: base + STRIP });
    }
    const at = this.plot.matches(":hover") ? pointed : this.plot.matches(":focus-visible") ? chosen : null;
    const point = at && this.points.find(({ factor }) => factor.name === at);
    if (this.bin?.members.length) {
      const { from, to, members } = this.bin;
      const digits = digitsOf(this.scale.step);
      const best = [...members].sort((a, b) => Math.abs(b.x) - Math.abs(a.x)).slice(0, LISTED);
      const rest = members.length - best.length;
      const lines = best.map(({ factor }) => [factor.name, factor.text("rank_icir")]);
      draw(this.over, "rect", { class: "bar-frame", x: x(from) + 1, width: x(to) - x(from) - 2, y: y(members.length), height: base - y(members.length) });
      this.tip.show((x(from) + x(to)) / 2, (GUTTER.top + base) / 2, `${members.length} factor${members.length > 1 ? "s" : ""} from ${decimal(from, digits)} to ${decimal(to, digits)}`, rest ? [...lines, [`and ${rest} more`, ""]] : lines);
    } else if (point) {
      this.tip.show(x(point.x), base, point.factor.name, ["rank_icir", "rank_ic", "rank_ic_q"].map((key) => [LABELS[key], point.factor.text(key)]));
    } else this.tip.hide();
  }
}
