// The page of one training: live while it runs, and the question before it is cancelled.

import { askBeforeCancel } from "./cancel-dialog.js";
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

askBeforeCancel({
  address: `/api/trainings/${encodeURIComponent(version)}/cancel`,
  body: (button) => ({ attempt: Number(button.dataset.cancel) }),
  after: () => page.soon(),
});
