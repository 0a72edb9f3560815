// Parallel coordinates: an axis for every parameter and one for Rank IC, a line for every trial.
// Where there is no room for axes beside each other they lie below each other.

import { draw, make } from "./charts.js";
import { decimal, digitsOf, numberTicks } from "./scales.js";
import { axisOf, RangeAxis } from "./study-axes.js";
import { meanOf, titleOf } from "./study.js";

const SHADES = 6;
const NEAR = 14;
const LETTER = 6.7; // of an axis' name, in pixels
const DIGIT = 6.9; // of a tick
const WIDE = { top: 38, bottom: 24, side: 62, height: 350, least: 96 };
const TALL = { top: 20, bottom: 28, side: 14, row: 62 };
const MANY = 50; // lines that hide each other
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
    const trials = this.shown().sort((a, b) => (meanOf(a) ?? -Infinity) - (meanOf(b) ?? -Infinity));
    const trial = this.study.walk(event, trials, this);
    if (trial) this.spoken.textContent = inWords(trial);
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
    const lines = (this.group = draw(this.svg, "g", { class: this.study.trials.size > MANY ? "trials many" : "trials" }));
    for (const trial of this.byWorth()) this.renderLine(lines, trial, shades.get(trial.trial));
    this.renderAxes();
    this.over = draw(this.svg, "g");
    this.renderOver();
    this.renderLegend();
  }

  valueAxis() {
    const values = this.study.complete.map(({ value }) => value);
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
      if (this.isWide) write(group, "axis-title", axis.name, x1, WIDE.top - 24, "middle", LETTER);
      else write(group, "axis-title", axis.name, x1, y1 - 8, "start", LETTER);
      this.renderTicks(group, axis, index);
    });
  }

  // The ends of an axis that stands are named above and below it, where no line comes.
  renderTicks(group, axis, index) {
    const length = this.isWide ? this.height - WIDE.top - WIDE.bottom : this.width - 2 * TALL.side;
    const side = axis.isValue ? 1 : -1; // the lines of the last axis are all on its left
    const taken = []; // from where to where along the axis something is written
    for (const [place, text] of axis.ticks(length / (this.isWide ? 52 : 64))) {
      const [x, y] = this.point(index, place);
      const anchor = place < 0.08 ? "start" : place > 0.92 ? "end" : "middle";
      const room = this.isWide ? [y - 9, y + 9] : spanOf(text, x, anchor).map((end, i) => end + (i ? 4 : -4));
      if (taken.some(([from, to]) => from < room[1] && room[0] < to)) continue;
      taken.push(room);
      if (!this.isWide) {
        draw(group, "line", { class: "axis-line", x1: x, x2: x, y1: y, y2: y + 4 });
        write(group, "tick", text, x, y + 16, anchor);
      } else if (place === 0 || place === 1) write(group, "tick", text, x, place ? y - 6 : y + 15, "middle");
      else {
        draw(group, "line", { class: "axis-line", x1: x, x2: x + 4 * side, y1: y, y2: y });
        write(group, "tick", text, x + 7 * side, y + 4, side > 0 ? "start" : "end");
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
    return this.study.ordered.sort((a, b) => order[a.state] - order[b.state] || (meanOf(a) ?? 0) - (meanOf(b) ?? 0));
  }

  pointsOf(trial) {
    const values = this.axes.map((axis) => (axis.isValue ? meanOf(trial) : trial.searched[axis.name]));
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
    const places = this.pointsOf(trial);
    places.forEach((point, index) => {
      if (!point) return;
      const axis = this.axes[index];
      const value = axis.format(axis.isValue ? trial.value : trial.searched[axis.name]);
      draw(this.over, "circle", { class: "trial-dot", cx: point[0], cy: point[1], r: 3.5 });
      this.renderValue(value, point, places[index + 1]);
    });
  }

  // Beside the line that goes on to the next axis, not on it.
  renderValue(text, [x, y], next) {
    if (!this.isWide) {
      const room = this.width - DIGIT * text.length - 4;
      return write(this.over, "trial-value", text, Math.min(x + 7, room), y - 7, "start");
    }
    const isAtEnd = y < WIDE.top + 8 || y > this.height - WIDE.bottom - 8; // whose own name is there
    const beside = isAtEnd || !next ? y + 4 : next[1] >= y ? y - 7 : y + 15;
    write(this.over, "trial-value", text, x + (isAtEnd ? 9 : 7), beside, "start");
  }

  tell(trial) {
    if (!this.readout) return;
    this.readout.textContent = trial ? inWords(trial) : "point at a line, or at a row below";
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
    const { best, baseline } = this.study;
    const entries = [["best", "best trial", this.lines.has(best?.trial)], ["baseline", "baseline", this.lines.has(baseline?.trial)]];
    for (const state of ["pruned", "failed", "running", "waiting"]) entries.push([state, state, states.has(state)]);
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

const inWords = (trial) => `${titleOf(trial)}, Rank IC ${decimal(meanOf(trial))}`;
const pathOf = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function spanOf(text, x, anchor, letter = DIGIT) {
  const width = letter * text.length + 4;
  const left = { start: x - 2, middle: x - width / 2, end: x - width + 2 }[anchor];
  return [left, left + width];
}

// A text on a ground of its own, so that it can be read across lines.
function write(parent, className, text, x, y, anchor, letter = DIGIT) {
  const [left, right] = spanOf(text, x, anchor, letter);
  draw(parent, "rect", { class: "ground", x: left, y: y - 10, width: right - left, height: 13, rx: 2 });
  draw(parent, "text", { class: className, x, y, "text-anchor": anchor }, text);
}

// The square of the distance from a point to a piece of line.
function distance(x, y, [x1, y1], [x2, y2]) {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
  return (x - x1 - along * dx) ** 2 + (y - y1 - along * dy) ** 2;
}
