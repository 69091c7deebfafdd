// Logging in: a one-time code in the fragment (from `dawsos console`), or a token pasted here.
import { html, useEffect, useState } from "../../vendor/htm-preact-3.1.1.module.js";
import { post } from "../api.js";
import { begin } from "../session.js";
import { useStore } from "../store.js";
import { Button, Icon } from "../ui.js";

// Taken out of the address before anything else can see it; it is good once, so the history holds nothing of use.
export function takeCode() {
  const match = /^#code=([A-Za-z0-9_-]{20,})$/.exec(location.hash);
  if (!match) return null;
  history.replaceState(null, "", location.pathname + "#/run");
  return match[1];
}

export const Login = ({ code }) => {
  const reason = useStore((state) => state.loginReason);
  const [token, setToken] = useState("");
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(Boolean(code));
  useEffect(() => {
    if (!code) return;
    post("/console/sessions", { code })
      .then(({ data }) => begin(data.token))
      .catch((error) => setFault(error.status === 401 ? "That link was used before or is too old; `dawsos console` makes another." : error.message))
      .finally(() => setBusy(false));
  }, [code]);
  const submit = (event) => {
    event.preventDefault();
    try {
      begin(token.trim());
    } catch (error) {
      setFault(error.message);
    }
  };
  return html`
    <main class="login">
      <form class="panel" onSubmit=${submit}>
        <div class="brand big"><img src="icon.svg" alt="" width="34" height="34" /><b>DawsOS</b></div>
        <h1>Log in to the console</h1>
        <p class="muted">Portfolio analytics with every figure pinned to its data.</p>
        ${(fault || reason) && html`<div class="notice ${fault ? "bad" : ""}" role="alert"><p>${fault || reason}</p></div>`}
        <div class="field">
          <label for="token">Access token</label>
          <textarea id="token" rows="4" autocomplete="off" spellcheck="false" required placeholder="eyJhbGciOi…" value=${token} onInput=${(event) => setToken(event.target.value)}></textarea>
          <p class="hint">It stays in this tab and is gone when you close it.</p>
        </div>
        <${Button} kind="primary block" type="submit" disabled=${busy || !token.trim()}>${busy ? "Opening the session…" : "Log in"}<//>
        <p class="aside"><${Icon} name="shield" size=${16} /><span>On this machine <code>dawsos console</code> opens a session with a one-time link.</span></p>
      </form>
    </main>`;
};
