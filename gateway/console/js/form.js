// A form made of a JSON Schema: the inputs of a pattern.
import { html } from "../vendor/htm-preact-3.1.1.module.js";
import { fieldLabel } from "./labels.js";

const kind = (schema) => (Array.isArray(schema.type) ? schema.type.find((type) => type !== "null") : schema.type) || "any";
// An optional input is "this or null"; what a field has to know stands in "this".
const own = (schema) => {
  const options = (schema.anyOf || []).filter((each) => each.type !== "null");
  return options.length === 1 && schema.anyOf.length === 2 ? { ...schema, anyOf: undefined, ...options[0] } : schema;
};
const isDate = (schema) => schema.format === "date" || schema["x-type"] === "date" || /\ba date\b/i.test(schema.title || "");

export function initial(schema) {
  const values = {};
  for (const [name, each] of Object.entries(schema.properties || {})) {
    if (each.default !== undefined && each.default !== null) values[name] = typeof each.default === "object" ? JSON.stringify(each.default) : each.default;
  }
  return values;
}

// Returns {inputs, faults}: what was typed as JSON values, and what cannot be one.
export function collect(schema, values) {
  const inputs = {};
  const faults = {};
  const required = new Set(schema.required || []);
  for (const [name, each] of Object.entries(schema.properties || {})) {
    const given = values[name];
    if (given === undefined || given === "" || given === null) {
      if (required.has(name)) faults[name] = "This is needed.";
      continue;
    }
    try {
      inputs[name] = parse(own(each), given);
    } catch (error) {
      faults[name] = error.message;
    }
  }
  return { inputs, faults };
}

function parse(schema, given) {
  const type = kind(schema);
  if (type === "boolean") return Boolean(given);
  if (type === "integer" || type === "number") {
    const number = Number(given);
    if (!Number.isFinite(number) || (type === "integer" && !Number.isInteger(number))) throw new Error(`Expected ${type === "integer" ? "a whole number" : "a number"}.`);
    if (schema.minimum !== undefined && number < schema.minimum) throw new Error(`At least ${schema.minimum}.`);
    if (schema.maximum !== undefined && number > schema.maximum) throw new Error(`At most ${schema.maximum}.`);
    return number;
  }
  if (type === "array" || type === "object" || type === "any") {
    const text = String(given).trim();
    if (type === "array" && !text.startsWith("[")) return text.split(/[\s,]+/).filter(Boolean).map((item) => parse(schema.items || { type: "string" }, item));
    let value;
    try {
      value = JSON.parse(text);
    } catch {
      if (type === "any") return text;
      throw new Error("Expected JSON.");
    }
    if (typeof value === "number" && !Number.isFinite(value)) throw new Error("Expected a number that is not so large.");
    return value;
  }
  const text = String(given).trim();
  if (schema.pattern && !new RegExp(schema.pattern, "u").test(text)) throw new Error(`Expected ${schema.title || "another form"}.`);
  return text;
}

export const Fields = ({ schema, values, faults, onChange, portfolios, skip = [] }) =>
  Object.entries(schema.properties || {})
    .filter(([name]) => !skip.includes(name))
    .map(([name, each]) => html`<${Field} key=${name} name=${name} schema=${own(each)} value=${values[name]} fault=${faults[name]} needed=${(schema.required || []).includes(name)} onChange=${(value) => onChange({ ...values, [name]: value })} portfolios=${portfolios} />`);

const Field = ({ name, schema, value, fault, needed, onChange, portfolios }) => {
  const type = kind(schema);
  const id = `input-${name}`;
  const common = { id, name, "aria-invalid": Boolean(fault), "aria-describedby": `${id}-note`, required: needed };
  const text = (event) => onChange(event.target.value);
  let control;
  if (name === "portfolio_id" && portfolios) {
    control = html`<select ...${common} value=${value || ""} onChange=${text}><option value="" disabled>Choose a portfolio</option>${portfolios.map((each) => html`<option value=${each.id}>${each.name} (${each.base_ccy})</option>`)}</select>`;
  } else if (schema.enum) control = html`<select ...${common} value=${value ?? ""} onChange=${text}>${!needed && html`<option value="">–</option>`}${schema.enum.map((each) => html`<option value=${each}>${each}</option>`)}</select>`;
  else if (type === "boolean") control = html`<input type="checkbox" ...${common} required=${false} checked=${Boolean(value)} onChange=${(event) => onChange(event.target.checked)} />`;
  else if (type === "integer" || type === "number") control = html`<input type="number" inputmode="decimal" step=${type === "integer" ? 1 : "any"} min=${schema.minimum} max=${schema.maximum} ...${common} value=${value ?? ""} onInput=${text} />`;
  else if (isDate(schema)) control = html`<input type="date" ...${common} value=${value ?? ""} onInput=${text} />`;
  else if (type === "object" || type === "any") control = html`<textarea rows="3" spellcheck="false" ...${common} value=${value ?? ""} onInput=${text}></textarea>`;
  else control = html`<input type="text" autocomplete="off" spellcheck="false" ...${common} value=${value ?? ""} onInput=${text} />`;
  const hint = fault || schema.description || (type === "array" ? "Separated by commas, or a JSON list." : name === "portfolio_id" ? "" : schema.title && !schema.pattern ? schema.title : "");
  return html`
    <div class="field ${type === "boolean" ? "check" : ""} ${fault ? "wrong" : ""}">
      <label for=${id}>${name === "portfolio_id" ? "Portfolio" : fieldLabel(name)}${!needed && type !== "boolean" && html` <span class="muted">optional</span>`}</label>
      ${control}
      <p class="hint" id="${id}-note">${hint}</p>
    </div>`;
};
