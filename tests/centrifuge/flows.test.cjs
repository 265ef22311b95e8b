// npm's centrifuge, unchanged, against served.py: flows that cross one another.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { client, connected, leaveAfterEach, of, received, subscribed, subscription, until } = require("./sdk.cjs");

const DECIDING = process.env.WSFRAME_URL.replace("/websocket", "/deciding");

leaveAfterEach();

test("a token that expires while the network is cut is replaced, and nothing is missed", async () => {
  let tokens = 0;
  const made = await connected({ token: "ann expires 2", getToken: async () => `ann ${++tokens}` });
  const other = await connected();
  const kept = await subscribed(made, "kept:expiry", { recoverable: true });
  made.net.down = true;
  made.cut();
  await until(() => kept.state === "subscribing");
  for (const number of [1, 2]) await other.rpc("publish", { channel: "kept:expiry", data: number });
  made.setToken("ann gone");
  made.net.down = false;
  await until(() => of(kept, "subscribed").length === 2);
  await until(() => received(kept).length === 2);
  assert.deepEqual(received(kept), [1, 2]);
  assert.equal(tokens, 1);
});

test("a subscription's token that expires while the network is cut is replaced, and nothing is missed", async () => {
  const made = await connected({ token: "ann" });
  const other = await connected();
  const tokens = ["ann token:kept", "ann token:kept gone", "ann token:kept 100"];
  const mine = await subscribed(made, "token:kept", { getToken: async () => tokens.shift() });
  made.net.down = true;
  made.cut();
  await until(() => mine.state === "subscribing");
  mine.setToken?.("");
  made.net.down = false;
  await until(() => of(mine, "subscribed").length === 2);
  await other.rpc("publish", { channel: "token:kept", data: 1 });
  await until(() => received(mine).length === 1);
});

test("a subscribe that is called while the client reconnects is sent once", async () => {
  const made = await connected();
  made.net.down = true;
  made.cut();
  await until(() => made.state === "connecting");
  const late = subscription(made, "kept:late", { recoverable: true });
  late.subscribe();
  const early = subscription(made, "early");
  early.subscribe();
  early.unsubscribe();
  made.net.down = false;
  await late.ready(100_000);
  await made.rpc("publish", { channel: "kept:late", data: 1 });
  await made.rpc("publish", { channel: "early", data: 1 });
  await until(() => received(late).length === 1);
  assert.equal(of(late, "subscribed").length, 1);
  assert.equal(received(early).length, 0);
});

test("a channel has one subscription of a client, and a new one after it was removed", async () => {
  const made = await connected();
  const first = await subscribed(made, "twice");
  assert.throws(() => made.newSubscription("twice"));
  first.unsubscribe();
  made.removeSubscription(first);
  const second = await subscribed(made, "twice");
  await made.rpc("publish", { channel: "twice", data: 1 });
  await until(() => received(second).length);
  assert.deepEqual([received(first), received(second)], [[], [1]]);
});

test("a subscription that is ended while it recovers gets nothing, and begins again where it was", async () => {
  const made = await connected();
  const other = await connected();
  const kept = await subscribed(made, "kept:ended", { recoverable: true });
  made.net.down = true;
  made.cut();
  await until(() => kept.state === "subscribing");
  for (const number of [1, 2, 3]) await other.rpc("publish", { channel: "kept:ended", data: number });
  made.once("connected", () => kept.unsubscribe()); // its subscribe is on the way
  made.net.down = false;
  await until(() => kept.state === "unsubscribed" && made.state === "connected");
  assert.deepEqual((await made.rpc("echo", 1)).data, { you: 1 });
  const before = received(kept);
  kept.subscribe();
  await kept.ready(100_000);
  await other.rpc("publish", { channel: "kept:ended", data: 4 });
  await until(() => received(kept).at(-1) === 4);
  const last = of(kept, "subscribed").at(-1);
  assert.deepEqual(received(kept), last.recovered ? [1, 2, 3, 4] : [...before, 4]);
});

test("names of channels can be long, and of any characters, and longer ones are refused for good", async () => {
  const made = await connected();
  for (const name of ["ü".repeat(100), "x".repeat(200), 'a "quoted" \\ name', "newline\nand\ttab", "😀:🎉", " "]) {
    const one = await subscribed(made, name);
    await made.rpc("publish", { channel: name, data: name.length });
    await until(() => received(one).length, name);
  }
  for (const name of ["x".repeat(201), "ü".repeat(101)]) {
    const one = subscription(made, name);
    one.subscribe();
    await until(() => of(one, "unsubscribed").length);
    assert.equal(of(one, "unsubscribed")[0].code, 107);
  }
  assert.equal(of(made, "connecting").length, 1);
});

test("a publish and a call before the connection wait for it", async () => {
  const made = client({ token: "ann" });
  const other = await connected();
  const room = await subscribed(other, "open:before");
  made.connect();
  const done = Promise.all([made.publish("open:before", 1), made.rpc("echo", 2), made.publish("open:before", 3)]);
  assert.deepEqual((await done)[1].data, { you: 2 });
  await until(() => received(room).length === 2);
  assert.deepEqual(received(room), [1, 3]);
});

test("a refresh that fails for a while is tried again, and the client goes on", async () => {
  const tokens = ["ann expires 1", "later ann 1"];
  const made = await connected({ getToken: async () => tokens.shift() ?? "ann" });
  const kept = await subscribed(made, "kept:refresh", { recoverable: true });
  await until(() => of(made, "error").length);
  assert.equal(of(made, "error")[0].error.code, 100);
  await made.rpc("publish", { channel: "kept:refresh", data: 1 });
  await until(() => received(kept).length);
  assert.equal(of(made, "disconnected").length, 0);
});

test("a subscription's refresh that fails for a while is tried again, and the subscription goes on", async () => {
  const made = await connected({ token: "ann" });
  const tokens = ["ann token:refresh 1", "later ann token:refresh 100"];
  const mine = await subscribed(made, "token:refresh", { getToken: async () => tokens.shift() ?? "ann token:refresh 100" });
  await until(() => of(mine, "error").length);
  assert.equal(of(mine, "error")[0].error.code, 100);
  await until(() => mine.state === "subscribed");
  await made.rpc("publish", { channel: "token:refresh", data: 1 });
  await until(() => received(mine).length);
  assert.equal(of(mine, "unsubscribed").length, 0);
});

test("a connect and a subscribe that fail for a while are tried again", async () => {
  const made = client({ token: "later ann 2" });
  made.connect();
  const mine = subscription(made, "token:later", { token: "later ann token:later" });
  mine.subscribe();
  await mine.ready(100_000);
  assert.deepEqual([of(made, "error")[0].error.code, of(mine, "error")[0].error.code], [100, 100]);
});

test("commands of a batch that the network swallows fail, and the client works again", async () => {
  const made = await connected();
  made.startBatching();
  const calls = Array.from({ length: 20 }, (_, n) => made.rpc("echo", n));
  made.cut();
  made.stopBatching();
  const done = await Promise.allSettled(calls);
  assert.ok(done.every(({ status, reason }) => status === "fulfilled" || reason.code < 100));
  await until(() => made.state === "connected");
  assert.deepEqual((await made.rpc("echo", 1)).data, { you: 1 });
});

test("a client that hears no ping connects again, and misses nothing", async () => {
  const made = await connected({ maxServerPingDelay: 500 });
  const other = await connected();
  const kept = await subscribed(made, "kept:deaf", { recoverable: true });
  await until(() => of(made, "connected").length === 1);
  made.net.sockets.at(-1)._socket.pause();
  for (const number of [1, 2]) await other.rpc("publish", { channel: "kept:deaf", data: number });
  await until(() => of(kept, "subscribed").length === 2);
  await until(() => received(kept).length === 2);
  assert.equal(of(made, "connecting")[1].code, 2);
  assert.deepEqual(received(kept), [1, 2]);
});

test("a subscription and a history in one batch belong to one another", async () => {
  const made = await connected();
  for (const number of [1, 2, 3]) await made.rpc("publish", { channel: "kept:batch", data: number });
  const kept = subscription(made, "kept:batch", { recoverable: true });
  made.startBatching();
  kept.subscribe();
  const listed = kept.ready(100_000).then(() => kept.history({ limit: -1 }));
  const published = made.rpc("publish", { channel: "kept:batch", data: 4 });
  made.stopBatching();
  await published;
  const { publications } = await listed;
  const all = new Set([...publications.map((one) => one.data), ...received(kept)]);
  assert.deepEqual([...all].sort(), [1, 2, 3, 4]);
});

test("a client that leaves while its subscription is asked for leaves nothing behind", async () => {
  const made = await connected();
  const slow = subscription(made, "kept:leaving", { recoverable: true });
  slow.subscribe();
  made.disconnect();
  made.connect();
  await slow.ready(100_000);
  await made.rpc("publish", { channel: "kept:leaving", data: 1 });
  await until(() => received(slow).length);
  assert.deepEqual(received(slow), [1]);
});

test("parts of the protocol that are not served are refused or left out, and the client goes on", async () => {
  const made = await connected();
  const filtered = subscription(made, "filtered", { tagsFilter: { key: "a", cmp: "eq", val: "b" } });
  filtered.subscribe();
  await until(() => of(filtered, "unsubscribed").length);
  assert.equal(of(filtered, "unsubscribed")[0].code, 107);
  for (const make of ["newMapSubscription", "newSharedPollSubscription"]) {
    const other = made[make](make, { getSignature: async () => ({}) });
    const ends = [];
    other.on("unsubscribed", ({ code }) => ends.push(code));
    other.subscribe();
    await until(() => ends.length, make);
    assert.deepEqual(ends, [108]);
  }
  const delta = await subscribed(made, "kept:delta", { delta: "fossil", recoverable: true });
  for (const text of ["one two three", "one two three four"]) await made.rpc("publish", { channel: "kept:delta", data: text });
  await until(() => received(delta).length === 2);
  assert.deepEqual(received(delta), ["one two three", "one two three four"]);
  assert.equal(of(made, "connecting").length, 1);
});

test("a subscription that the server ends while it begins ends as the server says", async () => {
  const made = await connected();
  const again = subscription(made, "ends:2500");
  again.subscribe();
  await until(() => of(again, "subscribed").length === 2);
  assert.deepEqual(of(again, "subscribing").map(({ code }) => code).at(-1), 2500);
  const gone = subscription(made, "ends:2000");
  gone.subscribe();
  await until(() => of(gone, "unsubscribed").length);
  assert.deepEqual([of(gone, "unsubscribed")[0].code, of(gone, "error")], [2000, []]);
});

test("a server without a verifier of tokens decides about a new one when it connects and later", async () => {
  const tokens = ["ann 1", "ann 2", "ann 100"];
  const made = client({ getToken: async () => tokens.shift() }, DECIDING);
  made.connect();
  await until(() => !tokens.length);
  assert.deepEqual((await made.rpc("echo", 1)).data, { you: 1 });
  assert.equal(of(made, "connecting").length, 1);
  const late = client({ token: "ann gone", getToken: async () => "ann 100" }, DECIDING);
  late.connect();
  await late.ready(100_000);
});

test("a client without a token whose time is up connects again by itself", async () => {
  const made = client({}, DECIDING);
  made.connect();
  await until(() => of(made, "connected").length === 3);
  assert.deepEqual(of(made, "connecting").slice(1, 3).map(({ code }) => code), [3005, 3005]);
});

test("a batch of as many calls as fit into a message of Centrifugo is answered", async () => {
  const made = await connected();
  made.startBatching();
  const calls = Array.from({ length: 2_000 }, () => made.rpc("who"));
  made.stopBatching();
  assert.equal((await Promise.all(calls)).length, 2_000);
  assert.equal(of(made, "connecting").length, 1);
});
