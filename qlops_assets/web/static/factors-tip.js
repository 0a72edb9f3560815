// A small box beside what is pointed at; it never leaves the window and never takes the pointer.

import { make } from "./charts.js";

export class Tip {
  constructor(host) {
    this.box = make(host, "div", "tip");
    this.box.hidden = true;
    this.host = host;
  }

  // lines: the first is the name of what is pointed at, the others [label, value]; x, y within the host.
  show(x, y, title, lines) {
    this.box.replaceChildren();
    make(this.box, "b", "", title);
    const list = make(this.box, "dl", "");
    for (const [label, value] of lines) {
      make(list, "dt", "", label);
      make(list, "dd", "", value);
    }
    this.box.hidden = false;
    const { width, height } = this.box.getBoundingClientRect();
    const room = this.host.getBoundingClientRect();
    const right = Math.min(room.width, document.documentElement.clientWidth - room.left - 4);
    const left = x + 14 + width <= right ? x + 14 : x - 14 - width;
    const top = Math.min(Math.max(-8, y - height / 2), Math.max(0, room.height - height));
    this.box.style.transform = `translate(${Math.round(Math.max(4 - room.left, left))}px, ${Math.round(top)}px)`;
  }

  hide() {
    this.box.hidden = true;
  }
}
