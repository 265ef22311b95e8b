"""The page of metrics, for a route or ``http_handler``."""

from __future__ import annotations

from importlib.util import find_spec

import trio

from wsframe.http.request import Request
from wsframe.http.responses import Reject, Response
from wsframe.resources.server import Distribution, Metrics, Server, ServiceStatistics, WorkerStatistics, running_server
from wsframe.server.monitoring.metric_values import FAMILIES, summed, worker_labels
from wsframe.workers.worker import known_worker

__all__ = ["metrics"]

writers: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("writers of metrics")


async def metrics(request: Request) -> Response:
    """Answer with the numbers of this server as Prometheus reads them; an ``http_handler``.

    Of several workers each one answers for all, with the label ``worker``, and ``generation`` on counters.
    The page also has the metrics that the program has registered with prometheus-client itself. Clients that ask for
    OpenMetrics get it. Needs ``wsframe[prometheus]``.

    Raises:
        Reject: 501 without prometheus-client.
    """
    if request.method not in ("GET", "HEAD"):
        return Response("only GET and HEAD are answered here\n", 405, headers={"Allow": "GET, HEAD"})
    if find_spec("prometheus_client") is None:
        raise Reject(501, body="metrics need prometheus-client: pip install 'wsframe[prometheus]'")
    from wsframe.server.monitoring.prometheus import page

    accept = ",".join(request.headers.getall("accept"))
    server: Server = running_server.get()
    worker = known_worker()
    numbers = server.statistics().metrics if worker is None else by_worker(await server.service_statistics())
    slot = None if worker is None else worker.slot
    # In a thread: with a hundred paths it takes 50 ms, in which no client would be served.
    content, kind = await trio.to_thread.run_sync(
        page, numbers, accept, slot, abandon_on_cancel=True, limiter=one_at_a_time()
    )
    return Response(content, content_type=kind, headers={"Cache-Control": "no-store"})


def by_worker(service: ServiceStatistics) -> Metrics:
    """Return the numbers of all workers, with those of :func:`worker_labels` as the last labels."""
    found: dict[str, dict[tuple[str, ...], float | Distribution]] = {name: {} for name in FAMILIES}
    for name, numbers in summed(labelled(one) for one in service.workers).items():
        found[name] |= numbers
    for name in ("wsframe_ready", "wsframe_backplane_up"):  # a slot that is restarted has two processes
        found[name] = {labels: float(bool(number)) for labels, number in found[name].items()}
    for worker in service.workers:
        up = found["wsframe_worker_up"].get((str(worker.slot),), 0.0) or worker.state == "ready"
        found["wsframe_worker_up"][(str(worker.slot),)] = float(bool(up))
    return found


def labelled(worker: WorkerStatistics) -> Metrics:
    """Return the numbers of one process with those labels; none if it has not answered."""
    if worker.statistics is None:
        return {}
    values = {"worker": str(worker.slot), "generation": str(worker.generation)}
    made = {}
    for name, numbers in worker.statistics.metrics.items():
        last = tuple(values[label] for label in worker_labels(FAMILIES[name]))
        made[name] = {(*labels, *last): number for labels, number in numbers.items()}
    return made


def one_at_a_time() -> trio.CapacityLimiter:
    """Return the limiter of the threads that write pages: requests without end must not take them all."""
    try:
        return writers.get()
    except LookupError:
        limiter = trio.CapacityLimiter(1)
        writers.set(limiter)
        return limiter
