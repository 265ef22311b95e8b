"""The client for web pages: an ES module that reconnects by itself, and the handler that serves it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files

from wsframe.http.handler_marks import in_any_worker
from wsframe.http.request import Request
from wsframe.http.responses import Response

__all__ = ["browser_client", "browser_client_source"]


@cache
def browser_client_source() -> str:
    """Return the source of the browser client ``wsframe.js``, an ES module without dependencies."""
    return files(__name__).joinpath("wsframe.js").read_text(encoding="utf-8")


@cache
def etag() -> str:
    return f'"{sha256(browser_client_source().encode()).hexdigest()[:16]}"'


@in_any_worker
async def browser_client(request: Request) -> Response:
    """Answer a request with the browser client ``wsframe.js``; serves as ``http_handler``, or is called by one.

    It ignores the path of the request. The browser asks each time whether its copy is still
    the newest, and gets a 304 if so.
    """
    headers = {"ETag": etag(), "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if etag() in request.headers.tokens("If-None-Match"):
        return Response(status=304, headers=headers)
    return Response(browser_client_source(), content_type="text/javascript; charset=utf-8", headers=headers)
