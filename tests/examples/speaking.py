"""Speaks JSON with an example, as a client that waits for each message."""

import json
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.patience import PATIENCE

__all__ = ["open_at", "receive", "tell"]


def open_at(address: str, path: str) -> ClientConnection:
    return connect(f"ws{address.removeprefix('http')}{path}", open_timeout=PATIENCE, proxy=None)


def tell(client: ClientConnection, **message: object) -> None:
    client.send(json.dumps(message))


def receive(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=PATIENCE))
