// Parallel coordinates: an axis for every parameter and one for Rank IC, a line for every trial.
// Where there is no room for axes beside each other they lie below each other.

import { draw, make } from "./charts.js";
import { decimal, digitsOf, numberTicks } from "./scales.js";
import { axisOf, RangeAxis } from "./study-axes.js";
import { titleOf } from "./study.js";

const SHADES = 6;
const NEAR = 14;
const LETTER = 6.7; // of an axis' name, in pixels
const WIDE = { top: 30, bottom: 16, side: 62, height: 320, least: 96 };
const TALL = { top: 20, bottom: 26, side: 14, row: 58 };
const VALUE = "Rank IC";

export class ParallelChart {
  constructor(host, study) {
    Object.assign(this, { host, study, axes: [], lines: new Map() });
    host.replaceChildren();
    this.legend = make(host, "div", "legend");
    this.plot = make(host, "div", "plot pick");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", "Parameters and Rank IC of every trial. Arrow keys go from trial to trial, Escape lets go.");
    this.svg = draw(this.plot, "svg", { "aria-hidden": "true" });
    this.spoken = make(host, "output", "unseen");
    this.listen();
    new ResizeObserver(() => this.render()).observe(this.plot);
  }

  listen() {
    this.plot.addEventListener("pointermove", (event) => this.study.point(this.near(event)));
    this.plot.addEventListener("pointerleave", () => this.study.point(null));
    this.plot.addEventListener("click", (event) => this.study.choose(this.near(event), this));
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    this.study.on(["trials"], () => this.render());
    this.study.on(["pointed", "chosen"], () => this.renderOver());
  }

  // From the worst to the best.
  onKey(event) {
    const trials = this.shown().sort((a, b) => (a.value ?? -Infinity) - (b.value ?? -Infinity));
    const trial = this.study.walk(event, trials, this);
    if (trial) this.spoken.textContent = `${titleOf(trial)}, Rank IC ${decimal(trial.value)}`;
  }

  shown() {
    return this.study.ordered.filter(({ trial }) => this.lines.has(trial));
  }

  near(event) {
    const box = this.plot.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let least = NEAR ** 2;
    for (const [trial, points] of this.lines) {
      for (let i = 1; i < points.length; i++) {
        const away = distance(x, y, points[i - 1], points[i]);
        if (away < least) [best, least] = [trial, away];
      }
    }
    return best;
  }

  render() {
    const width = this.plot.clientWidth;
    const names = Object.keys(this.study.space);
    if (!width || !names.length) return;
    this.axes = names.map((name) => axisOf(name, this.study.space[name]));
    this.axes.push(this.valueAxis());
    this.measure(width);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", this.height);
    this.svg.replaceChildren();
    this.lines.clear();
    const shades = this.shades();
    const lines = (this.group = draw(this.svg, "g", { class: "trials" }));
    for (const trial of this.byWorth()) this.renderLine(lines, trial, shades.get(trial.trial));
    this.renderAxes();
    this.over = draw(this.svg, "g");
    this.renderOver();
    this.renderLegend();
  }

  valueAxis() {
    const values = this.study.ordered.filter(({ state }) => state !== "failed").map(({ value }) => value).filter(Number.isFinite);
    const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    const axis = new RangeAxis(VALUE, { low, high }, (value) => decimal(value, 4));
    axis.isValue = true;
    if (!values.length) axis.ticks = () => [];
    if (low === high) axis.ticks = () => [[0.5, decimal(low, 4)]];
    return axis;
  }

  measure(width) {
    const step = (width - 2 * WIDE.side) / (this.axes.length - 1);
    const longest = LETTER * Math.max(...this.axes.map(({ name }) => name.length));
    this.isWide = step >= Math.max(WIDE.least, longest + 8);
    this.width = width;
    this.height = this.isWide ? WIDE.height : TALL.top + TALL.row * (this.axes.length - 1) + TALL.bottom;
    this.step = step;
  }

  // Where on the page a place on an axis is.
  point(index, place) {
    if (this.isWide) {
      return [WIDE.side + index * this.step, WIDE.top + (1 - place) * (this.height - WIDE.top - WIDE.bottom)];
    }
    return [TALL.side + place * (this.width - 2 * TALL.side), TALL.top + index * TALL.row];
  }

  renderAxes() {
    this.axes.forEach((axis, index) => {
      const [[x1, y1], [x2, y2]] = [this.point(index, 0), this.point(index, 1)];
      const group = draw(this.svg, "g", { class: axis.isValue ? "axis value-axis" : "axis" });
      draw(group, "line", { class: "axis-line", x1, y1, x2, y2 });
      if (this.isWide) {
        draw(group, "text", { class: "axis-title", x: x1, y: WIDE.top - 14, "text-anchor": "middle" }, axis.name);
      } else draw(group, "text", { class: "axis-title", x: x1, y: y1 - 8 }, axis.name);
      this.renderTicks(group, axis, index);
    });
  }

  renderTicks(group, axis, index) {
    const length = this.isWide ? this.height - WIDE.top - WIDE.bottom : this.width - 2 * TALL.side;
    for (const [place, text] of axis.ticks(length / (this.isWide ? 52 : 64))) {
      const [x, y] = this.point(index, place);
      if (this.isWide) {
        const side = axis.isValue ? 1 : -1; // the lines of the last axis are all on its left
        draw(group, "line", { class: "axis-line", x1: x, x2: x + 4 * side, y1: y, y2: y });
        draw(group, "text", { class: "tick haloed", x: x + 7 * side, y: y + 4, "text-anchor": side > 0 ? "start" : "end" }, text);
      } else {
        const anchor = place < 0.08 ? "start" : place > 0.92 ? "end" : "middle";
        draw(group, "line", { class: "axis-line", x1: x, x2: x, y1: y, y2: y + 4 });
        draw(group, "text", { class: "tick haloed", x, y: y + 16, "text-anchor": anchor }, text);
      }
    }
  }

  // Rank by value, from 0 for the worst to SHADES - 1; the same share of trials in each.
  shades() {
    const ranked = [...this.study.complete].sort((a, b) => a.value - b.value);
    return new Map(ranked.map(({ trial }, rank) => [trial, Math.min(SHADES - 1, Math.floor((SHADES * rank) / Math.max(1, ranked.length - 1)))]));
  }

  // What ended early first, so that the best are drawn on top.
  byWorth() {
    const order = { failed: 0, pruned: 1, waiting: 2, running: 2, complete: 3 };
    return this.study.ordered.sort((a, b) => order[a.state] - order[b.state] || (a.value ?? 0) - (b.value ?? 0));
  }

  pointsOf(trial) {
    const values = this.axes.map((axis) => (axis.isValue ? (trial.state === "failed" ? null : trial.value) : trial.searched[axis.name]));
    return this.axes.map((axis, index) => {
      const place = axis.at(values[index]);
      return place === null ? null : this.point(index, place);
    });
  }

  renderLine(parent, trial, shade) {
    const points = this.pointsOf(trial).filter(Boolean);
    if (points.length < 2) return; // a recipe outside of the space
    this.lines.set(trial.trial, points);
    const tone = trial.state === "complete" ? `shade-${shade}` : trial.state;
    draw(parent, "path", { class: `trial-line ${tone}`, d: pathOf(points), "data-trial": trial.trial });
  }

  renderOver() {
    if (!this.over) return;
    this.over.replaceChildren();
    const { best, baseline, pointed, chosen } = this.study;
    const looked = pointed ?? chosen;
    this.group.classList.toggle("dimmed", this.lines.has(looked));
    if (baseline) this.emphasize(baseline, "baseline");
    if (best) this.emphasize(best, "best");
    if (looked !== null && this.lines.has(looked)) this.emphasize(this.study.trials.get(looked), "looked", true);
    this.tell(this.study.trials.get(looked) ?? null);
  }

  emphasize(trial, kind, isNamed = false) {
    const points = this.lines.get(trial.trial);
    if (!points) return;
    draw(this.over, "path", { class: `trial-line over ${kind}`, d: pathOf(points), "data-over": trial.trial });
    if (!isNamed) return;
    this.pointsOf(trial).forEach((point, index) => {
      if (!point) return;
      const axis = this.axes[index];
      const value = axis.isValue ? trial.value : trial.searched[axis.name];
      draw(this.over, "circle", { class: "trial-dot", cx: point[0], cy: point[1], r: 3.5 });
      const x = this.isWide ? point[0] + 7 : Math.min(point[0] + 7, this.width - 52);
      draw(this.over, "text", { class: "trial-value haloed", x, y: point[1] + (this.isWide ? 4 : -7) }, axis.format(value));
    });
  }

  tell(trial) {
    if (!this.readout) return;
    this.readout.textContent = trial ? `${titleOf(trial)}, Rank IC ${decimal(trial.value)}` : "point at a line, or at a row below";
  }

  renderLegend() {
    const { complete, trials } = this.study;
    this.legend.replaceChildren();
    this.readout = make(this.legend, "span", "where");
    if (complete.length > 1) {
      const scale = make(this.legend, "span", "entry-still");
      make(scale, "span", "", "worst");
      const ramp = draw(scale, "svg", { class: "ramp", viewBox: `0 0 ${SHADES} 1`, preserveAspectRatio: "none", "aria-hidden": "true" });
      for (let shade = 0; shade < SHADES; shade++) draw(ramp, "rect", { class: `shade-${shade}`, x: shade, width: 1, height: 1 });
      make(scale, "span", "", "best rank");
    }
    const states = new Set([...trials.values()].map(({ state }) => state));
    const entries = [["best", "best trial", this.study.best], ["baseline", "baseline", this.study.baseline && this.lines.has(this.study.baseline.trial)]];
    for (const state of ["pruned", "failed", "running"]) entries.push([state, state, states.has(state)]);
    for (const [kind, text, isThere] of entries) {
      if (!isThere) continue;
      const entry = make(this.legend, "span", "entry-still");
      const svg = draw(entry, "svg", { class: "key", viewBox: "0 0 14 14", "aria-hidden": "true" });
      draw(svg, "line", { class: `trial-line ${kind}`, x1: 0, x2: 14, y1: 7, y2: 7 });
      make(entry, "span", "", text);
    }
    this.tell(trials.get(this.study.pointed ?? this.study.chosen) ?? null);
  }
}

const pathOf = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// The square of the distance from a point to a piece of line.
function distance(x, y, [x1, y1], [x2, y2]) {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
  return (x - x1 - along * dx) ** 2 + (y - y1 - along * dy) ** 2;
}
