"""Answers for load balancers and supervisors: the server lives, and it takes newcomers or not."""

from __future__ import annotations

from wsframe.http.request import Request
from wsframe.http.responses import RETRY_AFTER, Response
from wsframe.server.engine import running_server

__all__ = ["healthz", "readyz"]

NOT_STORED = ("Cache-Control", "no-store")


async def healthz(request: Request) -> Response:
    """Answer 200 while the server serves; an ``http_handler``.

    No answer means that the server should be started again.
    """
    return Response("alive\n", headers=[NOT_STORED])


async def readyz(request: Request) -> Response:
    """Answer 200 while newcomers are welcome, else 503 with the reason; an ``http_handler``.

    It answers 503 while ``capacity.max_clients`` is reached, in the pause after a resource
    failed, and from the order to stop on. Before every ``running()`` has been entered it does not
    answer yet, and after ``timeouts.lame_duck`` the socket is closed already.
    """
    reason = running_server.get().unready()
    if reason:
        return Response(f"{reason}\n", 503, headers=[NOT_STORED, RETRY_AFTER])
    return Response("ready\n", headers=[NOT_STORED])
