"""Answers for load balancers and supervisors: the server lives, and it takes newcomers or not."""

from __future__ import annotations

from wsframe.http.any_host import at_any_host
from wsframe.http.any_worker import in_any_worker
from wsframe.http.request import Request
from wsframe.http.responses import RETRY_AFTER, Response
from wsframe.resources.server import running_server
from wsframe.workers.board import SlotState
from wsframe.workers.worker import Worker, known_worker

__all__ = ["healthz", "readyz"]

READY = SlotState.READY

NOT_STORED = ("Cache-Control", "no-store")
METHODS = ("GET", "HEAD", "OPTIONS")
ALLOWED = ("Allow", ", ".join(METHODS))


def told(request: Request, text: str, status: int = 200) -> Response:
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
    return told(request, "alive")


@in_any_worker
@at_any_host
async def readyz(request: Request) -> Response:
    """Answer 200 while newcomers are welcome, else 503 with the reason; an ``http_handler``.

    It answers the requests that :func:`healthz` answers. It answers 503 until the backplane, if there is one, has
    been reached once, while ``capacity.max_clients`` is reached, in the pause after a resource failed, and from the
    order to stop on. Before every ``running()`` has been entered it does not answer yet, and after
    ``timeouts.lame_duck`` the socket is closed already. Of several workers the one that is asked answers for itself,
    and names the others that are not ready: the next one of a slot takes over their newcomers.
    """
    reason = running_server.get().unready()
    return told(request, reason, 503) if reason else told(request, ready_words(known_worker()))


def ready_words(worker: Worker | None) -> str:
    """Say that the server is ready, and which of its workers are not."""
    if worker is None:
        return "ready"
    states = [worker.board.state(slot) for slot in range(worker.count)]
    others = [f"worker {slot} is {state.name.lower()}" for slot, state in enumerate(states) if state != READY]
    return "\n".join(["ready", *others])
