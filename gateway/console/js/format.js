// Figures as people read them. Money arrives as decimal strings and is grouped as text, never turned into a float.

export const MISSING = "–";
const EXPONENT_MAX = 400;

// The digits of a number or decimal string and how many of them are decimals; null for anything else.
function decimal(value) {
  const match = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/.exec(typeof value === "boolean" ? "" : String(value ?? "").trim());
  if (!match) return null;
  const [, sign, whole, fraction = "", exponent = "0"] = match;
  if (Math.abs(exponent) > EXPONENT_MAX) return null;
  return { negative: sign === "-", digits: BigInt(whole + fraction), decimals: fraction.length - Number(exponent) };
}

// Rounded half to even on the digits, as the report's decimals are: a figure reads the same in both.
function fixed({ digits, decimals }, places) {
  let kept = digits * 10n ** BigInt(Math.max(places - decimals, 0));
  if (decimals > places) {
    const unit = 10n ** BigInt(decimals - places);
    kept = digits / unit;
    const twice = 2n * (digits % unit);
    if (twice > unit || (twice === unit && kept % 2n)) kept += 1n;
  }
  const text = String(kept).padStart(places + 1, "0");
  const whole = text.slice(0, text.length - places).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return places ? `${whole}.${text.slice(-places)}` : whole;
}

// What rounds to zero has no sign.
const signed = (negative, text, plus = false) => (/[1-9]/.test(text) ? (negative ? "−" : plus ? "+" : "") : "") + text;

export function amount(value, places = 2, plus = false) {
  const found = decimal(value);
  return found ? signed(found.negative, fixed(found, places), plus) : MISSING;
}

// All its digits, or at most so many decimals, without trailing zeros.
export function quantity(value, places = Infinity) {
  const found = decimal(value);
  if (!found) return MISSING;
  const text = fixed(found, Math.min(Math.max(found.decimals, 0), places));
  return signed(found.negative, text.includes(".") ? text.replace(/\.?0+$/, "") : text);
}

// A price with its own decimals, but at least two and at most six.
export function price(value) {
  const found = decimal(value);
  if (!found) return MISSING;
  const written = fixed(found, 6).replace(/0+$/, "").split(".")[1].length;
  return signed(found.negative, fixed(found, Math.max(written, 2)));
}

export function percent(value, places = 2, plus = false) {
  const found = decimal(value);
  return found ? signed(found.negative, fixed({ ...found, decimals: found.decimals - 2 }, places), plus) + "%" : MISSING;
}

// The exact sum of numbers and decimal strings; null when there is none, or one is not known.
export function sum(values) {
  const found = values.map(decimal);
  if (!found.length || found.includes(null)) return null;
  const places = Math.max(0, ...found.map((each) => each.decimals));
  const units = found.map(({ negative, digits, decimals }) => (negative ? -digits : digits) * 10n ** BigInt(places - decimals));
  return `${units.reduce((total, each) => total + each, 0n)}e-${places}`;
}

export const score = (value) => amount(value, 1);

export function tone(value) {
  const number = Number(value);
  return value === null || value === undefined || !number ? "" : number > 0 ? "up" : "down";
}

// Negative numbers of a text with a true minus sign, like those of axes; dates, ids and ranges keep their hyphens.
export const withMinus = (text) => text.replace(/(^|[\s(])-(?=\d[\d,.]*(?:%|\s|[;),]|$))/g, "$1−");

export function number(value) {
  if (typeof value !== "number") return withMinus(String(value));
  return withMinus(Number.isInteger(value) ? value.toLocaleString("en-US") : value.toLocaleString("en-US", { maximumSignificantDigits: 8 }));
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
