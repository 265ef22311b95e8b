"""The page of metrics, for a route or ``http_handler``."""

from __future__ import annotations

from importlib.util import find_spec

import trio

from wsframe.http.request import Request
from wsframe.http.responses import Reject, Response
from wsframe.resources.server import Distribution, Metrics, Server, ServiceStatistics, running_server
from wsframe.server.figures import FAMILIES, summed
from wsframe.workers.worker import known_worker

__all__ = ["metrics"]

writers: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("writers of metrics")


async def metrics(request: Request) -> Response:
    """Answer with the numbers of this server as Prometheus reads them; an ``http_handler``.

    Of several workers each one answers for all, with the label ``worker``.
    The page also has the metrics that the program has registered with prometheus-client itself. Clients that ask for
    OpenMetrics get it. Needs ``wsframe[prometheus]``.

    Raises:
        Reject: 501 without prometheus-client.
    """
    if request.method not in ("GET", "HEAD"):
        return Response("only GET and HEAD are answered here\n", 405, headers={"Allow": "GET, HEAD"})
    if find_spec("prometheus_client") is None:
        raise Reject(501, body="metrics need prometheus-client: pip install 'wsframe[prometheus]'")
    from wsframe.server.prometheus import page

    accept = ",".join(request.headers.getall("accept"))
    server: Server = running_server.get()
    labels: tuple[str, ...] = ()
    if known_worker() is None:
        numbers = server.statistics().metrics
    else:
        numbers, labels = by_worker(await server.service_statistics()), ("worker",)
    # In a thread: with a hundred paths it takes 50 ms, in which no client would be served.
    content, kind = await trio.to_thread.run_sync(
        page, numbers, accept, labels, abandon_on_cancel=True, limiter=one_at_a_time()
    )
    return Response(content, content_type=kind, headers={"Cache-Control": "no-store"})


def by_worker(service: ServiceStatistics) -> Metrics:
    """Return the numbers of all workers, with the number of each as the last label."""
    found: dict[str, dict[tuple[str, ...], float | Distribution]] = {name: {} for name in FAMILIES}
    for slot in {worker.slot for worker in service.workers}:
        generations = (one.statistics for one in service.workers if one.slot == slot)
        for name, numbers in summed(one.metrics for one in generations if one is not None).items():
            found[name].update({(*labels, str(slot)): number for labels, number in numbers.items()})
    for name in ("wsframe_ready", "wsframe_backplane_up"):  # a slot that is restarted has two processes
        found[name] = {labels: float(bool(number)) for labels, number in found[name].items()}
    for worker in service.workers:
        up = found["wsframe_worker_up"].get((str(worker.slot),), 0.0) or worker.state == "ready"
        found["wsframe_worker_up"][(str(worker.slot),)] = float(bool(up))
    return found


def one_at_a_time() -> trio.CapacityLimiter:
    """Return the limiter of the threads that write pages: requests without end must not take them all."""
    try:
        return writers.get()
    except LookupError:
        limiter = trio.CapacityLimiter(1)
        writers.set(limiter)
        return limiter
