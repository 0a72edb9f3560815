// The list of studies, as fresh as the journal.

import { FreshPage } from "./fresh.js";

const WORKING_MS = 5000; // a study that was killed says nothing
const REFRESH_MS = 20_000;
const PROGRESS_MS = 1000;
const OF_ONE_TRIAL = ["trial_started", "trial_progress", "fold_finished", "trial_lost", "importance"];

const root = document.getElementById("studies");

new FreshPage(root, {
  every: () => (root.querySelector("[data-working]") ? WORKING_MS : REFRESH_MS),
  delayAfter: ({ kind, topic }, settle) => {
    if (!topic.startsWith("study/") || OF_ONE_TRIAL.includes(kind)) return null;
    return ["progress", "trial_ended"].includes(kind) ? PROGRESS_MS : settle;
  },
});
