"""The ways to serve: in a nursery, in an ``async with``, or as the whole program."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import TypedDict, Unpack

import trio

from wsframe.doorbell import check_trio
from wsframe.http.hostnames import host_names
from wsframe.http.responses import HttpHandler
from wsframe.limits import Capacity, Limits, Timeouts
from wsframe.log import logger
from wsframe.net.poller import PollerChoice
from wsframe.protocol.deflate import Deflate
from wsframe.resources.registry import Registry, served_with
from wsframe.resources.server import Server
from wsframe.server.check_options import check_server_options, check_started, refuse_while_imported
from wsframe.server.engine import LocalEngine, holds_cancelled
from wsframe.server.listen import bind_tcp, bind_unix, default_hosts
from wsframe.server.signals import Attention
from wsframe.server.stderr_log import shown_on_stderr
from wsframe.user_code import only_leaf

__all__ = ["ServeOptions", "open_server", "run", "serve"]

MOST_BACKLOG = 2**31 - 1  # of listen(2)


class ServeOptions(TypedDict, total=False):
    """The options of :func:`serve`, where they are described."""

    host: str | None
    port: int
    sockets: Sequence[socket.socket] | None
    unix: str | None
    hosts: Collection[str] | None
    versions: Collection[int]
    ssl_context: ssl.SSLContext | None
    capacity: Capacity
    limits: Limits
    timeouts: Timeouts
    deflate: Deflate | None
    http_handler: HttpHandler | None
    debug: bool
    poller: PollerChoice


def listening_sockets(
    host: str | None, port: int, sockets: Sequence[socket.socket] | None, unix: str | None, backlog: int
) -> list[socket.socket]:
    """Bind what is to be bound, and listen.

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
    """Tell nobody of a server that was made."""


server_made: ContextVar[Callable[[LocalEngine], object]] = ContextVar("server_made", default=forget_made)
"""Called with a server before it starts: signals are obeyed while its resources start, too."""


async def serve(
    registry: Registry | None = None,
    *,
    host: str | None = "127.0.0.1",
    port: int = 8000,
    sockets: Sequence[socket.socket] | None = None,
    unix: str | None = None,
    hosts: Collection[str] | None = None,
    versions: Collection[int] = (13,),
    ssl_context: ssl.SSLContext | None = None,
    capacity: Capacity = Capacity(),  # noqa: B008
    limits: Limits = Limits(),  # noqa: B008
    timeouts: Timeouts = Timeouts(),  # noqa: B008
    deflate: Deflate | None = None,
    http_handler: HttpHandler | None = None,
    debug: bool = False,
    poller: PollerChoice = "auto",
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the registered resources until closed or cancelled; either way the server drains.

    Args:
        registry: The server's own resources, ahead of the global ones, or without them if it is
            ``alone``; None serves the global ones.
        host: Name or address to bind; None binds every address of the machine.
        port: 0 takes a free one; ``server.addresses`` tells which.
        sockets: Bound sockets to serve instead; they are closed at the end.
        unix: Path of a unix socket to serve instead.
        hosts: The Host names answered, without port; others are answered 400. The default
            answers to any, but a socket on a loopback address only to loopback names, its
            address and ``host``, against DNS rebinding, whatever is served beside it.
            ``["*"]`` answers to any there too, as behind a proxy. Letters beyond ASCII (IDNA
            2008), upper case, a dot at the end and the spelling of IPv6 addresses do not matter.
        versions: The versions of the WebSocket protocol let in: 13 and, for browsers of 2010
            and 2011, any of 8, 7 and 0 (hixie-76). Version 0 lets scripts put octets of their
            choice on the wire, and cannot take what ``send_binary`` sends.
        ssl_context: Serves TLS.
        capacity: What the server takes on in all.
        limits: What one client may make it hold; a resource may set its own.
        timeouts: How long one client may take; a resource may set its own.
        deflate: Compression of messages, for clients that offer it; a resource may set its own.
        http_handler: Answers requests that ask for no WebSocket: a page, a health check.
        debug: An error of user code enters the debugger, or ends the server where there is no terminal.
        poller: ``"auto"``, ``"epoll"``, ``"kqueue"``, ``"task"``, or what makes one.
        task_status: Reports the :class:`Server` to ``nursery.start``.

    Raises:
        OSError: If the address cannot be bound; the text names it.
        TypeError: For an option of another type, a ``registry`` that is none, or an
            ``http_handler`` that is no async function.
        ValueError: For a name of ``hosts`` with a scheme, port, path or ``*`` in it, or none at all, for
            options that contradict each other, versions that do not exist, or a
            client's ``ssl_context``.
        RuntimeError: If a resource is running in another server already.

    What ``running()`` of a resource registered at the start raises is raised here, and a SystemExit
    of any user code, once the server has drained.
    Source: clws ``run-server``.
    """
    check_trio()
    refuse_while_imported("serve() or open_server()")
    check_server_options(
        registry,
        {
            "host": host, "port": port, "sockets": sockets, "unix": unix, "hosts": hosts, "versions": versions,
            "ssl_context": ssl_context, "capacity": capacity, "limits": limits, "timeouts": timeouts,
            "deflate": deflate, "http_handler": http_handler, "debug": debug, "poller": poller,
        },
    )  # fmt: skip
    names = None if hosts is None else host_names(hosts)
    bound = listening_sockets(host, port, sockets, unix, capacity.backlog)
    bound_as = None if unix is None else os.stat(unix)
    try:
        if http_handler is None and not any(map(len, served_with(registry))):
            logger.warning("nothing is registered yet: every path is answered 404")
        engine = LocalEngine(
            bound,
            registry=registry,
            hosts=[default_hosts(sock, host) if hosts is None else names for sock in bound],
            versions=frozenset(versions),
            ssl_context=ssl_context,
            capacity=capacity,
            limits=limits,
            timeouts=timeouts,
            deflate=deflate,
            http_handler=http_handler,
            debug=debug,
            poller=poller,
        )
        tell, _ = server_made.get(), server_made.set(forget_made)
        tell(engine)
        await engine.serve(task_status)
    finally:
        for sock in bound:
            sock.close()
        if unix is not None:
            unlink_own(unix, bound_as)


def unlink_own(path: str, bound_as: os.stat_result | None) -> None:
    """Unlink a unix socket unless another server has put its own there meanwhile."""
    with suppress(FileNotFoundError):
        if bound_as is not None and os.path.samestat(os.stat(path), bound_as):
            os.unlink(path)


@asynccontextmanager
async def open_server(registry: Registry | None = None, **options: Unpack[ServeOptions]) -> AsyncIterator[Server]:
    """Serve while the body of an ``async with`` runs; the server drains when it is left.

    Arguments are those of :func:`serve`. What the body raises comes out as it is, not in
    an ExceptionGroup.

    Yields:
        The running :class:`Server`.
    """
    check_trio()
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, registry, **options))
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
    started: Callable[[Server], object] | None = None,
    **options: Unpack[ServeOptions],
) -> None:
    """Serve until SIGINT or SIGTERM; blocks, and starts trio itself.

    The first signal drains, a second one cuts off what still runs; a process that has not left
    this a second later, because a hook blocks it or cannot be cancelled, ends by that signal's
    default action. If nobody has configured logging, wsframe's log is shown on stderr meanwhile.

    Args:
        registry: As for :func:`serve`, and so are the other arguments.
        started: A plain function, called once with the running server, which is when
            ``server.addresses`` are known and signals are obeyed.

    Raises:
        OSError: If the address cannot be bound.
        SystemExit: Of any user code, such as a hook, once the server has drained.
    """
    # All that can be told at once, without the frames of an event loop.
    refuse_while_imported("run()")
    check_started(started)
    check_server_options(registry, options)
    with shown_on_stderr():
        trio.run(partial(serve_until_signal, registry, options, started, until_exit=False))


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
        async with open_server(registry, **options) as server:
            if started is not None and not made[0].draining:
                started(server)
            await server.closed()
