// The page of all factors: the table and three charts of the same rows, which tell each other what
// is shown, pointed at and chosen.

import { Choice } from "./factors-choice.js";
import { CorrelationMap } from "./factors-correlations.js";
import { Distribution } from "./factors-distribution.js";
import { FactorTable, readFactors } from "./factors-table.js";
import { Volcano } from "./factors-volcano.js";
import { writeTimes } from "./times.js";

const LOOK_MS = 30_000;

const page = document.getElementById("factors");
const card = document.getElementById("table");
const choice = new Choice(readFactors(card.querySelector("table")));
const host = (name) => page.querySelector(`[data-chart="${name}"]`);

new FactorTable(card, choice);
new Volcano(host("volcano"), choice);
new Distribution(host("distribution"), choice);
new CorrelationMap(host("correlations"), choice);
writeTimes(page);

// What is chosen is named in a bar of its own, with the way to its page.
const bar = document.getElementById("chosen");
choice.on(["chosen"], () => {
  const factor = choice.byName.get(choice.chosen);
  bar.hidden = !factor;
  if (!factor) return;
  const link = bar.querySelector("a");
  link.href = factor.href;
  link.textContent = `Open ${factor.name}`;
  bar.querySelector("b").textContent = factor.name;
  for (const value of bar.querySelectorAll("[data-field]")) value.textContent = factor.text(value.dataset.field).replace("● ", "");
});
bar.querySelector("button").addEventListener("click", () => choice.choose(null));

for (const row of document.querySelectorAll("#clusters tbody tr")) {
  const name = row.querySelector("th a").textContent;
  row.addEventListener("pointerenter", () => choice.point(name));
  row.addEventListener("pointerleave", () => choice.point(null));
}

// Whether the report is of the lake as it is now, and whether there is a newer one.
const age = document.getElementById("age");
async function look() {
  if (document.hidden) return;
  try {
    const response = await fetch("/api/factor-report");
    if (!response.ok) return;
    const report = await response.json();
    const newer = report.digest !== page.dataset.digest;
    age.hidden = report.is_current && !newer;
    age.querySelector("strong").textContent = newer ? "There is a newer report." : "Out of date.";
    age.querySelector("span").textContent = newer ? "" : report.why;
    age.querySelector(".remedy").hidden = newer;
    age.querySelector("a").hidden = !newer;
  } catch {
    // the console is away; what is shown stays right for its report
  }
}
look();
setInterval(look, LOOK_MS);
document.addEventListener("visibilitychange", look);
