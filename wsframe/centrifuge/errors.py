"""The codes of the protocol: errors of replies, ends of subscriptions, and close codes with their reconnect rule."""

from __future__ import annotations

from wsframe.exceptions import WsframeError
from wsframe.protocol.close import check_reason

__all__ = ["DISCONNECTS", "ERRORS", "UNSUBSCRIBES", "CentrifugeDisconnect", "CentrifugeError"]

ERRORS = {
    100: "internal server error",
    101: "unauthorized",
    102: "unknown channel",
    103: "permission denied",
    104: "method not found",
    105: "already subscribed",
    106: "limit exceeded",
    107: "bad request",
    108: "not available",
    109: "token expired",
    110: "expired",
    111: "too many requests",
    112: "unrecoverable position",
}
"""The errors that the protocol knows. Programs add theirs from 400 on."""

TEMPORARY = frozenset({100, 111})
"""The errors after which an SDK tries again by itself."""

DISCONNECTS = {
    3001: "shutdown",
    3004: "internal server error",
    3005: "connection expired",
    3010: "insufficient state",
    3011: "force reconnect",
    3012: "no pong",
    3013: "too many requests",
    3014: "state invalidated",
    3500: "invalid token",
    3501: "bad request",
    3502: "stale",
    3503: "force disconnect",
    3505: "channel limit",
    3506: "inappropriate protocol",
    3507: "permission denied",
    3508: "not available",
}
"""The close codes that the protocol knows. An SDK comes back after 3000 to 3499 and 4000 to 4499, and after codes
below 3000 except 1009; after 3500 to 3999 and 4500 to 4999 it does not."""

UNSUBSCRIBES = {
    2000: "server unsubscribe",
    2500: "insufficient state",
    2501: "subscription expired",
    2502: "state invalidated",
}
"""The codes with which the server ends a subscription. From 2500 on an SDK subscribes again by itself."""


class CentrifugeError(WsframeError):
    """Raised in a hook to refuse a command: the client gets the code and the message.

    Args:
        code: 100 to 1999; the codes from 400 on are free for programs.
        message: Text for the client's programmer; ``""`` for the protocol's own text.
        temporary: Whether the SDK shall try again by itself; None for the protocol's rule for the code.

    Raises:
        TypeError: For a code that is not an int, or a message that is not a str.
        ValueError: For a code out of its range.
    """

    def __init__(self, code: int, message: str = "", *, temporary: bool | None = None) -> None:
        check_code("the code of a CentrifugeError", code, 100, 1999)
        if not isinstance(message, str):
            raise TypeError(f"the message of a CentrifugeError is a str, not {type(message).__name__}")
        self.code = code
        self.message: str = message or ERRORS.get(code, "error")
        self.temporary: bool = code in TEMPORARY if temporary is None else temporary
        super().__init__(f"{self.code}: {self.message}")


class CentrifugeDisconnect(WsframeError):
    """Raised in a hook to close the client's connection; the code tells the SDK whether to come back.

    Args:
        code: 3000 to 3499 and 4000 to 4499: the SDK connects again. 3500 to 3999 and 4500 to 4999: it does not.
            The codes from 4000 on are free for programs.
        reason: Text for the client's programmer; ``""`` for the protocol's own text. It is cut at 123 bytes.

    Raises:
        TypeError: For a code that is not an int, or a reason that is not a str.
        ValueError: For a code out of its range.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        check_code("the code of a CentrifugeDisconnect", code, 3000, 4999)
        check_reason(reason)
        self.code = code
        self.reason: str = reason or DISCONNECTS.get(code, "disconnect")
        super().__init__(f"{self.code}: {self.reason}")


def check_code(name: str, code: object, least: int, most: int) -> None:
    if isinstance(code, bool) or not isinstance(code, int):
        raise TypeError(f"{name} is an int, not {type(code).__name__}")
    if not least <= code <= most:
        raise ValueError(f"{name} is {least} to {most}, not {code}")
