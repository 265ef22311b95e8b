"""A resource that takes two types of JSON messages, and a type that cannot be one."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec

from wsframe import Client, JSONResource


class Join(msgspec.Struct, tag=True):
    nick: str


class Say(msgspec.Struct, tag=True):
    text: Annotated[str, msgspec.Meta(max_length=10)]
    at: date | None = None


class Unknown:
    """No type for JSON."""


class Room(JSONResource[str]):
    """Notes its messages; answers ``echo``."""

    def __init__(self) -> None:
        self.messages: list[object] = []

    async def received_json(self, client: Client[str], message: Join | Say) -> None:
        self.messages.append(message)
        if message == Say("echo"):
            client.send_json(message)
        if message == Say("raise"):
            raise LookupError

    async def received_binary(self, client: Client[str], message: bytes) -> None:
        self.messages.append(message)
        client.send_text("bytes")
