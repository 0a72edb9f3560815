// The table of factors: sorts, filters and is walked through by keys without asking the server.
// The address always says what is shown, so that it can be kept or sent, and works without scripts.

const WAIT_MS = 120;

export function readFactors(table) {
  const keys = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.key);
  return [...table.tBodies[0].rows].map((row) => {
    const cell = (key) => row.cells[keys.indexOf(key)];
    const link = row.querySelector("th a");
    return {
      row,
      name: row.dataset.name,
      href: link.href,
      searched: `${row.dataset.name}\n${row.querySelector(".formula")?.textContent ?? ""}`.toLowerCase(),
      tags: new Set(row.dataset.tags.split(" ")),
      value: (key) => (key === "factor" ? row.dataset.name : cell(key).dataset.v === undefined ? null : Number(cell(key).dataset.v)),
      text: (key) => cell(key).textContent.trim(),
    };
  });
}

export class FactorTable {
  constructor(card, choice) {
    Object.assign(this, { card, choice, factors: choice.factors });
    this.region = card.querySelector(".factor-table");
    this.body = card.querySelector("tbody");
    this.form = card.querySelector("form");
    this.heads = [...card.querySelectorAll("thead th[data-key]")];
    this.form.classList.add("instant");
    this.listen();
  }

  listen() {
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.filter(), WAIT_MS);
    });
    this.card.querySelector("#none-shown a").addEventListener("click", (event) => {
      event.preventDefault();
      for (const input of this.form.querySelectorAll("input")) input.type === "checkbox" ? (input.checked = false) : input.type === "search" && (input.value = "");
      this.filter();
    });
    for (const head of this.heads) head.querySelector("a").addEventListener("click", (event) => this.onHead(event, head));
    this.body.addEventListener("pointerover", ({ target }) => this.choice.point(target.closest("tr")?.dataset.name ?? null));
    this.region.addEventListener("pointerleave", () => this.choice.point(null));
    this.body.addEventListener("click", ({ target }) => {
      if (!target.closest("a")) this.choice.choose(target.closest("tr").dataset.name, this);
    });
    this.region.addEventListener("keydown", (event) => this.onKey(event));
    this.choice.on(["chosen"], () => this.mark("chosen", this.choice.chosen, this.choice.from !== this));
    this.choice.on(["pointed"], () => this.mark("pointed", this.choice.pointed, false));
  }

  onHead(event, head) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const usual = head.matches(".ascends, .rank") || head.dataset.key === "factor" ? "ascending" : "descending";
    const other = usual === "ascending" ? "descending" : "ascending";
    const order = head.ariaSort === usual ? other : usual;
    for (const one of this.heads) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    this.sort(head.dataset.key, order === "ascending" ? 1 : -1);
    this.remember();
  }

  sort(key, direction) {
    const known = this.factors.map((factor) => [factor.value(key), factor.row]);
    const compare = (a, b) => (typeof a === "string" ? (a < b ? -1 : a > b ? 1 : 0) : a - b);
    known.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : direction * compare(a, b)));
    this.body.append(...known.map(([, row]) => row));
  }

  chosen() {
    const data = new FormData(this.form);
    return { text: data.get("q").trim(), filters: [...data.keys()].filter((key) => this.form.elements[key].type === "checkbox") };
  }

  filter() {
    const { text, filters } = this.chosen();
    const wanted = text.toLowerCase();
    const shown = new Set();
    for (const { row, name, searched, tags } of this.factors) {
      row.hidden = !(searched.includes(wanted) && filters.every((key) => tags.has(key)));
      if (!row.hidden) shown.add(name);
    }
    this.card.querySelector("#shown").textContent = `${shown.size} of ${this.factors.length} shown`;
    this.card.querySelector("#none-shown").hidden = shown.size > 0;
    this.choice.show(shown);
    this.remember();
  }

  remember() {
    const { text, filters } = this.chosen();
    const asked = new URLSearchParams(text ? { q: text } : {});
    for (const key of filters) asked.set(key, "1");
    const sorted = this.heads.find((head) => head.ariaSort);
    const order = sorted?.ariaSort === "descending" ? "desc" : "asc";
    if (sorted && (sorted.dataset.key !== "rank" || order === "desc")) {
      asked.set("sort", sorted.dataset.key);
      asked.set("order", order);
    }
    const query = asked.toString();
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
  }

  mark(what, name, scroll) {
    this.body.querySelector(`tr.${what}`)?.classList.remove(what);
    const row = name === null ? null : this.choice.byName.get(name).row;
    row?.classList.add(what);
    if (row && scroll && !row.hidden) this.reveal(row);
  }

  // Scrolls the table alone; the page stays where it is.
  reveal(row) {
    const head = this.card.querySelector("thead").offsetHeight;
    const { offsetTop: top, offsetHeight: height } = row;
    if (top - head < this.region.scrollTop) this.region.scrollTop = top - head;
    else if (top + height > this.region.scrollTop + this.region.clientHeight) this.region.scrollTop = top + height - this.region.clientHeight;
  }

  onKey(event) {
    if (event.target !== this.region) return;
    const rows = [...this.body.rows].filter((row) => !row.hidden);
    const at = rows.findIndex((row) => row.dataset.name === this.choice.chosen);
    const moves = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, Home: 0, End: rows.length - 1 };
    if (event.key in moves && rows.length) {
      event.preventDefault();
      const row = rows[Math.min(rows.length - 1, Math.max(0, moves[event.key]))];
      this.choice.choose(row.dataset.name, this);
      this.reveal(row);
    } else if (event.key === "Enter" && at >= 0) this.choice.open(this.choice.chosen);
    else if (event.key === "Escape") this.choice.choose(null, this);
  }
}
