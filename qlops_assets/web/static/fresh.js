// A page that stays as fresh as the journal: events make it fetch itself again, and only the parts
// whose content changed are exchanged. What is alive in it (data-keep) is carried over.

import { EventStream } from "./live.js";
import { writeTimes } from "./times.js";

const SETTLE_MS = 250;
const WORDS = { connecting: "Connecting", live: "Live", waiting: "Reconnecting", refused: "Reload the page" };

const parts = (root) => [...root.querySelectorAll(".card, .page-head")];
const skeleton = (root) => parts(root).map((part) => part.id).join(" ");
const kept = (root, key) => root.querySelector(`[data-keep="${CSS.escape(key)}"]`);

export class FreshPage {
  // root: an element with an id whose parts (cards and head) have ids; views(host): starts what lives
  // in a data-keep host and returns it: { refreshed(fresh)?, close()? }, where fresh is the host as it
  // is served now, if its part changed; delayAfter(event): ms until the page is fetched again, null
  // where the event changes nothing; every(): ms until it is fetched anyway.
  constructor(root, { views = () => ({}), delayAfter, every }) {
    Object.assign(this, { root, views, delayAfter, every });
    this.served = new Map(); // each part's HTML as the server wrote it
    this.mounted = new Map(); // data-keep -> what runs in it
    this.replaced = new Map(); // data-keep -> what was served in its place
    this.busy = this.again = false;
    this.due = Infinity;
    for (const part of parts(root)) this.served.set(part.id, part.outerHTML);
    this.mount();
    this.follow(document.getElementById("live"));
    this.later();
    setInterval(() => writeTimes(this.root), 1000);
    document.addEventListener("visibilitychange", () => document.hidden || this.soon());
  }

  follow(lamp) {
    new EventStream({
      topic: "*",
      after: Number(this.root.dataset.seq),
      onEvent: (event) => {
        const delay = this.delayAfter(event, SETTLE_MS);
        if (delay !== null) this.soon(delay);
      },
      onState: (state) => {
        if (state === "live" && lamp.dataset.state === "waiting") this.soon();
        if (state === "connecting" && lamp.dataset.state === "waiting") return; // say it once
        lamp.dataset.state = state;
        lamp.textContent = WORDS[state];
      },
    });
  }

  later() {
    setTimeout(() => {
      if (!document.hidden) this.refresh();
      this.later();
    }, this.every());
  }

  // Many events that come together make one fetch.
  soon(delay = SETTLE_MS) {
    if (performance.now() + delay >= this.due) return;
    this.due = performance.now() + delay;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.due = Infinity;
      this.refresh();
    }, delay);
  }

  async refresh() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    try {
      const response = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
      if (response.ok) {
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        document.getElementById("banner").replaceWith(page.getElementById("banner"));
        this.show(page.getElementById(this.root.id));
      }
    } catch {
      // the server is away; the stream says so and comes back by itself
    } finally {
      this.busy = false;
      if (this.again) {
        this.again = false;
        this.soon();
      }
    }
  }

  show(fresh) {
    const focused = document.activeElement;
    const html = new Map(parts(fresh).map((part) => [part.id, part.outerHTML]));
    if (skeleton(fresh) === skeleton(this.root)) {
      for (const part of parts(fresh)) {
        if (html.get(part.id) === this.served.get(part.id)) continue;
        this.carryOver(part);
        document.getElementById(part.id).replaceWith(part);
      }
    } else {
      this.carryOver(fresh);
      this.root.replaceChildren(...fresh.childNodes);
    }
    this.served = html;
    this.focusAgain(focused);
    this.mount();
  }

  carryOver(fresh) {
    for (const place of fresh.querySelectorAll("[data-keep]")) {
      const living = kept(this.root, place.dataset.keep);
      if (!living) continue;
      place.replaceWith(living);
      this.replaced.set(place.dataset.keep, place);
    }
  }

  focusAgain(focused) {
    if (focused?.isConnected) focused.focus({ preventScroll: true });
    else if (focused?.id) document.getElementById(focused.id)?.focus({ preventScroll: true });
    else if (focused?.href) this.root.querySelector(`a[href="${CSS.escape(focused.getAttribute("href"))}"]`)?.focus({ preventScroll: true });
  }

  mount() {
    for (const host of this.root.querySelectorAll("[data-keep]")) {
      if (!this.mounted.has(host.dataset.keep)) this.mounted.set(host.dataset.keep, this.views(host));
    }
    for (const [key, view] of this.mounted) {
      if (kept(this.root, key)) {
        view.refreshed?.(this.replaced.get(key));
        continue;
      }
      view.close?.();
      this.mounted.delete(key);
    }
    this.replaced.clear();
    writeTimes(this.root);
  }
}
