"""Events that a connection receives besides whole messages, which are plain ``str`` and ``bytes``."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Ended", "Event", "PingReceived", "PongReceived", "sort_out"]


class PingReceived(NamedTuple):
    """A ping, to be answered with a pong of the same payload (RFC 6455 section 5.5.2)."""

    payload: bytes


class PongReceived(NamedTuple):
    """A pong, asked for or not (RFC 6455 section 5.5.3)."""

    payload: bytes


class Ended(NamedTuple):
    """The end of the peer's stream: its close frame, a violation, EOF or a reset."""

    code: int
    """The close code: the peer's, 1005 if its close frame had none, ours for a violation, 1006 without any."""
    reason: str
    clean: bool
    """Whether the peer sent a close frame."""
    answer: int | None = None
    """The code of the close frame we still owe; None sends one without a code."""
    owed: bool = False
    """Whether a close frame is owed at all."""


Event = str | bytes | PingReceived | PongReceived | Ended


def sort_out(events: list[Event], wanted: Callable[[bytes], bool]) -> tuple[list[Event], list[bytes], Ended | None]:
    """Divide the events of one read.

    Args:
        events: As they came.
        wanted: Takes the payload of each pong in its turn; returns whether the pong is kept among the messages.

    Returns:
        The messages; the payloads of the pings, to be answered; the peer's end, if it has come.
    """
    kept: list[Event] = []
    pings: list[bytes] = []
    ended = None
    for event in events:
        if isinstance(event, PingReceived):
            pings.append(event.payload)
        elif isinstance(event, Ended):
            ended = event
        elif not isinstance(event, PongReceived) or wanted(event.payload):
            kept.append(event)
    return kept, pings, ended
