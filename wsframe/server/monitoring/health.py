"""Answers for load balancers and supervisors: the server lives, and it takes newcomers or not."""

from __future__ import annotations

from wsframe.http.handler_marks import at_any_host, in_any_worker
from wsframe.http.request import Request
from wsframe.http.responses import RETRY_AFTER, Response
from wsframe.resources.server import running_server
from wsframe.server.monitoring.readiness import others_not_ready, reason_of_service
from wsframe.workers.worker import known_worker

__all__ = ["healthz", "readyz"]

NOT_STORED = ("Cache-Control", "no-store")
METHODS = ("GET", "HEAD", "OPTIONS")
ALLOWED = ("Allow", ", ".join(METHODS))


def health_answer(request: Request, text: str, status: int = 200) -> Response:
    """Make an answer: to OPTIONS too, which HAProxy asks with by default."""
    if request.method not in METHODS:
        return Response(f"{ALLOWED[1]} are answered here\n", 405, headers=[ALLOWED])
    fields = [NOT_STORED] if status == 200 else [NOT_STORED, RETRY_AFTER]
    return Response(f"{text}\n", status, headers=[ALLOWED, *fields] if request.method == "OPTIONS" else fields)


@in_any_worker
@at_any_host
async def healthz(request: Request) -> Response:
    """Answer 200 while the server serves; an ``http_handler``.

    It answers GET, HEAD and OPTIONS of HTTP/1.0 and 1.1, whatever their Host is. No answer means that the
    server should be started again.
    """
    return health_answer(request, "alive")


@in_any_worker
@at_any_host
async def readyz(request: Request) -> Response:
    """Answer 200 while newcomers are welcome, else 503 with the reason; an ``http_handler``.

    It answers the requests that :func:`healthz` answers. It answers 503 until the backplane, if there is one, has
    been reached once, while it cannot be reached or grants no leases and all that this server had by leases has ended,
    while ``capacity.max_clients`` is reached, in the pause after a resource failed, and from the
    order to stop on. Before every ``running()`` has been entered only the port of metrics answers, with 503, and after
    ``timeouts.lame_duck`` the socket is closed already.

    Of several workers each one answers for the whole service, and names the workers that are not ready. A worker that
    is down, that starts or that is restarted does not make it 503: the next one of its slot takes over its newcomers.
    With all of them down nobody answers.
    """
    worker = known_worker()
    reason = reason_of_service(worker, running_server.get().unready())
    return (
        health_answer(request, reason, 503)
        if reason
        else health_answer(request, "\n".join(["ready", *others_not_ready(worker)]))
    )
