"""``wsframe serve --workers``: the supervisor's side of the command line; a worker runs the same command line again."""

from __future__ import annotations

import argparse
import socket
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from wsframe.backplane.at_url import engine_url
from wsframe.cli.admin import admin_socket
from wsframe.cli.errors import Mistake
from wsframe.cli.limit_options import made_capacity, made_timeouts
from wsframe.cli.listen_options import addresses_of, bound_sockets
from wsframe.limits import DEFAULT_TIMEOUTS, filled
from wsframe.server.service.service import (
    Service,
    ServiceFailed,
    check_service,
    check_times,
    names_of,
    supervise,
    worker_count,
)
from wsframe.server.sockets.addresses import TcpAddress
from wsframe.workers.slots import reason_of

if TYPE_CHECKING:
    from wsframe.workers.supervisor import Supervisor

__all__ = ["check_workers", "supervise_target"]


def check_workers(args: argparse.Namespace) -> None:
    """Raise Mistake for options that a service of several workers cannot have."""
    if args.workers is None:
        return
    try:
        check_service(made_capacity(args), tls=args.tls_cert is not None, debug=args.debug)
        check_times(made_timeouts(args))
    except ValueError as error:
        raise Mistake(f"--workers: {error}") from None


def supervise_target(
    args: argparse.Namespace,
    metrics_host: str | None,
    sockets: list[socket.socket] | None = None,
    orders: int | None = None,
) -> int:
    """Run the workers of a service until it ends; return its exit status.

    Args:
        args: The parsed arguments.
        metrics_host: The host of ``--metrics-port``.
        sockets: The listening sockets, if they are bound already.
        orders: The reading end of a pipe with the orders of the process that restarts this one.
    """
    metrics = None if args.metrics_port is None else TcpAddress(metrics_host, args.metrics_port)

    def bind() -> AbstractContextManager[list[socket.socket]]:
        return bound_sockets(args) if sockets is None else nullcontext(sockets)

    service = Service(
        count=worker_count(args.workers),
        names=names_of([], sockets) if sockets is not None else names_of(addresses_of(args)),
        bind=bind,
        timeouts=filled(made_timeouts(args), DEFAULT_TIMEOUTS),
        metrics=metrics,
        obey=None if orders is None else partial(obey, orders),
        backplane=engine_url(args.backplane),
        spare=sockets is None,  # one that --reload starts again is new each time
    )
    try:
        with nullcontext() if args.admin is None else admin_socket(args.admin) as admin:
            return supervise(replace(service, admin=admin))
    except ServiceFailed as failed:
        raise Mistake(str(failed)) from None
    except OSError as error:
        raise Mistake(reason_of(error)) from None


class Workers:
    """All workers of a supervisor, as one server that obeys orders.

    Args:
        supervisor: Has them.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def close(self, code: int = 1001, *, lame_duck: float | None = None) -> None:
        """Drain them all."""
        self._supervisor.drain(code, lame_duck)

    def hurry(self) -> None:
        """Cut the drain short."""
        self._supervisor.hurry()

    def reload_certificates(self) -> bool:
        """Return False: workers have none."""
        return False


async def obey(orders: int, supervisor: Supervisor) -> None:
    """Carry out the orders that come through a pipe; its end is an order to end."""
    from wsframe.cli.reload import obey_reloader

    await obey_reloader(orders, [Workers(supervisor)], trio.CancelScope())
