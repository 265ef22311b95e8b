// npm's ws, as client and as server.
"use strict";

const http = require("node:http");
const { WebSocket, WebSocketServer } = require("ws");

const perMessageDeflate = { threshold: 0 };

function converse(socket) {
  socket.on("message", (data, isBinary) => {
    const [, command, code, reason] = (!isBinary && /^!(\w+) ?(\d*) ?(.*)$/s.exec(data.toString())) || [];
    if (command === "close") socket.close(Number(code), reason);
    else if (command === "ping") socket.ping("there?");
    else if (command === "fragments") ["in ", "three ", "parts"].forEach((part, at) => socket.send(part, { fin: at === 2 }));
    else socket.send(data, { binary: isBinary });
  });
  socket.on("pong", (data) => socket.send(`pong ${data}`));
}

function talk(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate });
    converse(socket);
    socket.on("unexpected-response", (request, response) => {
      resolve(`refused ${response.statusCode}`);
      request.destroy();
    });
    socket.on("error", (error) => resolve(`error ${error.message}`));
    socket.on("close", (code, reason) => resolve(`closed ${code} ${reason}`));
  });
}

function serve() {
  const server = http.createServer((request, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate });
  server.on("upgrade", (request, socket, head) => {
    if (request.url !== "/echo") return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n");
    sockets.handleUpgrade(request, socket, head, (opened) => {
      converse(opened);
      opened.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
}

(async () => {
  if (process.argv[2] === "server") serve();
  else for (const url of process.argv.slice(3)) console.log(await talk(url));
})();
