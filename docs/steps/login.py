"""The people of the rooms: they log in with a form, and a cookie keeps them."""

import os
from pathlib import Path
from urllib.parse import parse_qs

import trio
from store import Store

import wsframe
from wsframe import Request, Response, register_global_route

HERE = Path(__file__).parent

store = Store(os.environ.get("ROOMS_DATABASE", "rooms.db"))
one_at_a_time = trio.CapacityLimiter(1)


async def name_of(request: Request) -> str | None:
    token = request.cookies.get("session", "")
    return await trio.to_thread.run_sync(store.name_of, token, limiter=one_at_a_time)


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


register_global_route("/wsframe.js", wsframe.browser_client)
