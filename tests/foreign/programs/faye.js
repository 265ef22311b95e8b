// npm's faye-websocket with permessage-deflate, as client and as server.
"use strict";

const http = require("node:http");
const WebSocket = require("faye-websocket");
const deflate = require("permessage-deflate");

const options = { extensions: [deflate] };

function converse(socket) {
  socket.on("message", ({ data }) => {
    const [, command, code, reason] = (typeof data === "string" && /^!(\w+) ?(\d*) ?(.*)$/s.exec(data)) || [];
    if (command === "close") socket.close(Number(code), reason);
    else if (command === "ping") socket.ping("there?", () => socket.send("pong there?"));
    else socket.send(command ? "cannot" : data);
  });
}

function talk(url) {
  return new Promise((resolve) => {
    let status = "";
    const socket = new WebSocket.Client(url, [], options);
    converse(socket);
    socket.on("error", (error) => (status ||= /: (\d{3})/.exec(error.message)?.[1] ?? error.message));
    socket.on("close", ({ code, reason }) => resolve(status ? `refused ${status}` : `closed ${code} ${reason}`));
  });
}

function serve() {
  const server = http.createServer((request, response) => response.writeHead(404).end());
  server.on("upgrade", (request, socket, head) => {
    if (request.url !== "/echo") return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n");
    const opened = new WebSocket(request, socket, head, [], options);
    converse(opened);
    opened.on("close", ({ code, reason }) => console.log(`closed ${code} ${reason}`));
  });
  server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
}

(async () => {
  if (process.argv[2] === "server") serve();
  else for (const url of process.argv.slice(3)) console.log(await talk(url));
})();
