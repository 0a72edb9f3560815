// The learning curve of one training, drawn as its events arrive.

import { LineChart } from "./charts.js";
import { EventStream } from "./live.js";
import { count, decimal, digitsOf, duration } from "./scales.js";

export function mountTraining(host) {
  const view = new LearningCurve(host);
  view.stream = new EventStream({ topic: host.dataset.topic, onEvent: (event) => view.take(event) });
  return view;
}

class LearningCurve {
  constructor(host) {
    this.host = host;
    this.points = { x: [], train: [], valid: [] };
    this.pending = false;
    this.chart = new LineChart(host.querySelector(".curve"), {
      label: "Loss on train and valid by iteration",
      height: 220,
      xName: "iteration",
      format: (value, step) => decimal(value, step ? digitsOf(step) : 5),
      series: [
        { key: "train", name: "Train", className: "series-2", dashed: true },
        { key: "valid", name: "Valid", className: "series-1" },
      ],
    });
  }

  take({ kind, data }) {
    if (kind !== "progress") return;
    this.field("stage", data.stage);
    const name = Object.keys(data.metrics ?? {}).find((key) => key.startsWith("valid."))?.slice(6);
    if (data.stage !== "fit" || !name) return;
    const { x, train, valid } = this.points;
    if (x.length && data.step <= x.at(-1)) for (const column of [x, train, valid]) column.length = 0; // another attempt
    x.push(data.step);
    train.push(data.metrics[`train.${name}`]);
    valid.push(data.metrics[`valid.${name}`]);
    this.latest = { ...data, name };
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => this.render());
  }

  render() {
    this.pending = false;
    const { x, train, valid } = this.points;
    const { step, total, elapsed_s: elapsed, name } = this.latest;
    let best = 0;
    for (let i = 1; i < valid.length; i++) if (valid[i] < valid[best]) best = i;
    this.chart.set(this.points, { x: x[best], text: `best ${x[best]}` });
    this.field("step", count(step));
    this.field("total", total ? `of at most ${count(total)}` : "");
    this.field("metric", name);
    this.field("train", decimal(train.at(-1), 5));
    this.field("valid", decimal(valid.at(-1), 5));
    this.field("best", decimal(valid[best], 5));
    this.field("best-step", `at ${count(x[best])}`);
    this.field("elapsed", duration(elapsed));
    const running = this.host.closest(".card")?.querySelector(".badge.busy");
    const left = running && total > step ? (elapsed / step) * (total - step) : 0;
    this.field("left", left > 1 ? `at most ${duration(left)} left` : "");
  }

  field(name, text) {
    for (const element of this.host.querySelectorAll(`[data-field="${name}"]`)) element.textContent = text ?? "–";
  }
}
