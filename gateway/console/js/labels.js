// The words that the console and the HTML report share, and how holdings are called; see cli/report/labels.py.
import { words } from "./format.js";

const answer = await fetch(new URL("../labels.json", import.meta.url));
export const LABELS = await answer.json();

// "{count} positions" with its fields filled in.
export const fill = (text, fields) => text.replace(/\{(\w+)\}/g, (_, name) => fields[name]);

// How a field of any output is called: as people write it, else its own words.
export const fieldLabel = (name) => LABELS.fields[name] || words(name);

export const holdingLabel = (kind, symbol) => (LABELS.holdings.kinds[kind] ? `${LABELS.holdings.kinds[kind]} ${symbol}` : symbol);

export const isCash = (name) => name.startsWith("cash:");

// `cash:CAD` of an attribution is the holding `Cash CAD`.
export const positionLabel = (name) => (isCash(name) ? holdingLabel("cash", name.slice(5)) : LABELS.attribution.names[name] || name);
