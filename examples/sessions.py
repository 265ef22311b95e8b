"""A shopping basket that outlives its connection: a client that returns with its id gets it back.

Run it with ``python examples/sessions.py`` or ``wsframe serve examples/sessions.py``, and talk to it with
``python -m websockets ws://127.0.0.1:8000/``. The first message is the session's id; each line you send
goes into the basket. Disconnect, and return to ``ws://127.0.0.1:8000/?session=ID`` within five minutes.
"""

import argparse
import json
from dataclasses import dataclass, field
from secrets import token_urlsafe

import trio

import wsframe
from wsframe import Client, Limits, Resource, Server, register_global_resource

LARGEST_BASKET = 20


@dataclass
class Session:
    """The state of a visitor. Its id is enough to take it over, so it has 128 random bits."""

    id: str = field(default_factory=lambda: token_urlsafe(16))
    basket: list[str] = field(default_factory=list)
    expires: float = 0.0


class Sessions(Resource[Session | None]):
    """A session has a client, is parked, or is gone; ``client.data`` is None for a refused client."""

    limits = Limits(max_message=100)

    def __init__(self, lifetime: float = 300, max_parked: int = 1000) -> None:
        self.lifetime = lifetime
        self.max_parked = max_parked
        self.connected: dict[str, Client[Session | None]] = {}
        self.parked: dict[str, Session] = {}  # in the order of parking, so also of expiry

    async def client_connected(self, client: Client[Session | None]) -> None:
        wanted = client.request.query.get("session", [None])[0]
        session = Session() if wanted is None else self.resumed(wanted)
        if session is None:
            client.reject()  # without a reason: it would help to guess ids
            return
        client.data = session
        self.connected[session.id] = client
        client.send_text(json.dumps({"session": session.id, "basket": session.basket}))

    def resumed(self, wanted: str) -> Session | None:
        """Take a session over from its client, or from the parked sessions."""
        former = self.connected.pop(wanted, None)
        if former is not None:  # the end of a broken connection can be still unnoticed here
            former.close(4001, "resumed elsewhere")
            return former.data
        self.forget_old()
        return self.parked.pop(wanted, None)

    async def received_text(self, client: Client[Session | None], message: str) -> None:
        assert client.data is not None
        client.data.basket = [*client.data.basket, message][-LARGEST_BASKET:]
        client.send_text(json.dumps({"basket": client.data.basket}))

    async def disconnected(self, client: Client[Session | None]) -> None:
        session = client.data
        if session is not None and self.connected.get(session.id) is client:  # and the session was not taken over
            del self.connected[session.id]
            session.expires = trio.current_time() + self.lifetime
            self.parked[session.id] = session
            self.forget_old()

    def forget_old(self) -> None:
        """Forget expired sessions, and the oldest if there are too many."""
        for session in [*self.parked.values()]:
            if len(self.parked) <= self.max_parked and trio.current_time() < session.expires:
                break
            del self.parked[session.id]


register_global_resource("/", Sessions())


def announce(server: Server) -> None:
    address = server.addresses[0]
    print(f"Serving at http{address.removeprefix('ws')}/ ({address}/)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Keep the baskets of returning visitors.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    wsframe.run(port=parser.parse_args().port, started=announce)
