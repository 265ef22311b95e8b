// The browser client in a page that page.mjs imitates.

import assert from "node:assert/strict";
import { test } from "node:test";
import { URL_, FakeSocket, client, clock, connect, page, seen, settle } from "./page.mjs";

const { Connection, addressOf, delayAfter, lengthOf } = client;

test("waits grow to the longest one, and chance takes up to a half off", () => {
  const options = { firstDelay: 500, longestDelay: 30000 };
  assert.deepEqual([0, 1, 2, 5, 6, 7, 2000].map(n => delayAfter(n, options, 1)), [500, 1000, 2000, 16000, 30000, 30000, 30000]);
  assert.equal(delayAfter(3, options, 0), 2000);
  assert.equal(delayAfter(0, options), 500); // by chance, which is 1 here
});

test("an address is made one of WebSocket, relative to the page", () => {
  assert.equal(addressOf("chat?x=1#top", "https://a.example/room/").href, "wss://a.example/room/chat?x=1");
  assert.equal(addressOf("http://b.example:8000/").href, "ws://b.example:8000/");
  assert.throws(() => addressOf("chat", undefined), TypeError);
  assert.throws(() => new Connection("chat"), TypeError);
  assert.equal(FakeSocket.all.length, 0);
});

test("lengths of text, bytes and blobs", () => {
  assert.deepEqual(["abc", new Uint8Array(4), new ArrayBuffer(5), new Blob(["123456"])].map(lengthOf), [3, 4, 5, 6]);
});

test("messages from before there is a connection follow those that a listener sends first", () => {
  const connection = connect({ protocols: ["a"] });
  connection.addEventListener("open", () => connection.send("hello"));
  assert.deepEqual([connection.send("1"), connection.send("2"), connection.queued], [true, true, 2]);
  FakeSocket.last.protocol = "a";
  FakeSocket.last.open();
  FakeSocket.last.receive("answer");
  assert.deepEqual(FakeSocket.last.sent, ["hello", "1", "2"]);
  assert.deepEqual([FakeSocket.last.url, FakeSocket.last.protocols, FakeSocket.last.binaryType], [URL_, ["a"], "arraybuffer"]);
  assert.deepEqual(seen, [["open", false], ["message", "answer"]]);
  assert.deepEqual([connection.state, connection.queued, connection.protocol], ["open", 0, "a"]);
});

test("it connects again, after longer waits each time, until a connection is steady", async () => {
  const connection = connect();
  FakeSocket.last.open();
  FakeSocket.last.lose(1001, "server stopping", true);
  assert.equal(connection.state, "waiting");
  await clock.tick(499);
  assert.equal(FakeSocket.all.length, 1);
  await clock.tick(1);
  assert.equal(connection.state, "connecting");
  FakeSocket.last.open();
  FakeSocket.last.lose(); // too soon to count as steady
  await clock.tick(1000);
  FakeSocket.last.lose();
  await clock.tick(2000);
  FakeSocket.last.open();
  await clock.tick(5000);
  FakeSocket.last.lose();
  assert.deepEqual(seen, [
    ["open", false], ["close", 1001, "server stopping", 500],
    ["open", true], ["close", 1006, "", 1000], ["close", 1006, "", 2000],
    ["open", true], ["close", 1006, "", 500],
  ]);
});

test("the queue is bounded in messages and in length, and reports messages that it did not take", () => {
  const connection = connect({ maxQueued: 2, maxQueuedLength: 10 });
  const taken = ["12345678", "123", "12", "1"].map(message => connection.send(message));
  assert.deepEqual(taken, [true, false, true, false]);
  assert.deepEqual(seen, [["dropped", ["123"], "full"], ["dropped", ["1"], "full"]]);
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.sent, ["12345678", "12"]);
  assert.equal(connection.queued, 0);
  FakeSocket.last.bufferedAmount = 8;
  assert.deepEqual([connection.send("123"), connection.send("12")], [false, true]);
  FakeSocket.last.bufferedAmount = 0;
  assert.equal(connection.send("longer than the limit"), true); // an empty buffer takes any one message
});

test("messages wait too while the socket is on its way out", () => {
  const connection = connect();
  FakeSocket.last.open();
  FakeSocket.last.readyState = 2;
  connection.send("1");
  assert.deepEqual([FakeSocket.last.sent, connection.queued], [[], 1]);
});

test("a connection that breaks while the queue is sent keeps the rest", () => {
  const connection = connect();
  connection.send("1");
  connection.send("2");
  const socket = FakeSocket.last;
  socket.send = message => { socket.sent.push(message); socket.readyState = 3; };
  socket.open();
  assert.deepEqual([socket.sent, connection.queued], [["1"], 1]);
});

for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010]) {
  test(`code ${code} is final, and waiting messages are dropped`, async () => {
    const connection = connect();
    connection.send("late");
    FakeSocket.last.lose(code, "why", true);
    assert.deepEqual(seen, [["dropped", ["late"], "closed"], ["close", code, "why", null]]);
    assert.equal(connection.state, "closed");
    globalThis.dispatchEvent(new Event("online"));
    connection.reconnect();
    await clock.tick(1e9);
    assert.equal(FakeSocket.all.length, 1);
    assert.equal(connection.send("more"), false);
    assert.deepEqual(seen.at(-1), ["dropped", ["more"], "closed"]);
  });
}

test("which codes are final can be said", () => {
  const connection = connect({ finalCodes: [4001] });
  FakeSocket.last.lose(1000, "", true);
  assert.equal(connection.state, "waiting");
  connection.reconnect();
  FakeSocket.last.lose(4001, "", true);
  assert.equal(connection.state, "closed");
});

test("close() closes in order, once, and for good", async () => {
  const connection = connect();
  FakeSocket.last.open();
  assert.throws(() => connection.close(1001), /InvalidAccess/);
  assert.equal(connection.state, "open");
  connection.close(4000, "bye");
  connection.close();
  assert.deepEqual(FakeSocket.last.closed, [4000, "bye"]);
  FakeSocket.last.receive("last words");
  FakeSocket.last.lose(4000, "bye", true);
  await clock.tick(1e9);
  assert.deepEqual(seen.slice(1), [["message", "last words"], ["close", 4000, "bye", null]]);
  assert.equal(FakeSocket.all.length, 1);
});

test("close() before there is a connection, and while one is waited for", async () => {
  const early = connect();
  early.close();
  FakeSocket.last.open(); // it had come so far
  FakeSocket.last.lose(1006, "", false);
  assert.deepEqual(seen, [["close", 1006, "", null]]);
  seen.length = 0;
  const waiting = connect();
  FakeSocket.last.lose();
  waiting.send("unsent");
  waiting.close(4000, "bye");
  assert.deepEqual(seen.slice(1), [["dropped", ["unsent"], "closed"], ["close", 4000, "bye", null]]);
  await clock.tick(1e9);
  assert.equal(FakeSocket.all.length, 2);
});

test("an attempt that takes too long is given up", async () => {
  connect({ connectTimeout: 1000 });
  const first = FakeSocket.last;
  await clock.tick(1000);
  assert.deepEqual(seen, [["close", 1006, "connect timeout", 500]]);
  assert.deepEqual(first.closed, [undefined, undefined]);
  first.open(); // nobody listens any more
  await clock.tick(500);
  assert.equal(FakeSocket.all.length, 2);
});

test("silence ends a connection where that is asked for, and words put it off", async () => {
  connect({ silence: 1000 });
  FakeSocket.last.open();
  await clock.tick(900);
  FakeSocket.last.receive("tick");
  await clock.tick(999);
  assert.equal(seen.length, 2);
  await clock.tick(1);
  assert.deepEqual(seen.at(-1), ["close", 1006, "silence", 500]);
});

test("without that, silence ends nothing", async () => {
  const connection = connect();
  FakeSocket.last.open();
  await clock.tick(1e6);
  assert.equal(connection.state, "open");
});

test("a machine that slept does not trust its connection", async () => {
  connect();
  FakeSocket.last.open();
  await clock.tick(25_000);
  clock.now += 100_000; // no timer runs meanwhile
  assert.equal(seen.length, 1);
  await clock.tick(0);
  assert.deepEqual(seen.at(-1), ["close", 1006, "asleep", 500]);
  assert.deepEqual(FakeSocket.all[0].closed, [undefined, undefined]);
  await clock.tick(500);
  FakeSocket.last.open();
  assert.deepEqual(seen.at(-1), ["open", true]);
});

test("timers of a hidden page, which run once a minute, are no sleep", async () => {
  const connection = connect();
  FakeSocket.last.open();
  for (let minutes = 0; minutes < 10; minutes++) {
    clock.now += 61_000;
    await clock.tick(0);
  }
  assert.equal(connection.state, "open");
});

test("a clock that is set back is no sleep", async () => {
  const connection = connect();
  FakeSocket.last.open();
  await clock.tick(20_000);
  clock.now -= 15_000;
  await clock.tick(60_000);
  assert.equal(connection.state, "open");
});

for (const [what, notice] of [
  ["a frozen page that goes on", () => page.dispatchEvent(new Event("resume"))],
  ["a page that is looked at again", () => page.dispatchEvent(new Event("visibilitychange"))],
  ["a network that comes back", () => globalThis.dispatchEvent(new Event("online"))],
]) {
  test(`${what} notices a sleep before its timer does`, () => {
    connect();
    FakeSocket.last.open();
    clock.now += 76_000;
    notice();
    assert.deepEqual(seen.at(-1), ["close", 1006, "asleep", 500]);
  });
}

test("a sleep can be left unnoticed, and no timer is left behind", async () => {
  const connection = connect({ asleep: null });
  FakeSocket.last.open();
  clock.now += 1e6;
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(connection.state, "open");
  const other = connect();
  FakeSocket.last.open();
  other.close();
  connection.close();
  assert.equal(clock.timers.size, 0);
});

test("a network that comes back, and a page that is looked at again, end a wait at once", () => {
  connect();
  FakeSocket.last.lose();
  globalThis.dispatchEvent(new Event("online"));
  assert.equal(FakeSocket.all.length, 2);
  FakeSocket.last.lose();
  page.visibilityState = "hidden";
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(FakeSocket.all.length, 2);
  page.visibilityState = "visible";
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(FakeSocket.all.length, 3);
  assert.equal(clock.timers.size, 1); // of the attempt: no wait is left behind
});

test("a page that is looked at again notices silence that a late timer has not", () => {
  connect({ silence: 1000 });
  FakeSocket.last.open();
  clock.now = 5000;
  page.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual(seen.at(-1), ["close", 1006, "silence", 500]);
});

test("a function is asked for the address each time, and may take its time", async () => {
  let count = 0;
  const connection = connect({}, async () => `http://server.example/${++count}`);
  assert.equal(FakeSocket.all.length, 0);
  await settle();
  FakeSocket.last.lose();
  connection.reconnect();
  await settle();
  assert.deepEqual(FakeSocket.all.map(socket => socket.url), ["ws://server.example/1", "ws://server.example/2"]);
});

test("a function that fails is a failed attempt", async () => {
  connect({}, () => Promise.reject(new Error("no token")));
  await settle();
  assert.deepEqual(seen, [["close", 1006, "Error: no token", 500]]);
});

test("an address that comes after close() or too late is not used", async () => {
  const closed = connect({}, async () => URL_);
  closed.close();
  await settle();
  let give;
  connect({ connectTimeout: 1000 }, () => new Promise((resolve, reject) => { give = [resolve, reject]; }));
  const [late] = give;
  await clock.tick(1000);
  late(URL_);
  await settle();
  assert.equal(FakeSocket.all.length, 0);
  await clock.tick(500);
  const [, fail] = give;
  await clock.tick(1000);
  fail(new Error("late"));
  await settle();
  assert.deepEqual(seen.map(([type, , reason]) => [type, reason]), [
    ["close", ""], ["close", "connect timeout"], ["close", "connect timeout"],
  ]);
});

test("a WebSocket that cannot be made is a failed attempt", async () => {
  FakeSocket.refuse = new Error("SecurityError");
  const connection = connect();
  await clock.tick(500);
  assert.deepEqual(seen, [["close", 1006, "Error: SecurityError", 1000]]); // the first came before anybody listened
  FakeSocket.refuse = null;
  connection.reconnect();
  FakeSocket.last.open();
  assert.equal(connection.state, "open");
});

test("without a page it works too", () => {
  delete globalThis.document;
  delete globalThis.addEventListener;
  connect();
  FakeSocket.last.open();
  assert.deepEqual(seen, [["open", false]]);
});
