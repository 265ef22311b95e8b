"""A resource for the SDKs of the tests, which obeys their RPC calls."""

from __future__ import annotations

import argparse
from typing import ClassVar

import wsframe
from wsframe import Client, Registry, Request, Response
from wsframe.backplane import History
from wsframe.centrifuge import (
    CentrifugeDisconnect,
    CentrifugeError,
    CentrifugeOptions,
    CentrifugeResource,
    Connected,
    Published,
    Subscribed,
)
from wsframe.centrifuge import Tokens as Verifier


class Tokens:
    """Tokens of words: ``USER``, ``USER expires SECONDS``, ``USER gone``, ``USER CHANNEL``. Those that begin
    with ``later`` are of ann, and fail at first."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def at_first(self, token: str) -> str:
        if token.startswith("later ") and token not in self.seen:
            self.seen.add(token)
            raise CentrifugeError(100)
        return token.removeprefix("later ")

    async def connection(self, token: str) -> Connected:
        user, _, rest = self.at_first(token).partition(" ")
        if rest == "gone":
            raise CentrifugeError(109)
        if user == "nobody":
            raise CentrifugeDisconnect(3500)
        return Connected(user=user, expires=float(rest.split()[1]) if rest.startswith("expires") else None)

    async def subscription(self, token: str, user: str, channel: str) -> Subscribed:
        if not channel.startswith("token:"):
            return Subscribed()
        words = self.at_first(token).split()
        if words[:2] != [user, channel]:
            raise CentrifugeError(103)
        if words[2:] == ["gone"]:
            raise CentrifugeError(109)
        return Subscribed(expires=float(words[2]) if words[2:] else None)


class Served(CentrifugeResource):
    """The prefix of a channel says which features it offers."""

    tokens: ClassVar[Verifier | None] = Tokens()
    history = History(messages=10)
    options = CentrifugeOptions(ping=1, pong=20, expired_grace=3)

    def __init__(self) -> None:
        self.ends: set[tuple[str, str]] = set()

    async def connecting(self, client: Client, token: str, data: object) -> Connected | None:
        if data == "refuse":
            raise CentrifugeError(1234, "not you")
        if data == "server":
            options = Subscribed(presence=True, join_leave=True, data={"by": "server"})
            return Connected(data={"hello": "you"}, subscriptions={"prices": options})
        if isinstance(data, dict):
            return Connected(subscriptions=[str(data["channel"])])
        return None

    def history_of(self, channel: str) -> History | None:
        return self.history if channel.startswith("kept:") else None

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed | None:
        if channel.startswith("secret:"):
            raise CentrifugeError(103)
        if channel.startswith("ends:") and (client.id, channel) not in self.ends:
            self.ends.add((client.id, channel))
            await self.remove_subscription(client, channel, int(channel.removeprefix("ends:")))
        if channel.startswith("open:"):
            return Subscribed(presence=True, join_leave=True, info={"in": channel}, data=data)
        return None

    async def publishing(self, client: Client, channel: str, data: object) -> Published | None:
        if channel.startswith("open:"):
            return None
        if channel.startswith("loud:"):
            return Published(data=str(data).upper(), tags={"loud": "yes"})
        raise CentrifugeError(103)

    async def rpc(self, client: Client, method: str, data: object) -> object:
        match method, data:
            case "echo", _:
                return {"you": data}
            case "publish", {"channel": str(channel), "data": content}:
                return self.publish(channel, content)
            case "subscribe", str(channel):
                return await self.add_subscription(client, channel)
            case "unsubscribe", {"channel": str(channel), "code": int(code)}:
                return await self.remove_subscription(client, channel, code)
            case "close", {"code": int(code), "reason": str(reason)}:
                return client.close(code, reason)
            case "who", _:
                return client.id
            case "away", {"channel": str(channel), "count": int(count), "client": str(name)}:
                gone = next(one for one in self.clients if one.id == name)
                gone.close(3000, "for a while")
                await gone.closed()
                for number in range(count):
                    self.publish(channel, number)
                return count
            case "message", _:
                return self.send_message(client, data)
            case "fail", _:
                raise RuntimeError("as told")
        return await super().rpc(client, method, data)


class Deciding(Served):
    """Has no verifier: ``connecting`` sees to the tokens, and whoever has none has a second."""

    tokens = None

    async def connecting(self, client: Client, token: str, data: object) -> Connected:
        user, _, seconds = token.partition(" ")
        if seconds == "gone":
            raise CentrifugeError(109)
        return Connected(user=user, expires=float(seconds or 1))


async def page(request: Request) -> Response:
    text = '<!doctype html><meta charset="utf-8"><title>SDK</title><link rel="icon" href="data:,">'
    return Response(f'{text}<script src="centrifuge.js"></script>', content_type="text/html; charset=utf-8")


def announce(server: wsframe.Server) -> None:
    print(f"Serving at http{server.addresses[0].removeprefix('ws')}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--sdk")
    arguments = parser.parse_args()
    registry = Registry()
    registry.route("/", page)
    if arguments.sdk:
        registry.route("/centrifuge.js", wsframe.static_file(arguments.sdk))
    registry.register("/connection/websocket", Served(), wsframe.any_origin)
    registry.register("/connection/deciding", Deciding(), wsframe.any_origin)
    wsframe.run(registry, port=arguments.port, started=announce)
