"""A chat room over several servers, for the SDK of Centrifugo: all see who is there, and miss nothing.

Run it twice, with a Redis server that both use, and open the addresses that they print::

    python examples/lobby.py --port 8001 --backplane redis://localhost
    python examples/lobby.py --port 8002 --backplane redis://localhost

Without ``--backplane`` it is a chat room of one server. The page is ``lobby.html``, next to this file; it takes the SDK
from a CDN, or from a file named by ``--sdk``. Anybody can take any name: see ``messenger.py`` for a login.
"""

import argparse
from pathlib import Path

from sdk_page import register_page, take_sdk_from

import wsframe
from wsframe import Client, Server, register_global_resource
from wsframe.backplane import History
from wsframe.centrifuge import CentrifugeError, CentrifugeResource, Connected, Published, Subscribed

PAGE = Path(__file__).with_name("lobby.html")
LONGEST_NAME, LONGEST_TEXT = 20, 1_000


class Lobby(CentrifugeResource):
    """One room. A user is one member with all of its tabs, on whichever servers."""

    history = History(messages=100, seconds=3_600)
    subscription = Subscribed(presence=True, join_leave=True, members="users")

    async def connecting(self, client: Client, token: str, data: object) -> Connected:
        name = str(data).strip()
        if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
            raise CentrifugeError(400, f"a name has 1 to {LONGEST_NAME} characters")
        return Connected(user=name)

    async def subscribing(self, client: Client, channel: str, data: object) -> None:
        if channel != "lobby":
            raise CentrifugeError(102)

    async def publishing(self, client: Client, channel: str, data: object) -> Published:
        connection = self.connection_of(client)
        if connection is None or channel not in connection.channels:
            raise CentrifugeError(103)
        if not isinstance(data, str) or not 1 <= len(data.strip()) <= LONGEST_TEXT:
            raise CentrifugeError(401, f"a message has 1 to {LONGEST_TEXT} characters")
        return Published(data={"from": connection.user, "text": data.strip()})


register_global_resource("/connection/websocket", Lobby())
register_page(PAGE)


def announce(server: Server) -> None:
    print(f"Lobby at http{server.addresses[0].removeprefix('ws')}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a chat room that can have several servers.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    parser.add_argument("--backplane", metavar="URL", help="the Redis or PostgreSQL server that links all servers")
    parser.add_argument("--sdk", help="dist/centrifuge.js of the npm package, for a page without a CDN")
    arguments = parser.parse_args()
    if arguments.sdk:
        take_sdk_from(PAGE, arguments.sdk)
    wsframe.run(port=arguments.port, backplane=arguments.backplane, started=announce)
