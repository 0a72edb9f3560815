// The overview stays as fresh as the journal: each event makes the page fetch itself again, and
// only the cards whose content changed are exchanged. Charts (data-keep) are carried over.

import { mountEquity } from "./equity.js";
import { EventStream } from "./live.js";
import { writeTimes } from "./times.js";
import { mountTraining } from "./training.js";

const SETTLE_MS = 250;
const PROGRESS_MS = 1500;
const REFRESH_MS = 15_000; // health changes without an event
const WORDS = { connecting: "Connecting", live: "Live", waiting: "Reconnecting", refused: "Reload the page" };

const overview = document.getElementById("overview");
const served = new Map(); // each part's HTML as the server wrote it
const mounted = new Map(); // data-keep -> what runs in it

const parts = (root) => [...root.querySelectorAll(".card, .page-head")];
const skeleton = (root) => parts(root).map((part) => part.id).join(" ");

function remember(root) {
  served.clear();
  for (const part of parts(root)) served.set(part.id, part.outerHTML);
}

function mount() {
  for (const host of overview.querySelectorAll("[data-keep]")) {
    if (mounted.has(host.dataset.keep)) continue;
    mounted.set(host.dataset.keep, host.matches(".equity") ? mountEquity(host) : mountTraining(host));
  }
  for (const [key, view] of mounted) {
    if (overview.querySelector(`[data-keep="${CSS.escape(key)}"]`)) continue;
    view.stream?.close();
    mounted.delete(key);
  }
  writeTimes(overview);
}

function carryOver(fresh) {
  for (const place of fresh.querySelectorAll("[data-keep]")) {
    const living = overview.querySelector(`[data-keep="${CSS.escape(place.dataset.keep)}"]`);
    if (living) place.replaceWith(living);
  }
}

function show(fresh) {
  const focused = document.activeElement;
  const html = new Map(parts(fresh).map((part) => [part.id, part.outerHTML]));
  const same = skeleton(fresh) === skeleton(overview);
  const changed = parts(fresh).filter((part) => !same || html.get(part.id) !== served.get(part.id));
  if (same) {
    for (const part of changed) {
      carryOver(part);
      document.getElementById(part.id).replaceWith(part);
    }
  } else {
    carryOver(fresh);
    overview.replaceChildren(...fresh.childNodes);
  }
  served.clear();
  for (const [id, text] of html) served.set(id, text);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
  else if (focused?.href) overview.querySelector(`a[href="${CSS.escape(focused.getAttribute("href"))}"]`)?.focus({ preventScroll: true });
  mount();
}

let busy = false;
let again = false;
async function refresh() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    const response = await fetch(location.pathname, { headers: { accept: "text/html" } });
    if (response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      document.getElementById("banner").replaceWith(page.getElementById("banner"));
      show(page.getElementById("overview"));
    }
  } catch {
    // the server is away; the stream says so and comes back by itself
  } finally {
    busy = false;
    if (again) {
      again = false;
      soon();
    }
  }
}

// Soon after an event; a step's progress, which comes often, is followed at leisure.
let waiting = null;
let due = Infinity;
function soon(delay = SETTLE_MS) {
  if (performance.now() + delay >= due) return;
  due = performance.now() + delay;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    due = Infinity;
    refresh();
  }, delay);
}

function follow({ kind, topic }) {
  if (kind !== "progress") soon();
  else if (topic === "pipeline") soon(PROGRESS_MS);
}

const lamp = document.getElementById("live");
remember(overview);
mount();
new EventStream({
  topic: "*",
  after: Number(overview.dataset.seq),
  onEvent: follow,
  onState: (state) => {
    if (state === "live" && lamp.dataset.state === "waiting") soon();
    if (state === "connecting" && lamp.dataset.state === "waiting") return; // say it once
    lamp.dataset.state = state;
    lamp.textContent = WORDS[state];
  },
});
setInterval(() => document.hidden || refresh(), REFRESH_MS);
setInterval(() => writeTimes(overview), 1000);
document.addEventListener("visibilitychange", () => document.hidden || soon());
