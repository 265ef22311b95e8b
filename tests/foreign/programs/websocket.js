// npm's websocket, as client and as server. It knows no compression.
"use strict";

const http = require("node:http");
const { client: Client, server: Server } = require("websocket");

function converse(connection) {
  connection.on("message", (message) => {
    const text = message.type === "utf8" ? message.utf8Data : "";
    const [, command, code, reason] = /^!(\w+) ?(\d*) ?(.*)$/s.exec(text) || [];
    if (command === "close") connection.close(Number(code), reason);
    else if (command === "ping") connection.ping("there?");
    else if (command === "fragments") {
      connection.config.fragmentationThreshold = 5; // "in th", "ree p", "arts"
      connection.sendUTF("in three parts");
      connection.config.fragmentationThreshold = 16384;
    } else if (message.type === "utf8") connection.sendUTF(text);
    else connection.sendBytes(message.binaryData);
  });
  connection.on("pong", (data) => connection.sendUTF(`pong ${data}`));
}

function talk(url) {
  return new Promise((resolve) => {
    const client = new Client();
    client.on("httpResponse", (response) => resolve(`refused ${response.statusCode}`));
    client.on("connectFailed", (error) => resolve(`error ${error}`));
    client.on("connect", (connection) => {
      converse(connection);
      connection.on("close", (code, reason) => resolve(`closed ${code} ${reason}`));
    });
    client.connect(url);
  });
}

function serve() {
  const httpServer = http.createServer((request, response) => response.writeHead(404).end());
  new Server({ httpServer, maxReceivedFrameSize: 2 ** 24 }).on("request", (request) => {
    if (request.resource !== "/echo") return request.reject(403, "no");
    const connection = request.accept();
    converse(connection);
    connection.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
  });
  httpServer.listen(0, "127.0.0.1", () => console.log(`listening ${httpServer.address().port}`));
}

(async () => {
  if (process.argv[2] === "server") serve();
  else for (const url of process.argv.slice(3)) console.log(await talk(url));
})();
