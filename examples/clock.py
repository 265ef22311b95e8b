"""Send the time to all clients once a second, from one task of the resource.

Run it with ``python examples/clock.py`` or ``wsframe serve examples/clock.py``, and open the address it
prints.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import trio

import wsframe
from wsframe import Client, Request, Resource, Response, Server, register_global_resource, register_global_route

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Clock</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark }
  #time { font: min(4rem, 14vw)/90vh system-ui, sans-serif; display: block; text-align: center }
</style>
<output id="time"></output>
<script>
  new WebSocket("clock").onmessage = event => { document.querySelector("#time").value = event.data; };
</script>
"""


class Clock(Resource):
    """One ticker for all clients, however many there are."""

    overflow = "drop_oldest"  # slow readers get the newest time, not the old ones

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.tick)
        yield

    async def tick(self) -> None:
        while True:
            self.broadcast_text(now())
            await trio.sleep(1)

    async def client_connected(self, client: Client) -> None:
        client.send_text(now())


def now() -> str:
    return datetime.now().strftime("%H:%M:%S")


@register_global_route("/")
async def page(request: Request) -> Response:
    return Response(PAGE, content_type="text/html; charset=utf-8")


register_global_resource("/clock", Clock())


def announce(server: Server) -> None:
    print(f"Serving at http{server.addresses[0].removeprefix('ws')}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send the time to all clients.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    wsframe.run(port=parser.parse_args().port, started=announce)
