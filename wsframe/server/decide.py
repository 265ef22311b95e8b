"""Asking the validator of origins and ``accept_client`` about a newcomer. Nothing fails open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from wsframe.http.origins import OriginValidator
from wsframe.http.request import Headers, Request, peer_name
from wsframe.http.responses import Accept, Reject, refusing
from wsframe.log import logger, quoted
from wsframe.resources.resource import Resource

__all__ = ["check_origin", "decide", "note_disagreement"]


def check_origin(validator: OriginValidator, request: Request, headers: Headers) -> None:
    """Ask the origin validator; anything but True refuses."""
    try:
        passed = validator(request)
    except Exception:
        logger.exception("the origin validator failed for %r", request)
        passed = False
    if passed is not True:
        host = headers.get("host", "")
        raise refusing(403, f"origin {quoted(request.origin)} may not open Host {quoted(host)}; see origin_exact")


async def decide(accept_client: Callable[[Request], Awaitable[Any]], request: Request) -> Accept:
    """Ask ``accept_client``; anything but None, Accept and Reject refuses with 500."""
    try:
        decision = await accept_client(request)
    except Reject:
        raise
    except Exception:
        logger.exception("accept_client failed for %r", request)
        raise Reject(500, body="internal error") from None
    if decision is None:
        return Accept()
    if isinstance(decision, Reject):
        raise decision
    if not isinstance(decision, Accept) or not isinstance(decision.deliver_to, Resource | None):
        logger.error(
            "accept_client returned %r, which is not None, Accept or Reject, or delivers to what is no resource",
            decision,
        )
        raise Reject(500, body="internal error")
    return decision


def note_disagreement(request: Request, resource: Resource[Any]) -> None:
    """Say that none of the subprotocols offered is agreed on: most clients then give up, without a word."""
    peer, offered = peer_name(request.host, request.port), quoted(", ".join(request.subprotocols))
    name, known = type(resource).__name__, ", ".join(resource.subprotocols) or "none"
    logger.info("%s: no subprotocol agreed on: offered are %s, %s has %s", peer, offered, name, known, kind=name)
