// Clients of npm's centrifuge, unchanged, in a storm: node sdk_readers.cjs CLIENTS KEPT CHANNELS. It reads
// orders, one a line: {"urls": [...]}, {"calm": true}, {"end": {CHANNEL: {"epoch", "offset"}}}; after the last it
// writes its account and ends.
"use strict";

const { Centrifuge } = require("centrifuge");
const WebSocket = require("ws");
const [size, kept, channels] = process.argv.slice(2).map(Number);

const CUT_EVERY = 40;
const account = { recovered: 0, publications: 0, refused: 0, cuts: 0, failures: [] };
const truth = new Map();
const readers = [];
let urls = [];
let end = null;

const chosen = (list) => list[Math.floor(Math.random() * list.length)];

function reader(channel) {
  const made = { sockets: [], place: null, feed: null, channel };
  class Somewhere extends WebSocket {
    constructor(url, ...rest) {
      super(chosen(urls), ...rest);
      made.sockets.push(this);
    }
  }
  const client = new Centrifuge("ws://chosen.invalid/", { websocket: Somewhere, minReconnectDelay: 20, maxReconnectDelay: 300 });
  const feed = (made.feed = client.newSubscription(channel, { recoverable: true, minResubscribeDelay: 20, maxResubscribeDelay: 300 }));
  feed.on("subscribed", ({ wasRecovering, recovered, streamPosition }) => {
    const before = made.place;
    if (wasRecovering && recovered) {
      account.recovered++;
      if (streamPosition.epoch !== before.epoch) account.failures.push("npm: recovered into another epoch");
      return; // all that was missed comes as publications
    }
    made.place = { ...streamPosition };
    if (!wasRecovering) return;
    account.refused++;
    const missed = streamPosition.offset - before.offset;
    if (streamPosition.epoch === before.epoch && missed <= kept) {
      account.failures.push(`npm: ${missed} publications are said to be lost, and ${kept} are surely kept`);
    }
  });
  feed.on("publication", ({ offset, data }) => {
    const { place } = made;
    account.publications++;
    if (offset !== place.offset + 1) account.failures.push(`npm: ${offset} came after ${place.offset}`);
    place.offset = offset;
    const key = `${place.epoch} ${offset}`;
    if (!truth.has(key)) truth.set(key, data);
    if (truth.get(key) !== data) account.failures.push(`npm: ${key} is ${truth.get(key)} and ${data}`);
  });
  feed.on("unsubscribed", ({ code, reason }) => account.failures.push(`npm: unsubscribed for good: ${code} ${reason}`));
  client.on("disconnected", ({ code, reason }) => account.failures.push(`npm: disconnected for good: ${code} ${reason}`));
  feed.subscribe();
  client.connect();
  return made;
}

const cuts = setInterval(() => {
  const { sockets } = chosen(readers) ?? { sockets: [] };
  if (sockets.length) {
    account.cuts++;
    sockets.splice(0).forEach((one) => one.terminate());
  }
}, CUT_EVERY);

function obey(order) {
  if (order.urls) urls = order.urls;
  if (order.urls && !readers.length) for (let n = 0; n < size; n++) readers.push(reader(`feed-${n % channels}`));
  if (order.calm) clearInterval(cuts);
  if (order.end) end = order.end;
}

let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (data) => {
  const lines = (rest + data).split("\n");
  rest = lines.pop();
  lines.forEach((line) => obey(JSON.parse(line)));
});

setInterval(() => {
  const there = ({ feed, place, channel }) =>
    feed.state === "subscribed" && place.epoch === end[channel].epoch && place.offset === end[channel].offset;
  if (account.failures.length > 100 || (end && (account.failures.length || readers.every(there)))) {
    account.failures.splice(20);
    process.stdout.write(JSON.stringify(account), () => process.exit(0));
  }
}, 50);
