"""The end of a connection whose hooks are cut off: nothing waits for its peer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wsframe.protocol.close import CloseCode
from wsframe.protocol.closing import ClosingEvent
from wsframe.protocol.events import Ended

if TYPE_CHECKING:
    from wsframe.resources.client import Client

__all__ = ["LOST", "abort_stopped", "close_lost"]

LOST: Final = 1012, "service restart"


def abort_stopped(client: Client[Any]) -> None:
    """Reset the connection of a client whose server stops, and drop its messages."""
    client._link.abort("server stopped", mute=True)


def close_lost(client: Client[Any]) -> None:
    """Close the connection of a client whose resource goes on elsewhere, and drop its messages."""
    link = client._link
    link.close(*LOST, mute=True)
    link.closing.note(Ended(CloseCode(LOST[0]), LOST[1], clean=False))
    link.closing.on(ClosingEvent.HANDLED)
