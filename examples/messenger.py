"""A messenger: log in, talk in rooms, see who is there and who types, write privately, moderate.

Run it with ``python examples/messenger.py`` and open the address it prints in two browsers. A new name makes a new
account; the first one is the moderator's, who can delete lines and send people away. The history is in
``messenger.db``, or the file that ``--database`` or the environment variable MESSENGER_DATABASE names.

The page sends JSON objects with one of the keys of ``Room.ACTIONS``, and receives lists and lines as JSON objects.
"""

import argparse
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import trio
from messenger_store import Store

import wsframe
from wsframe import (
    Accept,
    Client,
    Limits,
    Reject,
    Request,
    Resource,
    Response,
    Server,
    register_global_factory,
    register_global_route,
)

BANNED_FOR = 600  # seconds
HISTORY = 50  # lines
ROOMS = ("lobby", "kitchen", "garden")

store: Store
banned: dict[tuple[str, str], float] = {}
"""When somebody who was sent away can enter the room again, by room and name."""


@dataclass
class Person:
    name: str
    moderator: bool


class Room(Resource[Person]):
    """One room, from its first visitor to its last. ``client.data`` is the person."""

    limits = Limits(max_message=4096, max_message_rate=10)

    def __init__(self, name: str) -> None:
        self.name = name

    async def accept_client(self, request: Request) -> Accept | Reject:
        person = await store.person_of(request.cookies.get("session", ""))
        if person is None:
            return Reject(401, body="log in first")
        return Accept(data=Person(*person))

    async def client_connected(self, client: Client[Person]) -> None:
        person = client.data
        if banned.get((self.name, person.name), 0) > trio.current_time():
            client.close(4003, "you were sent away from this room")
            return
        self.subscribe(client, f"person:{person.name}")  # private messages reach all rooms and tabs of a person
        client.send_json({"you": person.name, "moderator": person.moderator, "rooms": ROOMS})
        client.send_json({"history": await store.last_lines(self.name, HISTORY)})
        self.tell_presence()

    async def disconnected(self, client: Client[Person]) -> None:
        self.tell_presence()

    async def received_text(self, client: Client[Person], message: str) -> None:
        for action, value in json.loads(message).items():
            await self.ACTIONS[action](self, client, value)

    async def hook_failed(self, error: BaseException, *, hook: str, client: Client[Person] | None) -> None:
        if client is not None and isinstance(error, ValueError | KeyError | TypeError | AttributeError):
            client.send_json({"error": "the server does not understand this message"})
        else:
            await super().hook_failed(error, hook=hook, client=client)

    async def say(self, client: Client[Person], text: str) -> None:
        if text.strip():
            self.broadcast_json({"line": await store.add_line(self.name, client.data.name, text.strip())})

    async def typing(self, client: Client[Person], value: bool) -> None:
        name = client.data.name
        self.broadcast_json({"typing": name if value else None, "by": name}, exclude=client, key=("typing", name))

    async def whisper(self, client: Client[Person], value: dict[str, str]) -> None:
        line = {"from": client.data.name, "to": value["to"], "text": value["text"].strip()}
        heard = self.publish_text(f"person:{value['to']}", json.dumps({"private": line}))
        if not heard.queued:
            client.send_json({"error": f"{value['to']} is not here"})
        elif value["to"] != client.data.name:
            self.publish_text(f"person:{client.data.name}", json.dumps({"private": line}))

    async def delete(self, client: Client[Person], number: int) -> None:
        self.check_moderator(client)
        await store.delete_line(self.name, number)
        self.broadcast_json({"deleted": number})

    async def kick(self, client: Client[Person], name: str) -> None:
        self.check_moderator(client)
        banned[self.name, name] = trio.current_time() + BANNED_FOR
        for other in self.clients:
            if other.data.name == name:
                other.close(4003, f"{client.data.name} has sent you away")

    ACTIONS: ClassVar[dict[str, Callable[..., Awaitable[None]]]] = {
        "say": say, "typing": typing, "whisper": whisper, "delete": delete, "kick": kick,
    }  # fmt: skip

    def check_moderator(self, client: Client[Person]) -> None:
        if not client.data.moderator:
            raise ValueError("only a moderator can do this")

    def tell_presence(self) -> None:
        people = sorted({client.data.name for client in self.clients})
        self.broadcast_json({"people": people}, key="people")


def make_room(request: Request) -> Resource[Any] | None:
    name = request.path_params["room"]
    return Room(name) if name in ROOMS else None


@register_global_route("/")
async def page(request: Request) -> Response:
    person = await store.person_of(request.cookies.get("session", ""))
    file = HERE / ("messenger_login.html" if person is None else "messenger.html")
    return Response(file.read_bytes(), content_type="text/html; charset=utf-8")


@register_global_route("/login")
async def log_in(request: Request) -> Response:
    """Take the form, and answer with a cookie that scripts cannot read; or with the form again."""
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    name, password = form.get("name", "").strip(), form.get("password", "")
    if not (1 <= len(name) <= 20 and name.isprintable() and len(password) >= 6):
        return Response(status=303, headers={"Location": "./?error=short"})
    token = await store.log_in(name, password)
    if token is None:
        return Response(status=303, headers={"Location": "./?error=wrong"})
    secure = "; Secure" if request.secure else ""
    cookie = f"session={token}; HttpOnly; SameSite=Lax; Path=/{secure}"
    return Response(status=303, headers={"Location": "./", "Set-Cookie": cookie})


@register_global_route("/logout")
async def log_out(request: Request) -> Response:
    if request.method == "POST":  # a link cannot log anybody out
        await store.log_out(request.cookies.get("session", ""))
    return Response(status=303, headers={"Location": "./", "Set-Cookie": "session=; Max-Age=0; Path=/"})


register_global_factory("/rooms/{room}", make_room)
register_global_route("/wsframe.js", wsframe.browser_client)

HERE = Path(__file__).parent


def announce(server: Server) -> None:
    print(f"Messenger at http{server.addresses[0].removeprefix('ws')}/ (open it in two browsers)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a messenger with rooms, logins and history.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    parser.add_argument("--database", default=os.environ.get("MESSENGER_DATABASE", "messenger.db"))
    arguments = parser.parse_args()
    store = Store(arguments.database)
    wsframe.run(port=arguments.port, started=announce)
else:
    store = Store(os.environ.get("MESSENGER_DATABASE", "messenger.db"))
