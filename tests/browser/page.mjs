// A page for the browser client, with a WebSocket, a clock and chance of the test's own.

import { readFileSync } from "node:fs";
import { beforeEach } from "node:test";

// By its source: not every Node takes a .js file for a module.
const source = readFileSync(new URL("../../wsframe/browser/wsframe.js", import.meta.url), "utf8");
export const client = await import(`data:text/javascript,${encodeURIComponent(source)}`);

export const URL_ = "ws://server.example/chat";

class Clock {
  now = 0;
  timers = new Map();
  #next = 1;

  set(action, delay) {
    this.timers.set(this.#next, { at: this.now + delay, action });
    return this.#next++;
  }

  async tick(delay) {
    const until = this.now + delay;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= until).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.now = Math.max(this.now, due[1].at); // late, if the machine slept
      due[1].action();
      await settle();
    }
    this.now = until;
  }
}

export const settle = () => new Promise(resolve => setImmediate(resolve));

export class FakeSocket {
  static all = [];
  static refuse = null;
  static get last() { return this.all.at(-1); }
  readyState = 0;
  bufferedAmount = 0;
  protocol = "";
  sent = [];
  closed = null;

  constructor(url, protocols) {
    if (FakeSocket.refuse) throw FakeSocket.refuse;
    Object.assign(this, { url: String(url), protocols });
    FakeSocket.all.push(this);
  }

  send(message) { this.sent.push(message); }

  close(code, reason) {
    if (code !== undefined && code !== 1000 && code < 3000) throw new Error("InvalidAccessError");
    this.closed = [code, reason];
    this.readyState = 2;
  }

  // Events of the network.
  open() { this.readyState = 1; this.onopen?.(); }
  receive(data) { this.onmessage?.({ data }); }
  lose(code = 1006, reason = "", wasClean = false) { this.readyState = 3; this.onclose?.({ code, reason, wasClean }); }
}

export let clock, page, seen;

beforeEach(() => {
  clock = new Clock();
  page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  seen = [];
  FakeSocket.all = [];
  FakeSocket.refuse = null;
  Object.assign(globalThis, {
    WebSocket: FakeSocket,
    document: page,
    setTimeout: (action, delay) => clock.set(action, delay),
    clearTimeout: timer => clock.timers.delete(timer),
  });
  const target = new EventTarget();
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.dispatchEvent = target.dispatchEvent.bind(target);
  Date.now = () => clock.now;
  Math.random = () => 1;
});

export function connect(options, url = URL_) {
  const connection = new client.Connection(url, options);
  const note = (type, tell) => connection.addEventListener(type, event => seen.push([type, ...tell(event)]));
  note("open", event => [event.again]);
  note("message", event => [event.data]);
  note("close", event => [event.code, event.reason, event.delay]);
  note("dropped", event => [event.messages, event.reason]);
  return connection;
}
