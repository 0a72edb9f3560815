// How one training goes: its numbers and a learning curve for every metric, drawn as events arrive.

import { LineChart } from "./charts.js";
import { EventStream } from "./live.js";
import { count, decimal, digitsOf, duration, memory } from "./scales.js";

const WORKING = ["running", "cancelling"];
const newest = (values) => values?.findLast(Number.isFinite); // some models look at valid now and then

export class LearningCurves {
  // host: data-version; data-attempt shows that one and no later; data-charts is the most charts.
  // The part of the page that it is in says in data-status what the training does.
  constructor(host) {
    this.host = host;
    this.charts = new Map(); // metric -> chart
    this.begin(Number(host.dataset.attempt) || null);
    this.load();
  }

  begin(attempt) {
    this.attempt = attempt;
    this.steps = [];
    this.values = {};
    this.best = null;
    this.used = null;
    this.last = null;
  }

  get address() {
    const { version, attempt } = this.host.dataset;
    return `/api/trainings/${encodeURIComponent(version)}${attempt ? `?attempt=${attempt}` : ""}`;
  }

  async load() {
    try {
      const response = await fetch(this.address);
      if (!response.ok) throw new Error(response.statusText);
      this.show(await response.json());
    } catch {
      if (!this.closed) this.retry = setTimeout(() => this.load(), 1000);
    }
  }

  show({ seq, attempt, fit, last }) {
    if (this.closed) return;
    this.begin(attempt);
    this.last = last;
    if (fit) {
      Object.assign(this, { stage: fit.stage, steps: fit.steps, values: fit.values, best: fit.best_step, used: fit.used_step });
    }
    this.draw();
    if (this.host.dataset.attempt) return;
    this.stream = new EventStream({
      topic: `training/${this.host.dataset.version}`,
      after: seq,
      onEvent: (event) => this.take(event),
    });
  }

  take({ kind, data }) {
    if (kind === "started" && data.attempt !== this.attempt) {
      this.begin(data.attempt);
      this.soon();
    }
    if (kind !== "progress") return;
    this.last = data;
    const metrics = data.metrics ?? {};
    if (Object.keys(metrics).length) this.add(data.stage, data.step, metrics);
    this.soon();
  }

  add(stage, step, metrics) {
    if (stage !== this.stage || (this.steps.length && step <= this.steps.at(-1))) {
      [this.steps, this.values, this.best, this.used] = [[], {}, null, null]; // another pass
      this.stage = stage;
    }
    for (const name in metrics) this.values[name] ??= this.steps.map(() => null);
    this.steps.push(step);
    for (const name in this.values) this.values[name].push(metrics[name] ?? null);
    const loss = this.loss;
    if (!loss) return;
    const value = this.values[loss].at(-1);
    const best = this.best === null ? null : this.values[loss][this.steps.indexOf(this.best)];
    if (value !== null && (best === null || value < best)) this.best = step;
  }

  // The first metric of valid is the loss, as every trainer reports it.
  get loss() {
    return Object.keys(this.values).find((name) => name.startsWith("valid."));
  }

  soon() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  refreshed() {
    if (this.stream || this.last) this.draw();
  }

  get isWorking() {
    return WORKING.includes(this.host.closest("[data-status]")?.dataset.status);
  }

  draw() {
    this.drawCharts();
    if (this.last) this.write(this.last);
  }

  drawCharts() {
    const metrics = [...new Set(Object.keys(this.values).map((name) => name.slice(name.indexOf(".") + 1)))];
    for (const [metric, { place }] of this.charts) {
      if (metrics.includes(metric)) continue;
      place.remove();
      this.charts.delete(metric);
    }
    const word = this.used === null && this.isWorking ? "best so far" : "best";
    const mark = this.used ?? this.best;
    for (const metric of metrics.slice(0, Number(this.host.dataset.charts) || metrics.length)) {
      const columns = { x: this.steps, train: this.values[`train.${metric}`] ?? [], valid: this.values[`valid.${metric}`] ?? [] };
      this.chart(metric).set(columns, mark === null ? null : { x: mark, text: `${word} ${mark}` });
    }
  }

  chart(metric) {
    if (!this.charts.has(metric)) {
      const place = document.createElement("div");
      this.host.querySelector(".curve").append(place);
      const chart = new LineChart(place, {
        label: `${metric} on train and valid by iteration`,
        height: 220,
        xName: "iteration",
        format: (value, step) => decimal(value, step ? digitsOf(step) : 5),
        series: [
          { key: "train", name: `Train ${metric}`, className: "series-2", dashed: true },
          { key: "valid", name: `Valid ${metric}`, className: "series-1" },
        ],
      });
      this.charts.set(metric, { chart, place });
      LineChart.link([...this.charts.values()].map((one) => one.chart));
    }
    return this.charts.get(metric).chart;
  }

  write(last) {
    const isWorking = this.isWorking;
    const known = (value) => isWorking && Number.isFinite(value);
    const metric = this.loss?.slice(6);
    const loss = (step) => this.values[this.loss]?.[this.steps.indexOf(step)];
    this.field("stage", last.stage);
    const step = isWorking ? last.step : this.steps.at(-1); // what follows a fit has no iterations
    this.field("step", step ? count(step) : "–");
    this.field("total", last.total ? `of at most ${count(last.total)}` : "");
    this.field("metric", metric ?? "");
    this.field("train", decimal(newest(this.values[`train.${metric}`]), 5));
    this.field("valid", decimal(newest(this.values[this.loss]), 5));
    this.field("best", decimal(loss(this.best), 5));
    this.field("best-step", this.best === null ? "" : `at ${count(this.best)}`);
    this.field("elapsed", known(last.elapsed_s) ? duration(last.elapsed_s) : "–");
    this.field("memory", memory(last.memory_mb));
    this.field("rows", known(last.rows_per_s) ? count(last.rows_per_s) : "–");
    this.field("eta", known(last.eta_s) ? duration(last.eta_s) : "–");
    this.field("eta-interval", known(last.eta_s) ? `${duration(last.eta_low_s)} to ${duration(last.eta_high_s)}` : "");
    this.field("eta-earliest", known(last.eta_earliest_s) ? `${duration(last.eta_earliest_s)} if valid improves no more` : "");
    this.field("left", known(last.eta_s) && last.eta_s > 1 ? `at most ${duration(last.eta_s)} left` : "");
    const bar = this.host.querySelector("progress");
    if (bar) {
      bar.hidden = !(isWorking && last.total);
      bar.max = last.total || 1;
      bar.value = last.step;
    }
  }

  field(name, text) {
    for (const element of this.host.querySelectorAll(`[data-field="${name}"]`)) element.textContent = text ?? "–";
  }

  close() {
    this.closed = true;
    clearTimeout(this.retry);
    this.stream?.close();
  }
}
