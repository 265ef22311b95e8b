"""The ways to serve: in a nursery, in an ``async with``, or as the whole program."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Unpack

import trio

from wsframe.doorbell import check_trio
from wsframe.http.hostnames import host_names
from wsframe.log import logger
from wsframe.resources.registry import Registry, served_with
from wsframe.resources.server import Server
from wsframe.server.check_options import check_registry, check_started, refuse_while_imported
from wsframe.server.engine import LocalEngine, holds_cancelled
from wsframe.server.listen import Bound, bind_tcp, bind_unix, default_hosts
from wsframe.server.options import ServeKeywords, ServeOptions, made_options
from wsframe.server.signals import Attention
from wsframe.server.stderr_log import shown_on_stderr
from wsframe.user_code import only_leaf

__all__ = ["open_server", "run", "serve"]

MOST_BACKLOG = 2**31 - 1  # of listen(2)


def listening_sockets(
    host: str | None, port: int, sockets: Sequence[socket.socket] | None, unix: str | None, backlog: int
) -> list[socket.socket]:
    """Bind the sockets and listen.

    Raises:
        OSError: If that fails; its text names the place.
    """
    place = unix or (f"{'*' if host is None else host}:{port}" if sockets is None else "the sockets given")
    try:
        return listening(host, port, sockets, unix, min(backlog, MOST_BACKLOG))
    except OSError as error:
        # Of the same class, PermissionError or socket.gaierror.
        reason = f"cannot listen at {place}: {error.strerror or error}"
        raise (OSError(reason) if error.errno is None else type(error)(error.errno, reason)) from None


def listening(
    host: str | None, port: int, sockets: Sequence[socket.socket] | None, unix: str | None, backlog: int
) -> list[socket.socket]:
    if sockets is not None and not sockets:
        raise ValueError("sockets is empty: nothing would be served")
    if sockets is not None and unix is not None:
        raise ValueError("give sockets= or unix=, not both")
    if unix is not None:
        return [bind_unix(unix, backlog)]
    if sockets is None:
        return bind_tcp(host, port, backlog)
    for sock in sockets:
        sock.setblocking(False)
        sock.listen(backlog)
    return list(sockets)


def forget_made(engine: LocalEngine) -> None:
    """Ignore the engine that was made."""


server_made: ContextVar[Callable[[LocalEngine], object]] = ContextVar("server_made", default=forget_made)
"""Takes an engine before it starts, so that signals work while its resources start, too."""


async def serve(
    registry: Registry | None = None,
    *,
    options: ServeOptions | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
    **keywords: Unpack[ServeKeywords],
) -> None:
    """Serve the registered resources until closed or cancelled; either way the server drains.

    Args:
        registry: The server's own resources, which come before the global ones, or serve without them if
            the registry is ``alone``; None serves the global ones.
        options: The options of the server; None for the defaults.
        task_status: Reports the :class:`Server` to ``nursery.start``.
        keywords: Options by name, such as ``port=8000``, in place of those in ``options``;
            :class:`ServeOptions` describes them.

    Raises:
        OSError: If the address cannot be bound; the text names it.
        TypeError: For an option of another type, or a ``registry`` that is not a Registry.
        ValueError: For an option that can never serve, or options that contradict each other.
        RuntimeError: If a resource is running in another server already.

    An error that ``running()`` of a resource registered at the start raises is raised here, and a SystemExit
    of any user code, once the server has drained.
    Source: clws ``run-server``.
    """
    check_trio()
    refuse_while_imported("serve() or open_server()")
    check_registry(registry)
    made = made_options(options, keywords)
    bound = listening_sockets(made.host, made.port, made.sockets, made.unix, made.capacity.backlog)
    bound_as = None if made.unix is None else os.stat(made.unix)
    try:
        if made.http_handler is None and not any(map(len, served_with(registry))):
            logger.warning("nothing is registered yet: every path is answered 404")
        engine = LocalEngine([with_settings(sock, made) for sock in bound], registry, made)
        tell, _ = server_made.get(), server_made.set(forget_made)
        tell(engine)
        await engine.serve(task_status)
    finally:
        for sock in bound:
            sock.close()
        if made.unix is not None:
            unlink_own(made.unix, bound_as)


def with_settings(sock: socket.socket, options: ServeOptions) -> Bound:
    """Put the settings of one listening socket together."""
    hosts = default_hosts(sock, options.host) if options.hosts is None else host_names(options.hosts)
    return Bound(sock=sock, hosts=hosts, ssl_context=options.ssl_context)


def unlink_own(path: str, bound_as: os.stat_result | None) -> None:
    """Unlink a unix socket unless another server has put its own there in the meantime."""
    with suppress(FileNotFoundError):
        if bound_as is not None and os.path.samestat(os.stat(path), bound_as):
            os.unlink(path)


@asynccontextmanager
async def open_server(
    registry: Registry | None = None, *, options: ServeOptions | None = None, **keywords: Unpack[ServeKeywords]
) -> AsyncIterator[Server]:
    """Serve while the body of an ``async with`` runs; the server drains when it is left.

    Arguments are those of :func:`serve`. An error of the body comes out as it is, not in
    an ExceptionGroup.

    Yields:
        The running :class:`Server`.
    """
    check_trio()
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, registry, options=options, **keywords))
            try:
                yield server
            except BaseException as error:
                if holds_cancelled(error):
                    raise
                failure = error
            server.close()
    except BaseException as error:
        if holds_cancelled(error):
            raise
        raise failure or only_leaf(error) from None
    if failure is not None:
        raise failure


def run(
    registry: Registry | None = None,
    *,
    options: ServeOptions | None = None,
    started: Callable[[Server], object] | None = None,
    **keywords: Unpack[ServeKeywords],
) -> None:
    """Serve until SIGINT or SIGTERM; blocks, and starts trio itself.

    The first signal drains, a second one cancels everything that still runs; a process that has not left
    this function a second later, because a hook blocks it or cannot be cancelled, ends by that signal's
    default action. If logging is not configured, wsframe's log goes to stderr in the meantime.

    Args:
        registry: As for :func:`serve`.
        options: As for :func:`serve`.
        started: A plain function, called once with the running server; by then
            ``server.addresses`` are known and signals are handled.
        keywords: As for :func:`serve`.

    Raises:
        OSError: If the address cannot be bound.
        SystemExit: Of any user code, such as a hook, once the server has drained.
    """
    # Errors that need no event loop are raised without its frames.
    refuse_while_imported("run()")
    check_started(started)
    check_registry(registry)
    made = made_options(options, keywords)
    with shown_on_stderr():
        trio.run(partial(serve_until_signal, registry, made, started, until_exit=False))


async def serve_until_signal(
    registry: Registry | None,
    options: ServeOptions,
    started: Callable[[Server], object] | None = None,
    *,
    until_exit: bool = True,
) -> None:
    """Serve until a signal.

    Args:
        registry, options, started: As for :func:`run`.
        until_exit: Whether the process has to be gone a second after the second signal.
    """
    made: list[LocalEngine] = []

    def close() -> None:
        for engine in made:
            engine.drain()

    def hurry() -> None:
        for engine in made:
            engine.hurry()

    server_made.set(made.append)
    with Attention(close, hurry, until_exit=until_exit):
        async with open_server(registry, options=options) as server:
            if started is not None and not made[0].draining:
                started(server)
            await server.closed()
