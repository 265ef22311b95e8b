"""A lobby and rooms: each room is a resource that is created for its first visitor and ends after its last.

Run it with ``python examples/rooms.py`` or ``wsframe serve examples/rooms.py``, and open the address it
prints in several tabs; add ``#kitchen`` to start in the kitchen.

A visitor connects to the lobby at ``/lobby`` or to a room at ``/rooms/NAME`` and types. In the lobby, a
line is the name of the room to enter. In a room, a line goes to all visitors, and ``/leave`` returns to
the lobby. The connection stays the same.
"""

import argparse

import wsframe
from wsframe import Client, Limits, Request, Resource, Response, Server

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Rooms</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
  body { max-width: 40rem; margin: 1rem auto; padding: 0 1rem }
  input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem .8rem; border-radius: .5rem }
  pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere }
</style>
<h1>Rooms</h1>
<form><input autofocus placeholder="The name of a room, a line to say, or /leave"></form>
<pre></pre>
<script>
  const room = location.hash.slice(1), [form, input, lines] =
    ["form", "input", "pre"].map(name => document.querySelector(name));
  const socket = new WebSocket(room ? `rooms/${room}` : "lobby");
  const show = text => lines.prepend(text + "\\n");
  socket.onmessage = event => show(event.data);
  socket.onclose = event => show(`closed: ${event.code} ${event.reason}`);
  form.onsubmit = event => { event.preventDefault(); socket.send(input.value); input.value = ""; };
</script>
"""

LIMITS = Limits(max_message=1000)


class Lobby(Resource):
    """Visitors choose a room here; ``rooms`` holds the rooms in use."""

    limits = LIMITS

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    async def client_connected(self, client: Client) -> None:
        used = ", ".join(f"{room.name} ({len(room.clients)})" for room in self.rooms.values())
        client.send_text(f"Lobby: type the name of a room. In use: {used or 'none'}")

    async def received_text(self, client: Client, message: str) -> None:
        name = message.strip()
        if not good_name(name) or not client.move_to(f"/rooms/{name}"):
            client.send_text("You cannot go there.")


class Room(Resource):
    """One room. It is in ``lobby.rooms`` from its first visitor to its last goodbye."""

    limits = LIMITS
    max_clients = 100

    def __init__(self, name: str) -> None:
        self.name = name

    async def client_connected(self, client: Client) -> None:
        lobby.rooms[self.name] = self
        self.broadcast_text(f"{self.name}: somebody came, {len(self.clients)} here")

    async def received_text(self, client: Client, message: str) -> None:
        if message.strip() == "/leave":
            client.move_to(lobby)
        else:
            self.broadcast_text(f"{self.name}: {message}")

    async def disconnected(self, client: Client) -> None:
        if not self.clients:
            lobby.rooms.pop(self.name, None)
        self.broadcast_text(f"{self.name}: somebody left, {len(self.clients)} here")


def good_name(name: str) -> bool:
    """Return whether a room can have this name: it must not need quoting in a path."""
    return name.isascii() and name.isalnum() and len(name) <= 20


def make_room(request: Request) -> Room | None:
    name = request.path_params["room"]
    return Room(name) if good_name(name) else None


@wsframe.register_global_route("/")
async def page(request: Request) -> Response:
    return Response(PAGE, content_type="text/html; charset=utf-8")


lobby = Lobby()
wsframe.register_global_resource("/lobby", lobby)
wsframe.register_global_factory("/rooms/{room}", make_room, max_resources=100)


def announce(server: Server) -> None:
    print(f"Serving at http{server.addresses[0].removeprefix('ws')}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a lobby with rooms.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    wsframe.run(port=parser.parse_args().port, started=announce)
