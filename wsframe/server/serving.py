"""A server in a thread of its own, for programs that do not run on trio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread
from typing import Unpack

import trio

from wsframe.resources.routing.registry import Registry
from wsframe.resources.server import Server
from wsframe.server.check_options import check_registry, refuse_while_imported
from wsframe.server.local_server import LocalServer
from wsframe.server.options import ServeKeywords, ServeOptions, made_options
from wsframe.server.run import open_server, server_made

__all__ = ["serving"]

IN_TRIO = "serving() waits for its thread and would keep trio from running: write 'async with open_server(...)' there"


class ServerThread:
    """Runs one server in a thread until it is closed."""

    def __init__(self, registry: Registry | None, options: ServeOptions) -> None:
        self._registry = registry
        self._options = options
        self._made: list[LocalServer] = []
        self._unwanted = False
        self._started: SimpleQueue[Server | None] = SimpleQueue()
        # One that hangs must not keep the program from its end.
        self._thread = Thread(target=self._run, name="wsframe server", daemon=True)
        # When its join is interrupted, Python 3.11 takes a thread for ended, and no other join waits.
        self._over = Event()
        self.error: BaseException | None = None
        """The error that ended the server, if any did."""

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:  # it is raised in the thread that waits
            self.error = error
        finally:
            self._started.put(None)
            self._over.set()

    async def _serve(self) -> None:
        server_made.set(self._take)
        async with open_server(self._registry, options=self._options) as server:
            self._started.put(server)
            await server.closed()

    def _take(self, local: LocalServer) -> None:
        self._made.append(local)
        if self._unwanted:
            local.hurry()

    def start(self) -> Server:
        """Start the thread and wait until the server accepts.

        Raises:
            BaseException: The error that prevented that.
        """
        try:
            self._thread.start()  # waits for the thread, which can have come far before this one goes on
            server = self._started.get()
        except KeyboardInterrupt:
            self._unwanted = True
            for local in self._made:
                local.hurry()
            raise
        if server is None:
            self._thread.join()
            raise self.error or RuntimeError("the server was closed while it started")
        return server

    def end(self, server: Server) -> None:
        """Close the server and wait for the thread. An interrupt cuts the drain short, another one leaves the thread.

        Raises:
            KeyboardInterrupt: In either case.
        """
        server.close(lame_duck=0)  # the program is leaving: nobody looks at readyz any more
        try:
            self._over.wait()
        except KeyboardInterrupt:
            server.hurry()
            self._over.wait()
            raise
        finally:
            if self._over.is_set():
                self._thread.join()


@contextmanager
def serving(
    registry: Registry | None = None, *, options: ServeOptions | None = None, **keywords: Unpack[ServeKeywords]
) -> Iterator[Server]:
    """Serve in a thread while the body of a ``with`` runs; the server drains when it is left.

    For programs that do not run on trio: a script, a notebook, a test, a WSGI or asyncio application. The hooks run in
    that thread. Other threads reach a resource with :meth:`Resource.post_from_thread`, and the methods of the
    :class:`Server` but :meth:`~Server.closed`. Entering waits until the server accepts, leaving until it has ended.
    Signals stay with the program: Ctrl-C in the body leaves it, a second one cuts the drain short.

    Args:
        registry: As for :func:`serve`.
        options: As for :func:`serve`.
        keywords: As for :func:`serve`.

    Yields:
        The running :class:`Server`.

    Raises:
        OSError: If the address cannot be bound.
        TypeError, ValueError: For options as in :func:`serve`.
        RuntimeError: Where trio runs, which the wait would block; use :func:`open_server` there.

    An error that ends the server, such as a SystemExit of a hook, is raised when the body is left, unless the
    body has raised one.
    """
    refuse_while_imported("serving()")
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(IN_TRIO)
    check_registry(registry)
    thread = ServerThread(registry, made_options(options, keywords))
    server = thread.start()
    try:
        yield server
    finally:
        thread.end(server)
    if thread.error is not None:
        raise thread.error
