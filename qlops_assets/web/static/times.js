// Times: written in the reader's zone, and how long ago where that is what matters.

const UNITS = [["day", 86_400], ["h", 3600], ["min", 60], ["s", 1]];

export function ago(seconds) {
  if (seconds < 2) return "just now";
  const [unit, size] = UNITS.find(([, size]) => seconds >= size);
  const amount = Math.floor(seconds / size);
  return `${amount} ${unit}${unit === "day" && amount > 1 ? "s" : ""} ago`;
}

const two = (number) => String(number).padStart(2, "0");

export function writeTimes(root, now = Date.now()) {
  for (const element of root.querySelectorAll("time")) {
    const at = new Date(element.dateTime);
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    const absolute = element.closest(".meta, .feed") !== null;
    const today = now - at < 43_200_000;
    element.textContent = absolute ? (today && element.closest(".feed") ? clock : `${day} ${clock}`) : ago((now - at) / 1000);
    element.title = `${day} ${clock} here, ${at.toISOString()} UTC`;
  }
}
