// A WebSocket client that plays a script and prints the replies, one JSON object a line.
//
// node client.js '{"url": "ws://...", "options": {...}, "steps": [...]}'
//
// Each step sends something and then waits for one event, so that the order of the output is certain:
//   {"send": "text", "data": "..."}             {"send": "binary", "base64": "..."}
//   {"send": "fragments", "data": ["...", ...]} {"send": "ping", "data": "..."}
//   {"send": "close", "code": 1000, "reason": "..."}
//   {"send": "nothing"}
// `options` goes to the WebSocket constructor; in it, `ca` names a file.
// A connection still open after the last step is dropped.
"use strict";

const fs = require("node:fs");
const WebSocket = require("ws");

const PATIENCE_MS = 20_000;

const script = JSON.parse(process.argv[2]);
const options = { ...script.options };
if (options.ca) options.ca = fs.readFileSync(options.ca);

const steps = script.steps[Symbol.iterator]();
const socket = new WebSocket(script.url, options);
const timer = setTimeout(() => {
  print({ event: "timeout" });
  process.exit(1);
}, PATIENCE_MS);

function print(event) {
  process.stdout.write(JSON.stringify(event) + "\n");
}

const senders = {
  text: (step) => socket.send(step.data),
  binary: (step) => socket.send(Buffer.from(step.base64, "base64")),
  ping: (step) => socket.ping(step.data),
  close: (step) => socket.close(step.code, step.reason),
  nothing: () => {},
  fragments: ({ data }) =>
    data.forEach((part, index) => socket.send(part, { fin: index === data.length - 1 })),
};

function advance(event) {
  print(event);
  const { value: step, done } = steps.next();
  if (done) {
    clearTimeout(timer);
    socket.terminate();
  } else {
    senders[step.send](step);
  }
}

socket.on("open", () => advance({ event: "open", extensions: socket.extensions }));
socket.on("message", (data, isBinary) =>
  advance(
    isBinary
      ? { event: "binary", base64: data.toString("base64") }
      : { event: "text", data: data.toString() },
  ),
);
socket.on("pong", (data) => advance({ event: "pong", data: data.toString() }));
socket.on("unexpected-response", (request, response) => {
  print({ event: "refused", status: response.statusCode });
  clearTimeout(timer);
  request.destroy();
});
socket.on("error", (error) => print({ event: "error", message: error.message }));
socket.on("close", (code, reason) => {
  print({ event: "close", code, reason: reason.toString() });
  clearTimeout(timer);
});
