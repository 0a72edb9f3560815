// The page of one study: live while it runs, and the question before it is cancelled.

import { askBeforeCancel } from "./cancel-dialog.js";
import { FreshPage } from "./fresh.js";
import { HistoryChart } from "./study-history.js";
import { ParallelChart } from "./study-parallel.js";
import { TrialTable } from "./study-table.js";
import { Study } from "./study.js";

const WORKING_MS = 5000; // a study that was killed says nothing
const REFRESH_MS = 20_000;
const TRIAL_MS = 1000; // the charts are drawn at once; the rest may be as old
const OF_TRIALS = ["trial_started", "fold_finished", "trial_lost", "trial_ended", "importance", "progress"];
const VIEWS = { history: HistoryChart, parallel: ParallelChart, trials: TrialTable };

const root = document.getElementById("study-page");
const name = root.dataset.study;
const study = new Study(name);

const page = new FreshPage(root, {
  views: (host) => new VIEWS[host.dataset.view](host, study),
  every: () => (root.querySelector("[data-working]") ? WORKING_MS : REFRESH_MS),
  delayAfter: ({ kind, topic }, settle) => {
    if (topic.startsWith("model/")) return settle;
    if (topic !== `study/${name}`) return null;
    if (kind === "trial_progress") return null; // iterations are written by the table itself
    return OF_TRIALS.includes(kind) ? TRIAL_MS : settle;
  },
});

askBeforeCancel({ address: `/api/studies/${encodeURIComponent(name)}/cancel`, after: () => page.soon() });
