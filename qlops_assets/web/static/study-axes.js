// The axes of a search space: where on its axis a value lies, from 0 to 1, and which values are named.

import { compact, numberTicks } from "./scales.js";

const POWERS = [1, 2, 5];

export function axisOf(name, dimension) {
  return dimension.choices ? new ChoiceAxis(name, dimension.choices) : new RangeAxis(name, dimension);
}

export class RangeAxis {
  constructor(name, { low, high, log = false, int = false }, format = (value) => compact(value)) {
    Object.assign(this, { name, low, high, log, int, format });
    this.scale = log ? Math.log : (value) => value;
  }

  at(value) {
    if (!Number.isFinite(value)) return null;
    const [low, high] = [this.scale(this.low), this.scale(this.high)];
    return high > low ? Math.min(1, Math.max(0, (this.scale(value) - low) / (high - low))) : 0.5;
  }

  // [[place, text]], the ends first: they are named even where others find no room.
  ticks(wanted) {
    const inner = this.log ? this.powers(wanted) : numberTicks(this.low, this.high, wanted);
    const between = inner.filter((value) => value > this.low && value < this.high && (!this.int || Number.isInteger(value)));
    return [this.low, this.high, ...between].map((value) => [this.at(value), this.format(value)]);
  }

  powers(wanted) {
    const [first, last] = [Math.floor(Math.log10(this.low)), Math.ceil(Math.log10(this.high))];
    const decades = [];
    for (let power = first; power <= last; power++) decades.push(power);
    const all = (steps) => decades.flatMap((power) => steps.map((step) => Number(`${step}e${power}`)));
    if (last - first <= 2) return all(POWERS);
    const every = Math.max(1, Math.ceil((last - first) / wanted));
    return all([1]).filter((_, place) => place % every === 0);
  }
}

export class ChoiceAxis {
  constructor(name, choices) {
    this.name = name;
    // A choice that is a list is kept by the search as its text.
    this.isOfLists = choices.some(Array.isArray);
    this.keys = choices.map((choice) => this.keyOf(choice));
    this.texts = choices.map(compact);
  }

  keyOf(value) {
    const found = this.isOfLists && typeof value === "string" && value.startsWith("[") ? JSON.parse(value) : value;
    return JSON.stringify(found);
  }

  at(value) {
    const place = value === undefined ? -1 : this.keys.indexOf(this.keyOf(value));
    return place < 0 ? null : this.place(place);
  }

  place(index) {
    return this.keys.length > 1 ? 0.06 + (0.88 * index) / (this.keys.length - 1) : 0.5;
  }

  ticks() {
    return this.texts.map((text, index) => [this.place(index), text]);
  }

  format(value) {
    return compact(value);
  }
}
