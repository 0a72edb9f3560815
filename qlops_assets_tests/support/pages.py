"""What tests ask of a page: its elements and its text, and whether that can be read."""

from html.parser import HTMLParser


class Elements(HTMLParser):
    """The elements of a page and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def addresses(self) -> set[str]:
        return {a[k] or "" for _, a in self.elements for k in ("href", "src") if k in a}


# WCAG 2.2, success criterion 1.4.3: 4.5 to 1 for text.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (c) => c.slice(0, 3)
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const ink = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
    const [a, b] = [light(rgb(ink)), light(ground(element))].sort((x, y) => y - x);
    const text = element.textContent.trim().slice(0, 30);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(`${text} ${ink}`);
  }
  return poor;
}"""

# What a person who does not see the page would miss: names of controls and regions, order of
# headings, heads of tables; and identifiers that are not one of a kind.
NAMELESS = """() => {
  const poor = [];
  const text = (id) => document.getElementById(id)?.textContent ?? "";
  const name = (e) => e.ariaLabel || e.labels?.[0]?.textContent.trim() || e.title
    || (e.getAttribute("aria-labelledby") ?? "").split(" ").map(text).join("")
    || e.textContent.trim();
  const say = (what, e) => poor.push(`${what}: ${e.outerHTML.slice(0, 80)}`);
  const seen = (e) => e.getClientRects().length > 0;
  const named = "a, button, input, select, [role], nav, section, [tabindex]";
  for (const e of document.querySelectorAll(named)) {
    if (seen(e) && !e.matches("[role=status]") && !name(e)) say("no name", e);
  }
  let level = 0;
  for (const e of document.querySelectorAll("h1, h2, h3, h4")) {
    const own = Number(e.tagName[1]);
    if (own > level + 1) say("heading skips a level", e);
    level = own;
  }
  if (document.querySelectorAll("h1").length !== 1) poor.push("not one h1");
  for (const e of document.querySelectorAll("th")) if (!e.scope) say("head without scope", e);
  for (const e of document.querySelectorAll("dl > :not(div, dt, dd)")) say("not of a list", e);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const [i, id] of ids.entries()) if (ids.indexOf(id) !== i) poor.push(`twice: ${id}`);
  for (const e of document.querySelectorAll("[aria-labelledby]")) {
    if (!document.getElementById(e.getAttribute("aria-labelledby"))) say("label is missing", e);
  }
  return poor;
}"""
