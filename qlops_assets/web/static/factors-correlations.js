// The map of correlations on a canvas: a cell per pair, clusters framed, row and column named.

import { draw, make } from "./charts.js";
import { Tip } from "./factors-tip.js";
import { decimal } from "./scales.js";

const TOKENS = ["heat-neg", "heat-zero", "heat-pos", "heat-none", "ink"];
const WIDEST = 660;
const NAMED_FROM = 13; // pixels of a cell from which on names fit beside it
const NAME_ROOM = 82;

export class CorrelationMap {
  constructor(host, choice) {
    Object.assign(this, { host, choice, cell: null });
    this.plot = make(host, "div", "plot pick square");
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", "Map of rank correlations between all factors, ordered so that clusters stand together. Arrow keys go from pair to pair, Enter opens the row's factor.");
    this.canvas = make(this.plot, "canvas", "");
    this.svg = draw(this.plot, "svg", { "aria-hidden": "true" });
    this.tip = new Tip(this.plot);
    this.readout = make(make(host, "div", "map-legend"), "output", "where");
    const scale = make(host.lastChild, "span", "map-scale");
    for (const [className, text] of [["", "\u22121"], ["ramp", ""], ["", "+1"]]) make(scale, "i", className, text);
    this.load();
  }

  async load() {
    try {
      const response = await fetch(this.host.dataset.src);
      if (!response.ok) throw new Error((await response.json()).error);
      this.take(await response.json());
    } catch (error) {
      this.plot.textContent = `The correlations cannot be shown (${error.message}).`;
    }
  }

  take({ factors, clusters, values }) {
    const count = factors.length;
    this.names = factors;
    this.matrix = new Float32Array(count * count).fill(1);
    let place = 0;
    for (let i = 0; i < count; i++) {
      for (let j = i + 1; j < count; j++) {
        const value = values[place++];
        this.matrix[i * count + j] = this.matrix[j * count + i] = value === null ? NaN : value / 100;
      }
    }
    this.clusters = clusters;
    this.runs = [];
    for (let i = 0; i < count; i++) {
      if (i && clusters[i] === clusters[i - 1]) this.runs.at(-1).to = i + 1;
      else this.runs.push({ from: i, to: i + 1 });
    }
    this.listen();
    new ResizeObserver(() => this.render()).observe(this.host);
    const again = () => this.render();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  listen() {
    this.plot.addEventListener("pointermove", (event) => this.point(this.at(event)));
    this.plot.addEventListener("pointerleave", () => this.point(null));
    this.plot.addEventListener("blur", () => this.point(null));
    this.plot.addEventListener("click", () => this.cell && this.choice.choose(this.names[this.cell[0]], this));
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    this.choice.on(["pointed", "chosen", "shown"], () => this.renderMarks());
  }

  onKey(event) {
    const last = this.names.length - 1;
    const [i, j] = this.cell ?? [0, 0];
    const moves = { ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], Home: [0, 0], End: [last, last] };
    if (event.key in moves) {
      event.preventDefault();
      this.point(this.cell ? moves[event.key].map((place) => Math.min(last, Math.max(0, place))) : [0, 0]);
    } else if (event.key === "Enter" && this.cell) this.choice.open(this.names[this.cell[0]]);
    else if (event.key === "Escape") this.point(null);
  }

  at(event) {
    const box = this.plot.getBoundingClientRect();
    const j = Math.floor((event.clientX - box.left - this.room) / this.size);
    const i = Math.floor((event.clientY - box.top) / this.size);
    return i >= 0 && j >= 0 && i < this.names.length && j < this.names.length ? [i, j] : null;
  }

  point(cell) {
    this.cell = cell;
    this.choice.point(cell ? this.names[cell[0]] : null);
    this.renderMarks();
  }

  // Cells are whole device pixels, so that every cell is as large as every other.
  render() {
    const width = this.host.clientWidth;
    if (!width) return;
    const count = this.names.length;
    const ratio = devicePixelRatio || 1;
    const free = Math.min(width, WIDEST);
    const wide = Math.floor(((free - NAME_ROOM) * ratio) / count) / ratio >= NAMED_FROM;
    this.room = wide ? NAME_ROOM : 0;
    this.size = Math.max(1, Math.min(48 * ratio, Math.floor(((free - this.room) * ratio) / count))) / ratio;
    const side = this.size * count;
    const colours = this.colours();
    const image = new ImageData(count, count);
    for (let i = 0; i < count * count; i++) image.data.set(colours(this.matrix[i]), 4 * i);
    const small = new OffscreenCanvas(count, count);
    small.getContext("2d").putImageData(image, 0, 0);
    this.canvas.width = this.canvas.height = Math.round(side * ratio);
    this.canvas.style.width = this.canvas.style.height = `${side}px`;
    this.canvas.style.marginLeft = `${this.room}px`;
    const paint = this.canvas.getContext("2d");
    paint.imageSmoothingEnabled = false;
    paint.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    this.svg.setAttribute("width", side + this.room);
    this.svg.setAttribute("height", side);
    this.svg.replaceChildren();
    this.renderFrames();
    this.over = draw(this.svg, "g");
    this.renderMarks();
  }

  renderFrames() {
    for (const { from, to } of this.runs) {
      if (to - from < 2) continue;
      const side = (to - from) * this.size;
      draw(this.svg, "rect", { class: "cluster-frame", x: this.room + from * this.size, y: from * this.size, width: side, height: side });
    }
    if (!this.room) return;
    for (const [i, name] of this.names.entries()) {
      draw(this.svg, "text", { class: "tick", x: this.room - 6, y: (i + 0.5) * this.size + 4, "text-anchor": "end" }, name.length > 11 ? `${name.slice(0, 10)}…` : name);
    }
  }

  colours() {
    const probe = make(this.plot, "i", "");
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const [neg, zero, pos, none] = TOKENS.map((token) => {
      probe.style.color = `var(--${token})`;
      canvas.fillStyle = getComputedStyle(probe).color;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    });
    probe.remove();
    return (value) => {
      if (Number.isNaN(value)) return none;
      const end = value < 0 ? neg : pos;
      const share = Math.min(1, Math.abs(value));
      return zero.map((from, channel) => Math.round(from + (end[channel] - from) * share));
    };
  }

  renderMarks() {
    if (!this.over) return;
    this.over.replaceChildren();
    const side = this.size * this.names.length;
    const line = (place, kind, both) => {
      const at = place * this.size;
      draw(this.over, "rect", { class: `band ${kind}`, x: this.room, y: at, width: side, height: this.size });
      if (both) draw(this.over, "rect", { class: `band ${kind}`, x: this.room + at, y: 0, width: this.size, height: side });
    };
    const chosen = this.names.indexOf(this.choice.chosen);
    if (chosen >= 0) line(chosen, "chosen", true);
    if (!this.cell) {
      const pointed = this.names.indexOf(this.choice.pointed);
      if (pointed >= 0) line(pointed, "pointed", true);
      this.readout.textContent = `${this.names.length} factors, ${this.runs.length} clusters; the larger ones are framed`;
      return this.tip.hide();
    }
    const [i, j] = this.cell;
    line(i, "pointed", false);
    draw(this.over, "rect", { class: "band pointed", x: this.room + j * this.size, y: 0, width: this.size, height: side });
    const known = this.matrix[i * this.names.length + j];
    const value = Number.isNaN(known) ? "never comparable" : decimal(known, 2);
    const same = this.clusters[i] === this.clusters[j] ? `both cluster ${this.clusters[i]}` : `clusters ${this.clusters[i]} and ${this.clusters[j]}`;
    const pair = i === j ? this.names[i] : `${this.names[i]} and ${this.names[j]}`;
    this.readout.textContent = `${pair}: ${value}, ${i === j ? `cluster ${this.clusters[i]}` : same}`;
    this.tip.show(this.room + (j + 0.5) * this.size, (i + 0.5) * this.size, pair, [["correlation", value], ["", i === j ? `cluster ${this.clusters[i]}` : same]]);
  }
}
