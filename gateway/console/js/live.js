// The websocket: every state and result of one's executions, across lost connections and reloads.
import { Problem, call } from "./api.js";
import { OVER, end } from "./session.js";
import { store } from "./store.js";

const CURSOR = "dawsos.cursor";
const ENDED_MAX = 500;
const FIRST_PAUSE_MS = 400;
const SESSION_OVER = 4401;
const LONGEST_PAUSE_MS = 15_000;

let socket = null;
let timer = 0;
let silence = 0;
let failures = 0;
let heartbeatMs = 20_000;

export function start() {
  stop();
  failures = 0;
  connect();
}

export function stop() {
  clearTimeout(timer);
  clearTimeout(silence);
  const old = socket;
  socket = null;
  old?.close(1000);
  store.set({ connection: "off" });
}

async function ticket() {
  return (await call("/ws-tickets", { method: "POST" })).data.ticket;
}

async function connect() {
  clearTimeout(timer);
  if (!store.get().session) return;
  store.set({ connection: failures ? "waiting" : "connecting" });
  let opened;
  try {
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    opened = new WebSocket(url, ["dawsos.v1", `dawsos.ticket.${await ticket()}`]);
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return;
    again();
    return;
  }
  socket?.close(1000);
  socket = opened;
  opened.onmessage = (event) => opened === socket && take(JSON.parse(event.data));
  opened.onclose = (event) => {
    if (opened !== socket) return;
    socket = null;
    // The gateway takes a token for some seconds more, as clocks differ; a new line would end at once, and again.
    if (event.code === SESSION_OVER) return end(OVER);
    // A slow client is told its cursor, so that it can go on from there.
    if (event.code === 1013 && /^[A-Za-z0-9_-]{8,}$/.test(event.reason)) sessionStorage.setItem(CURSOR, event.reason);
    again();
  };
  listenFor(10_000);
}

function again() {
  clearTimeout(silence);
  if (!store.get().session) return;
  store.set({ connection: "waiting" });
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures) * (0.75 + Math.random() / 2);
  failures += 1;
  clearTimeout(timer);
  timer = setTimeout(connect, pause);
}

// A line that is silent for longer than the server promised is dead, whatever the operating system believes.
function listenFor(ms) {
  clearTimeout(silence);
  silence = setTimeout(() => {
    const dead = socket;
    socket = null;
    dead?.close();
    again();
  }, ms);
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ v: 1, ...message }));
}

function subscribe(cursor) {
  // The states of everything that runs follow; what is not among them has ended.
  store.set({ running: new Map() });
  send({ type: "Subscribe", all: true, ...(cursor ? { cursor } : {}) });
}

function take(message) {
  listenFor(2 * heartbeatMs);
  if (message.cursor) sessionStorage.setItem(CURSOR, message.cursor);
  switch (message.type) {
    case "Welcome":
      heartbeatMs = message.heartbeat_s * 1000;
      subscribe(sessionStorage.getItem(CURSOR));
      break;
    case "Subscribed":
      failures = 0;
      store.set({ connection: "live" });
      break;
    case "ExecutionProgress":
      store.set(({ running }) => ({ running: new Map(running).set(message.execution.execution_id, message.execution) }));
      break;
    case "ResultArrived":
      store.set(({ running, ended }) => {
        const left = new Map(running);
        left.delete(message.execution_id);
        const kept = new Map([...ended, [message.execution_id, message]].slice(-ENDED_MAX));
        return { running: left, ended: kept };
      });
      break;
    case "SessionEnding":
      ticket().then((fresh) => send({ type: "Authenticate", ticket: fresh }), () => {});
      break;
    case "Refused":
      // A cursor of a system that was made anew.
      if (message.error.message.startsWith("/cursor")) {
        sessionStorage.removeItem(CURSOR);
        subscribe(null);
      }
      break;
  }
}

const wake = () => {
  if (!socket && store.get().session) {
    failures = 0;
    connect();
  }
};
addEventListener("online", wake);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
