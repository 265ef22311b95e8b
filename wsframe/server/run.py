"""The ways to serve: in a nursery, in an ``async with``, or as the whole program."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Literal, Unpack

import trio

from wsframe.backplane.at_url import engine_url, made_backplane
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.doorbell import check_trio
from wsframe.http.hostnames import host_names
from wsframe.limits import DEFAULT_TIMEOUTS, filled
from wsframe.log import Log, log_for
from wsframe.net.certificate import Certificate
from wsframe.net.sockets import Manner, traits_of
from wsframe.net.standard_streams import fill_descriptors
from wsframe.resources.routing.registry import Registry, served_with
from wsframe.resources.server import Server
from wsframe.server.check_options import check_log, check_registry, check_started, refuse_while_imported
from wsframe.server.local_server import LocalServer
from wsframe.server.logs.json_stderr import json_stderr
from wsframe.server.logs.stderr_log import LogFormat, LogLevel, shown_on_stderr
from wsframe.server.monitoring.metrics_port import metrics_port
from wsframe.server.notify import notifying
from wsframe.server.options import ServeKeywords, ServeOptions, made_options
from wsframe.server.peering import bound_peer_socket
from wsframe.server.service.service import (
    Service,
    ServiceFailed,
    as_worker,
    check_service,
    check_times,
    names_of,
    supervise,
    worker_count,
)
from wsframe.server.signals import Attention
from wsframe.server.sockets.addresses import ServerAddress, TcpAddress, UnixAddress, parse_address
from wsframe.server.sockets.bind import bound, fault_of, listen_at, made_owner, name_of, naming
from wsframe.server.sockets.listen import Bound, default_hosts
from wsframe.server.tls import ServerTLS
from wsframe.server.tls_reload import hearing_sighup, reload_at_sighup
from wsframe.user_code.errors import holds_cancelled, only_leaf
from wsframe.user_code.finalizers import FinalizerGuard
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.worker import Worker, this_worker

__all__ = ["open_server", "run", "serve"]

logger: Log = log_for(__name__)

IN_TRIO = "run() starts trio, which runs here already: write 'await wsframe.serve(...)' in the coroutine"
LOCAL = TcpAddress("127.0.0.1", 8000)
"""The address by default; beside others it is bound only if a part of it was changed."""


def addresses_of(options: ServeOptions) -> list[ServerAddress]:
    """Return the addresses to bind.

    Raises:
        ValueError: For options that contradict each other.
    """
    if options.sockets is not None and not options.sockets:
        raise ValueError("sockets is empty: nothing would be served")
    if options.sockets is not None and options.unix is not None:
        raise ValueError("give sockets= or unix=, not both")
    given = [options.bind] if isinstance(options.bind, str) else options.bind or ()
    tcp = TcpAddress(options.host, options.port)
    if options.unix is not None:
        before: list[ServerAddress] = [UnixAddress(options.unix)]
    else:
        before = [] if options.sockets is not None or (given and tcp == LOCAL) else [tcp]
    found = before + [parse_address(text) for text in given]
    permissions = (options.unix_mode, options.unix_owner) != (None, None)
    if permissions and not any(isinstance(one, UnixAddress) for one in found):
        raise ValueError("unix_mode= and unix_owner= need unix=, or 'unix:PATH' in bind=")
    return found


@contextmanager
def listening_sockets(options: ServeOptions) -> Iterator[list[socket.socket]]:
    """Bind the sockets of a server and listen; at the end close them.

    Raises:
        OSError: If that fails; its text names the place.
        ValueError: For options that contradict each other.
    """
    backlog = options.capacity.backlog
    owner = made_owner(options.unix_mode, options.unix_owner)
    with bound(addresses_of(options), backlog, owner) as sockets:
        for sock in options.sockets or ():
            fault = fault_of(sock)
            if fault:
                raise ValueError(f"sockets: {sock!r} cannot be served: {fault}")
            try:
                listen_at(sock, backlog)
            except OSError as error:
                raise naming(error, "the sockets given") from None
        sockets = [*(options.sockets or ()), *sockets]
        try:
            yield sockets
        finally:
            for sock in sockets:
                sock.close()


def forget_made(server: LocalServer) -> None:
    """Ignore a server that was made."""


server_made: ContextVar[Callable[[LocalServer], object]] = ContextVar("server_made", default=forget_made)
"""Takes a server before it starts, so that signals work while its resources start, too."""

working_as: ContextVar[Worker | None] = ContextVar("working_as", default=None)
"""The worker that the next server of this task is."""


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
        OSError: If an address cannot be bound, or a certificate not be read; the text names it.
        TypeError: For an option of another type, or a ``registry`` that is not a Registry.
        ValueError: For an option that can never serve, or options that contradict each other.
        RuntimeError: If a resource is running in another server already.

    An error that ``running()`` of a resource registered at the start raises is raised here, and a SystemExit
    of any user code, once the server has drained.
    """
    check_trio()
    refuse_while_imported("serve() or open_server()")
    check_registry(registry)
    made = made_options(options, keywords)
    tls = made_tls(made)
    context = made.ssl_context
    choose = tls.context_for if tls is not None else None if context is None else (lambda received: context)
    worker, _ = working_as.get(), working_as.set(None)
    if worker is not None and (made.backplane is None or engine_url(made.backplane)):
        made = replace(made, backplane=RelayBackplane(worker.relay, beyond=made.backplane is not None))
    plane = made_backplane(made.backplane)
    made = replace(made, backplane=plane)
    peer_port = partial(bound_peer_socket, made.cluster, plane, served_with(registry), worker)
    with FinalizerGuard(), ExitStack() as stack:
        sockets = stack.enter_context(listening_sockets(made))
        port = stack.enter_context(metrics_port(made, worker))
        places = [with_settings(number, sock, made, choose) for number, sock in enumerate(sockets)]
        peers = stack.enter_context(peer_port(places))
        if made.http_handler is None and not any(map(len, served_with(registry))):
            logger.warning("nothing is registered yet: every path is answered 404")
        server = LocalServer(places, registry, made, tls, port, worker, peers)
        tell, _ = server_made.get(), server_made.set(forget_made)
        tell(server)
        await server.serve(task_status)


def made_tls(options: ServeOptions) -> ServerTLS | None:
    """Read the certificates of a server; None if the options name none.

    Raises:
        OSError: If a file cannot be read.
        ValueError: For options that contradict each other, or files of another kind than expected.
    """
    if options.certificates is None:
        if options.client_ca is not None:
            raise ValueError("client_ca= needs certificates=; with ssl_context=, load the authorities into that")
        return None
    if options.ssl_context is not None:
        raise ValueError("give certificates= or ssl_context=, not both")
    certificates = options.certificates
    given = [certificates] if isinstance(certificates, Certificate) else list(certificates)
    return ServerTLS(given, options.client_ca, options.client_certificates)


def with_settings(
    number: int, sock: socket.socket, options: ServeOptions, tls: Callable[[bytes], ssl.SSLContext | None] | None
) -> Bound:
    """Put the settings of one listening socket together."""
    hosts = default_hosts(sock, name_of(sock) or options.host) if options.hosts is None else host_names(options.hosts)
    manner = Manner(*traits_of(sock)[1:])
    proxied = manner.proxy_protocol or options.proxy_protocol is not None
    return Bound(sock=sock, hosts=hosts, tls=None if manner.plain else tls, proxy_protocol=proxied, number=number)


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
        async with ProtectedNursery() as nursery:
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
    log_level: LogLevel | None = None,
    log_format: LogFormat = "text",
    workers: int | Literal["auto"] | None = None,
    **keywords: Unpack[ServeKeywords],
) -> None:
    """Serve until SIGINT or SIGTERM; blocks, and starts trio itself.

    The first signal drains, a second one cancels everything that still runs; a process that has not left this function
    a second later, because a hook blocks it or cannot be cancelled, ends by that signal's default action. SIGHUP reads
    ``certificates`` again; without them it keeps its default action. In another thread than the main one it leaves
    signals to the program, and ``server.close()`` ends the server, from any thread. If logging is not configured,
    wsframe's log goes to stderr in the meantime.

    Args:
        registry: As for :func:`serve`.
        options: As for :func:`serve`.
        started: A plain function, called once with the running server; by then
            ``server.addresses`` are known and signals are handled.
        log_level: The least severe level of wsframe's log to show, if logging is not configured; None for
            ``"info"``, or the level that the logger ``wsframe`` has.
        log_format: ``"json"`` makes each line that Python writes to stderr one JSON object, tracebacks and
            warnings included, until the process ends.
        workers: Serve with this many processes, or one for each processor (``"auto"``); None serves in this one. Each
            of them runs the command line of this process again, so the rest of the program is done in each.
        keywords: As for :func:`serve`.

    Raises:
        OSError: If the address cannot be bound.
        ValueError: For a log_level or log_format that does not exist, and for options that workers cannot have.
        RuntimeError: In a program that runs on trio already.
        SystemExit: Of any user code, such as a hook, once the server has drained.
    """
    # Errors that need no event loop are raised without its frames.
    refuse_while_imported("run()")
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(IN_TRIO)
    check_started(started)
    check_registry(registry)
    check_log(log_level, log_format)
    fill_descriptors()
    made = made_options(options, keywords)
    output = json_stderr() if log_format == "json" else None
    worker = None if workers is None else this_worker()
    with shown_on_stderr(log_level, None if output is None else output.handler):
        if asyncio_runs():
            logger.warning(
                "run() stops the asyncio loop of this thread while it serves; serving() has a thread of its own"
            )
        if workers is not None and worker is None:
            run_workers(workers, made)
            return
        if worker is not None:
            made = options_of_worker(made, worker)
        servers: list[LocalServer] = []
        try:
            with as_worker(worker):
                trio.run(partial(serve_until_signal, registry, made, started, servers, until_exit=False, worker=worker))
        except (OSError, TypeError, ValueError) as error:
            if servers:
                raise
            # The server was never made, so the frames are ours alone: they would hide the program's line.
            raise error.with_traceback(None) from None


def asyncio_runs() -> bool:
    """Return whether a loop of asyncio runs in this thread; asyncio is not imported for that."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def run_workers(workers: int | str, options: ServeOptions) -> None:
    """Run the workers of a service until it ends.

    Raises:
        SystemExit: If the service cannot start, or its program has ended it with one.
    """
    count = worker_count(workers)
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("workers need the signals of the main thread: call run(workers=...) there")
    if options.sockets is not None:
        raise ValueError("sockets= is bound by each worker again: with workers give bind=, which the supervisor binds")
    tls = options.ssl_context is not None or options.certificates is not None
    check_service(options.capacity, tls=tls, debug=options.debug)
    check_times(options.timeouts)
    metrics = None if options.metrics_port is None else TcpAddress(options.metrics_host, options.metrics_port)
    service = Service(
        count=count,
        names=names_of(addresses_of(options)),
        bind=partial(listening_sockets, options),
        timeouts=filled(options.timeouts, DEFAULT_TIMEOUTS),
        metrics=metrics,
        backplane=engine_url(options.backplane),
    )
    try:
        status = supervise(service)
    except ServiceFailed as failed:
        logger.error("%s", failed)
        raise SystemExit(2) from None
    if status:
        raise SystemExit(status)


def options_of_worker(options: ServeOptions, worker: Worker) -> ServeOptions:
    """Return the options of a service for one of its workers, which has its sockets from the supervisor."""
    return replace(options, sockets=worker.sockets, bind=None, unix=None, unix_mode=None, unix_owner=None)


async def serve_until_signal(
    registry: Registry | None,
    options: ServeOptions,
    started: Callable[[Server], object] | None = None,
    servers: list[LocalServer] | None = None,
    *,
    until_exit: bool = True,
    worker: Worker | None = None,
) -> None:
    """Serve until a signal.

    Args:
        registry, options, started: As for :func:`run`.
        servers: Takes the server as soon as it is made; None for a list of its own.
        until_exit: Whether the process has to be gone a second after the second signal.
        worker: The worker that this process is; None for a server that is not one of several.
    """
    made = [] if servers is None else servers

    def close() -> None:
        for local in made:
            local.drain() if local.duty is None else local.duty.leave()

    def hurry() -> None:
        for local in made:
            local.hurry()

    server_made.set(made.append)
    working_as.set(worker)
    in_main = threading.current_thread() is threading.main_thread()  # signals come to no other
    with Attention(close, hurry, until_exit=until_exit) if in_main else nullcontext():
        async with open_server(registry, options=options) as server:
            local = made[0]
            with hearing_sighup(in_main and local.reloads) as signals:
                if started is not None and local.announces and not local.draining:
                    started(server)
                if not in_main:
                    await local.closed()
                    return
                status = f"serving at {', '.join(server.addresses)}"
                async with notifying(local.asked_to_drain, status) as notifier, ProtectedNursery() as nursery:
                    nursery.start_soon(reload_at_sighup, signals, local.reload_certificates, notifier)
                    await local.closed()
                    nursery.cancel()
