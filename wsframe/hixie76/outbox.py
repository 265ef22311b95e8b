"""Frames that wait to be sent to a client of version 0, which look different."""

from __future__ import annotations

from wsframe.connection.outbox import Outbox
from wsframe.hixie76.decoder import CLOSING
from wsframe.protocol.frames import Frame

__all__ = ["HixieOutbox"]


class HixieOutbox(Outbox):
    """The outbox of a client of version 0, where every frame but the last is a whole message."""

    __slots__ = ()

    @staticmethod
    def is_control(frame: Frame) -> bool:
        return frame == CLOSING

    @staticmethod
    def is_close(frame: Frame) -> bool:
        return frame == CLOSING

    @staticmethod
    def starts_message(frame: Frame) -> bool:
        return frame != CLOSING

    @staticmethod
    def ends_message(frame: Frame) -> bool:
        return frame != CLOSING

    def put_urgent(self, frame: bytes) -> bool:
        """Refuse a ping: the protocol has none, and the peer sends no ping to be answered."""
        return False

    def put_close(self, frame: bytes) -> bool:
        """Queue the closing handshake, which has neither code nor reason."""
        return super().put_close(CLOSING)
