// The table of trials. The server writes its rows; what the processes say between two of its
// answers, and which trial is looked at, is written here.

import { count } from "./scales.js";

export class TrialTable {
  constructor(host, study) {
    Object.assign(this, { host, study, served: new Map(), top: 0 });
    for (const body of this.bodies(host)) this.served.set(body.dataset.trial, body.outerHTML);
    this.listen();
    this.progress();
  }

  bodies(root) {
    return [...root.querySelectorAll("tbody[data-trial]")];
  }

  listen() {
    const numberAt = ({ target }) => {
      const body = target.closest("tbody[data-trial]");
      return body ? Number(body.dataset.trial) : null;
    };
    this.host.addEventListener("pointerover", (event) => this.study.point(numberAt(event)));
    this.host.addEventListener("pointerleave", () => this.study.point(null));
    this.host.addEventListener("focusin", (event) => event.target.matches("a") && this.study.point(numberAt(event)));
    this.host.addEventListener("focusout", () => this.study.point(null));
    this.host.addEventListener("scroll", () => (this.top = this.host.scrollTop), { passive: true });
    this.host.addEventListener("click", (event) => {
      const number = numberAt(event);
      if (number === null || getSelection().type === "Range") return;
      event.preventDefault();
      this.study.choose(number, this);
    });
    this.host.addEventListener("keydown", (event) => event.key === "Escape" && this.study.choose(null, this));
    this.study.on(["progress", "trials"], () => this.progress());
    this.study.on(["pointed", "chosen", "trials"], () => this.mark());
    this.study.on(["chosen"], () => this.reveal());
  }

  // fresh: the table as the server writes it now; only rows that differ are exchanged.
  refreshed(fresh) {
    if (!fresh) return;
    const rows = this.bodies(fresh);
    const table = this.host.querySelector("table");
    const before = this.top;
    const height = table.offsetHeight;
    rows.reverse().forEach((body) => {
      const { trial } = body.dataset;
      const html = body.outerHTML;
      if (html === this.served.get(trial)) return;
      const old = table.querySelector(`tbody[data-trial="${trial}"]`);
      const focused = old?.contains(document.activeElement);
      if (old) old.replaceWith(body);
      else table.tHead.after(body);
      if (focused) body.querySelector("a").focus({ preventScroll: true });
      this.served.set(trial, html);
    });
    // Who reads further down is not moved by what is new on top.
    this.host.scrollTop = before ? before + table.offsetHeight - height : 0;
    this.progress();
    this.mark();
  }

  progress() {
    for (const place of this.host.querySelectorAll("tbody.running .under-way")) {
      const trial = this.study.trials.get(Number(place.closest("tbody").dataset.trial));
      if (trial?.under_way) this.write(place, trial.under_way);
    }
  }

  write(place, { fold, stage, step, total }) {
    const words = stage === "fit" ? "iteration" : stage;
    const reached = step ? `, ${words} ${count(step)}${total ? ` of ${count(total)}` : ""}` : "";
    const bar = place.querySelector("progress");
    place.querySelector("small").textContent = `fold ${fold + 1} of ${this.study.folds.length}${reached}`;
    bar.max = total || 1;
    bar.value = step || 0;
  }

  mark() {
    const { pointed, chosen } = this.study;
    for (const body of this.bodies(this.host)) {
      body.classList.toggle("pointed", Number(body.dataset.trial) === pointed);
      body.classList.toggle("chosen", Number(body.dataset.trial) === chosen);
    }
  }

  reveal() {
    const { chosen, from } = this.study;
    if (chosen === null || from === this) return;
    const body = this.host.querySelector(`tbody[data-trial="${chosen}"]`);
    if (!body) return;
    const head = this.host.querySelector("thead").offsetHeight;
    const [top, bottom] = [body.offsetTop - head, body.offsetTop + body.offsetHeight];
    if (top < this.host.scrollTop) this.host.scrollTop = top;
    else if (bottom > this.host.scrollTop + this.host.clientHeight) this.host.scrollTop = bottom - this.host.clientHeight;
  }
}
