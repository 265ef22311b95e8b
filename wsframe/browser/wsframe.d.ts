/** Data that can be sent. */
export type Message = string | ArrayBuffer | ArrayBufferView | Blob;

export interface Options {
  /** Subprotocols to offer. */
  protocols: string | string[];
  /** The type of binary messages; "arraybuffer" by default. */
  binaryType: BinaryType;
  /** Milliseconds before the first attempt after a connection was lost; default 500. Each wait is
   * doubled, and multiplied by chance with 0.5 to 1. */
  firstDelay: number;
  /** The longest wait in milliseconds; default 30 000. */
  longestDelay: number;
  /** Milliseconds after which a connection counts as steady, so that the next wait is the first again; default 5000. */
  steadyAfter: number;
  /** Milliseconds for one attempt, the function that gives the address included; default 15 000. */
  connectTimeout: number;
  /** Milliseconds without a message after which the connection is given up and made anew; default null: never.
   * A page cannot ping, so the server must be sure to send something within this time. */
  silence: number | null;
  /** Milliseconds without a look at the clock after which the machine, or the page, has slept: the connection is given
   * up and made anew. Default 75 000: browsers run the timers of hidden pages once a minute. null: never. */
  asleep: number | null;
  /** Messages that may wait for a connection; default 100. */
  maxQueued: number;
  /** Most that they hold in all, in characters and bytes, and most in the browser's own buffer; default 1 Mi. */
  maxQueuedLength: number;
  /** Close codes after which there is no reconnecting; default 1000, 1002, 1003, 1007, 1008, 1009 and 1010. */
  finalCodes: number[];
}

export interface OpenEvent extends Event {
  /** Whether there was a connection before. */
  readonly again: boolean;
}

export interface MessageEvent extends Event {
  readonly data: string | ArrayBuffer | Blob;
}

export interface CloseEvent extends Event {
  /** 1006 if there was no close frame, which is also how a refused handshake looks in a page. */
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  /** Milliseconds until the next attempt; null if there is none. */
  readonly delay: number | null;
  /** Whether this was the end: no reconnecting. */
  readonly final: boolean;
}

export interface DroppedEvent extends Event {
  readonly messages: Message[];
  /** "full": the queue was. "closed": the connection is closed for good. */
  readonly reason: "full" | "closed";
}

export interface Events {
  open: OpenEvent;
  message: MessageEvent;
  close: CloseEvent;
  dropped: DroppedEvent;
}

/** A WebSocket that connects again by itself. */
export class Connection extends EventTarget {
  /**
   * @param url Relative to the page, and http or ws alike. A function is asked before each attempt, and may be async.
   * @throws TypeError for text that is not a URL.
   */
  constructor(url: string | URL | (() => string | URL | Promise<string | URL>), options?: Partial<Options>);
  /** Whether there is a connection, or the way to one. "closed" is for good. */
  readonly state: "connecting" | "open" | "waiting" | "closed";
  /** How many messages wait for a connection. */
  readonly queued: number;
  /** The subprotocol agreed on; "" without one or without a connection. */
  readonly protocol: string;
  /** Send a message, or queue it until there is a connection; return whether it was taken. */
  send(message: Message): boolean;
  /** Try again now, if a connection is being waited for. */
  reconnect(): void;
  /** Close, for good: there is no reconnecting. */
  close(code?: number, reason?: string): void;
  addEventListener<K extends keyof Events>(
    type: K,
    listener: (this: Connection, event: Events[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof Events>(
    type: K,
    listener: (this: Connection, event: Events[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** Return how long to wait before the next attempt, in milliseconds. */
export function delayAfter(
  failures: number,
  options: { firstDelay: number; longestDelay: number },
  chance?: number,
): number;

/** Return an address that WebSocket takes. */
export function addressOf(url: string | URL, base?: string): URL;

/** Return how much a message counts towards `maxQueuedLength`. */
export function lengthOf(message: Message): number;
