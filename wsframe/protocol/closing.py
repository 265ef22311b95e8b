"""The end of a connection as one table of phases, for the server's connections and for outgoing ones.

RFC 6455 section 7 wants two close frames, then the end of TCP. Much can go wrong between: the
peer breaks a rule, vanishes, sends on, takes nothing; our hooks are slow; both sides close at
the same time. This table says which phase comes after which, with which actions. It
decides and does nothing itself: a link feeds it events and carries out the actions it returns.

The phases:

* ``OPEN``: messages flow.
* ``PEER_ENDED``: the peer has ended: a close frame, a broken rule, the end of TCP. Messages that
  came before it are still being handled, and replies to them must leave before our close frame.
* ``WE_CLOSED``: our close frame is queued. Only the peer's is looked for.
* ``BOTH_CLOSED``: nothing more will be said. The queue, with our close frame at its end, drains.
* ``LINGERING``: all bytes have left. The peer is to end TCP, so that no reset of ours overtakes
  the close frame.
* ``GONE``: the socket is closed.

The differences between the two sides are in their actions, not in the table. A server delivers
an end through the mailbox of a resource, after the messages; a client wakes its readers. A
server shuts its sending side and lingers; a client waits for the server to end TCP.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

__all__ = ["CLOSING_TABLE", "Action", "ClosingEvent", "Phase"]


class Phase(Enum):
    """How far the end of a connection has come."""

    if not TYPE_CHECKING:
        __hash__ = object.__hash__  # Enum hashes names, in Python

    OPEN = "open"
    PEER_ENDED = "peer ended"
    WE_CLOSED = "we closed"
    BOTH_CLOSED = "both closed"
    LINGERING = "lingering"
    GONE = "gone"


class ClosingEvent(Enum):
    """Something that moves the end of a connection on."""

    if not TYPE_CHECKING:
        __hash__ = object.__hash__  # Enum hashes names, in Python

    CLOSE = "we close"
    """The user or the server wants to end the connection."""
    PEER_END = "peer's end"
    """The peer's close frame, a broken rule, the end of TCP, or a timeout."""
    HANDLED = "end handled"
    """The hooks, or the reader of an outgoing connection, have reached the peer's end."""
    ALL_SENT = "all sent"
    """The kernel has taken everything that was queued, our close frame last."""
    OVERDUE = "overdue"
    """The deadline has passed, and nothing has moved since it was set."""
    SLOW = "slow"
    """The deadline has passed, but hooks have got on or the peer has taken some bytes."""
    TCP_ENDED = "TCP ended"
    """The peer has ended TCP and taken all bytes."""
    LOST = "lost"
    """The socket is broken."""
    HAND_OVER = "hand over"
    """The open connection goes on elsewhere: only its socket leaves here."""
    ABORT = "abort"
    """We give the connection up: the user wants it, or the peer exceeds a limit or a timeout."""


class Action(Enum):
    """Something the link does when a phase begins."""

    if not TYPE_CHECKING:
        __hash__ = object.__hash__  # Enum hashes names, in Python

    SEND_CLOSE = "queue our close frame"
    SEEK_CLOSE = "look for the peer's close frame only"
    DELIVER = "deliver the end"
    """After all messages that came before it, as soon as they are decoded."""
    ANSWER = "queue the close frame we owe"
    SET_DEADLINE = "set the deadline"
    DRAIN = "send the queue"
    """Report ALL_SENT as soon as the queue is empty, at once if it is."""
    LINGER = "wait for the end of TCP"
    CLOSE_SOCKET = "close the socket"
    RESET = "reset the connection"
    LET_GO = "let the socket go"


CLOSING_TABLE: dict[tuple[Phase, ClosingEvent], tuple[Phase, tuple[Action, ...]]] = {
    (Phase.OPEN, ClosingEvent.CLOSE): (Phase.WE_CLOSED, (Action.SEND_CLOSE, Action.SEEK_CLOSE, Action.SET_DEADLINE)),
    (Phase.OPEN, ClosingEvent.PEER_END): (Phase.PEER_ENDED, (Action.DELIVER, Action.SET_DEADLINE)),
    (Phase.OPEN, ClosingEvent.HAND_OVER): (Phase.GONE, (Action.LET_GO,)),
    (Phase.PEER_ENDED, ClosingEvent.HANDLED): (Phase.BOTH_CLOSED, (Action.ANSWER, Action.DRAIN)),
    (Phase.PEER_ENDED, ClosingEvent.CLOSE): (Phase.BOTH_CLOSED, (Action.SEND_CLOSE, Action.DRAIN)),
    (Phase.PEER_ENDED, ClosingEvent.SLOW): (Phase.PEER_ENDED, (Action.SET_DEADLINE,)),
    (Phase.PEER_ENDED, ClosingEvent.OVERDUE): (Phase.BOTH_CLOSED, (Action.ANSWER, Action.DRAIN)),
    (Phase.WE_CLOSED, ClosingEvent.PEER_END): (Phase.BOTH_CLOSED, (Action.DELIVER, Action.DRAIN)),
    # Only now can the peer answer our close frame.
    (Phase.WE_CLOSED, ClosingEvent.ALL_SENT): (Phase.WE_CLOSED, (Action.SET_DEADLINE,)),
    (Phase.WE_CLOSED, ClosingEvent.SLOW): (Phase.WE_CLOSED, (Action.SET_DEADLINE,)),
    (Phase.WE_CLOSED, ClosingEvent.OVERDUE): (Phase.GONE, (Action.RESET,)),
    (Phase.BOTH_CLOSED, ClosingEvent.ALL_SENT): (Phase.LINGERING, (Action.LINGER,)),
    (Phase.BOTH_CLOSED, ClosingEvent.SLOW): (Phase.BOTH_CLOSED, (Action.SET_DEADLINE,)),
    (Phase.BOTH_CLOSED, ClosingEvent.OVERDUE): (Phase.GONE, (Action.RESET,)),
    (Phase.LINGERING, ClosingEvent.TCP_ENDED): (Phase.GONE, (Action.CLOSE_SOCKET,)),
    (Phase.LINGERING, ClosingEvent.OVERDUE): (Phase.GONE, (Action.RESET,)),
    # Messages that were read before the socket broke are delivered all the same, and then the end.
    (Phase.GONE, ClosingEvent.PEER_END): (Phase.GONE, (Action.DELIVER,)),
    **{(phase, ClosingEvent.LOST): (Phase.GONE, (Action.CLOSE_SOCKET,)) for phase in Phase if phase is not Phase.GONE},
    **{(phase, ClosingEvent.ABORT): (Phase.GONE, (Action.RESET,)) for phase in Phase if phase is not Phase.GONE},
}
"""Phase and event to the next phase and its actions; any other pair changes nothing."""
