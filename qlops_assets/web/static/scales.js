// Axes: round ticks for numbers and calendar ticks for days.

const STEPS = [1, 2, 5, 10];
const DAY_MS = 86_400_000;

export function numberTicks(low, high, wanted) {
  if (!(high > low)) return [low];
  const raw = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = STEPS.find((s) => s * power >= raw * 0.999) * power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

// A year, a quarter, a month, a week or a day apart, whatever gives about `wanted` of them.
export function dayTicks(first, last, wanted) {
  const days = (last - first) / DAY_MS;
  const every = [1, 7, 30, 91, 182, 365, 730, 1826].find((d) => days / d <= wanted + 0.5) ?? 3652;
  const ticks = [];
  if (every < 30) {
    for (let t = first; t <= last; t += every * DAY_MS) ticks.push([t, isoDay(t).slice(5)]);
    return ticks;
  }
  const months = Math.round(every / 30.4);
  const start = new Date(first);
  let index = start.getUTCFullYear() * 12 + start.getUTCMonth();
  index = Math.ceil(index / months) * months;
  for (; ; index += months) {
    const t = Date.UTC(Math.floor(index / 12), index % 12, 1);
    if (t > last) return ticks;
    if (t < first) continue;
    ticks.push([t, months >= 12 ? isoDay(t).slice(0, 4) : isoDay(t).slice(0, 7)]);
  }
}

// How many decimals tell values that are `step` apart from each other.
export const digitsOf = (step) => Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));

export const isoDay = (time) => new Date(time).toISOString().slice(0, 10);

const minus = (text) => text.replace("-", "\u2212");

export const percent = (value, digits = 2) =>
  Number.isFinite(value) ? `${value > 0 ? "+" : ""}${minus((100 * value).toFixed(digits))}\u00a0%` : "–";

export const decimal = (value, digits = 4) =>
  Number.isFinite(value) ? minus(value.toFixed(digits)) : "–";

export const count = (value) =>
  Number.isFinite(value) ? value.toLocaleString("en-US", { maximumFractionDigits: 0 }) : "–";

// A parameter's value with three digits that count; what is no number as it is.
export function compact(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return typeof value === "string" ? value : JSON.stringify(value);
  const size = Math.abs(value);
  if (size >= 999.5 || Number.isInteger(value)) return minus(value.toFixed(0));
  return minus(size >= 1e-4 ? String(Number(value.toPrecision(3))) : value.toExponential(2));
}

export const memory = (mb) =>
  Number.isFinite(mb) ? (mb < 999.5 ? `${Math.round(mb)} MB` : `${(mb / 1000).toFixed(1)} GB`) : "–";

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0.9995) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  if (minutes < 60) return `${minutes} min ${String(rest).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
