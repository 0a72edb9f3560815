// The overview: tiles, equity, the training that runs, steps and events.

import { mountEquity } from "./equity.js";
import { FreshPage } from "./fresh.js";
import { LearningCurves } from "./training.js";

const PROGRESS_MS = 1500;
const REFRESH_MS = 15_000; // health changes without an event

new FreshPage(document.getElementById("overview"), {
  views: (host) => (host.matches(".equity") ? mountEquity(host) : new LearningCurves(host)),
  every: () => REFRESH_MS,
  // A step's progress, which comes often, is followed at leisure; that of a training has its own stream.
  delayAfter: ({ kind, topic }, settle) => {
    if (topic.startsWith("study/")) return kind === "cancel_requested" ? settle : null;
    if (kind !== "progress") return settle;
    return topic === "pipeline" ? PROGRESS_MS : null;
  },
});
