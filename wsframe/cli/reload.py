"""``wsframe serve --reload``: a reloader that restarts the serving process when a source file changes.

The reloader binds the sockets and keeps them, so that new connections wait in the kernel
during a restart. It sends orders through a pipe instead of signals: Ctrl-C reaches both
processes, and a second signal would cut the drain short. When the reloader dies, the pipe
ends, and then the server ends.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing, suppress
from functools import partial
from importlib.util import find_spec
from logging import INFO
from pathlib import Path
from typing import Protocol, TypeAlias

import trio

from wsframe.cli.errors import Mistake, missing_extra
from wsframe.cli.limit_options import made_timeouts
from wsframe.cli.streams import complain
from wsframe.cli.target import split_target
from wsframe.limits import DEFAULT_TIMEOUTS, filled
from wsframe.net.sockets import Traits, traits_of

__all__ = ["Reloader", "obey_reloader", "reload_target"]

END, RESTART, HURRY, CERTIFICATES = b"e", b"r", b"h", b"c"

# Seconds that a server has beyond its drain before it is killed, and seconds after an order to hurry.
GRACE = 5.0
HURRIED = 2.0

# Files that are read when a target is imported. A server can write other files itself, and would restart for ever.
PAGES = (".html", ".css", ".js", ".mjs")

Changes: TypeAlias = AsyncGenerator[Collection[tuple[object, str]], None]
"""Yields changes: the kind of change, and the path."""


def reload_target(args: argparse.Namespace, sockets: Sequence[socket.socket]) -> None:
    """Supervise a server of the target until a signal; blocks."""
    if os.name == "nt":
        raise Mistake("--reload needs processes that inherit sockets, which Windows does not have")
    try:
        from watchfiles import PythonFilter, awatch
    except ModuleNotFoundError:
        raise missing_extra("--reload", "reload") from None
    folders = [folder_of(args.target), *(Path(folder) for folder in args.reload_dir or ())]
    for folder in folders:
        if not folder.is_dir():
            raise Mistake(f"--reload-dir: folder not found: {folder}")
    fds = [sock.fileno() for sock in sockets]
    timeouts = filled(made_timeouts(args), DEFAULT_TIMEOUTS)
    reloader = Reloader(
        partial(command, args, fds, [traits_of(sock) for sock in sockets]),
        fds,
        partial(awatch, *folders, watch_filter=PythonFilter(extra_extensions=PAGES), recursive=True),
        timeouts.lame_duck + timeouts.drain + GRACE,
        certificates=args.tls_cert is not None,
    )
    trio.run(reloader.run)


def folder_of(target: str) -> Path:
    """Return the folder to watch, if the target can exist."""
    name, _ = split_target(target)
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise Mistake(f"file not found: {name}")
        return Path(name).resolve().parent
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    top = name.partition(".")[0]
    if not top or find_spec(top) is None:
        raise Mistake(f"no module named {top or name!r}")
    return Path.cwd()


def command(args: argparse.Namespace, fds: list[int], traits: list[Traits], orders: int) -> list[str]:
    """Return the command of a server that listens where the reloader does."""
    told = {name: value for name, value in vars(args).items() if name not in ("command", "parser")}
    told |= {"fd": fds, "traits": traits, "orders": orders, "reload": False, "bind": None}
    # Without -B, Python can use old bytecode for a file that changes twice within a second.
    return [sys.executable, "-B", "-m", "wsframe.cli.reloaded", json.dumps(told)]


def say(words: str) -> None:
    complain(words, level=INFO)


class Reloader:
    """Keeps one server running, and restarts it when a file has changed.

    Args:
        command: Makes the command of a server that reads its orders from the given descriptor.
        fds: The descriptors that the server inherits.
        watch: Called with ``stop_event``; yields changes until that is set.
        patience: Seconds that a server has to end.
        certificates: Whether the server reads certificates again at SIGHUP.
    """

    def __init__(
        self,
        command: Callable[[int], list[str]],
        fds: Sequence[int],
        watch: Callable[..., Changes],
        patience: float,
        *,
        certificates: bool = False,
    ) -> None:
        self._command = command
        self._fds = fds
        self._watch = watch
        self._patience = patience
        self._certificates = certificates
        self._process: trio.Process | None = None
        self._told = False
        """Whether the process was ordered to end."""
        self._orders = -1
        self._changing = trio.Lock()
        self._leaving = trio.Event()

    async def run(self) -> None:
        """Supervise until SIGINT or SIGTERM; a second signal ends the server immediately."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._restart_on_changes, nursery)
                if self._certificates:
                    nursery.start_soon(self._pass_on_sighup)
                async with self._changing:
                    await self._start(nursery)
                await anext(signals)
                self._leaving.set()
                nursery.start_soon(self._hurry_at_a_signal, signals)
                async with self._changing:
                    await self._end(END)
                nursery.cancel_scope.cancel()

    async def _pass_on_sighup(self) -> None:
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            async for _ in signals:
                if self._process is not None:
                    self._order(CERTIFICATES)

    async def _restart_on_changes(self, nursery: trio.Nursery) -> None:
        async with aclosing(self._watch(stop_event=self._leaving)) as watching:
            async for changes in watching:
                await self._restart(nursery, names_of(changes))

    async def _restart(self, nursery: trio.Nursery, names: str) -> None:
        async with self._changing:
            if not self._leaving.is_set():
                say(f"{names} changed; restarting")
                await self._end(RESTART)
            if not self._leaving.is_set():
                await self._start(nursery)

    async def _hurry_at_a_signal(self, signals: AsyncIterator[int]) -> None:
        await anext(signals)
        process = self._process
        if process is not None:
            self._order(HURRY)
            await trio.sleep(HURRIED)
            process.kill()

    async def _start(self, nursery: trio.Nursery) -> None:
        reading, self._orders = os.pipe()
        try:
            process = await trio.lowlevel.open_process(self._command(reading), pass_fds=[reading, *self._fds])
        finally:
            os.close(reading)
        self._process, self._told = process, False
        nursery.start_soon(self._watch_over, process)

    async def _watch_over(self, process: trio.Process) -> None:
        """Report a server that ends without an order, for example because it cannot import its target."""
        code = await process.wait()
        if not self._told:
            self._forget()
            say(f"the server has ended with exit code {code}; waiting for a change")

    async def _end(self, order: bytes) -> None:
        """End the server if there is one: in order, or by force if it takes too long."""
        process = self._process
        if process is None:
            return
        self._told = True
        self._order(order)
        with trio.move_on_after(self._patience) as waiting:
            await process.wait()
        if waiting.cancelled_caught:
            say("the server did not end in time; killing it")
            process.kill()
            await process.wait()
        self._forget()

    def _order(self, order: bytes) -> None:
        with suppress(OSError):  # the process has gone
            os.write(self._orders, order)

    def _forget(self) -> None:
        self._process = None
        os.close(self._orders)


def names_of(changes: Collection[tuple[object, str]]) -> str:
    names = sorted({Path(path).name for _, path in changes})
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


class Obedient(Protocol):
    """A server, or several that serve as one."""

    def close(self, code: int = 1001, *, lame_duck: float | None = None) -> None: ...
    def hurry(self) -> None: ...
    def reload_certificates(self) -> bool: ...


async def obey_reloader(orders: int, running: Sequence[Obedient], scope: trio.CancelScope) -> None:
    """Carry out the reloader's orders; the end of its pipe is an order to end.

    Args:
        orders: The reading end of the reloader's pipe.
        running: A list that holds the server once it has started.
        scope: Cancelled to end a server that has not started yet.
    """
    async with trio.lowlevel.FdStream(orders) as stream:
        while True:
            order = bytes(await stream.receive_some(1))
            if order == CERTIFICATES:
                for server in running:
                    server.reload_certificates()
            elif not running:
                scope.cancel()
            elif order == HURRY:
                running[0].hurry()
            elif order == RESTART:
                running[0].close(1012, lame_duck=0)  # newcomers wait in the kernel
            else:
                running[0].close(1001)
            if not order:
                return
