"""``wsframe serve``: serve the resources of a module until a signal."""

from __future__ import annotations

import argparse
import logging
import os
import select
import socket
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, get_args

import trio

from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.cli.admin import admin_socket, answer_admins
from wsframe.cli.arguments import add_parser, port_number, version_numbers, workers
from wsframe.cli.cluster_options import add_cluster_options, check_backplane, made_cluster
from wsframe.cli.errors import Failure, Mistake, missing_extra
from wsframe.cli.limit_options import add_limit_options, made_capacity, made_deflate, made_limits, made_timeouts
from wsframe.cli.listen_options import (
    add_listen_options,
    bound_sockets,
    check_listen_options,
    host_of,
    made_certificates,
)
from wsframe.cli.streams import print_line
from wsframe.cli.target import TARGET_HELP, find_handler, load_target
from wsframe.cli.workers import check_workers, supervise_target
from wsframe.http.hostnames import host_names
from wsframe.log import Log, log_for
from wsframe.net.poller import PollerName
from wsframe.net.trusted_proxies import TrustedProxies
from wsframe.resources.routing.registry import Registry
from wsframe.resources.server import Server
from wsframe.server.describe import describe
from wsframe.server.logs.json_stderr import json_stderr, writes_json
from wsframe.server.logs.stderr_log import FORMATS, LEVELS, LogFormat, StderrLog
from wsframe.server.options import ServeOptions
from wsframe.server.run import serve_until_signal
from wsframe.server.service.service import as_worker
from wsframe.server.service.supervised_worker import tell_failure
from wsframe.user_code.errors import only_leaf
from wsframe.workers.spare import become_worker
from wsframe.workers.worker import Worker, this_worker

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command", "serve_target"]

logger: Log = log_for(__name__)

METRICS_HOST = "127.0.0.1"
POLLERS = [name for name in get_args(PollerName) if name in ("auto", "task") or hasattr(select, name)]

EXAMPLES = """\
  wsframe serve chat.py
  wsframe serve chat.py --reload --admin chat.admin
  wsframe serve myproject.chat:registry --host '*' --port 443 --tls-cert chain.pem --tls-key key.pem
  wsframe serve chat.py --unix chat.socket --max-message 64K --max-message-rate 20 --deflate shared
  wsframe serve chat.py --bind 127.0.0.1:8000 --bind '[::1]:8000' --bind unix:chat.socket
"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "serve",
        help="serve the resources that a module registers",
        description="Serve the resources that a module or file registers, until SIGINT or SIGTERM.",
        examples=EXAMPLES,
    )
    parser.set_defaults(command=serve_command)
    parser.add_argument("target", metavar="TARGET", help=TARGET_HELP)
    add_listen_options(parser)
    add_answering_options(parser)
    add_cluster_options(parser)
    add_other_options(parser)
    add_limit_options(parser)


def add_answering_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="answer only requests for this Host; repeatable (default: any; on loopback, loopback names only)",
    )
    option(
        "--trusted-proxy", action="append", metavar="ADDRESS",
        help="believe the proxy at this address or network, or 'unix', about its clients; repeatable (default: none)",
    )  # fmt: skip
    option(
        "--proxy-protocol", action="store_true",
        help="each connection begins with a header of the PROXY protocol, which only trusted proxies can send",
    )  # fmt: skip
    option(
        "--versions",
        type=version_numbers,
        default=(13,),
        metavar="LIST",
        help="protocol versions: 13, and optionally the old 8, 7 and 0, as in 13,8,7 (default 13)",
    )


def add_other_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option(
        "--http-handler",
        metavar="NAME",
        help="async function in the target that answers plain HTTP requests without a route",
    )
    option("--log-level", choices=LEVELS, default="info", help="least severe level to log on stderr (default info)")
    option(
        "--log-format", choices=FORMATS, default="text",
        help="json: each line on stderr is one JSON object, tracebacks and warnings included (default text)",
    )  # fmt: skip
    option(
        "--metrics-port", type=port_number, metavar="N",
        help="serve /metrics, /healthz and /readyz at this port, 0 for a free one; needs wsframe[prometheus]",
    )  # fmt: skip
    option(
        "--metrics-host", metavar="HOST",
        help=f"name or address of --metrics-port, '*' for every address (default {METRICS_HOST})",
    )  # fmt: skip
    option("--tracing", action="store_true", help="send spans to OpenTelemetry; needs wsframe[opentelemetry]")
    option("--admin", metavar="PATH", help="report to 'wsframe top PATH' at this unix socket (mode 0600)")
    option(
        "--workers", type=workers, metavar="N",
        help="serve with N processes, or 'auto' for one for each processor (default: this one alone)",
    )  # fmt: skip
    option("--reload", action="store_true", help="restart when a source file changes; needs wsframe[reload]")
    option(
        "--reload-dir", action="append", metavar="FOLDER",
        help="also watch this folder; repeatable (the folder of the target, or the current one, is always watched)",
    )  # fmt: skip
    option("--poller", choices=POLLERS, default="auto", help="I/O poller to use (default auto)")
    option(
        "--debug",
        action="store_true",
        help="on an error in your code, start the debugger, or end the server if there is no terminal",
    )


def serve_command(args: argparse.Namespace) -> int:
    check(args)
    if args.workers is not None and not args.reload:
        return serve_workers(args)
    with bound_sockets(args) as sockets:
        if args.reload:
            from wsframe.cli.reload import reload_target

            reload_target(args, sockets)
        else:
            serve_target(args, sockets)
    return 0


def serve_workers(
    args: argparse.Namespace, sockets: list[socket.socket] | None = None, orders: int | None = None
) -> int:
    """Serve the target as one of several workers, or supervise them; return the exit status.

    Args:
        args: The parsed arguments.
        sockets: The listening sockets of a reloader, if they are bound already.
        orders: The reading end of a pipe with its orders, if there is one.
    """
    become_worker()
    worker = this_worker()
    if worker is None:
        with logging_to_stderr(args.log_level.upper(), args.log_format):
            return supervise_target(args, metrics_host_of(args), sockets, orders)
    with as_worker(worker):
        try:
            serve_target(args, worker.sockets, worker=worker)
        except Mistake as mistake:
            tell_failure(worker, str(mistake).removeprefix("cannot start: "))
            return mistake.exit_code
    return 0


def check(args: argparse.Namespace) -> None:
    """Raise Mistake for arguments that are wrong whatever the target is."""
    for option in ("admin", "metrics_host"):
        if getattr(args, option) == "":
            raise Mistake(f"--{option.replace('_', '-')} is empty")
    if args.metrics_host is not None and args.metrics_port is None:
        raise Mistake("--metrics-host needs --metrics-port N")
    if args.metrics_port is not None and find_spec("prometheus_client") is None:
        raise missing_extra("--metrics-port", "prometheus")
    if args.tracing and find_spec("opentelemetry") is None:
        raise missing_extra("--tracing", "opentelemetry")
    check_backplane(args.backplane)
    check_listen_options(args)
    if args.reload_dir is not None and not args.reload:
        raise Mistake("--reload-dir needs --reload")
    check_proxies(args)
    check_workers(args)
    for make in (made_capacity, made_limits, made_timeouts, made_deflate, made_hosts, made_cluster):
        make(args)


def check_proxies(args: argparse.Namespace) -> None:
    try:
        TrustedProxies(args.trusted_proxy or ())
    except ValueError as error:
        raise Mistake(f"--trusted-proxy: {error}") from None
    if args.proxy_protocol and not args.trusted_proxy:
        raise Mistake("--proxy-protocol needs --trusted-proxy ADDRESS")
    if any(one.manner.proxy_protocol for one in args.bind or ()) and not args.trusted_proxy:
        raise Mistake("--bind proxy:ADDRESS needs --trusted-proxy ADDRESS")


def serve_target(
    args: argparse.Namespace, sockets: Sequence[socket.socket], orders: int | None = None, worker: Worker | None = None
) -> None:
    """Load the target and serve it.

    Args:
        args: The parsed arguments.
        sockets: The listening sockets.
        orders: The reading end of a reloader's pipe, if there is one.
        worker: The worker that this process is; None for a server that is not one of several.
    """
    with ExitStack() as stack:
        stack.enter_context(logging_to_stderr(args.log_level.upper(), args.log_format))
        # Before loading the target: it can start threads, and the umask belongs to the whole process.
        admin = None if args.admin is None or worker is not None else stack.enter_context(admin_socket(args.admin))
        # A target can go to another folder.
        certificates = [one.absolute() for one in made_certificates(args) or ()] or None
        client_ca = None if args.client_ca is None else os.path.abspath(args.client_ca)
        module, registry = load_target(args.target, debug=args.debug)
        try:
            options = ServeOptions(
                host=host_of(args),
                sockets=sockets,
                hosts=made_hosts(args),
                trusted_proxies=args.trusted_proxy or (),
                proxy_protocol="required" if args.proxy_protocol else None,
                versions=args.versions,
                certificates=certificates,
                client_ca=client_ca,
                client_certificates=args.client_certificates or "required",
                capacity=made_capacity(args),
                limits=made_limits(args),
                timeouts=made_timeouts(args),
                deflate=made_deflate(args),
                http_handler=None if args.http_handler is None else find_handler(module, args.http_handler),
                metrics_port=args.metrics_port,
                metrics_host=metrics_host_of(args),
                backplane=args.backplane,
                cluster=made_cluster(args),
                tracing=args.tracing,
                debug=args.debug,
                poller=args.poller,
            )
        except (TypeError, ValueError) as error:
            if args.debug:
                raise
            raise Failure(f"cannot start: {describe(error)}") from None
        run_announced(registry, options, admin, orders, worker)


def made_hosts(args: argparse.Namespace) -> Collection[str] | None:
    if args.allow_host is None:
        return None
    try:
        return host_names(args.allow_host) or ["*"]
    except ValueError as error:
        raise Mistake(f"--allow-host: {error}") from None


@contextmanager
def logging_to_stderr(level: str, log_format: LogFormat) -> Iterator[None]:
    """Write all logs to stderr, in a thread."""
    output = json_stderr() if log_format == "json" else None
    handler = StderrLog(sys.stderr) if output is None else output.handler
    logging.basicConfig(level=level, handlers=[handler])
    try:
        yield
    finally:
        if output is None:  # else it has the last words of the process too
            logging.getLogger().removeHandler(handler)
            handler.close()


def metrics_host_of(args: argparse.Namespace) -> str | None:
    return METRICS_HOST if args.metrics_host is None else None if args.metrics_host == "*" else str(args.metrics_host)


def run_announced(
    registry: Registry | None,
    options: ServeOptions,
    admin: socket.socket | None,
    orders: int | None,
    worker: Worker | None,
) -> None:
    if writes_json():
        json_stderr()  # the target can have configured logging
    serving = False

    def started(server: Server) -> None:
        nonlocal serving
        serving = True
        announce(server)

    try:
        trio.run(serve_attended, registry, options, started, admin, orders, worker)
    except BaseException as error:
        cause = only_leaf(error)
        if isinstance(cause, BackplaneRefused):
            raise Mistake(str(cause)) from None
        if serving or options.debug or not isinstance(cause, Exception):  # the status of a SystemExit counts
            raise cause from None
        raise Failure(f"cannot start: {describe(cause)}") from None


async def serve_attended(
    registry: Registry | None,
    options: ServeOptions,
    started: Callable[[Server], None],
    admin: socket.socket | None,
    orders: int | None,
    worker: Worker | None,
) -> None:
    """Serve until a signal, with the tasks for the admin socket and the reloader."""
    async with trio.open_nursery() as nursery:
        running: list[Server] = []

        def begin(server: Server) -> None:
            running.append(server)
            if admin is not None:
                nursery.start_soon(answer_admins, admin, server)
            started(server)

        if orders is not None:
            from wsframe.cli.reload import obey_reloader

            nursery.start_soon(obey_reloader, orders, running, nursery.cancel_scope)
        await serve_until_signal(registry, options, begin, worker=worker)
        nursery.cancel_scope.cancel()


def announce(server: Server) -> None:
    """Print the addresses of the server in one line, which programs read: the same with any format of the log."""
    places = [
        f"{address} (http{address.removeprefix('ws')}/)" if address.startswith("ws") else address
        for address in server.addresses
    ]
    page = f"; metrics at {server.metrics_address}" if server.metrics_address else ""
    if not print_line(f"Serving at {', '.join(places)}{page}", sys.stdout):
        logger.info("cannot write to stdout; printed output is lost")
