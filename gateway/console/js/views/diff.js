// What differs between two executions: data, inputs, steps, figures.
import { html } from "../../vendor/htm-preact-3.1.1.module.js";
import { get } from "../api.js";
import { Failure, Heading, Loading, useLoad } from "../ui.js";

export const Diff = ({ a, b }) => {
  const { data, problem, loading, reload } = useLoad(() => get(`/executions/${a}/diff/${b}`), [a, b]);
  return html`
    <${Heading} title="Compare" />
    ${problem && html`<${Failure} problem=${problem} retry=${reload} />`}
    ${loading && html`<${Loading} rows=${5} />`}
    ${data && html`<pre tabindex="0">${JSON.stringify(data, null, 2)}</pre>`}`;
};
