"""The exceptions wsframe raises on purpose.

* :exc:`WsframeError`

  * :exc:`BinaryRefused`
  * :exc:`HookTimeout`
  * :exc:`ResourceEnded`
  * :exc:`ConnectionClosed`
  * :exc:`HandshakeFailed`

    * :exc:`HandshakeRejected`

  * :exc:`ProxyFailed`
  * :exc:`OpeningTimeout`, an :exc:`OSError` too
  * :exc:`InvalidURL`, a :exc:`ValueError` too

Misuse of the interface is a :exc:`TypeError`, :exc:`ValueError` or
:exc:`RuntimeError`, as in the standard library. What a client of a server does never
raises. Where we are the client, what the network does is an :exc:`OSError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsframe.log import quoted, shortened

if TYPE_CHECKING:
    from wsframe.http.request import Headers
    from wsframe.protocol.close import CloseFrame

__all__ = [
    "BinaryRefused",
    "ConnectionClosed",
    "HandshakeFailed",
    "HandshakeRejected",
    "HookTimeout",
    "InvalidURL",
    "OpeningTimeout",
    "ProxyFailed",
    "ResourceEnded",
    "WsframeError",
]


class WsframeError(Exception):
    """Root of the exceptions that are wsframe's own; with ``pickle`` and ``copy`` they keep type, text and fields."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with the text alone, which is none of its arguments.
        return rebuilt, (type(self), self.args, self.__dict__)


def rebuilt(kind: type[Exception], args: tuple[Any, ...], fields: dict[str, Any]) -> Exception:
    """Make an exception as it was, without calling its ``__init__``."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class HookTimeout(WsframeError):
    """Handed to :meth:`Resource.hook_failed` for a hook that took longer than ``timeouts.hook``."""


class BinaryRefused(WsframeError):
    """Raised by ``send_binary`` and ``broadcast_binary``, before anything is sent, for a client of version 0.

    Source: clws, which signals an error there too.
    """


class ResourceEnded(WsframeError):
    """Raised by :meth:`Resource.call` when the resource stops before it ran the call."""


class ConnectionClosed(WsframeError):
    """Raised by :class:`WebSocket` when the connection has ended.

    Args:
        received: The peer's close frame; None if there was none.
        sent: Ours; None if there was none.
        peer_first: Whether the peer began to close, or broke the connection; False if we did.
        reason: What happened, where ``received`` does not say it.
    """

    def __init__(
        self, received: CloseFrame | None, sent: CloseFrame | None, *, peer_first: bool, reason: str = ""
    ) -> None:
        if received is None:
            text = lost(sent, reason)
        elif sent is None:
            text = f"the peer closed with {told(received)}"
        else:
            first, answer = (received, sent) if peer_first else (sent, received)
            one, other = ("the peer", "we") if peer_first else ("we", "the peer")
            differs = "" if answer.code == first.code else f" with {told(answer)}"
            text = f"{one} closed with {told(first)}; {other} answered{differs}"
        super().__init__(text)
        self.received = received
        self.sent = sent
        self.peer_first = peer_first
        self.reason = reason

    @property
    def orderly(self) -> bool:
        """Whether both sides sent a close frame, and the peer, if it began, with 1000, 1001 or no code."""
        if self.received is None or self.sent is None:
            return False
        return not self.peer_first or self.received.code in (1000, 1001, 1005)


def lost(sent: CloseFrame | None, reason: str) -> str:
    """Tell of an end without the peer's close frame."""
    text = "connection lost" if reason in ("", "connection lost") else f"connection lost ({reason})"
    if sent is None:
        return text
    if reason and sent.reason == reason:  # the peer's violation, which our close frame names
        return f"connection failed ({reason}); we closed with code {sent.code}"
    return f"{text}; we had sent {'a close frame without code' if sent.code == 1005 else f'close code {sent.code}'}"


def told(frame: CloseFrame) -> str:
    code = "no code" if frame.code == 1005 else f"code {frame.code}"
    return f"{code} {quoted(frame.reason)}" if frame.reason else code


class HandshakeFailed(WsframeError):
    """Raised by :func:`connect` when what the server answered is no answer to a WebSocket handshake."""


class HandshakeRejected(HandshakeFailed):
    """Raised by :func:`connect` when the server answered with another status than 101.

    Args:
        status: The HTTP status.
        headers: The header fields of the answer.
        body: Its body, as much as ``Opening.max_body`` allows. Its beginning is in the text of
            the exception, with what is not printable replaced: the server's reason, as a rule.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        words = " ".join(body[:400].decode(errors="replace").split())
        reason = shortened("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words))
        super().__init__(f"the server answered {status}{f': {reason}' if reason else ''}")
        self.status = status
        self.headers = headers
        self.body = body


class ProxyFailed(WsframeError):
    """Raised by :func:`connect` when a proxy does not open the tunnel.

    Args:
        message: Why.
        status: The status of an HTTP proxy, the reply code of a SOCKS proxy; None without one.
        temporary: Whether trying again may help.
    """

    def __init__(self, message: str, status: int | None = None, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.temporary = temporary


class OpeningTimeout(WsframeError, TimeoutError):
    """Raised by :func:`connect` when a phase takes longer than :class:`Opening` allows; the message names it."""


class InvalidURL(WsframeError, ValueError):
    """Raised for a URL that names no WebSocket, or no proxy."""
