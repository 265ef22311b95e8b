"""Close codes, close frames and the states of a connection (RFC 6455 section 7)."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple

from wsframe.protocol.frames import CLOSE, control_frame

__all__ = ["CloseCode", "CloseFrame", "State", "check_close_code", "check_reason", "close_frame", "may_be_sent"]


class CloseCode(IntEnum):
    """The close codes registered for WebSocket (RFC 6455 section 7.4.1 and its IANA registry)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


class CloseFrame(NamedTuple):
    """The content of a close frame."""

    code: int
    """1005 if it had no code."""
    reason: str


class State(Enum):
    """The state of a connection, in the words of RFC 6455."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


# Codes that describe an end and must not be in a frame (RFC 6455 section 7.4.1).
NEVER_SENT = frozenset({CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE})
SENDABLE = frozenset(int(code) for code in CloseCode) - NEVER_SENT

# A fixed phrase for each failure: a decoder's own words would tell a stranger about its insides.
PHRASES = {
    CloseCode.PROTOCOL_ERROR: "protocol error",
    CloseCode.INVALID_PAYLOAD: "invalid UTF-8",
    CloseCode.MESSAGE_TOO_BIG: "message too big",
}

INVALID_DEFLATE = "invalid compressed data"

MAX_REASON = 123


def may_be_sent(code: int) -> bool:
    """Return whether a code is allowed in a close frame (RFC 6455 section 7.4)."""
    return code in SENDABLE or 3000 <= code <= 4999


def check_close_code(code: object) -> None:
    """Check that ``code`` is allowed in a close frame.

    Raises:
        TypeError: For anything but an int.
        ValueError: For a code outside 1000-1003, 1007-1014 and 3000-4999.
    """
    if type(code) is bool or not isinstance(code, int):
        raise TypeError(f"a close code is an int, not {type(code).__name__}")
    if not may_be_sent(code):
        raise ValueError(
            f"close code {code} must not be sent (RFC 6455 section 7.4): take 1000, or one from 4000 to 4999"
        )


def check_reason(reason: object) -> None:
    if not isinstance(reason, str):
        raise TypeError(f"a close reason is a str, not {type(reason).__name__}")


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Make a close frame; None sends neither code nor reason. A reason is cut at 123 bytes, between characters."""
    if code is None:
        return control_frame(CLOSE, b"")
    if code in NEVER_SENT:
        raise ValueError(f"close code {code} only describes an end and is never sent (RFC 6455 section 7.4.1)")
    text = str.encode(reason, "utf-8", "replace")
    if len(text) > MAX_REASON:
        text = text[:MAX_REASON].decode("utf-8", "ignore").encode()
    return control_frame(CLOSE, int.to_bytes(code, 2, "big") + text)
