// npm's centrifuge, unchanged, against served.py.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { UnauthorizedError } = require("centrifuge");
const WebSocket = require("ws");
const { client, connected, leaveAfterEach, of, received, subscribed, subscription, until } = require("./sdk.cjs");

leaveAfterEach();

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

test("a client in protobuf is told for good that it is not served", async () => {
  const { Centrifuge: Protobuf } = require("centrifuge/build/protobuf");
  const made = new Protobuf(process.env.WSFRAME_URL, { websocket: WebSocket, minReconnectDelay: 20 });
  const ends = [];
  made.on("disconnected", (context) => ends.push(context.code));
  made.connect();
  await until(() => ends.length);
  assert.deepEqual(ends, [3506]);
});
