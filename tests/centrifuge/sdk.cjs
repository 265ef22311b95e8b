// Clients of npm's centrifuge, unchanged, for the tests beside this file; WSFRAME_URL is the address of served.py.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { Centrifuge } = require("centrifuge");
const WebSocket = require("ws");

const PATIENCE = 100_000;
const CLIENT_EVENTS = ["connected", "connecting", "disconnected", "error", "publication", "subscribed", "unsubscribed", "join", "leave", "message"];
const SUBSCRIPTION_EVENTS = ["subscribed", "subscribing", "unsubscribed", "error", "publication", "join", "leave"];
const clients = [];

async function until(holds, what) {
  for (const end = Date.now() + PATIENCE; !holds(); ) {
    assert.ok(Date.now() < end, `in vain: ${what ?? holds}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function noting(made, events) {
  made.seen = [];
  for (const event of events) made.on(event, (context) => made.seen.push({ event, ...context }));
  return made;
}

// A client whose sockets can be broken, and kept from being made.
function client(options = {}, address = process.env.WSFRAME_URL) {
  const net = { sockets: [], down: false };
  class Socket extends WebSocket {
    constructor(url, ...rest) {
      super(net.down ? "ws://127.0.0.1:9/" : url, ...rest);
      net.sockets.push(this);
    }
  }
  const usual = { websocket: Socket, minReconnectDelay: 20, maxReconnectDelay: 100, timeout: PATIENCE };
  const made = noting(new Centrifuge(address, { ...usual, ...options }), CLIENT_EVENTS);
  made.net = net;
  made.cut = () => net.sockets.at(-1).terminate();
  clients.push(made);
  return made;
}

async function connected(options) {
  const made = client(options);
  made.connect();
  await made.ready(PATIENCE);
  return made;
}

function subscription(of, channel, options) {
  return noting(of.newSubscription(channel, { minResubscribeDelay: 20, maxResubscribeDelay: 100, ...options }), SUBSCRIPTION_EVENTS);
}

async function subscribed(of, channel, options) {
  const made = subscription(of, channel, options);
  made.subscribe();
  await made.ready(PATIENCE);
  return made;
}

const of = (made, event) => made.seen.filter((one) => one.event === event);
const received = (made) => of(made, "publication").map((one) => one.data);

function leaveAfterEach() {
  test.afterEach(() => {
    for (const made of clients.splice(0)) made.disconnect();
  });
}

module.exports = { client, connected, leaveAfterEach, of, received, subscribed, subscription, until };
