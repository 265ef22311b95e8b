"""The program of a round with workers: the resources of other rounds, spread, whose ledger is a file of lines of JSON.

``CHAOS_LEDGER`` names the file, to which all workers append. Each line has the process, an event, and more.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict

import wsframe
from tests.chaos.moving_rooms import register_rooms
from tests.chaos.one_round import ErrorLog
from tests.chaos.resources import (
    Bounded,
    Closes,
    Deflated,
    Ledger,
    Life,
    Raises,
    Recorded,
    Room,
    Waits,
    WaitsForEach,
    name_of,
)
from tests.chaos.resources import Works as Working

SCOPES = {
    "/echo": (Recorded, "shared"), "/deflated": (Deflated, "shared"), "/room": (Room, "shared"),
    "/waits": (Waits, "path"), "/each": (WaitsForEach, "path"), "/bounded": (Bounded, "path"),
    "/works": (Working, "path"), "/raises": (Raises, "one"), "/closes": (Closes, "one"),
}  # fmt: skip
FILE = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def write(what: str, **more: object) -> None:
    """Append a line, in one piece."""
    os.write(FILE, json.dumps({"process": os.getpid(), "what": what} | more).encode() + b"\n")


class Faults(list[str]):
    """Faults of this process, which are written as they are found."""

    def append(self, line: str) -> None:
        write("fault", line=line)


class WrittenLedger(Ledger):
    """A ledger that writes the beginning and the end of each client's life."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()

    @contextmanager
    def hook(self, resource: wsframe.Resource, client: wsframe.Client, hook: str) -> Iterator[Life]:
        """Note a hook that runs."""
        name = name_of(client.request)
        if hook == "client_connected":
            write("comes", name=name)
        with super().hook(resource, client, hook) as life:
            try:
                yield life
            finally:
                if hook == "disconnected" and life.disconnected:
                    write("goes", name=name, **asdict(self.lives.pop(name)))


class WrittenErrors(ErrorLog):
    """Writes errors that no hook has raised on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()


def spread(kind: type[Recorded], wanted: str, path: str) -> type[Recorded]:
    """Return a class of a scope that notes its lives."""

    class Spread(kind):  # type: ignore[misc, valid-type]
        scope = wanted

        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            key = path if wanted != "shared" else f"{path} {os.getpid()}"
            write("begins", key=key)
            try:
                yield
            finally:
                write("ends", key=key)

    return Spread


logging.getLogger("wsframe").addHandler(WrittenErrors())
ledger = WrittenLedger()
registry = wsframe.Registry()
for path, (kind, scope) in SCOPES.items():
    registry.register(path, spread(kind, scope, path)(ledger), wsframe.any_origin)
register_rooms(registry, ledger)
