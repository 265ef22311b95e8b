"""Send every message back: one of the smallest servers possible.

Run it with ``python examples/echo.py`` or ``wsframe serve examples/echo.py``, and talk to it
with ``wsframe connect ws://127.0.0.1:8000/``.
"""

import argparse

import wsframe
from wsframe import Client, Resource, Server, register_global_resource


class Echo(Resource):
    """Sends every message back to its sender."""

    async def received_text(self, client: Client, message: str) -> None:
        client.send_text(message)

    async def received_binary(self, client: Client, message: bytes) -> None:
        client.send_binary(message)


register_global_resource("/", Echo())


def announce(server: Server) -> None:
    address = server.addresses[0]
    print(f"Serving at http{address.removeprefix('ws')}/ ({address}/)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send every message back.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    wsframe.run(port=parser.parse_args().port, started=announce)
