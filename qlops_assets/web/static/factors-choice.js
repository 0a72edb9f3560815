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

  // Click on what is pointed at: the first time it is chosen, the second time opened.
  press(name, from) {
    if (name !== null && name === this.chosen) this.open(name);
    else this.choose(name, from);
  }

  // Arrow keys walk over a chart's points from left to right, Enter opens, Escape lets go. Returns
  // the factor that was walked to, for the chart to say what it is; else null.
  walk(event, points, from) {
    const at = points.findIndex(({ factor }) => factor.name === this.chosen);
    const moves = { ArrowRight: at + 1, ArrowLeft: at < 0 ? points.length - 1 : at - 1, Home: 0, End: points.length - 1 };
    if (event.key in moves && points.length) {
      event.preventDefault();
      const { factor } = points[Math.min(points.length - 1, Math.max(0, moves[event.key]))];
      this.choose(factor.name, from);
      return factor;
    }
    if (event.key === "Enter" && this.chosen) this.open(this.chosen);
    else if (event.key === "Escape") this.choose(null, from);
    return null;
  }

  tell(what) {
    this.dispatchEvent(new Event(what));
  }

  on(names, act) {
    for (const name of names) this.addEventListener(name, act);
  }
}
