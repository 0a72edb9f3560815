// The page of one training: live while it runs, and the question before it is cancelled.

import { FreshPage } from "./fresh.js";
import { LearningCurves } from "./training.js";

const WORKING_MS = 5000; // a training that was killed says nothing
const REFRESH_MS = 20_000;

const root = document.getElementById("training-page");
const { version } = root.dataset;
let stage = root.dataset.stage;

const page = new FreshPage(root, {
  views: (host) => new LearningCurves(host),
  every: () => (root.querySelector("[data-working]") ? WORKING_MS : REFRESH_MS),
  delayAfter: ({ kind, topic, data }, settle) => {
    if (topic === `model/${version}`) return settle;
    if (topic !== `training/${version}`) return null;
    if (kind === "progress" && data.stage === stage) return null; // the curves have a stream of their own
    stage = data.stage;
    return settle;
  },
});

const dialog = document.getElementById("cancel-dialog");
const problem = dialog.querySelector("[role=alert]");

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-cancel]");
  if (!button) return;
  problem.textContent = "";
  dialog.dataset.attempt = button.dataset.cancel;
  dialog.showModal();
});

dialog.querySelector("form").addEventListener("submit", async (event) => {
  if (event.submitter?.value !== "cancel") return; // it goes on
  event.preventDefault();
  event.submitter.disabled = true;
  try {
    const response = await fetch(`/api/trainings/${encodeURIComponent(version)}/cancel`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ attempt: Number(dialog.dataset.attempt), why: dialog.querySelector("input").value }),
    });
    if (response.ok) dialog.close();
    else problem.textContent = (await response.json()).error;
  } catch {
    problem.textContent = "The console does not answer; try again.";
  } finally {
    event.submitter.disabled = false;
    page.soon();
  }
});
