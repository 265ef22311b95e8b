"""The keys of the servers of a service; their names, which carry the addresses of their peer ports; other ports."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_bytes, token_hex
from typing import Final, Protocol

import trio

from wsframe.digits import whole_number
from wsframe.log import Log, log_for
from wsframe.net.peer_header import key_of
from wsframe.resources.topics.publication import OWN

__all__ = ["Keys", "Messages", "peer_address", "peer_name"]

logger: Log = log_for(__name__)

TOPIC: Final = f"{OWN}peers"
NOWHERE: Final = "-"
EVERY: Final = 2.0
"""Seconds between two reports of a key."""
KEPT: Final = 30.0
"""Seconds for which the key of a server that has fallen silent is known."""
MOST_KEYS: Final = 10_000
LONGEST_NAME: Final = 300
KEY_SIZE: Final = 32
PORT_SIZE: Final = 2


def peer_name(address: tuple[str, int] | None, slot: int) -> str:
    """Make the name of a server, a new one at each start.

    Args:
        address: Host and port under which others reach its peer port; None without one.
        slot: Its number among the workers of its machine.
    """
    return f"{NOWHERE if address is None else f'{address[0]}:{address[1]}'}/{slot}/{token_hex(8)}"


def peer_address(name: str) -> tuple[str, int] | None:
    """Return the address in the name of a server; None without one."""
    host, _, port = name.partition("/")[0].rpartition(":")
    number = whole_number(port, 65535)
    return (host, number) if host and number else None


class Messages(Protocol):
    """Messages between the servers of a service."""

    def hear(self, topic: str, take: Callable[[bytes], None] | None = None) -> trio.Event: ...
    def unhear(self, topic: str) -> None: ...
    def tell(self, topic: str, payload: bytes) -> bool: ...


class Keys:
    """The keys of the peer ports: one for all from a secret, or one of each server, published through the backplane.

    With the key each server publishes the port at which it serves without TLS, for proxies.

    Args:
        node: The name of this server.
        messages: Lead to the other servers.
        secret: The secret; None has each server make a key at its start.
        serves: The port at which this server serves without TLS; 0 for none.
    """

    def __init__(self, node: str, messages: Messages, secret: str | None, serves: int = 0) -> None:
        self._node = node
        self._serves = serves
        self._messages = messages
        self._shared = None if secret is None else key_of(secret)
        self.own: bytes = self._shared or token_bytes(KEY_SIZE)
        """The key of this server."""
        self._known: dict[str, tuple[bytes, int, float]] = {}
        """The key of each server, the port at which it serves, and the time until which both are known."""

    def __repr__(self) -> str:
        return f"<Keys [servers: {len(self._known)}]>"

    def key_for(self, node: str) -> bytes | None:
        """Return the key of a server; None if it is not known."""
        if self._shared is not None:
            return self._shared
        return self._known[node][0] if node in self._known else None

    def address_for(self, node: str) -> str:
        """Return the address at which a server serves without TLS; ``""`` if it is not known."""
        address, (_, port, _) = peer_address(node), self._known.get(node, (b"", 0, 0.0))
        if address is None or not port:
            return ""
        return f"[{address[0]}]:{port}" if ":" in address[0] else f"{address[0]}:{port}"

    async def run(self) -> None:
        """Report our key and port, and hear those of others, until cancelled."""
        heard = self._messages.hear(TOPIC, self._hear)
        try:
            await heard.wait()
            while True:
                self._tell()
                await trio.sleep(EVERY)
                self._forget()
        finally:
            self._messages.unhear(TOPIC)

    def _tell(self) -> None:
        key = self.own if self._shared is None else bytes(KEY_SIZE)
        self._messages.tell(TOPIC, key + self._serves.to_bytes(PORT_SIZE, "big") + self._node.encode())

    def _hear(self, payload: bytes) -> None:
        """Take note of the key of another server."""
        key, port = payload[:KEY_SIZE], int.from_bytes(payload[KEY_SIZE : KEY_SIZE + PORT_SIZE], "big")
        try:
            node = payload[KEY_SIZE + PORT_SIZE :].decode()
        except UnicodeDecodeError:
            node = ""
        if not 0 < len(node) <= LONGEST_NAME:
            logger.error("a message about a peer port is dropped: it names no server", kind="malformed")
        elif node != self._node and (node in self._known or len(self._known) < MOST_KEYS):
            fresh = node not in self._known
            self._known[node] = key, port, trio.current_time() + KEPT
            if fresh:
                self._tell()

    def _forget(self) -> None:
        now = trio.current_time()
        for node in [node for node, (_, _, until) in self._known.items() if until <= now]:
            del self._known[node]
