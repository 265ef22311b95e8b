"""Sending to a client of version 0: its encoder, and the outbox of its frames."""

from __future__ import annotations

from collections.abc import Hashable

from wsframe.connection.outbox import Outbox
from wsframe.hixie76.decoder import CLOSING
from wsframe.protocol.frames import Frame

__all__ = ["HixieEncoder", "HixieOutbox", "text_frame"]


def text_frame(payload: bytes) -> bytes:
    """Make the frame of a text message.

    A byte 0xFF, which UTF-8 never has, would end the frame: it becomes U+FFFD, the character
    that the peer must put for invalid UTF-8 anyhow (section 4.2).
    """
    return b"\x00" + payload.replace(b"\xff", b"\xef\xbf\xbd") + b"\xff"


class HixieEncoder:
    """Encodes for peers of version 0: one frame for a message, and no compression."""

    __slots__ = ()

    text_only = True
    extensions: tuple[str, ...] = ()

    def frames(
        self, opcode: int, payload: bytes, frame_size: int | None, compress: bool | None, *, replaceable: bool
    ) -> list[Frame]:
        """Make the frame of a text message."""
        return [text_frame(payload)]

    def group(self, payload: bytes, compress: bool | None) -> Hashable:
        """Name the group of all these clients."""
        return "hixie"

    def frames_for_all(self, opcode: int, payload: bytes, frame_size: int | None) -> list[Frame]:
        """Make the frame of a text message for all of them."""
        return [text_frame(payload)]

    def rest(self) -> None:
        """Do nothing: no memory is held."""


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
