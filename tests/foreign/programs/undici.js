// The client of npm's undici, which is also the one built into Node.
"use strict";

const { WebSocket } = require("undici");
const talk = require("./whatwg.js");

(async () => {
  for (const url of process.argv.slice(3)) console.log(await talk(WebSocket, url));
})();
