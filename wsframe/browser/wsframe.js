// @ts-check

/**
 * A WebSocket of the browser that connects again by itself.
 *
 * An ES module without dependencies. Times are in milliseconds.
 *
 *     import { Connection } from "./wsframe.js";
 *
 *     const connection = new Connection("chat");
 *     connection.addEventListener("message", event => show(event.data));
 *     connection.send("hello"); // waits until there is a connection
 */

/** @type {import("./wsframe.js").Options} */
const DEFAULTS = {
  protocols: [],
  binaryType: "arraybuffer",
  firstDelay: 500,
  longestDelay: 30_000,
  steadyAfter: 5_000,
  connectTimeout: 15_000,
  silence: null,
  asleep: 75_000,
  maxQueued: 100,
  maxQueuedLength: 1024 * 1024,
  // The server has done with us, or our messages will never be accepted. All others may pass: 1001 and
  // 1012 are a restart, 1006 is a network that broke, 1011 a bug, 1013 a crowd.
  finalCodes: [1000, 1002, 1003, 1007, 1008, 1009, 1010],
};

const OPEN = 1;

/** Milliseconds between two looks at the clock. */
const LOOK = 10_000;

/** One of the events of a connection; its fields are those the type declares. */
class ConnectionEvent extends Event {
  /**
   * @param {string} type
   * @param {object} fields
   */
  constructor(type, fields) {
    super(type);
    Object.assign(this, fields);
  }
}

/**
 * Return how long to wait before the next attempt: longer each time, and by chance, because
 * pages that lost one server must not all come back at once.
 *
 * @param {number} failures Attempts that have failed since the last steady connection.
 * @param {{ firstDelay: number, longestDelay: number }} options
 * @param {number} chance From 0 to 1.
 * @returns {number}
 */
export function delayAfter(failures, { firstDelay, longestDelay }, chance = Math.random()) {
  return Math.min(longestDelay, firstDelay * 2 ** failures) * (0.5 + chance / 2);
}

/**
 * Return an address that WebSocket takes: relative to the page, with ws or wss in the place of http or https.
 *
 * @param {string | URL} url
 * @param {string} [base]
 * @returns {URL}
 */
export function addressOf(url, base = globalThis.location?.href) {
  const address = new URL(url, base);
  address.protocol = address.protocol.replace(/^http/, "ws");
  address.hash = "";
  return address;
}

/**
 * Return how much a message counts towards `maxQueuedLength`.
 *
 * @param {string | ArrayBuffer | ArrayBufferView | Blob} message
 * @returns {number}
 */
export function lengthOf(message) {
  if (typeof message === "string") return message.length;
  return "size" in message ? message.size : message.byteLength;
}

export class Connection extends EventTarget {
  #url;
  #options;
  /** @type {"connecting" | "open" | "waiting" | "closed"} */
  #state = "connecting";
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {(string | ArrayBuffer | ArrayBufferView | Blob)[]} */
  #queue = [];
  #queuedLength = 0;
  #attempt = 0;
  #failures = 0;
  #opened = 0;
  #openedAt = 0;
  #heardAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #awakeAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #clock;
  #watching = new AbortController();

  /**
   * @param {string | URL | (() => string | URL | Promise<string | URL>)} url
   * @param {Partial<import("./wsframe.js").Options>} [options]
   */
  constructor(url, options = {}) {
    super();
    if (typeof url !== "function") addressOf(url); // throws now, where the traceback names the culprit
    this.#url = url;
    this.#options = { ...DEFAULTS, ...options };
    const { signal } = this.#watching;
    globalThis.addEventListener?.("online", () => this.#look(), { signal });
    globalThis.document?.addEventListener("resume", () => this.#look(), { signal });
    globalThis.document?.addEventListener(
      "visibilitychange",
      () => { if (document.visibilityState === "visible") this.#look(); },
      { signal },
    );
    this.#connect();
  }

  /** Whether there is a connection, or the way to one. */
  get state() {
    return this.#state;
  }

  /** How many messages wait for a connection. */
  get queued() {
    return this.#queue.length;
  }

  /** The subprotocol agreed on; "" without one or without a connection. */
  get protocol() {
    return this.#socket?.protocol ?? "";
  }

  /**
   * Send a message, or queue it until there is a connection; return whether it was taken.
   *
   * A "dropped" event reports data that is not taken, too. Sent data can be lost with the
   * connection: only an answer of the server tells that it has arrived.
   *
   * @param {string | ArrayBuffer | ArrayBufferView | Blob} message
   * @returns {boolean}
   */
  send(message) {
    const { maxQueued, maxQueuedLength } = this.#options;
    const length = lengthOf(message);
    if (this.#state === "closed") return this.#drop([message], "closed");
    if (this.#state === "open" && this.#socket?.readyState === OPEN) {
      if (this.#socket.bufferedAmount && this.#socket.bufferedAmount + length > maxQueuedLength) {
        return this.#drop([message], "full");
      }
      this.#socket.send(/** @type {any} */ (message));
      return true;
    }
    if (this.#queue.length >= maxQueued || this.#queuedLength + length > maxQueuedLength) {
      return this.#drop([message], "full");
    }
    this.#queue.push(message);
    this.#queuedLength += length;
    return true;
  }

  /** Try again now, if a connection is being waited for. */
  reconnect() {
    if (this.#state === "waiting") this.#connect();
  }

  /**
   * Close, for good: there is no reconnecting.
   *
   * @param {number} code 1000, or one from 3000 to 4999.
   * @param {string} reason
   */
  close(code = 1000, reason = "") {
    if (this.#state === "closed") return;
    this.#socket?.close(code, reason); // it may throw: first
    const socket = this.#socket;
    this.#end();
    if (socket === null) this.#tellClosed(code, reason, false, null);
  }

  async #connect() {
    const attempt = ++this.#attempt;
    clearTimeout(this.#timer);
    this.#state = "connecting";
    this.#timer = setTimeout(() => this.#abandon("connect timeout"), this.#options.connectTimeout);
    try {
      const url = typeof this.#url === "function" ? await this.#url() : this.#url;
      if (attempt !== this.#attempt) return;
      this.#use(new WebSocket(addressOf(url), this.#options.protocols));
    } catch (error) {
      if (attempt === this.#attempt) this.#lost(1006, String(error), false);
    }
  }

  /** @param {WebSocket} socket */
  #use(socket) {
    this.#socket = socket;
    socket.binaryType = this.#options.binaryType;
    socket.onopen = () => this.#begin();
    socket.onmessage = event => {
      this.#heardAt = Date.now();
      this.dispatchEvent(new ConnectionEvent("message", { data: event.data }));
    };
    socket.onclose = event => this.#lost(event.code, event.reason, event.wasClean);
  }

  #begin() {
    if (this.#state !== "connecting") return; // closed meanwhile
    clearTimeout(this.#timer);
    this.#state = "open";
    this.#openedAt = this.#heardAt = this.#awakeAt = Date.now();
    this.#listenForSilence();
    this.#lookAtClock();
    // A listener can send messages that must come first, such as a login; the queue follows.
    this.dispatchEvent(new ConnectionEvent("open", { again: this.#opened++ > 0 }));
    while (this.#queue.length && this.#state === "open" && this.#socket?.readyState === OPEN) {
      const message = this.#queue.shift();
      if (message === undefined) break;
      this.#queuedLength -= lengthOf(message);
      this.#socket.send(/** @type {any} */ (message));
    }
  }

  #listenForSilence() {
    const { silence } = this.#options;
    if (silence === null || this.#state !== "open") return;
    clearTimeout(this.#timer);
    const left = this.#heardAt + silence - Date.now();
    if (left <= 0) this.#abandon("silence");
    else this.#timer = setTimeout(() => this.#listenForSilence(), left);
  }

  /** Look at things when the network has come back, or the page has: timers of hidden pages are late. */
  #look() {
    this.reconnect();
    this.#listenForSilence();
    this.#lookAtClock();
  }

  /**
   * Notice by a gap in a timer that the machine slept. The server has given up the connection then, but
   * the browser does not know: it stays "open" until something is sent, or for ever.
   */
  #lookAtClock() {
    clearTimeout(this.#clock);
    const { asleep } = this.#options;
    if (asleep === null || this.#state !== "open") return;
    const now = Date.now();
    if (now - this.#awakeAt > asleep) return this.#abandon("asleep");
    this.#awakeAt = now;
    this.#clock = setTimeout(() => this.#lookAtClock(), LOOK);
  }

  /**
   * Let go of a socket that may never tell its end.
   *
   * @param {string} reason
   */
  #abandon(reason) {
    const socket = this.#socket;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#lost(1006, reason, false);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} wasClean
   */
  #lost(code, reason, wasClean) {
    this.#attempt++; // an address that is still being asked for comes too late
    this.#socket = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#clock);
    if (this.#state === "open" && Date.now() - this.#openedAt >= this.#options.steadyAfter) this.#failures = 0;
    let delay = null;
    if (this.#state !== "closed" && !this.#options.finalCodes.includes(code)) {
      this.#state = "waiting";
      delay = delayAfter(this.#failures++, this.#options);
      this.#timer = setTimeout(() => this.#connect(), delay);
    }
    this.#tellClosed(code, reason, wasClean, delay);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} wasClean
   * @param {number | null} delay
   */
  #tellClosed(code, reason, wasClean, delay) {
    if (delay === null) this.#end();
    this.dispatchEvent(new ConnectionEvent("close", { code, reason, wasClean, delay, final: delay === null }));
  }

  #end() {
    this.#state = "closed";
    this.#attempt++;
    clearTimeout(this.#timer);
    clearTimeout(this.#clock);
    this.#watching.abort();
    const messages = this.#queue;
    this.#queue = [];
    this.#queuedLength = 0;
    if (messages.length) this.#drop(messages, "closed");
  }

  /**
   * @param {(string | ArrayBuffer | ArrayBufferView | Blob)[]} messages
   * @param {"full" | "closed"} reason
   * @returns {false}
   */
  #drop(messages, reason) {
    this.dispatchEvent(new ConnectionEvent("dropped", { messages, reason }));
    return false;
  }
}
