// The list of trainings, as fresh as the journal.

import { FreshPage } from "./fresh.js";

const PROGRESS_MS = 1000;
const WORKING_MS = 5000; // a training that was killed says nothing
const REFRESH_MS = 20_000;

const root = document.getElementById("trainings");

new FreshPage(root, {
  every: () => (root.querySelector("[data-working]") ? WORKING_MS : REFRESH_MS),
  delayAfter: ({ kind, topic }, settle) => {
    if (!topic.startsWith("training/") && !topic.startsWith("model/")) return null;
    return kind === "progress" ? PROGRESS_MS : settle;
  },
});
