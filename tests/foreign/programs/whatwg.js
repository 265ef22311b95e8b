// One conversation by the API that browsers have. Resolves with the line that tells how it ended.
"use strict";

function talk(WebSocket, url) {
  return new Promise((resolve) => {
    let opened = false;
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => (opened = true);
    socket.onmessage = ({ data }) => {
      const [, command, code, reason] = (typeof data === "string" && /^!(\w+) ?(\d*) ?(.*)$/s.exec(data)) || [];
      if (command === "close") socket.close(Number(code), reason);
      else socket.send(command ? "cannot" : data);
    };
    socket.onerror = () => opened || resolve("refused"); // undici 6 tells of no close then
    socket.onclose = ({ code, reason }) => resolve(opened ? `closed ${code} ${reason}` : "refused");
  });
}

if (typeof module !== "undefined") module.exports = talk;
