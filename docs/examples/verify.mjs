// Checks a result's digests without any of our code: `node verify.mjs result.json`. docs/verification.md explains it.
// JSON.stringify prints numbers and texts as RFC 8785 demands; only the keys have to be sorted.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export const canonical = (value) => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const keys = Object.keys(value).sort(); // by UTF-16 code units, as the RFC says
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
};
export const digest = (value) => createHash("sha256").update(canonical(value), "utf8").digest("hex");

const PINS = ["pricing_pack_id", "pack_sha256", "ledger_commit_hash", "portfolio_id", "base_ccy", "benchmark_id", "asof",
  "asof_requested"];
export const pinsOf = (trace) => trace.pricing_pack_id == null ? null
  : { ...Object.fromEntries(PINS.map((name) => [name, trace[name] ?? null])), stale: trace.stale ?? false };
export const stepDigest = (step, pins) =>
  digest([step.capability, step.version, step.args_digest, pins, step.output_digest]);
export const entryOf = (step) => {
  const undone = step.compensation?.status;
  if (step.digest != null) return undone == null ? step.digest : [undone, step.digest];
  return [undone ?? step.status, step.skip_reason ?? step.error?.code ?? null];
};

const outputDigest = (step, value) => {
  if (step.items == null) return digest(value);
  const failed = new Set((step.items.failures ?? []).map((failure) => failure.index));
  return digest(value.map((item, index) => (failed.has(index) && item === null ? null : digest(item))));
};

export const verify = (result) => {
  const { trace, data = {}, refs = {} } = result;
  const steps = trace.steps ?? [], pins = pinsOf(trace), found = [];
  const output = (at, prefix, name, value) => {
    const direct = steps.filter((step) => step.step_id.startsWith(prefix) && !step.step_id.slice(prefix.length).includes("/"));
    const step = direct.filter((each) => each.as === name).at(-1);
    if (step === undefined) found.push(at);
    else if (step.capability.startsWith("pattern.") && value !== null)
      for (const [inner, each] of Object.entries(value)) output(`${at}/${inner}`, `${step.step_id}/`, inner, each);
    else if (step.output_digest == null) { if (value !== null) found.push(at); }
    else if ((refs[at] ?? outputDigest(step, value)) !== step.output_digest) found.push(at);
  };
  for (const [name, value] of Object.entries(data)) output(`/data/${name}`, "", name, value);
  steps.forEach((step, index) => {
    if (step.args != null && digest({ args: step.args, refs: step.refs ?? {} }) !== step.args_digest)
      found.push(`/trace/steps/${index}/args`);
    if (step.digest != null && stepDigest(step, pins) !== step.digest) found.push(`/trace/steps/${index}/digest`);
  });
  const counted = steps.filter((step) => step.step_id !== "$resolve" && !step.capability.startsWith("pattern."));
  if (digest([trace.pattern_digest ?? null, trace.inputs ?? {}, pins, counted.map(entryOf)]) !== result.digest)
    found.push("/digest");
  return found;
};

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const found = verify(JSON.parse(readFileSync(process.argv[2], "utf8")));
  for (const pointer of found) console.log(pointer);
  process.exitCode = found.length ? 1 : 0;
}
