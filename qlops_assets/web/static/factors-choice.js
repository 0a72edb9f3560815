// Which factors are shown, which one is pointed at and which one is chosen: the table and the
// charts all tell each other here.

export class Choice extends EventTarget {
  constructor(factors) {
    super();
    this.factors = factors; // [{ name, href, value(key), text(key), tags }]
    this.byName = new Map(factors.map((factor) => [factor.name, factor]));
    this.shown = new Set(factors.filter((factor) => !factor.row.hidden).map((factor) => factor.name));
    this.pointed = null;
    this.chosen = null;
  }

  show(names) {
    this.shown = names;
    this.tell("shown");
  }

  point(name) {
    if (name === this.pointed) return;
    this.pointed = name;
    this.tell("pointed");
  }

  // from: who chose, so that the table does not scroll when it was the table.
  choose(name, from) {
    this.chosen = name;
    this.from = from;
    this.tell("chosen");
  }

  open(name) {
    location.assign(this.byName.get(name).href);
  }

  tell(what) {
    this.dispatchEvent(new Event(what));
  }

  on(names, act) {
    for (const name of names) this.addEventListener(name, act);
  }
}
