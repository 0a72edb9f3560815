// The history of a study: what each trial was worth, the best so far, and the recipe as it is.

import { draw, make } from "./charts.js";
import { Tip } from "./factors-tip.js";
import { compact, decimal, digitsOf, numberTicks } from "./scales.js";
import { meanOf, titleOf } from "./study.js";

const GUTTER = { left: 54, right: 16, top: 12, bottom: 34 };
const FULL = 300;
const NEAR = 26;
const EDGE = 14; // above the axis: where a trial is marked that has no mean of all folds
const MARK = 5;

const KINDS = [
  ["complete", "complete"],
  ["pruned", "pruned"],
  ["failed", "failed"],
  ["running", "running"],
];

// Each state has a shape of its own.
export function drawMark(parent, state, x, y, size = MARK) {
  const className = `mark-${state}`;
  if (state === "complete") return draw(parent, "circle", { class: className, cx: x, cy: y, r: size - 0.5 });
  if (state === "pruned") return draw(parent, "path", { class: className, d: `M${x - size} ${y - size + 1}h${2 * size}l${-size} ${1.7 * size}z` });
  if (state === "failed") return draw(parent, "path", { class: className, d: `M${x - size + 1} ${y - size + 1}l${2 * size - 2} ${2 * size - 2}m0 ${2 - 2 * size}l${2 - 2 * size} ${2 * size - 2}` });
  return draw(parent, "circle", { class: className, cx: x, cy: y, r: size - 1 });
}

export class HistoryChart {
  constructor(host, study) {
    Object.assign(this, { host, study });
    host.replaceChildren();
    this.legend = make(host, "div", "legend");
    this.plot = make(host, "div", "plot pick");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", "Rank IC of every trial by its number, with the best so far. Arrow keys go from trial to trial, Escape lets go.");
    this.svg = draw(this.plot, "svg", { "aria-hidden": "true" });
    this.tip = new Tip(this.plot);
    this.spoken = make(host, "output", "unseen");
    this.listen();
    new ResizeObserver(() => this.render()).observe(this.plot);
  }

  listen() {
    this.plot.addEventListener("pointermove", (event) => this.study.point(this.near(event)?.trial ?? null));
    this.plot.addEventListener("pointerleave", () => this.study.point(null));
    this.plot.addEventListener("click", (event) => this.study.choose(this.near(event)?.trial ?? null, this));
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    this.plot.addEventListener("blur", () => this.renderOver());
    this.study.on(["trials"], () => this.render());
    this.study.on(["pointed", "chosen"], () => this.renderOver());
  }

  refreshed() {
    this.study.heard(this.host.closest("[data-status]").dataset.status);
  }

  onKey(event) {
    const trial = this.study.walk(event, this.study.ordered, this);
    if (trial) this.spoken.textContent = `${titleOf(trial)}, Rank IC ${decimal(meanOf(trial))}`;
  }

  near(event) {
    if (!this.scale) return null;
    const box = this.plot.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let least = NEAR ** 2;
    for (const trial of this.study.trials.values()) {
      const place = this.placeOf(trial);
      const away = (place.x - x) ** 2 + (place.y - y) ** 2;
      if (away < least) [best, least] = [trial, away];
    }
    return best;
  }

  // Only the mean of all folds can be compared: a pruned trial has its mark, but no height.
  placeOf(trial) {
    const value = meanOf(trial);
    return { x: this.scale.x(trial.trial), y: value === null ? this.scale.edge : this.scale.y(value) };
  }

  render() {
    const width = this.plot.clientWidth;
    if (!width) return;
    const height = width < 480 ? 240 : FULL;
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.svg.replaceChildren();
    this.scale = this.measure(width, height);
    this.renderAxes();
    this.renderBest();
    this.renderBaseline();
    const marks = draw(this.svg, "g", { class: "marks" });
    for (const trial of this.study.ordered) {
      const { x, y } = this.placeOf(trial);
      const size = y === this.scale.edge ? this.scale.small : Math.max(3.5, this.scale.small);
      drawMark(marks, trial.state, x, y, size).setAttribute("data-trial", trial.trial);
    }
    this.over = draw(this.svg, "g");
    this.renderOver();
    this.renderLegend();
  }

  measure(width, height) {
    const values = this.study.complete.map(({ value }) => value);
    const [min, max] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
    const room = (max - min || Math.abs(max) || 1) * 0.08;
    const [bottom, top] = [min - room, max + room];
    const last = Math.max(1, this.study.target - 1, ...this.study.trials.keys());
    const edge = height - GUTTER.bottom - EDGE;
    const hasEdge = values.length < this.study.trials.size;
    const base = hasEdge ? edge - EDGE : height - GUTTER.bottom;
    const small = Math.min(MARK, Math.max(2.5, (0.7 * width) / (last + 1))); // beside each other on the edge
    return {
      small, width, height, bottom, top, last, edge, hasEdge, isEmpty: !values.length,
      x: (number) => GUTTER.left + 8 + (number / last) * (width - GUTTER.left - GUTTER.right - 16),
      y: (value) => GUTTER.top + ((top - value) / (top - bottom)) * (base - GUTTER.top),
    };
  }

  renderAxes() {
    const { width, height, bottom, top, last, edge, hasEdge, isEmpty, x, y } = this.scale;
    const base = height - GUTTER.bottom;
    const values = isEmpty ? [] : numberTicks(bottom, top, Math.max(2, height / 52));
    const digits = digitsOf(values.length > 1 ? values[1] - values[0] : top - bottom);
    for (const value of values) {
      const at = y(value);
      draw(this.svg, "line", { class: Math.abs(value) < 1e-12 ? "grid zero" : "grid", x1: GUTTER.left, x2: width - GUTTER.right, y1: at, y2: at });
      draw(this.svg, "text", { class: "tick", x: GUTTER.left - 8, y: at + 4, "text-anchor": "end" }, decimal(Math.abs(value) < 1e-12 ? 0 : value, digits));
    }
    if (hasEdge) draw(this.svg, "text", { class: "tick", x: GUTTER.left - 8, y: edge + 4, "text-anchor": "end" }, "–");
    draw(this.svg, "line", { class: "grid zero", x1: GUTTER.left, x2: width - GUTTER.right, y1: base, y2: base });
    for (const value of numberTicks(0, last, Math.max(2, width / 80)).filter(Number.isInteger)) {
      draw(this.svg, "line", { class: "notch", x1: x(value), x2: x(value), y1: base, y2: base + 4 });
      draw(this.svg, "text", { class: "tick", x: x(value), y: base + 16, "text-anchor": "middle" }, String(value));
    }
    draw(this.svg, "text", { class: "axis-name", x: width - GUTTER.right, y: height - 2, "text-anchor": "end" }, "trial");
  }

  // From each trial that was better than all before it to the next one.
  renderBest() {
    const { x, y } = this.scale;
    let best = null;
    let path = "";
    for (const { trial, value } of this.study.complete) {
      if (best !== null && value <= best) continue;
      path += best === null ? `M${x(trial).toFixed(1)} ${y(value).toFixed(1)}` : `H${x(trial).toFixed(1)}V${y(value).toFixed(1)}`;
      best = value;
    }
    if (best === null) return;
    const last = Math.max(...this.study.trials.keys());
    draw(this.svg, "path", { class: "line best-line", d: `${path}H${x(last).toFixed(1)}` });
  }

  renderBaseline() {
    const { baseline } = this.study;
    if (!baseline) return;
    const at = this.scale.y(baseline.value);
    draw(this.svg, "line", { class: "baseline", x1: GUTTER.left, x2: this.scale.width - GUTTER.right, y1: at, y2: at });
  }

  renderOver() {
    if (!this.over) return;
    this.over.replaceChildren();
    const { best, chosen, pointed, trials } = this.study;
    const ring = (trial, kind, r) => {
      const { x, y } = this.placeOf(trial);
      draw(this.over, "circle", { class: `ring ${kind}`, cx: x, cy: y, r });
    };
    if (best) ring(best, "best", 8);
    if (trials.has(chosen)) ring(trials.get(chosen), "chosen", 8);
    if (trials.has(pointed)) ring(trials.get(pointed), "pointed", 8);
    const isHere = this.plot.matches(":hover") || this.plot.matches(":focus-visible");
    const shown = trials.get(pointed ?? (this.plot.matches(":focus-visible") ? chosen : null));
    if (!shown || !isHere) return this.tip.hide();
    const { x, y } = this.placeOf(shown);
    const folds = shown.rank_ics.map((value, fold) => [`Fold ${fold + 1}`, decimal(value)]);
    const parameters = Object.entries(shown.searched).map(([name, value]) => [name, compact(value)]);
    this.tip.show(x, y, titleOf(shown), [["Rank IC", decimal(meanOf(shown))], ...folds, ...parameters]);
  }

  renderLegend() {
    const counted = new Map();
    for (const { state } of this.study.trials.values()) counted.set(state, (counted.get(state) ?? 0) + 1);
    const waiting = counted.get("waiting") ? [["waiting", "waiting"]] : [];
    this.legend.replaceChildren();
    for (const [state, name] of [...KINDS, ...waiting]) {
      if (!counted.get(state)) continue;
      const entry = make(this.legend, "span", "entry-still");
      const svg = draw(entry, "svg", { class: "key", viewBox: "0 0 14 14", "aria-hidden": "true" });
      drawMark(svg, state, 7, 7, 5);
      make(entry, "span", "", `${counted.get(state)} ${name}`);
    }
    const { best, baseline } = this.study;
    if (best) this.line("best-line", `best so far ${decimal(best.value)}, trial ${best.trial}`);
    if (baseline) this.line("baseline", `baseline ${decimal(baseline.value)}`);
  }

  line(className, text) {
    const entry = make(this.legend, "span", "entry-still");
    const svg = draw(entry, "svg", { class: "key", viewBox: "0 0 14 14", "aria-hidden": "true" });
    draw(svg, "line", { class: className, x1: 0, x2: 14, y1: 7, y2: 7 });
    make(entry, "span", "", text);
  }
}
