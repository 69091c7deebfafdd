// Figures as people read them. Money arrives as decimal strings and is grouped as text, never turned into a float.

const MISSING = "–";

export function amount(value, digits = 2, plus = false) {
  if (value === null || value === undefined || value === "") return MISSING;
  const text = rounded(String(value), digits);
  if (text === null) return String(value);
  const negative = text.startsWith("-");
  const [whole, fraction] = text.replace("-", "").split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",") + (fraction ? "." + fraction : "");
  const zero = !/[1-9]/.test(grouped);
  return (negative && !zero ? "−" : plus && !zero ? "+" : "") + grouped;
}

// Half away from zero, on the digits: "1.005" is 1.01, whatever binary floats think.
function rounded(text, digits) {
  const match = /^(-?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text.trim());
  if (!match) return null;
  if (match[4]) return Number(text).toFixed(digits);
  const [, sign, whole, fraction = ""] = match;
  const kept = BigInt(whole + (fraction + "0".repeat(digits + 1)).slice(0, digits + 1));
  const scaled = String((kept + 5n) / 10n).padStart(digits + 1, "0");
  const cut = scaled.length - digits;
  return sign + scaled.slice(0, cut) + (digits ? "." + scaled.slice(cut) : "");
}

export function percent(value, digits = 2, plus = false) {
  if (value === null || value === undefined) return MISSING;
  const number = Number(value);
  if (!Number.isFinite(number)) return String(value);
  const text = Math.abs(number * 100).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const zero = !/[1-9]/.test(text);
  return (number < 0 && !zero ? "−" : plus && !zero ? "+" : "") + text + "%";
}

export const score = (value) => (value === null || value === undefined ? MISSING : Number(value).toFixed(1));

export function tone(value) {
  const number = Number(value);
  return value === null || value === undefined || !number ? "" : number > 0 ? "up" : "down";
}

export function number(value) {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? value.toLocaleString("en-US") : value.toLocaleString("en-US", { maximumSignificantDigits: 8 });
}

export function day(text) {
  if (!text) return MISSING;
  const date = new Date(text + "T00:00:00Z");
  return Number.isNaN(date.getTime()) ? text : date.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
}

export function duration(ms) {
  if (ms === null || ms === undefined || ms < 0) return "";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function moment(at) {
  const date = new Date(at);
  if (at === null || at === undefined || Number.isNaN(date.getTime())) return MISSING;
  return date.toISOString().replace("T", " ").slice(0, 19) + " UTC";
}

export function ago(at) {
  const seconds = (Date.now() - new Date(at).getTime()) / 1000;
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

export const words = (name) => String(name).replace(/[_-]+/g, " ").replace(/^./, (letter) => letter.toUpperCase());

export const short = (text, length = 8) => (text ? String(text).slice(0, length) : MISSING);
