// The page of one factor: its Rank IC over time, by year and by horizon, and its quantiles.

import { LineChart, make } from "./charts.js";
import { BarChart } from "./factors-bars.js";
import { count, decimal, digitsOf } from "./scales.js";
import { writeTimes } from "./times.js";

const page = document.getElementById("factor");
const host = (name) => page.querySelector(`[data-chart="${name}"]`);
const ic = (value, step) => decimal(value, step ? digitsOf(step) : 4);
const basis = (value, step) => decimal(value, step ? digitsOf(step) : 1);

// Says so where there is nothing to draw.
function isBare(place, values) {
  const bare = !values.some(Number.isFinite);
  if (bare) make(place, "p", "empty", "There is no value to draw.");
  return bare;
}

function showTime({ daily }) {
  const place = host("cumulative");
  if (isBare(place, daily.cumulative_rank_ic)) return;
  const part = () => place.appendChild(document.createElement("div"));
  const each = daily.days_per_point > 1 ? `, every ${daily.days_per_point} days` : "";
  const upper = new LineChart(part(), {
    label: `Cumulative Rank IC by day${each}`,
    days: true,
    height: 250,
    bounds: [0],
    format: (value, step) => decimal(value, step ? digitsOf(step) : 2),
    series: [{ key: "cumulative_rank_ic", name: "Cumulative Rank IC", className: "series-1", area: true }],
  });
  const lower = new LineChart(part(), {
    label: `Mean Rank IC of ${daily.rolling_days} days${each}`,
    days: true,
    height: 150,
    bounds: [0],
    format: ic,
    series: [{ key: "rolling_rank_ic", name: `Mean of ${daily.rolling_days} days`, className: "series-3" }],
  });
  LineChart.link([upper, lower]);
  const columns = { ...daily, x: daily.date };
  upper.set(columns);
  lower.set(columns);
}

function showDecay({ decay, interval }) {
  const main = Number(page.dataset.horizon);
  const bars = decay.map(({ horizon, rank_ic: value, ic: linear }) => {
    const isMain = horizon === main;
    const lines = [["Rank IC", ic(value)], ["IC", ic(linear)]];
    if (isMain && interval) lines.push(["95 %", `± ${ic(interval)}`]);
    const ends = isMain && interval ? { low: value - interval, high: value + interval } : {};
    return { name: String(horizon), title: `${horizon} day${horizon > 1 ? "s" : ""}`, value, strong: isMain, lines, ...ends };
  });
  if (isBare(host("decay"), bars.map(({ value }) => value))) return;
  new BarChart(host("decay"), { label: "Mean Rank IC by horizon", bars, format: ic, axis: "Rank IC", xName: "horizon, days", height: innerWidth > 1100 ? 410 : 250 });
}

function showYears({ yearly }) {
  const bars = yearly.map(({ year, rank_ic: value, days }) => ({ name: String(year), value, lines: [["Rank IC", ic(value)], ["days", count(days)]] }));
  if (isBare(host("yearly"), bars.map(({ value }) => value))) return;
  new BarChart(host("yearly"), { label: "Mean Rank IC by year", bars, format: ic, axis: "Rank IC", xName: "year" });
}

function showQuantiles({ quantiles }) {
  const place = host("quantiles");
  const bars = (key) =>
    quantiles.map((part) => ({
      name: String(part.quantile),
      title: `Quantile ${part.quantile}`,
      value: scaled(part[key]),
      lines: [["return", `${basis(scaled(part.mean_return))} bp`], ["over the day's mean", `${basis(scaled(part.mean_excess))} bp`], ["names", count(part.count)]],
    }));
  if (isBare(place, bars("mean_return").map(({ value }) => value))) return;
  const group = document.createElement("div");
  group.className = "segments";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Which return");
  const chart = () => new BarChart(place, { label: "Mean return by quantile", bars: bars("mean_excess"), format: basis, axis: "basis points", xName: "quantile of the factor", written: true });
  place.append(group);
  const drawn = chart();
  for (const [key, words] of [["mean_excess", "Over the day's mean"], ["mean_return", "Return"]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words;
    button.setAttribute("aria-pressed", String(key === "mean_excess"));
    button.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
      drawn.set(bars(key));
    });
    group.append(button);
  }
}

const scaled = (value) => (Number.isFinite(value) ? 10_000 * value : NaN);

writeTimes(page);
try {
  const response = await fetch(page.dataset.src);
  const factor = await response.json();
  if (!response.ok) throw new Error(factor.error);
  for (const show of [showTime, showDecay, showYears, showQuantiles]) show(factor);
} catch (error) {
  for (const place of page.querySelectorAll(".figure")) place.textContent = `The chart cannot be shown (${error.message}).`;
}
