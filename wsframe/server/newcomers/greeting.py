"""The answer that lets a newcomer in; hixie-76 has one of its own, to a nonce after the request."""

from __future__ import annotations

from collections.abc import Collection

from wsframe.connection.interfaces import Arrival
from wsframe.connection.protocol_version import RFC_6455
from wsframe.http import handshake
from wsframe.http.deflate_terms import negotiate
from wsframe.http.request import Request
from wsframe.http.responses import header_list, retry_later
from wsframe.log import Log, log_for
from wsframe.resources.accept import Accept
from wsframe.server.newcomers.decide import LET_IN, internal_error, note_disagreement
from wsframe.server.newcomers.newcomer import Newcomer, note_gone
from wsframe.server.newcomers.seat import Seat

__all__ = ["greet", "prepare", "receive_nonce"]

DEAF = "Tornado/"
"""The client of Tornado drops parameters without a value from our answer, and so keeps its context after
``client_no_context_takeover``, against RFC 7692, section 7.1.1.2."""

logger: Log = log_for(__name__)


def prepare(versions: Collection[int]) -> None:
    """Import the old version if it is served: a server that is out of descriptors could not do so later."""
    if 0 in versions:
        import wsframe.hixie76
        import wsframe.hixie76.handshake  # noqa: F401


def greet(newcomer: Newcomer, request: Request, accept: Accept, seat: Seat) -> tuple[bytes, Arrival]:
    """Make the 101 of a newcomer, and its arrival at the reactor.

    Args:
        newcomer: The newcomer.
        request: Its request.
        accept: The decision of its resource.
        seat: Its place.

    Raises:
        Reject: 500 if the decision cannot be sent, 503 if the lease of the resource was lost while it decided.
    """
    listener, headers, terms = seat.listener, request.headers, None
    if listener.ownership_guard.over:
        raise retry_later("resource not running")
    resource = listener.resource
    if listener.deflate is not None and newcomer.version == 13:  # RFC 7692 extends RFC 6455 alone
        offers = headers.getall("sec-websocket-extensions")
        # A message that refers to one that was dropped would be read wrongly.
        terms = negotiate(offers, listener.deflate, takeover=resource.overflow == "disconnect")
        if terms is not None and not terms.client_takeover and (headers.get("user-agent") or "").startswith(DEAF):
            terms = terms._replace(told=True)
    try:
        offered = headers.tokens("sec-websocket-protocol")
        subprotocol = accept.subprotocol
        if offered or subprotocol is not None:
            subprotocol = handshake.choose_subprotocol(subprotocol, offered, resource.subprotocols)
            if subprotocol is None:
                note_disagreement(request, resource)
        fields = [] if accept is LET_IN else header_list(accept.headers, "Accept")  # again: they may have been changed
        if terms is not None:
            fields.insert(0, ("Sec-WebSocket-Extensions", terms.answer))
        if newcomer.version:
            answer, version = handshake.switching_protocols(headers, subprotocol, fields), RFC_6455
        else:
            from wsframe.hixie76 import HIXIE_76
            from wsframe.hixie76 import handshake as hixie_handshake

            version = HIXIE_76
            answer = hixie_handshake.switching_protocols(request, headers, newcomer.nonce, subprotocol, fields)
    except (TypeError, ValueError) as error:
        logger.error("the Accept of %s cannot be sent", type(resource).__name__, exc_info=error)
        raise internal_error() from None
    arrival = Arrival(newcomer.transport, request, subprotocol, accept.data, listener, seat.reservation, terms, version)
    return answer, arrival


async def receive_nonce(newcomer: Newcomer, request: Request) -> bool:
    """Take the nonce of hixie-76 off the bytes after the head; return False if the peer's end comes before.

    Raises:
        Reject: 400 for keys that are not valid.
    """
    from wsframe.hixie76 import handshake as hixie_handshake

    hixie_handshake.check_keys(request.headers)
    newcomer.head_received = False  # a peer that dawdles over it makes room for others too
    while len(newcomer.trailing) < hixie_handshake.NONCE:
        more = await newcomer.transport.receive_some()
        if not more:
            note_gone(newcomer)
            return False
        newcomer.trailing += more
    newcomer.head_received = True
    newcomer.nonce = newcomer.trailing[: hixie_handshake.NONCE]
    newcomer.trailing = newcomer.trailing[hixie_handshake.NONCE :]
    return True
