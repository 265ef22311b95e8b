"""Ends of a connection whose hooks are cancelled, or fail by a fault of ours: nothing waits for its peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wsframe.log import Log, log_for
from wsframe.protocol.close import CloseCode
from wsframe.protocol.closing import ClosingEvent
from wsframe.protocol.events import Ended
from wsframe.user_code.errors import contain

if TYPE_CHECKING:
    from wsframe.resources.client import Client

__all__ = ["LOST", "abort_stopped", "close_lost", "drop", "end_failed"]

logger: Log = log_for(__name__)

LOST: Final = 1012, "service restart"


def end_failed(client: Client[Any], error: BaseException) -> None:
    """Reset the connection of a client for which our code failed.

    User code can have overwritten the attributes that this needs: then the client stays until its peer goes, and the
    hooks of all others are called all the same.
    """
    try:
        client._link.crashed(error)
    except BaseException as other:
        contain(other)
        logger.error("a client cannot be closed after an internal error", exc_info=error)


def drop(client: Client[Any]) -> None:
    """Close the connection of a client whose ``hook_failed`` has failed."""
    try:
        client._drop(1011)
    except BaseException as error:
        contain(error)
        end_failed(client, error)


def abort_stopped(client: Client[Any]) -> None:
    """Reset the connection of a client whose server stops, and drop its messages."""
    client._link.abort("server stopped", mute=True)


def close_lost(client: Client[Any]) -> None:
    """Close the connection of a client whose resource goes on elsewhere, and drop its messages."""
    link = client._link
    link.close(*LOST, mute=True)
    link.closing.note(Ended(CloseCode(LOST[0]), LOST[1], clean=False))
    link.closing.on(ClosingEvent.HANDLED)
