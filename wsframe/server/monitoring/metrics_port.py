"""A port of its own for the page of metrics and the health checks.

It is open from before the resources start until the last client has gone, so that a start that hangs and a drain can be
seen. Its newcomers are admitted like all others, by the same limits of time and size, but no number counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wsframe.connection.counters import PathCounters
from wsframe.connection.reactor import Reactor
from wsframe.hooks.listener import Listener
from wsframe.hooks.listeners import Roster
from wsframe.http.handler_marks import answers_any_host, at_any_host
from wsframe.http.request import Request
from wsframe.http.responses import HttpHandler, Response
from wsframe.limits import Capacity
from wsframe.log import Log, log_for
from wsframe.resources.resource import Resource
from wsframe.server.admission import Admission
from wsframe.server.capacity import Places
from wsframe.server.entrance import Entrance
from wsframe.server.monitoring.health import healthz, readyz
from wsframe.server.monitoring.metrics import metrics
from wsframe.server.options import ServeOptions
from wsframe.server.sockets.addresses import TcpAddress
from wsframe.server.sockets.bind import bound
from wsframe.server.sockets.listen import Bound, default_hosts
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.worker import Worker

__all__ = ["MetricsPort", "metrics_port"]

logger: Log = log_for(__name__)

BACKLOG = 16
# A scraper or two and probes: each has a connection for as long as its answer takes.
MOST_AT_ONCE = 16
SECONDS = 10.0
PAGES: dict[str, HttpHandler] = {"/metrics": metrics, "/healthz": healthz, "/readyz": readyz}


async def answer(request: Request) -> Response:
    """Answer with one of the pages."""
    handler = PAGES.get(request.path)
    if handler is None:
        return Response("not found; there are /metrics, /healthz and /readyz\n", 404)
    return await handler(request)


def is_probe(request: Request) -> bool:
    """Return whether a request is for a health check, which names any Host or none."""
    return request.path in PAGES and answers_any_host(PAGES[request.path], request)


at_any_host(answer, is_probe)


class MetricsPort:
    """Listening sockets that answer with the pages.

    Args:
        places: The sockets with their settings.
    """

    def __init__(self, places: list[Bound]) -> None:
        self._places = places
        self.address: str = f"http{places[0].address.removeprefix('ws')}/metrics"

    def open(self, reactor: Reactor, nursery: ProtectedNursery) -> None:
        """Answer until the nursery is cancelled, in the context of the server."""
        options = ServeOptions(http_handler=answer, capacity=Capacity(max_pending_handshakes=MOST_AT_ONCE))
        roster = Roster((), no_listener, nursery)
        admission = Admission(roster, reactor, Places(options.capacity), options, ())
        Entrance(admission, nursery, SECONDS).open(self._places, nursery)
        logger.info("metrics at %s", self.address)


@contextmanager
def metrics_port(options: ServeOptions, worker: Worker | None = None) -> Iterator[MetricsPort | None]:
    """Bind the port that the options of a server name, if they name one; close it at the end.

    A worker has it from its supervisor, and shares it with the others.

    Raises:
        OSError: If it cannot be bound; the text names it.
    """
    if options.metrics_port is None:
        yield None
        return
    host = options.metrics_host
    if worker is not None:
        yield MetricsPort([Bound(sock=sock, hosts=default_hosts(sock, host)) for sock in worker.metrics])
        return
    with bound([TcpAddress(host, options.metrics_port)], BACKLOG) as sockets:
        yield MetricsPort([Bound(sock=sock, hosts=default_hosts(sock, host)) for sock in sockets])


def no_listener(resource: Resource, counters: PathCounters) -> Listener:
    """Stand in for the maker of listeners: no path leads to a resource here."""
    raise NotImplementedError
