// Members of a channel that use npm's centrifuge, unchanged: node sdk_members.cjs URL MEMBERS. It writes "ready" once
// all know of each other, and for each line that it reads how many joins and leaves they were told of since then.
"use strict";

const { Centrifuge } = require("centrifuge");
const WebSocket = require("ws");
const [url, size] = [process.argv[2], Number(process.argv[3])];

const report = { joins: 0, leaves: 0, connected: 0 };
const here = new Set();
let ready = false;

for (let n = 0; n < size; n++) {
  const client = new Centrifuge(url, { websocket: WebSocket, token: `user-${n}`, minReconnectDelay: 50, maxReconnectDelay: 500 });
  const room = client.newSubscription("room", { joinLeave: true });
  room.on("subscribed", async () => {
    report.connected++;
    if (ready) return;
    Object.keys((await room.presence()).clients).forEach((key) => here.add(key));
    settle();
  });
  room.on("join", ({ info }) => {
    here.add(info.user);
    report.joins += ready;
    settle();
  });
  room.on("leave", () => (report.leaves += ready));
  room.subscribe();
  client.connect();
}

function settle() {
  if (ready || here.size < size) return;
  // Joins that are on their way to other clients are not of the restart.
  setTimeout(() => {
    if (!ready) process.stdout.write("ready\n");
    ready = true;
  }, 3000);
}

process.stdin.on("data", () => process.stdout.write(JSON.stringify(report)));
