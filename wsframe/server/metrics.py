"""The page of metrics, for a route or ``http_handler``."""

from __future__ import annotations

from importlib.util import find_spec

from wsframe.http.request import Request
from wsframe.http.responses import Reject, Response
from wsframe.resources.server import running_server

__all__ = ["metrics"]


async def metrics(request: Request) -> Response:
    """Answer with the numbers of this server as Prometheus reads them; an ``http_handler``.

    With them go the metrics that the program has registered with prometheus-client itself. OpenMetrics is sent to
    those that ask for it. Needs ``wsframe[prometheus]``, and answers 501 without it.
    """
    if request.method not in ("GET", "HEAD"):
        return Response("only GET and HEAD are answered here\n", 405, headers={"Allow": "GET, HEAD"})
    if find_spec("prometheus_client") is None:
        raise Reject(501, body="metrics need prometheus-client: pip install 'wsframe[prometheus]'")
    from wsframe.server.prometheus import page

    accept = ",".join(request.headers.getall("accept"))
    content, kind = page(lambda: running_server.get().statistics().metrics, accept)
    return Response(content, content_type=kind, headers={"Cache-Control": "no-store"})
