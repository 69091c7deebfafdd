// What the console knows, in one place; components ask with `useStore` and are drawn again when their part changes.
import { useEffect, useReducer } from "../vendor/htm-preact-3.1.1.module.js";

export function makeStore(initial) {
  let state = initial;
  const listeners = new Set();
  return {
    get: () => state,
    set(change) {
      const next = typeof change === "function" ? change(state) : change;
      state = { ...state, ...next };
      for (const listener of [...listeners]) listener();
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export const store = makeStore({
  session: null, // {token, tenant, user, role, name, expires}
  connection: "off", // off | connecting | live | waiting
  running: new Map(), // execution id → state from the socket
  ended: new Map(), // execution id → ResultArrived, the newest 500
  submitted: new Set(), // ids of the executions this page has asked for
  notices: [],
  patterns: null,
  portfolios: null,
});

export function useStore(select) {
  const [, draw] = useReducer((count) => count + 1, 0);
  const chosen = select(store.get());
  useEffect(() => {
    let known = chosen;
    return store.listen(() => {
      const now = select(store.get());
      if (now !== known) {
        known = now;
        draw();
      }
    });
  });
  return chosen;
}

let noticeNumber = 0;

export function notify(text, kind = "info") {
  const id = ++noticeNumber;
  store.set(({ notices }) => ({ notices: [...notices.slice(-3), { id, text, kind }] }));
  setTimeout(() => store.set(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) })), 6000);
}
