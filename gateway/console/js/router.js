// Places are in the fragment: `#/executions/ID?tab=graph`. The gateway serves one page and sees none of it.
import { useEffect, useState } from "../vendor/htm-preact-3.1.1.module.js";

// A `%` that escapes nothing stands for itself.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function here() {
  const [path, search = ""] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts, query: Object.fromEntries(new URLSearchParams(search)) };
}

export function usePlace() {
  const [place, setPlace] = useState(here());
  useEffect(() => {
    const moved = () => setPlace(here());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}

export const go = (path) => {
  location.hash = path;
};

export function replace(path) {
  history.replaceState(null, "", `#${path}`);
  dispatchEvent(new HashChangeEvent("hashchange"));
}
