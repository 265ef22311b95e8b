"""A page with the browser client, and a resource that closes with any code it is told."""

import argparse

import wsframe
from wsframe import Client, Request, Resource, Response

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Browser client</title>
<link rel="icon" href="data:,">
<script type="module">
import { Connection } from "./wsframe.js";

window.seen = [];
window.start = options => {
  window.connection = new Connection("talk", { firstDelay: 50, longestDelay: 200, ...options });
  const note = (type, tell) => connection.addEventListener(type, event => seen.push(`${type} ${tell(event)}`));
  note("open", event => event.again);
  note("message", event => typeof event.data === "string" ? event.data : new Uint8Array(event.data).join());
  note("close", event => `${event.code} ${event.reason} ${event.final}`);
  note("dropped", event => event.messages.join());
};
window.ready = true;
</script>
"""


class Talk(Resource):
    """Answers everything; closes with the code in ``close CODE``."""

    async def received_text(self, client: Client, message: str) -> None:
        if message.startswith("close "):
            client.close(int(message[6:]), "as told")
        else:
            client.send_text(f"heard {message}")

    async def received_binary(self, client: Client, message: bytes) -> None:
        client.send_binary(message[::-1])


async def page(request: Request) -> Response:
    if request.path == "/wsframe.js":
        return await wsframe.browser_client(request)
    return Response(PAGE, content_type="text/html; charset=utf-8")


def announce(server: wsframe.Server) -> None:
    print(f"Serving at http{server.addresses[0].removeprefix('ws')}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    wsframe.register_global_resource("/talk", Talk())
    wsframe.run(port=parser.parse_args().port, http_handler=page, started=announce)
