"""A chat room in the browser: nicknames, joins and leaves, any number of tabs.

Run it with ``python examples/chat.py`` or ``wsframe serve examples/chat.py``, and open the address it
prints in several tabs. The page is ``chat.html``, next to this file.

The page sends each line as text. It receives JSON objects: ``{"from": ..., "text": ...}`` for
a message, ``{"note": ...}`` for an event and ``{"nickname": ...}`` for its own name. A page that
reconnects asks for its old name: ``/chat?nick=NAME``.
"""

import argparse
import json
import sys
from itertools import count
from pathlib import Path

import wsframe
from wsframe import (
    Client,
    Limits,
    Resource,
    Server,
    browser_client,
    register_global_resource,
    register_global_route,
    static_file,
)

LONGEST_NICKNAME = 20


class Chat(Resource[str]):
    """One room; ``client.data`` is the nickname. The hooks never overlap, so nothing needs a lock."""

    limits = Limits(max_message=4096)

    def __init__(self) -> None:
        self.numbers = count(1)

    async def client_connected(self, client: Client[str]) -> None:
        wanted = client.request.query.get("nick", [""])[0].strip()
        self.give_name(client, self.unused_name() if self.objection(wanted, client) else wanted)
        self.tell_all(note=f"{client.data} joined")

    async def received_text(self, client: Client[str], message: str) -> None:
        command, _, argument = message.strip().partition(" ")
        if command == "/nick":
            self.rename(client, argument.strip())
        elif command:
            self.tell_all(**{"from": client.data, "text": message.strip()})

    async def disconnected(self, client: Client[str]) -> None:
        self.tell_all(note=f"{client.data} left")

    def rename(self, client: Client[str], wanted: str) -> None:
        objection = self.objection(wanted, client)
        if objection:
            client.send_text(json.dumps({"note": objection}))
            return
        former = client.data
        self.give_name(client, wanted)
        self.tell_all(note=f"{former} is now {wanted}")

    def give_name(self, client: Client[str], nickname: str) -> None:
        client.data = nickname
        client.send_text(json.dumps({"nickname": nickname}))

    def objection(self, nickname: str, client: Client[str]) -> str:
        """Return why ``client`` cannot have this nickname, or an empty string if it can."""
        if not 1 <= len(nickname) <= LONGEST_NICKNAME or not nickname.isprintable() or ":" in nickname:
            return f"a nickname has 1 to {LONGEST_NICKNAME} characters and no colon: /nick NAME"
        if any(other.data == nickname for other in self.clients if other is not client):
            return f"somebody else is called {nickname}"
        return ""

    def unused_name(self) -> str:
        taken = {other.data for other in self.clients}
        return next(name for name in (f"user-{number}" for number in self.numbers) if name not in taken)

    def tell_all(self, **line: str) -> None:
        self.broadcast_text(json.dumps(line))


register_global_resource("/chat", Chat())
register_global_route("/", static_file(Path(__file__).with_name("chat.html")))
register_global_route("/wsframe.js", browser_client)


def announce(server: Server) -> None:
    print(f"Chat at http{server.addresses[0].removeprefix('ws')}/ (open it in several tabs)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a chat room with its page.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    port = parser.parse_args().port
    try:
        wsframe.run(port=port, started=announce)
    except OSError as error:
        sys.exit(f"cannot serve at port {port}: {error.strerror}; try --port 0")
