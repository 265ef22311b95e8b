"""Asking the validator of origins, ``accept_client`` and HTTP handlers about a newcomer. Nothing fails open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import time
from typing import Any

from wsframe.http import handshake
from wsframe.http.origins import OriginValidator, is_pure
from wsframe.http.request import Headers, Request, peer_name
from wsframe.http.responses import RETRY_AFTER, HttpHandler, Reject, Response, explained, refusing
from wsframe.log import Log, log_for, quoted
from wsframe.resources.accept import Accept
from wsframe.resources.check_hooks import close_unawaited
from wsframe.resources.hints import add_hint
from wsframe.resources.resource import Resource
from wsframe.user_code.errors import call_plain, failed, nested, only_leaf
from wsframe.user_code.program import is_a

__all__ = [
    "LET_IN",
    "check_origin",
    "decide",
    "handle",
    "internal_error",
    "lets_all_in",
    "note_disagreement",
    "stopping",
]

LET_IN = Accept()
"""The decision of a resource that lets a newcomer in, with nothing more to say about it."""

logger: Log = log_for(__name__)


SEE = "see origin_exact, and behind a proxy trusted_proxies="


def internal_error() -> Reject:
    return Reject(500, body="internal error")


def stopping() -> Reject:
    return Reject(503, [RETRY_AFTER], "server stopping")


def check_origin(validator: OriginValidator, request: Request, headers: Headers) -> None:
    """Ask the origin validator; anything but True refuses."""
    try:
        # Those that wsframe makes run no code of the user's, which could leave a scope open.
        passed: object = validator(request) if is_pure(validator) else call_plain(validator, request)
        if not isinstance(passed, bool):
            close_unawaited(passed)
            logger.error("the origin validator returned a %s; only True lets a newcomer in", type(passed).__name__)
    except BaseException as error:
        if not failed(error):
            raise stopping() from None
        logger.error("the origin validator failed for %r", request, exc_info=error)
        passed = False
    if passed is not True:
        host = headers.get("host", "")
        raise refusing(403, f"origin {quoted(request.origin)} cannot open Host {quoted(host)}; {SEE}")


def lets_all_in(resource: Resource[Any]) -> bool:
    """Return whether a resource has no ``accept_client`` of its own."""
    return getattr(resource.accept_client, "__func__", None) is Resource.accept_client


async def decide(
    accept_client: Callable[[Request], Awaitable[Any]], request: Request, resource: Resource[Any]
) -> Accept:
    """Ask ``accept_client`` of a resource; anything but None, True, False, Accept and Reject refuses with 500."""
    try:
        decision = await nested(accept_client, request)
    except BaseException as error:
        refusal = only_leaf(error)
        if is_a(refusal, Reject):  # on its own or out of a nursery
            raise explained(refusal, f"{hook_of(resource)} raised Reject without a body") from None
        if not failed(error):
            raise stopping() from None
        add_hint(error)
        logger.error("accept_client of %s failed for %r", type(resource).__name__, request, exc_info=error)
        raise internal_error() from None
    if decision is None or decision is True:
        return LET_IN
    if decision is False:
        raise explained(Reject(), f"{hook_of(resource)} returned False")
    if isinstance(decision, Reject):
        raise explained(decision, f"{hook_of(resource)} returned Reject without a body")
    if not isinstance(decision, Accept) or not isinstance(decision.deliver_to, Resource | None):
        logger.error(
            "accept_client of %s returned %r: return Accept(data=...), Reject(403), True, False or None, "
            "and deliver_to= is a resource",
            type(resource).__name__,
            decision,
        )
        raise internal_error()
    return decision


def hook_of(resource: Resource[Any]) -> str:
    """Return the name of the hook, for a refusal that gives no reason."""
    return f"{type(resource).__name__}.accept_client"


async def handle(
    handler: HttpHandler, request: Request, name: str, *, sent: Request, body: bool
) -> tuple[bytes, Response | None]:
    """Ask a handler of plain HTTP; anything but a Response, or a Reject that it raises, is a 500.

    Args:
        handler: The handler.
        request: The request as the handler sees it.
        name: The handler's name in the log.
        sent: The request as the peer sent it.
        body: False for HEAD.

    Returns:
        The head of the answer, and the response whose content follows it, if any does.
    """
    try:
        made: object = await nested(handler, request)
        if not isinstance(made, Response):
            raise TypeError(f"{name} returned {made!r}, which is not a Response: write 'return Response(...)'")
        head = handshake.response_head(made, now=time())
        return head, made if body and made.status not in handshake.NO_CONTENT else None
    except BaseException as error:
        refusal = only_leaf(error)
        if is_a(refusal, Reject):
            raise explained(refusal, f"{name} raised Reject without a body") from None
        if not failed(error):
            raise stopping() from None
        add_hint(error)
        logger.error("%s failed for %r", name, sent, exc_info=error)
        raise internal_error() from None


def note_disagreement(request: Request, resource: Resource[Any]) -> None:
    """Log that no subprotocol was agreed on: most clients then give up without a word."""
    peer, offered = peer_name(request.host, request.port), quoted(", ".join(request.subprotocols))
    name, known = type(resource).__name__, ", ".join(resource.subprotocols) or "none"
    logger.info("%s: no subprotocol agreed on: offered are %s, %s has %s", peer, offered, name, known, kind=name)
