// npm's centrifuge, unchanged, against served.py; WSFRAME_URL is its address.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { Centrifuge, UnauthorizedError } = require("centrifuge");
const WebSocket = require("ws");

const clients = [];

// A socket whose network can break.
class Fragile extends WebSocket {
  constructor(...options) {
    super(...options);
    Fragile.last = this;
  }
}

function client(options = {}) {
  const made = new Centrifuge(process.env.WSFRAME_URL, { websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 100, ...options });
  made.seen = [];
  for (const event of ["connected", "connecting", "disconnected", "error", "publication", "subscribed", "unsubscribed", "join", "leave", "message"]) {
    made.on(event, (context) => made.seen.push({ event, ...context }));
  }
  clients.push(made);
  return made;
}

async function connected(options) {
  const made = client(options);
  made.connect();
  await made.ready();
  return made;
}

function subscription(of, channel, options) {
  const made = of.newSubscription(channel, { minResubscribeDelay: 20, maxResubscribeDelay: 100, ...options });
  made.seen = [];
  for (const event of ["subscribed", "subscribing", "unsubscribed", "error", "publication", "join", "leave"]) {
    made.on(event, (context) => made.seen.push({ event, ...context }));
  }
  return made;
}

async function subscribed(of, channel, options) {
  const made = subscription(of, channel, options);
  made.subscribe();
  await made.ready();
  return made;
}

async function until(holds, what) {
  for (const end = Date.now() + 100_000; !holds(); ) {
    assert.ok(Date.now() < end, `in vain: ${what ?? holds}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const of = (made, event) => made.seen.filter((one) => one.event === event);

test.afterEach(() => {
  for (const made of clients.splice(0)) made.disconnect();
});

test("a client connects with a token and refreshes it", async () => {
  let tokens = 0;
  const made = await connected({ getToken: async () => `ann ${++tokens === 1 ? "expires 1" : "expires 100"}` });
  await until(() => tokens === 2);
  assert.deepEqual((await made.rpc("echo", 1)).data, { you: 1 });
  assert.equal(of(made, "connecting").length, 1);
});

test("an expired token is replaced before the next attempt", async () => {
  let tokens = 0;
  const made = client({ token: "ann gone", getToken: async () => `ann ${++tokens}` });
  made.connect();
  await made.ready();
  assert.equal(tokens, 1);
  assert.equal(of(made, "error")[0].error.code, 109);
});

test("a token that is not valid ends the client for good", async () => {
  const made = client({ token: "nobody" });
  made.connect();
  await until(() => of(made, "disconnected").length);
  assert.equal(of(made, "disconnected")[0].code, 3500);
});

test("an application that has no token left is unauthorized", async () => {
  let tokens = 0;
  const made = await connected({
    getToken: async () => {
      if (tokens++) throw new UnauthorizedError();
      return "ann expires 1";
    },
  });
  await until(() => of(made, "disconnected").length);
  assert.equal(made.state, "disconnected");
});

test("a refused connect has the code of the hook", async () => {
  const made = client({ data: "refuse" });
  made.connect();
  await until(() => of(made, "disconnected").length);
  assert.equal(of(made, "disconnected")[0].code, 1234);
  assert.equal(of(made, "disconnected")[0].reason, "not you");
});

test("subscribers get publications with their publisher", async () => {
  const [ann, bob] = await Promise.all([connected({ token: "ann" }), connected({ token: "bob" })]);
  const news = await subscribed(ann, "open:news", { data: { x: 1 } });
  assert.deepEqual(of(news, "subscribed")[0].data, { x: 1 });
  await bob.publish("open:news", { text: "ü€😀" });
  await until(() => of(news, "publication").length);
  const [publication] = of(news, "publication");
  assert.deepEqual(publication.data, { text: "ü€😀" });
  assert.equal(publication.info.user, "bob");
  const loud = await subscribed(ann, "loud:news");
  await bob.publish("loud:news", "hey");
  await until(() => of(loud, "publication").length);
  assert.equal(of(loud, "publication")[0].data, "HEY");
  assert.deepEqual(of(loud, "publication")[0].tags, { loud: "yes" });
});

test("permissions are errors of the calls", async () => {
  const made = await connected();
  await assert.rejects(made.publish("news", 1), { code: 103, message: "permission denied" });
  await assert.rejects(made.rpc("nope", 1), { code: 104 });
  await assert.rejects(made.presence("news"), { code: 103 });
  await assert.rejects(made.history("news"), { code: 103 });
  const secret = subscription(made, "secret:x");
  secret.subscribe();
  await until(() => of(secret, "unsubscribed").length);
  assert.equal(of(secret, "unsubscribed")[0].code, 103);
});

test("a failed hook is a temporary error, and the client comes back", async () => {
  const made = await connected();
  await assert.rejects(made.rpc("fail"), { code: 100 });
  await until(() => of(made, "connected").length === 2);
  assert.equal(of(made, "connecting")[1].code, 3004);
});

test("members are listed, and announced when they come and go", async () => {
  const [ann, bob] = await Promise.all([connected({ token: "ann" }), connected({ token: "bob" })]);
  const here = await subscribed(ann, "open:room", { joinLeave: true });
  await subscribed(bob, "open:room");
  await until(() => of(here, "join").some((one) => one.info.user === "bob"));
  const { clients: present } = await here.presence();
  assert.deepEqual(Object.values(present).map((one) => one.user).sort(), ["ann", "bob"]);
  assert.deepEqual(await here.presenceStats(), { numUsers: 2, numClients: 2 });
  bob.disconnect();
  await until(() => of(here, "leave").some((one) => one.info.user === "bob"));
  assert.deepEqual(of(here, "leave")[0].info.chanInfo, { in: "open:room" });
});

test("the server subscribes clients, and ends their subscriptions", async () => {
  const made = await connected({ token: "ann", data: "server" });
  assert.deepEqual(of(made, "connected")[0].data, { hello: "you" });
  await until(() => of(made, "subscribed").length);
  assert.deepEqual(of(made, "subscribed")[0].data, { by: "server" });
  await made.rpc("publish", { channel: "prices", data: 7 });
  await until(() => of(made, "publication").length);
  assert.equal(of(made, "publication")[0].channel, "prices");
  await made.rpc("subscribe", "later");
  await until(() => of(made, "subscribed").some((one) => one.channel === "later"));
  await made.rpc("unsubscribe", { channel: "later", code: 2000 });
  await until(() => of(made, "unsubscribed").some((one) => one.channel === "later"));
  await made.rpc("message", { m: 1 });
  await until(() => of(made, "message").length);
  assert.deepEqual(of(made, "message")[0].data, { m: 1 });
});

for (const code of [3000, 3001, 3499, 4000, 4499, 1012, 1000]) {
  test(`the client comes back after ${code}`, async () => {
    const made = await connected();
    made.rpc("close", { code, reason: "as told" }).catch(() => {});
    await until(() => of(made, "connected").length === 2);
    assert.equal(of(made, "connecting")[1].code, code < 3000 ? 1 : code);
  });
}

for (const code of [3500, 3999, 4500, 4999]) {
  test(`the client does not come back after ${code}`, async () => {
    const made = await connected();
    made.rpc("close", { code, reason: "as told" }).catch(() => {});
    await until(() => of(made, "disconnected").length);
    assert.equal(of(made, "disconnected")[0].code, code);
    assert.equal(of(made, "disconnected")[0].reason, "as told");
  });
}

test("an unsubscribe from 2500 on is followed by another subscribe, one below is not", async () => {
  const made = await connected();
  const one = await subscribed(made, "one");
  await made.rpc("unsubscribe", { channel: "one", code: 2500 });
  await until(() => of(one, "subscribed").length === 2);
  await made.rpc("unsubscribe", { channel: "one", code: 2000 });
  await until(() => of(one, "unsubscribed").length);
  assert.equal(of(one, "unsubscribed")[0].code, 2000);
});

test("a subscription has a token of its own and refreshes it", async () => {
  const made = await connected({ token: "ann" });
  let tokens = 0;
  const mine = await subscribed(made, "token:x", { getToken: async ({ channel }) => `ann ${channel} ${++tokens === 1 ? 1 : 100}` });
  await until(() => tokens === 2);
  await made.rpc("publish", { channel: "token:x", data: 1 });
  await until(() => of(mine, "publication").length);
  assert.equal(of(mine, "subscribed").length, 1);
  const refused = subscription(made, "token:y", { token: "bob token:y" });
  refused.subscribe();
  await until(() => of(refused, "unsubscribed").length);
  assert.equal(of(refused, "unsubscribed")[0].code, 103);
});

test("an expired token of a subscription is replaced", async () => {
  const made = await connected({ token: "ann" });
  let tokens = 0;
  await subscribed(made, "token:z", { token: "ann token:z gone", getToken: async () => `ann token:z ${100 + tokens++}` });
  assert.equal(tokens, 1);
});

test("a subscription whose refresh fails for ever is ended by the server and asked for again", async () => {
  const made = await connected({ token: "ann" });
  let tokens = 0;
  const made2 = await subscribed(made, "token:w", {
    getToken: async () => {
      if (++tokens === 2) throw new Error("cannot");
      return "ann token:w 1";
    },
  });
  await until(() => of(made2, "subscribing").some((one) => one.code === 2501));
  await until(() => of(made2, "subscribed").length >= 2);
});

test("pings keep a connection, and are answered", async () => {
  let pings = 0;
  class Counting extends WebSocket {
    constructor(...options) {
      super(...options);
      this.on("message", (data) => (pings += data.toString() === "{}"));
    }
  }
  const made = await connected({ websocket: Counting });
  await until(() => pings === 3);
  assert.deepEqual((await made.rpc("echo", 1)).data, { you: 1 });
  assert.equal(of(made, "connecting").length, 1);
});

test("a batch of commands is one message each way", async () => {
  const made = await connected();
  made.startBatching();
  const calls = Array.from({ length: 50 }, (_, n) => made.rpc("echo", n));
  made.stopBatching();
  assert.deepEqual((await Promise.all(calls)).map((one) => one.data.you), Array.from({ length: 50 }, (_, n) => n));
});

test("all subscriptions come back with the connection", async () => {
  const made = await connected();
  const all = await Promise.all(Array.from({ length: 100 }, (_, n) => subscribed(made, `many${n}`)));
  made.rpc("close", { code: 3000, reason: "" }).catch(() => {});
  await until(() => all.every((one) => of(one, "subscribed").length === 2));
  await made.rpc("publish", { channel: "many99", data: 1 });
  await until(() => of(all[99], "publication").length);
});

test("a channel that the server has subscribed cannot be subscribed by the client too", async () => {
  const made = await connected({ data: "server" });
  const again = subscription(made, "prices");
  again.subscribe();
  await until(() => of(again, "unsubscribed").length);
  assert.equal(of(again, "unsubscribed")[0].code, 105);
});

test("a subscription that is ended and begun again while it is asked for is live once", async () => {
  const made = await connected();
  const flip = subscription(made, "flip");
  flip.subscribe();
  flip.unsubscribe();
  flip.subscribe();
  flip.unsubscribe();
  flip.subscribe();
  await flip.ready();
  await made.rpc("publish", { channel: "flip", data: 1 });
  await until(() => of(flip, "publication").length);
  await made.rpc("echo", 1);
  assert.equal(of(flip, "publication").length, 1);
});

test("a message above the limit ends the client for good", async () => {
  const made = await connected();
  made.rpc("echo", "x".repeat(1 << 20)).catch(() => {});
  await until(() => of(made, "disconnected").length);
  assert.equal(of(made, "disconnected")[0].code, 3);
});

test("data with characters that UTF-8 cannot have comes back", async () => {
  const made = await connected();
  assert.deepEqual((await made.rpc("echo", ["\ud800", "\u2028\n"])).data, { you: ["\ud800", "\u2028\n"] });
});

const numbers = (made) => of(made, "publication").map((one) => one.data);

test("a subscription that was cut goes on where it was", async () => {
  const made = await connected({ websocket: Fragile, minReconnectDelay: 200 });
  const other = await connected();
  const kept = await subscribed(made, "kept:a", { recoverable: true });
  assert.equal(of(kept, "subscribed")[0].recoverable, true);
  for (const data of [1, 2]) await other.rpc("publish", { channel: "kept:a", data });
  await until(() => numbers(kept).length === 2);
  Fragile.last.terminate();
  for (const data of [3, 4, 5]) await other.rpc("publish", { channel: "kept:a", data });
  await until(() => of(kept, "subscribed").length === 2);
  assert.deepEqual([of(kept, "subscribed")[1].wasRecovering, of(kept, "subscribed")[1].recovered], [true, true]);
  await other.rpc("publish", { channel: "kept:a", data: 6 });
  await until(() => numbers(kept).length === 6);
  assert.deepEqual(numbers(kept), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(of(kept, "publication").map((one) => one.offset), [1, 2, 3, 4, 5, 6]);
});

test("one that was away for too long is told so, and gets no part", async () => {
  const made = await connected({ websocket: Fragile, minReconnectDelay: 500, maxReconnectDelay: 1000 });
  const other = await connected();
  const kept = await subscribed(made, "kept:b", { recoverable: true });
  Fragile.last.terminate();
  await until(() => kept.state === "subscribing");
  await Promise.all(Array.from({ length: 20 }, (_, data) => other.rpc("publish", { channel: "kept:b", data })));
  await until(() => of(kept, "subscribed").length === 2);
  assert.deepEqual([of(kept, "subscribed")[1].wasRecovering, of(kept, "subscribed")[1].recovered], [true, false]);
  await other.rpc("publish", { channel: "kept:b", data: "next" });
  await until(() => numbers(kept).length);
  assert.deepEqual(numbers(kept), ["next"]);
});

test("a subscription of the server goes on where it was", async () => {
  const made = await connected({ websocket: Fragile, minReconnectDelay: 200, data: { channel: "kept:c" } });
  const other = await connected();
  await other.rpc("publish", { channel: "kept:c", data: 1 });
  await until(() => numbers(made).length === 1);
  Fragile.last.terminate();
  await other.rpc("publish", { channel: "kept:c", data: 2 });
  await until(() => numbers(made).length === 2);
  assert.deepEqual(numbers(made), [1, 2]);
  assert.equal(of(made, "subscribed").at(-1).recovered, true);
});

test("a history is listed from either end", async () => {
  const made = await connected();
  const kept = await subscribed(made, "kept:d");
  for (const data of [1, 2, 3]) await made.rpc("publish", { channel: "kept:d", data });
  const all = await kept.history({ limit: -1 });
  assert.deepEqual(all.publications.map((one) => one.data), [1, 2, 3]);
  const newest = await kept.history({ limit: 1, reverse: true });
  assert.deepEqual(newest.publications.map((one) => one.data), [3]);
  const later = await kept.history({ since: { offset: 1, epoch: all.epoch }, limit: 10 });
  assert.deepEqual(later.publications.map((one) => one.offset), [2, 3]);
  await assert.rejects(kept.history({ since: { offset: 1, epoch: "other" }, limit: 10 }), { code: 112 });
});

test("an application that has the state from elsewhere begins at its position", async () => {
  const made = await connected();
  const first = await subscribed(made, "kept:e");
  for (const data of [1, 2, 3]) await made.rpc("publish", { channel: "kept:e", data });
  const { epoch } = await first.history();
  first.unsubscribe();
  made.removeSubscription(first);
  const from = await subscribed(made, "kept:e", { since: { offset: 1, epoch } });
  await until(() => numbers(from).length === 2);
  assert.deepEqual(numbers(from), [2, 3]);
});

test("an application whose state is too old is asked for it again", async () => {
  const made = await connected();
  const first = await subscribed(made, "kept:f");
  const { epoch } = await first.history();
  await Promise.all(Array.from({ length: 20 }, (_, data) => made.rpc("publish", { channel: "kept:f", data })));
  first.unsubscribe();
  made.removeSubscription(first);
  const offsets = [2, 19];
  const made2 = await subscribed(made, "kept:f", { getState: async () => ({ offset: offsets.shift(), epoch }) });
  await until(() => numbers(made2).length === 1);
  assert.deepEqual(offsets, []);
});

test("a subscription that the server ends for a while misses nothing", async () => {
  const made = await connected();
  const kept = await subscribed(made, "kept:g", { recoverable: true });
  await made.rpc("publish", { channel: "kept:g", data: 1 });
  made.startBatching();
  made.rpc("unsubscribe", { channel: "kept:g", code: 2500 });
  for (const data of [2, 3]) made.rpc("publish", { channel: "kept:g", data });
  made.stopBatching();
  await until(() => numbers(kept).length === 3);
  assert.deepEqual(numbers(kept), [1, 2, 3]);
});

test("a client in protobuf is told for good that it is not served", async () => {
  const { Centrifuge: Protobuf } = require("centrifuge/build/protobuf");
  const made = new Protobuf(process.env.WSFRAME_URL, { websocket: WebSocket, minReconnectDelay: 20 });
  const ends = [];
  made.on("disconnected", (context) => ends.push(context.code));
  made.connect();
  await until(() => ends.length);
  assert.deepEqual(ends, [3506]);
});

test("a client whose state the server no longer trusts asks for another token", async () => {
  let tokens = 0;
  const made = await connected({ getToken: async () => `ann ${++tokens}` });
  const kept = await subscribed(made, "kept:h", { recoverable: true });
  made.rpc("close", { code: 3014, reason: "state invalidated" }).catch(() => {});
  await until(() => of(kept, "subscribed").length === 2);
  assert.equal(tokens, 2);
  assert.equal(of(kept, "subscribed")[1].recovered, false);
});

test("clients that are cut at random miss nothing, or are told so", async () => {
  let seed = 7;
  const chance = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const feeder = await connected();
  const readers = [];
  for (let n = 0; n < 20; n++) {
    const sockets = [];
    class Cut extends WebSocket {
      constructor(...options) {
        super(...options);
        sockets.push(this);
      }
    }
    const made = await connected({ websocket: Cut, minReconnectDelay: 5, maxReconnectDelay: n % 2 ? 20 : 400 });
    const feed = await subscribed(made, "kept:random", { recoverable: true });
    readers.push({ made, feed, sockets });
  }
  for (let number = 1; number <= 300; number++) {
    await feeder.rpc("publish", { channel: "kept:random", data: number });
    if (chance() < 0.5) readers[Math.floor(chance() * readers.length)].sockets.at(-1).terminate();
  }
  await until(() => readers.every(({ feed }) => feed.state === "subscribed"));
  await feeder.rpc("publish", { channel: "kept:random", data: 301 });
  await until(() => readers.every(({ feed }) => numbers(feed).at(-1) === 301));
  let recoveries = 0;
  for (const { feed } of readers) {
    let next = 1; // null: unknown, because the server said that some are missing
    for (const one of feed.seen) {
      if (one.event === "subscribed" && one.wasRecovering) {
        recoveries++;
        if (!one.recovered) next = null;
      } else if (one.event === "publication") {
        assert.ok(next === null || one.data === next, `${one.data} came in the place of ${next}`);
        next = one.data + 1;
      }
    }
  }
  assert.ok(recoveries > 20, `${recoveries} recoveries`);
});
