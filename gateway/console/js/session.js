// Who is logged in. The token stays in this tab (sessionStorage): never in a URL, a cookie or another tab.
import { store } from "./store.js";

const KEY = "dawsos.token";
export const OVER = "Your session has ended. Log in again.";

export function restore() {
  const token = sessionStorage.getItem(KEY);
  if (!token) return;
  // It was good when it was kept, so to whoever opens the tab again it is the session that is over.
  if (claimsOf(token)?.exp * 1000 <= Date.now()) end(OVER);
  else begin(token);
}

export function begin(token) {
  const claims = claimsOf(token);
  if (!claims) throw new Error("That is not a token: expected three parts separated by dots, as `dawsos token` prints it.");
  if (claims.exp * 1000 <= Date.now()) {
    sessionStorage.removeItem(KEY);
    throw new Error("That token has expired; make a new one.");
  }
  sessionStorage.setItem(KEY, token);
  const role = [claims.role].flat().filter(Boolean).at(-1) || "viewer";
  store.set({ session: { token, tenant: claims.tenant || "", user: claims.sub || "", name: claims.name || "", role, expires: claims.exp * 1000 } });
}

export function end(reason = "") {
  sessionStorage.removeItem(KEY);
  sessionStorage.removeItem("dawsos.cursor");
  store.set({ session: null, running: new Map(), ended: new Map(), patterns: null, portfolios: null, loginReason: reason });
}

// Only to show who it is; whether the token is good is for the gateway to say.
function claimsOf(token) {
  const parts = token.split(".");
  if (parts.length !== 3) return null;
  try {
    const bytes = Uint8Array.from(atob(parts[1].replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims.exp === "number" ? claims : null;
  } catch {
    return null;
  }
}

export const isOperator = () => ["operator", "admin"].includes(store.get().session?.role);
