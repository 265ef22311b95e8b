"""A chat with typed messages: wsframe refuses other messages before the code sees them.

Run it with ``python examples/typed_chat.py`` or ``wsframe serve examples/typed_chat.py``, and talk to it
with ``python -m websockets ws://127.0.0.1:8000/rooms/lobby``: ``{"type": "join", "nick": "ann"}``, then
``{"type": "say", "text": "hello"}``. ``wsframe asyncapi examples/typed_chat.py`` describes its messages.
"""

import argparse
from typing import Annotated

from msgspec import Meta, Struct

import wsframe
from wsframe import Client, JSONResource, Server, healthz, readyz, register_global_resource, register_global_route

Nick = Annotated[str, Meta(pattern=r"^\w{1,20}$")]


class Join(Struct, tag="join"):
    """Comes in under a nickname, or changes it."""

    nick: Nick


class Say(Struct, tag="say"):
    """Says something to everybody in the room."""

    text: Annotated[str, Meta(min_length=1, max_length=1000)]


class Joined(Struct, tag="joined"):
    """Somebody came in."""

    nick: Nick


class Said(Struct, tag="said"):
    """Somebody said something."""

    nick: Nick
    text: str


class Problem(Struct, tag="problem"):
    """Why a message had no effect."""

    reason: str


class Rooms(JSONResource[str | None]):
    """Rooms by path; ``client.data`` is the nickname, None before the client has joined."""

    sends = Joined | Said | Problem

    async def received_json(self, client: Client[str | None], message: Join | Say) -> None:
        room = [other for other in self.clients if other.path == client.path]
        match message:
            case Join(nick) if any(other.data == nick for other in room):
                client.send_json(Problem(f"somebody is called {nick}"))
            case Join(nick):
                client.data = nick
                self.broadcast_json(Joined(nick), clients=room)
            case Say(text) if client.data is not None:
                self.broadcast_json(Said(client.data, text), clients=room)
            case Say():
                client.send_json(Problem("join first"))

    async def invalid_message(self, client: Client[str | None], error: Exception) -> None:
        client.send_json(Problem(str(error)))


register_global_resource("/rooms/{room}", Rooms())
register_global_route("/healthz", healthz)
register_global_route("/readyz", readyz)


def announce(server: Server) -> None:
    address = server.addresses[0]
    print(f"Serving at http{address.removeprefix('ws')}/ ({address}/rooms/lobby)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve rooms with typed messages.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    wsframe.run(port=parser.parse_args().port, started=announce)
