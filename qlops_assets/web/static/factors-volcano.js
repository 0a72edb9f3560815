// Effect against evidence: mean Rank IC of every factor, and how little it can be chance.

import { draw, make } from "./charts.js";
import { Tip } from "./factors-tip.js";
import { decimal, digitsOf, numberTicks } from "./scales.js";

const GUTTER = { left: 44, right: 14, top: 18, bottom: 36 };
const NEAR = 28;
const SIGNIFICANT = 0.05;
const NAMED = 3;

export class Volcano {
  constructor(host, choice) {
    Object.assign(this, { host, choice });
    this.points = choice.factors
      .map((factor) => ({ factor, x: factor.value("rank_ic"), q: factor.value("rank_ic_q") }))
      .filter(({ x, q }) => x !== null && q !== null);
    const known = this.points.filter(({ q }) => q > 0).map(({ q }) => -Math.log10(q));
    this.top = Math.max(2, ...known) * 1.06;
    for (const point of this.points) point.y = point.q > 0 ? -Math.log10(point.q) : this.top;
    this.points.sort((a, b) => a.x - b.x);
    this.plot = make(host, "div", "plot pick");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", "Mean Rank IC of every factor against minus the decimal logarithm of its q-value. Arrow keys go from factor to factor, Enter opens one.");
    this.svg = draw(this.plot, "svg", { "aria-hidden": "true" });
    this.tip = new Tip(this.plot);
    this.spoken = make(host, "output", "unseen");
    this.listen();
    new ResizeObserver(() => this.render()).observe(this.plot);
  }

  listen() {
    this.plot.addEventListener("pointermove", (event) => this.choice.point(this.near(event)?.factor.name ?? null));
    this.plot.addEventListener("pointerleave", () => this.choice.point(null));
    this.plot.addEventListener("click", (event) => this.choice.press(this.near(event)?.factor.name ?? null, this));
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    this.choice.on(["pointed", "chosen", "shown"], () => this.renderMarks());
  }

  visible() {
    return this.points.filter(({ factor }) => this.choice.shown.has(factor.name));
  }

  onKey(event) {
    const factor = this.choice.walk(event, this.visible(), this);
    if (factor) this.spoken.textContent = `${factor.name}, Rank IC ${factor.text("rank_ic")}, q ${factor.text("rank_ic_q")}`;
  }

  near(event) {
    if (!this.scale) return null;
    const box = this.plot.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let least = NEAR ** 2;
    for (const point of this.visible()) {
      const away = (this.scale.x(point.x) - x) ** 2 + (this.scale.y(point.y) - y) ** 2;
      if (away < least) [best, least] = [point, away];
    }
    return best;
  }

  render() {
    const width = this.plot.clientWidth;
    if (!width || !this.points.length) return;
    const height = width < 480 ? 280 : 330;
    const most = Math.max(...this.points.map(({ x }) => Math.abs(x)), 1e-6) * 1.12;
    const inner = { width: width - GUTTER.left - GUTTER.right, height: height - GUTTER.top - GUTTER.bottom };
    this.size = { width, height, most };
    this.scale = {
      x: (value) => GUTTER.left + ((value + most) / (2 * most)) * inner.width,
      y: (value) => GUTTER.top + (1 - value / this.top) * inner.height,
    };
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.svg.replaceChildren();
    this.renderAxes();
    this.dots = draw(this.svg, "g");
    this.names = draw(this.svg, "g");
    this.over = draw(this.svg, "g");
    this.renderMarks();
  }

  renderAxes() {
    const { width, height, most } = this.size;
    const { x, y } = this.scale;
    const base = height - GUTTER.bottom;
    for (const value of numberTicks(0, this.top, height / 60)) {
      draw(this.svg, "line", { class: "grid", x1: GUTTER.left, x2: width - GUTTER.right, y1: y(value), y2: y(value) });
      draw(this.svg, "text", { class: "tick", x: GUTTER.left - 8, y: y(value) + 4, "text-anchor": "end" }, String(value));
    }
    const ticks = numberTicks(-most, most, Math.max(4, width / 110));
    const digits = digitsOf(ticks.length > 1 ? ticks[1] - ticks[0] : most);
    for (const value of ticks) {
      draw(this.svg, "line", { class: Math.abs(value) < 1e-12 ? "grid zero" : "grid", x1: x(value), x2: x(value), y1: GUTTER.top, y2: base });
      draw(this.svg, "text", { class: "tick", x: x(value), y: base + 16, "text-anchor": "middle" }, decimal(Math.abs(value) < 1e-12 ? 0 : value, digits));
    }
    const limit = y(-Math.log10(SIGNIFICANT));
    draw(this.svg, "line", { class: "mark", x1: GUTTER.left, x2: width - GUTTER.right, y1: limit, y2: limit });
    draw(this.svg, "text", { class: "mark-text", x: width - GUTTER.right, y: limit - 4, "text-anchor": "end" }, "q = 5 %");
    draw(this.svg, "text", { class: "axis-name", x: 0, y: 10 }, "\u2212log\u2081\u2080 q");
    draw(this.svg, "text", { class: "axis-name", x: width - GUTTER.right, y: height - 4, "text-anchor": "end" }, "mean Rank IC");
  }

  renderMarks() {
    if (!this.scale) return;
    const { x, y } = this.scale;
    const { pointed, chosen, shown } = this.choice;
    this.dots.replaceChildren();
    for (const { factor, x: effect, y: evidence, q } of this.points) {
      const tone = q > SIGNIFICANT ? "none" : effect > 0 ? "pos" : "neg";
      const dim = shown.has(factor.name) ? "" : " dim";
      draw(this.dots, "circle", { class: `point ${tone}${dim}`, cx: x(effect).toFixed(1), cy: y(evidence).toFixed(1), r: 4 });
    }
    this.renderNames();
    this.over.replaceChildren();
    for (const [name, kind] of [[pointed, "pointed"], [chosen, "chosen"]]) {
      const point = name && this.points.find(({ factor }) => factor.name === name);
      if (point) draw(this.over, "circle", { class: `ring ${kind}`, cx: x(point.x), cy: y(point.y), r: 7 });
    }
    const point = this.points.find(({ factor }) => factor.name === (pointed ?? (this.plot.matches(":focus-visible") ? chosen : null)));
    if (!point || !(this.plot.matches(":hover") || this.plot.matches(":focus-visible"))) return this.tip.hide();
    this.tip.show(x(point.x), y(point.y), point.factor.name, ["rank_ic", "rank_icir", "rank_ic_t", "rank_ic_q", "cluster"].map((key) => [LABELS[key], point.factor.text(key).replace("● ", "")]));
  }

  // The surest of both sides carry their names, as long as no two names meet.
  renderNames() {
    this.names.replaceChildren();
    const taken = [];
    const sure = this.visible().filter(({ q }) => q <= SIGNIFICANT).sort((a, b) => b.y - a.y);
    for (const side of [-1, 1]) {
      let left = NAMED;
      for (const point of sure.filter((one) => Math.sign(one.x) === side)) {
        if (!left) break;
        const width = 7 * point.factor.name.length;
        const at = { x: this.scale.x(point.x) - side * 8, y: this.scale.y(point.y) + 4 };
        const box = { from: side > 0 ? at.x - width : at.x, to: side > 0 ? at.x : at.x + width, y: at.y };
        if (taken.some((other) => Math.abs(other.y - box.y) < 14 && other.from < box.to && box.from < other.to)) continue;
        if (this.points.some((p) => p !== point && Math.abs(this.scale.y(p.y) + 4 - box.y) < 9 && this.scale.x(p.x) > box.from - 4 && this.scale.x(p.x) < box.to + 4)) continue;
        taken.push(box);
        draw(this.names, "text", { class: "point-name", x: at.x, y: at.y, "text-anchor": side > 0 ? "end" : "start" }, point.factor.name);
        left--;
      }
    }
  }
}

export const LABELS = { rank_ic: "Rank IC", rank_icir: "Rank ICIR", rank_ic_t: "t (HAC)", rank_ic_q: "q-value", cluster: "Cluster" };
