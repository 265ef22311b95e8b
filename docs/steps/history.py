"""Rooms with a login and a history."""

import os
from pathlib import Path
from urllib.parse import parse_qs

import trio
from store import Store

import wsframe
from wsframe import (
    Accept,
    Client,
    Limits,
    Reject,
    Request,
    Resource,
    Response,
    register_global_factory,
    register_global_route,
)

HERE = Path(__file__).parent

store = Store(os.environ.get("ROOMS_DATABASE", "rooms.db"))
one_at_a_time = trio.CapacityLimiter(1)


async def name_of(request: Request) -> str | None:
    token = request.cookies.get("session", "")
    return await trio.to_thread.run_sync(store.name_of, token, limiter=one_at_a_time)


class Room(Resource[str]):
    limits = Limits(max_message=4096, max_message_rate=10)

    def __init__(self, name: str) -> None:
        self.name = name

    async def accept_client(self, request: Request) -> Accept | Reject:
        name = await name_of(request)
        return Reject(401, body="log in first") if name is None else Accept(data=name)

    async def client_connected(self, client: Client[str]) -> None:
        lines = await trio.to_thread.run_sync(store.last_lines, self.name, 50, limiter=one_at_a_time)
        client.send_json({"history": lines})
        self.broadcast_json({"note": f"{client.data} came"})

    async def received_text(self, client: Client[str], message: str) -> None:
        await trio.to_thread.run_sync(store.add_line, self.name, client.data, message, limiter=one_at_a_time)
        self.broadcast_json({"from": client.data, "text": message})

    async def disconnected(self, client: Client[str]) -> None:
        self.broadcast_json({"note": f"{client.data} left"})


def make_room(request: Request) -> Room | None:
    name = request.path_params["room"]
    return Room(name) if name.isalpha() else None


@register_global_route("/")
async def page(request: Request) -> Response:
    file = "login.html" if await name_of(request) is None else "rooms.html"
    return Response((HERE / file).read_bytes(), content_type="text/html; charset=utf-8")


@register_global_route("/login")
async def log_in(request: Request) -> Response:
    form = {field: values[0] for field, values in parse_qs(request.body.decode()).items()}
    name, password = form.get("name", "").strip(), form.get("password", "")
    if not (name.isalnum() and len(name) <= 20 and len(password) >= 6):
        return Response(status=303, headers={"Location": "./"})
    token = await trio.to_thread.run_sync(store.log_in, name, password, limiter=one_at_a_time)
    if token is None:
        return Response(status=303, headers={"Location": "./"})
    secure = "; Secure" if request.secure else ""
    cookie = f"session={token}; HttpOnly; SameSite=Lax; Path=/{secure}"
    return Response(status=303, headers={"Location": "./", "Set-Cookie": cookie})


register_global_factory("/rooms/{room}", make_room)
register_global_route("/wsframe.js", wsframe.browser_client)

if __name__ == "__main__":
    wsframe.run(port=8000)
