"""A resource that notes its hooks, and ways to wait for its notes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

import wsframe


class Journal:
    """A list of notes that tests can wait for."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._changed = trio.Event()

    def add(self, note: str) -> None:
        self.notes.append(note)
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, note: str, times: int = 1) -> None:
        """Wait until a note has been made."""
        await self.when(lambda notes: notes.count(note) >= times)

    async def when(self, holds: Callable[[list[str]], bool]) -> None:
        """Wait until something holds of the notes."""
        while not holds(self.notes):
            await self._changed.wait()


class Recorder(wsframe.Resource):
    """Notes every hook; the text ``hold`` is not finished before ``release`` is set."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.release = trio.Event()

    @property
    def notes(self) -> list[str]:
        return self.journal.notes

    @property
    def only(self) -> wsframe.Client:
        """The one client."""
        (client,) = self.clients
        return client

    async def client_connected(self, client: wsframe.Client) -> None:
        self.journal.add("connected")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.journal.add(f"text {message}")
        if message == "hold":
            await self.release.wait()

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.journal.add(f"binary {message!r}")

    async def received_pong(self, client: wsframe.Client, payload: bytes) -> None:
        self.journal.add(f"pong {payload!r}")

    async def received_custom(self, message: object) -> None:
        self.journal.add(f"custom {message}")

    async def disconnected(self, client: wsframe.Client) -> None:
        self.journal.add(f"disconnected {client.close_code}")


class Echo(Recorder):
    """Notes every hook and sends every message back."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await super().received_text(client, message)
        client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        await super().received_binary(client, message)
        client.send_binary(message)


async def wait_a_turn() -> None:
    await trio.lowlevel.checkpoint()


class Functions:
    """Functions that note their arguments; async ones on demand."""

    def __init__(self, *, wait: bool = False) -> None:
        self.journal = Journal()
        self.wait = wait

    def note(self, note: str) -> Awaitable[None] | None:
        self.journal.add(note)
        return wait_a_turn() if self.wait else None

    def open(self, client: wsframe.Client) -> object:
        return self.note(f"open {client.path}")

    def message(self, client: wsframe.Client, message: str | bytes) -> object:
        client.send(message)
        return self.note(f"message {message!r}")

    def close(self, client: wsframe.Client) -> object:
        return self.note(f"close {client.close_code}")
