// The equity curve with its drawdown below; one cursor and one zoom for both.

import { LineChart } from "./charts.js";
import { digitsOf, percent } from "./scales.js";

const DAYS_A_YEAR = 243; // trading days, for the buttons only
const SPANS = [["1Y", DAYS_A_YEAR], ["3Y", 3 * DAYS_A_YEAR], ["All", Infinity]];

export async function mountEquity(host) {
  let curve;
  try {
    const response = await fetch(host.dataset.src);
    if (!response.ok) throw new Error(`${response.status}`);
    curve = await response.json();
  } catch (error) {
    host.textContent = `The equity curve cannot be shown (${error.message}).`;
    return;
  }
  const format = (value, step) => percent(value, step ? digitsOf(100 * step) : 2);
  const upper = new LineChart(host.appendChild(document.createElement("div")), {
    label: "Cumulative return of strategy, benchmark and excess",
    days: true,
    height: 306,
    format,
    series: [
      { key: "strategy", name: "Strategy", className: "series-1" },
      { key: "benchmark", name: "Benchmark", className: "series-2" },
      { key: "excess", name: "Excess", className: "series-3" },
    ],
  });
  const lower = new LineChart(host.appendChild(document.createElement("div")), {
    label: "Drawdown of the cumulated excess return",
    days: true,
    height: 138,
    format,
    bounds: [0],
    series: [{ key: "drawdown", name: "Drawdown of excess", className: "series-4", area: true }],
  });
  LineChart.link([upper, lower]);
  const columns = { ...curve, x: curve.date };
  upper.set(columns);
  lower.set(columns);
  host.prepend(spans(upper, curve.date.length));
}

function spans(chart, days) {
  const group = document.createElement("div");
  group.className = "segments";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Period shown");
  const press = (chosen) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button === chosen));
  };
  for (const [name, length] of SPANS.filter(([, length]) => length < days || length === Infinity)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      chart.zoom(length < days ? [days - length, days - 1] : null);
      press(button);
    });
    group.append(button);
  }
  press(group.lastElementChild);
  chart.host.parentElement.addEventListener("zoom", ({ detail }) => press(detail ? null : group.lastElementChild));
  return group;
}
