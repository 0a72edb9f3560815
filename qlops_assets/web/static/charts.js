// Line charts in SVG. Colours are classes, so a chart follows the theme without being redrawn.
// Point, or focus and use the arrow keys, to read values; drag to zoom, double click or Escape to
// see everything again; click a name to hide its line. Linked charts share cursor and zoom.

import { dayTicks, isoDay, numberTicks } from "./scales.js";

const SVG = "http://www.w3.org/2000/svg";
const GUTTER = { left: 58, right: 14, top: 8, bottom: 22 };

export function draw(parent, name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

export function make(parent, name, className, text) {
  const element = document.createElement(name);
  element.className = className;
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

const classes = (one) => (one.dashed ? `${one.className} dashed` : one.className);

export class LineChart {
  // series: [{ key, name, className, area, dashed }]; days: x is ISO dates, else numbers;
  // format(value, step) for readout and, with the distance of two ticks, for the axis; bounds: values that are always within the axis.
  constructor(host, { label, series, format, height = 240, days = false, xName = "", bounds = [] }) {
    Object.assign(this, { host, label, series, format, full: height, days, xName, bounds });
    this.x = [];
    this.data = {};
    this.hidden = new Set();
    this.peers = [this];
    this.range = null;
    this.cursor = null;
    this.mark = null;
    this.build();
    new ResizeObserver(() => this.render()).observe(this.plot);
  }

  static link(charts) {
    for (const chart of charts) chart.peers = charts;
  }

  // columns: { x: [...], [series key]: [...] }; mark: { x, text } is a vertical line.
  set(columns, mark = null) {
    this.x = this.days ? columns.x.map((day) => Date.parse(day)) : columns.x;
    this.data = columns;
    this.mark = mark;
    this.render();
  }

  zoom(range) {
    for (const chart of this.peers) {
      chart.range = range && range[1] - range[0] >= 2 ? range : null;
      chart.render();
    }
    this.host.dispatchEvent(new CustomEvent("zoom", { bubbles: true, detail: this.range }));
  }

  point(index) {
    for (const chart of this.peers) {
      chart.cursor = index;
      chart.renderCursor();
    }
  }

  build() {
    this.host.classList.add("chart");
    const legend = make(this.host, "div", "legend");
    this.where = make(legend, "span", "where");
    this.entries = this.series.map((one) => {
      const button = make(legend, "button", `entry ${classes(one)}`);
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      make(button, "i", "swatch");
      make(button, "span", "name", one.name);
      const value = make(button, "output", "value");
      button.addEventListener("click", () => this.toggle(one.key, button));
      return { one, value };
    });
    this.plot = make(this.host, "div", "plot");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", `${this.label}. Arrow keys read values, Escape shows everything.`);
    this.svg = draw(this.plot, "svg", { "aria-hidden": "true" });
    this.listen();
  }

  toggle(key, button) {
    this.hidden.has(key) ? this.hidden.delete(key) : this.hidden.add(key);
    if (this.hidden.size === this.series.length) this.hidden.delete(key);
    button.setAttribute("aria-pressed", String(!this.hidden.has(key)));
    this.render();
  }

  listen() {
    let from = null;
    this.plot.addEventListener("pointermove", (event) => {
      const index = this.indexAt(event);
      this.point(index);
      if (from !== null && index !== null) this.renderDrag(from, index);
    });
    this.plot.addEventListener("pointerleave", () => from === null && this.point(null));
    this.plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      from = this.indexAt(event);
      this.plot.setPointerCapture(event.pointerId);
    });
    this.plot.addEventListener("pointerup", (event) => {
      const to = this.indexAt(event);
      if (from !== null && to !== null && Math.abs(to - from) > 4) {
        this.zoom([Math.min(from, to), Math.max(from, to)]);
      } else this.drag?.remove();
      from = null;
    });
    this.plot.addEventListener("dblclick", () => this.zoom(null));
    this.plot.addEventListener("blur", () => this.point(null));
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    const [low, high] = this.shown();
    const at = this.cursor ?? high;
    const step = event.shiftKey ? Math.max(1, Math.round((high - low) / 20)) : 1;
    const moves = { ArrowLeft: at - step, ArrowRight: at + step, Home: low, End: high };
    if (event.key in moves && this.x.length) {
      this.point(Math.min(high, Math.max(low, moves[event.key])));
      event.preventDefault();
    } else if (event.key === "Escape") {
      this.point(null);
      this.zoom(null);
    }
  }

  shown() {
    return this.range ?? [0, Math.max(0, this.x.length - 1)];
  }

  indexAt(event) {
    if (!this.scale) return null;
    const box = this.plot.getBoundingClientRect();
    const x = this.scale.xInverse(event.clientX - box.left);
    let [low, high] = this.shown();
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      this.x[middle] < x ? (low = middle) : (high = middle);
    }
    return Math.abs(this.x[low] - x) < Math.abs(this.x[high] - x) ? low : high;
  }

  visible() {
    return this.series.filter((one) => !this.hidden.has(one.key));
  }

  measure() {
    const [low, high] = this.shown();
    let [min, max] = [Infinity, -Infinity];
    const take = (value) => {
      if (!Number.isFinite(value)) return;
      min = Math.min(min, value);
      max = Math.max(max, value);
    };
    for (const one of this.visible()) for (let i = low; i <= high; i++) take(this.data[one.key]?.[i]);
    if (!(max >= min)) return null;
    this.bounds.forEach(take);
    const room = (max - min || Math.abs(max) || 1) * 0.05;
    const bottom = this.bounds.includes(min) ? min : min - room;
    const top = this.bounds.includes(max) ? max : max + room;
    const width = this.plot.clientWidth;
    const inner = { width: width - GUTTER.left - GUTTER.right, height: this.height - GUTTER.top - GUTTER.bottom };
    const [x0, x1] = [this.x[low], this.x[high]];
    const span = x1 - x0 || 1;
    return {
      width, bottom, top, x0, x1,
      x: (value) => GUTTER.left + ((value - x0) / span) * inner.width,
      xInverse: (pixel) => x0 + ((pixel - GUTTER.left) / inner.width) * span,
      y: (value) => GUTTER.top + ((top - value) / (top - bottom)) * inner.height,
    };
  }

  render() {
    this.height = this.plot.clientWidth < 480 ? Math.round(0.75 * this.full) : this.full;
    this.svg.setAttribute("height", this.height);
    this.svg.replaceChildren();
    this.scale = this.x.length && this.plot.clientWidth ? this.measure() : null;
    if (!this.scale) return;
    this.svg.setAttribute("width", this.scale.width);
    this.renderAxes();
    const clip = `clip-${(LineChart.count = (LineChart.count ?? 0) + 1)}`;
    draw(draw(this.svg, "clipPath", { id: clip }), "rect", {
      x: GUTTER.left, y: 0, height: this.height,
      width: Math.max(0, this.scale.width - GUTTER.left - GUTTER.right + 2),
    });
    const lines = draw(this.svg, "g", { "clip-path": `url(#${clip})` });
    for (const one of this.visible()) this.renderLine(lines, one);
    this.renderMark();
    this.over = draw(this.svg, "g", { class: "cursor" });
    this.renderCursor();
  }

  renderAxes() {
    const { width, bottom, top, x0, x1, x, y } = this.scale;
    const base = this.height - GUTTER.bottom;
    const values = numberTicks(bottom, top, Math.max(2, this.height / 48));
    const step = values.length > 1 ? values[1] - values[0] : top - bottom;
    for (const value of values) {
      const at = y(value);
      draw(this.svg, "line", { class: Math.abs(value) < 1e-12 ? "grid zero" : "grid", x1: GUTTER.left, x2: width - GUTTER.right, y1: at, y2: at });
      draw(this.svg, "text", { class: "tick", x: GUTTER.left - 8, y: at + 4, "text-anchor": "end" }, this.format(value, step));
    }
    const wanted = Math.max(2, Math.floor(width / (this.days ? 105 : 80)));
    const ticks = this.days
      ? dayTicks(x0, x1, wanted)
      : numberTicks(x0, x1, wanted).filter(Number.isInteger).map((v) => [v, String(v)]);
    for (const [value, text] of ticks) {
      const at = Math.min(x(value), width - GUTTER.right);
      const anchor = at > width - 30 ? "end" : "middle";
      draw(this.svg, "line", { class: "notch", x1: at, x2: at, y1: base, y2: base + 4 });
      draw(this.svg, "text", { class: "tick", x: at, y: base + 17, "text-anchor": anchor }, text);
    }
  }

  renderLine(parent, one) {
    const { x, y, bottom, top } = this.scale;
    const [low, high] = this.shown();
    const values = this.data[one.key] ?? [];
    let path = "";
    let start = null;
    let end = null;
    for (let i = low; i <= high; i++) {
      if (!Number.isFinite(values[i])) continue;
      path += `${path ? "L" : "M"}${x(this.x[i]).toFixed(1)} ${y(values[i]).toFixed(1)}`;
      start ??= i;
      end = i;
    }
    if (start === null) return;
    if (one.area) {
      const zero = y(Math.min(top, Math.max(bottom, 0))).toFixed(1);
      const closed = `${path}L${x(this.x[end]).toFixed(1)} ${zero}L${x(this.x[start]).toFixed(1)} ${zero}Z`;
      draw(parent, "path", { class: `area ${one.className}`, d: closed });
    }
    draw(parent, "path", { class: `line ${classes(one)}`, d: path });
    if (start === end) draw(parent, "circle", { class: `dot ${one.className}`, cx: x(this.x[end]), cy: y(values[end]), r: 3 });
  }

  renderMark() {
    if (!this.mark || !(this.mark.x >= this.scale.x0 && this.mark.x <= this.scale.x1)) return;
    const at = this.scale.x(this.mark.x);
    const left = at > this.scale.width - 120;
    draw(this.svg, "line", { class: "mark", x1: at, x2: at, y1: GUTTER.top, y2: this.height - GUTTER.bottom });
    draw(this.svg, "text", { class: "mark-text", x: at + (left ? -6 : 6), y: GUTTER.top + 10, "text-anchor": left ? "end" : "start" }, this.mark.text);
  }

  renderDrag(from, to) {
    this.drag?.remove();
    const [a, b] = [this.scale.x(this.x[from]), this.scale.x(this.x[to])];
    this.drag = draw(this.svg, "rect", { class: "drag", x: Math.min(a, b), width: Math.abs(b - a), y: GUTTER.top, height: this.height - GUTTER.top - GUTTER.bottom });
  }

  renderCursor() {
    if (!this.scale) return;
    const [low, high] = this.shown();
    const inside = this.cursor !== null && this.cursor >= low && this.cursor <= high;
    const index = inside ? this.cursor : high;
    const place = this.x[index];
    this.where.textContent = this.days ? isoDay(place) : `${this.xName} ${place}`;
    for (const { one, value } of this.entries) value.textContent = this.format(this.data[one.key]?.[index]);
    this.over.replaceChildren();
    if (!inside) return;
    const at = this.scale.x(place);
    draw(this.over, "line", { class: "hair", x1: at, x2: at, y1: GUTTER.top, y2: this.height - GUTTER.bottom });
    for (const one of this.visible()) {
      const value = this.data[one.key]?.[index];
      if (Number.isFinite(value)) draw(this.over, "circle", { class: `dot ${one.className}`, cx: at, cy: this.scale.y(value), r: 3.5 });
    }
  }
}
