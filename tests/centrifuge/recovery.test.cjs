// npm's centrifuge, unchanged, against served.py: subscriptions that go on where they were.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { connected, leaveAfterEach, of, received, subscribed, until } = require("./sdk.cjs");

leaveAfterEach();

test("a subscription that was cut goes on where it was", async () => {
  const made = await connected();
  const other = await connected();
  const kept = await subscribed(made, "kept:a", { recoverable: true });
  assert.equal(of(kept, "subscribed")[0].recoverable, true);
  for (const data of [1, 2]) await other.rpc("publish", { channel: "kept:a", data });
  await until(() => received(kept).length === 2);
  made.net.down = true;
  made.cut();
  for (const data of [3, 4, 5]) await other.rpc("publish", { channel: "kept:a", data });
  made.net.down = false;
  await until(() => of(kept, "subscribed").length === 2);
  assert.deepEqual([of(kept, "subscribed")[1].wasRecovering, of(kept, "subscribed")[1].recovered], [true, true]);
  await other.rpc("publish", { channel: "kept:a", data: 6 });
  await until(() => received(kept).length === 6);
  assert.deepEqual(received(kept), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(of(kept, "publication").map((one) => one.offset), [1, 2, 3, 4, 5, 6]);
});

test("one that was away for too long is told so, and gets no part", async () => {
  const made = await connected();
  const other = await connected();
  const kept = await subscribed(made, "kept:b", { recoverable: true });
  made.net.down = true;
  made.cut();
  await until(() => kept.state === "subscribing");
  await Promise.all(Array.from({ length: 20 }, (_, data) => other.rpc("publish", { channel: "kept:b", data })));
  made.net.down = false;
  await until(() => of(kept, "subscribed").length === 2);
  assert.deepEqual([of(kept, "subscribed")[1].wasRecovering, of(kept, "subscribed")[1].recovered], [true, false]);
  await other.rpc("publish", { channel: "kept:b", data: "next" });
  await until(() => received(kept).length);
  assert.deepEqual(received(kept), ["next"]);
});

test("a subscription of the server goes on where it was", async () => {
  const made = await connected({ data: { channel: "kept:c" } });
  const other = await connected();
  await other.rpc("publish", { channel: "kept:c", data: 1 });
  await until(() => received(made).length === 1);
  made.net.down = true;
  made.cut();
  await other.rpc("publish", { channel: "kept:c", data: 2 });
  made.net.down = false;
  await until(() => received(made).length === 2);
  assert.deepEqual(received(made), [1, 2]);
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
  await until(() => received(from).length === 2);
  assert.deepEqual(received(from), [2, 3]);
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
  await until(() => received(made2).length === 1);
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
  await until(() => received(kept).length === 3);
  assert.deepEqual(received(kept), [1, 2, 3]);
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
    const made = await connected({ minReconnectDelay: 5, maxReconnectDelay: n % 2 ? 20 : 400 });
    const feed = await subscribed(made, "kept:random", { recoverable: true });
    readers.push({ made, feed });
  }
  for (let number = 1; number <= 300; number++) {
    await feeder.rpc("publish", { channel: "kept:random", data: number });
    if (chance() < 0.5) readers[Math.floor(chance() * readers.length)].made.cut();
  }
  await until(() => readers.every(({ feed }) => feed.state === "subscribed"));
  await feeder.rpc("publish", { channel: "kept:random", data: 301 });
  await until(() => readers.every(({ feed }) => received(feed).at(-1) === 301));
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
