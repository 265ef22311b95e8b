"""The exceptions of outgoing connections, but for those of the handshake (``http.client_handshake``)."""

from __future__ import annotations

from wsframe.exceptions import WsframeError
from wsframe.log import quoted
from wsframe.protocol.close import CloseFrame

__all__ = ["ConnectionClosed", "InvalidURL", "OpeningTimeout", "ProxyFailed"]


class ConnectionClosed(WsframeError):
    """Raised by :class:`WebSocket` when the connection has ended.

    Args:
        received: The peer's close frame; None without one.
        sent: Our close frame; None without one.
        peer_first: Whether the peer began to close, or broke the connection; False if we did.
        reason: The cause, where ``received`` does not say it.
    """

    def __init__(
        self, received: CloseFrame | None, sent: CloseFrame | None, *, peer_first: bool, reason: str = ""
    ) -> None:
        if received is None:
            text = lost(sent, reason)
        elif sent is None:
            text = f"the peer closed with {describe_close(received)}"
        else:
            first, answer = (received, sent) if peer_first else (sent, received)
            one, other = ("the peer", "we") if peer_first else ("we", "the peer")
            differs = "" if answer.code == first.code else f" with {describe_close(answer)}"
            text = f"{one} closed with {describe_close(first)}; {other} answered{differs}"
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
    """Describe an end without the peer's close frame."""
    text = "connection lost" if reason in ("", "connection lost") else f"connection lost ({reason})"
    if sent is None:
        return text
    if reason and sent.reason == reason:  # the peer's violation, which our close frame names
        return f"connection failed ({reason}); we closed with code {sent.code}"
    return f"{text}; we had sent {'a close frame without code' if sent.code == 1005 else f'close code {sent.code}'}"


def describe_close(frame: CloseFrame) -> str:
    code = "no code" if frame.code == 1005 else f"code {frame.code}"
    return f"{code} {quoted(frame.reason)}" if frame.reason else code


class ProxyFailed(WsframeError):
    """Raised by :func:`connect` when a proxy does not open the tunnel.

    Args:
        message: The cause.
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
    """Raised for a URL that is not one of a WebSocket, or of a proxy."""
