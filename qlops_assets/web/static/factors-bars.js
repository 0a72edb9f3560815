// Bars up and down from zero: years, horizons, quantiles. Point, or focus and use the arrow keys.

import { draw, make } from "./charts.js";
import { Tip } from "./factors-tip.js";
import { numberTicks } from "./scales.js";

const GUTTER = { left: 52, right: 8, top: 16, bottom: 36 };
const LABEL_ROOM = 34;

export class BarChart {
  // bars: [{ name, value, low, high, strong, lines }]; low and high are the ends of a whisker;
  // format(value, step) as in LineChart; written: whether each bar carries its number.
  constructor(host, { label, bars, format, axis, xName, height = 220, written = false }) {
    Object.assign(this, { host, bars, format, axis, xName, full: height, written, at: null });
    this.plot = make(host, "div", "plot pick");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", `${label}. Arrow keys read values.`);
    this.svg = draw(this.plot, "svg", { "aria-hidden": "true" });
    this.tip = new Tip(this.plot);
    this.spoken = make(host, "output", "unseen");
    this.plot.addEventListener("pointermove", (event) => this.point(this.near(event)));
    this.plot.addEventListener("pointerleave", () => this.point(null));
    this.plot.addEventListener("blur", () => this.point(null));
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.render()).observe(this.plot);
  }

  set(bars) {
    this.bars = bars;
    this.render();
  }

  onKey(event) {
    const last = this.bars.length - 1;
    const moves = { ArrowRight: (this.at ?? -1) + 1, ArrowLeft: (this.at ?? last + 1) - 1, Home: 0, End: last };
    if (!(event.key in moves) || last < 0) return event.key === "Escape" && this.point(null);
    event.preventDefault();
    this.point(Math.min(last, Math.max(0, moves[event.key])));
    const bar = this.bars[this.at];
    this.spoken.textContent = `${bar.name}: ${this.format(bar.value)}`;
  }

  near(event) {
    const x = event.clientX - this.plot.getBoundingClientRect().left - GUTTER.left;
    const place = Math.floor(x / this.step);
    return place >= 0 && place < this.bars.length ? place : null;
  }

  point(place) {
    this.at = place;
    this.renderMark();
  }

  render() {
    const width = this.plot.clientWidth;
    if (!width || !this.bars.length) return;
    const height = this.full;
    const known = this.bars.flatMap(({ value, low, high }) => [value, low, high]).filter(Number.isFinite);
    let [bottom, top] = [Math.min(0, ...known), Math.max(0, ...known)];
    const room = (top - bottom || 1) * (this.written ? 0.14 : 0.06);
    [bottom, top] = [bottom < 0 ? bottom - room : 0, top > 0 ? top + room : 0];
    if (bottom === top) top = 1;
    this.step = (width - GUTTER.left - GUTTER.right) / this.bars.length;
    this.scale = {
      width, height, bottom, top,
      x: (place) => GUTTER.left + (place + 0.5) * this.step,
      y: (value) => GUTTER.top + ((top - value) / (top - bottom)) * (height - GUTTER.top - GUTTER.bottom),
    };
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.svg.replaceChildren();
    this.renderAxes();
    this.bars.forEach((bar, place) => this.renderBar(bar, place));
    this.over = draw(this.svg, "g");
    this.renderMark();
  }

  renderAxes() {
    const { width, height, bottom, top, x, y } = this.scale;
    const ticks = numberTicks(bottom, top, 5);
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
    for (const value of ticks) {
      const zero = Math.abs(value) < step / 1e6;
      draw(this.svg, "line", { class: zero ? "grid zero" : "grid", x1: GUTTER.left, x2: width - GUTTER.right, y1: y(value), y2: y(value) });
      draw(this.svg, "text", { class: "tick", x: GUTTER.left - 8, y: y(value) + 4, "text-anchor": "end" }, this.format(zero ? 0 : value, step));
    }
    const every = Math.max(1, Math.ceil(LABEL_ROOM / this.step));
    this.bars.forEach(({ name }, place) => {
      if ((this.bars.length - 1 - place) % every && (place || every > 1)) return;
      draw(this.svg, "text", { class: "tick", x: x(place), y: height - GUTTER.bottom + 16, "text-anchor": "middle" }, name);
    });
    draw(this.svg, "text", { class: "axis-name", x: 0, y: 10 }, this.axis);
    draw(this.svg, "text", { class: "axis-name", x: width - GUTTER.right, y: height - 4, "text-anchor": "end" }, this.xName);
  }

  renderBar({ value, low, high, strong }, place) {
    const { x, y } = this.scale;
    if (!Number.isFinite(value)) return;
    const width = Math.min(56, Math.max(2, this.step * 0.68));
    const [from, to] = [y(0), y(value)];
    draw(this.svg, "rect", { class: `bar ${value < 0 ? "neg" : "pos"}${strong === false ? " weak" : ""}`, x: x(place) - width / 2, width, y: Math.min(from, to), height: Math.max(1, Math.abs(to - from)) });
    if (Number.isFinite(low)) {
      const cap = Math.min(5, width / 2);
      draw(this.svg, "path", { class: "whisker", d: `M${x(place)} ${y(low)}V${y(high)}M${x(place) - cap} ${y(low)}h${2 * cap}M${x(place) - cap} ${y(high)}h${2 * cap}` });
    }
    if (this.written) draw(this.svg, "text", { class: "bar-number", x: x(place), y: value < 0 ? to + 14 : to - 5, "text-anchor": "middle" }, this.format(value));
  }

  renderMark() {
    if (!this.over) return;
    this.over.replaceChildren();
    const bar = this.bars[this.at];
    if (!bar) return this.tip.hide();
    const { height, x } = this.scale;
    draw(this.over, "rect", { class: "bar-column", x: x(this.at) - this.step / 2, width: this.step, y: GUTTER.top, height: height - GUTTER.top - GUTTER.bottom });
    this.tip.show(x(this.at), height / 2, bar.title ?? bar.name, bar.lines ?? [["", this.format(bar.value)]]);
  }
}
