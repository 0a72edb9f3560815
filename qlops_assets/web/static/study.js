// One study: its trials as the journal tells them, which one is pointed at and which is chosen. The
// charts and the table tell each other here.

import { EventStream } from "./live.js";

const REDRAW_MS = 250;
const RETRY_MS = 1000;
const ENDED = ["complete", "pruned", "failed"];
const WORKING = ["running", "cancelling"];

export class Study extends EventTarget {
  // Tells "trials" when any of them changed, at most every REDRAW_MS; "progress" when one that runs
  // got on; "pointed" and "chosen".
  constructor(name) {
    super();
    this.name = name;
    this.trials = new Map(); // number -> trial
    this.space = {};
    this.folds = [];
    this.target = 0;
    this.pointed = this.chosen = null;
    this.told = -Infinity;
    this.load();
  }

  async load() {
    try {
      const response = await fetch(`/api/studies/${encodeURIComponent(this.name)}`);
      if (!response.ok) throw new Error(response.statusText);
      this.show(await response.json());
    } catch {
      setTimeout(() => this.load(), RETRY_MS);
    }
  }

  show({ seq, trials, space, folds, target }) {
    Object.assign(this, { space, folds, target });
    for (const trial of trials) this.trials.set(trial.trial, trial);
    this.chosen = this.named(location.hash);
    this.soon("trials");
    this.stream = new EventStream({
      topic: `study/${this.name}`,
      after: seq,
      onEvent: (event) => this.take(event),
    });
  }

  named(hash) {
    const number = Number(/^#trial-(\d+)$/.exec(hash)?.[1] ?? NaN);
    return this.trials.has(number) ? number : null;
  }

  take({ kind, data }) {
    const trial = this.trials.get(data.trial);
    if (kind === "started") this.begin(data);
    else if (kind === "trial_started") this.start(data, trial);
    else if (!trial) return;
    else if (kind === "trial_progress") {
      trial.under_way = data;
      this.soon("progress");
      return;
    } else if (kind === "fold_finished") {
      trial.rank_ics[data.fold] = data.rank_ic;
      const next = this.folds.findIndex((_, fold) => trial.rank_ics[fold] === null);
      trial.under_way = { fold: next < 0 ? data.fold : next };
    } else if (kind === "trial_lost") Object.assign(trial, { state: "waiting", under_way: null });
    else if (kind === "trial_ended") Object.assign(trial, { error: null, ...data, under_way: null });
    this.soon("trials");
  }

  begin({ trials, space, folds }) {
    Object.assign(this, { space, folds, target: trials });
    this.interrupt();
  }

  interrupt() {
    for (const trial of this.trials.values()) {
      if (!ENDED.includes(trial.state)) Object.assign(trial, { state: "waiting", under_way: null });
    }
  }

  // status: of the study, as the server sees it. Who was killed does not say that a trial is over.
  heard(status) {
    if (WORKING.includes(status) || ![...this.trials.values()].some(({ state }) => state === "running")) return;
    this.interrupt();
    this.soon("trials");
  }

  start(data, known) {
    const rank_ics = known?.rank_ics ?? this.folds.map(() => null);
    const fold = Math.max(0, rank_ics.indexOf(null));
    this.trials.set(data.trial, { value: null, error: null, ...known, ...data, state: "running", rank_ics, under_way: { fold } });
  }

  // Many events that come together are told once.
  soon(what) {
    this.waiting ??= new Set();
    this.waiting.add(what);
    if (this.pending) return;
    this.pending = true;
    setTimeout(() => requestAnimationFrame(() => this.tell()), Math.max(0, this.told + REDRAW_MS - performance.now()));
  }

  tell() {
    const said = this.waiting;
    [this.waiting, this.pending, this.told] = [null, false, performance.now()];
    for (const what of said) this.dispatchEvent(new Event(what));
  }

  on(names, act) {
    for (const name of names) this.addEventListener(name, act);
  }

  get ordered() {
    return [...this.trials.values()].sort((a, b) => a.trial - b.trial);
  }

  get complete() {
    return this.ordered.filter((trial) => meanOf(trial) !== null);
  }

  get baseline() {
    return this.complete.find((trial) => trial.is_baseline) ?? null;
  }

  get best() {
    return this.complete.reduce((best, one) => (best === null || one.value > best.value ? one : best), null);
  }

  point(number) {
    if (number === this.pointed) return;
    this.pointed = number;
    this.dispatchEvent(new Event("pointed"));
  }

  // from: who chose, so that the table does not scroll when it was the table.
  choose(number, from) {
    this.chosen = number === this.chosen ? null : number;
    this.from = from;
    this.dispatchEvent(new Event("chosen"));
  }

  // Arrow keys walk over the trials from the first to the last, Escape lets go. Returns the trial
  // that was walked to, for the chart to say what it is; else null.
  walk(event, trials, from) {
    const at = trials.findIndex(({ trial }) => trial === this.chosen);
    const moves = { ArrowRight: at + 1, ArrowLeft: at < 0 ? trials.length - 1 : at - 1, Home: 0, End: trials.length - 1 };
    if (event.key in moves && trials.length) {
      event.preventDefault();
      const found = trials[Math.min(trials.length - 1, Math.max(0, moves[event.key]))];
      if (found.trial !== this.chosen) this.choose(found.trial, from);
      return found;
    }
    if (event.key === "Escape") this.choose(null, from);
    return null;
  }
}

// The mean Rank IC of all folds; a pruned trial has one of those that it had, which says nothing here.
export function meanOf({ state, value }) {
  return state === "complete" && Number.isFinite(value) ? value : null;
}

// What a trial is, in a few words.
export function titleOf(trial) {
  return `Trial ${trial.trial}${trial.is_baseline ? ", the baseline" : ""}, ${trial.state}`;
}
