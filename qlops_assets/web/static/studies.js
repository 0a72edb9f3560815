// The list of studies, as fresh as the journal.

import { FreshPage } from "./fresh.js";

const WORKING_MS = 5000; // a study that was killed says nothing
const REFRESH_MS = 20_000;
const OF_ONE_TRIAL = ["trial_progress", "fold_finished"];

const root = document.getElementById("studies");

new FreshPage(root, {
  every: () => (root.querySelector("[data-working]") ? WORKING_MS : REFRESH_MS),
  delayAfter: ({ kind, topic }, settle) => (topic.startsWith("study/") && !OF_ONE_TRIAL.includes(kind) ? settle : null),
});
