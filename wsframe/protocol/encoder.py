"""The interface of an encoder, for clients that do not simply get plain frames of RFC 6455."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from wsframe.protocol.frames import Frame

__all__ = ["Encoder"]


class Encoder(Protocol):
    """Makes the frames of one client's messages; a client without one gets plain frames.

    It is chosen when the client connects, so that nothing asks for the version or for
    compression on the path of a message.
    """

    @property
    def text_only(self) -> bool:
        """Whether the client's protocol has no binary messages."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions agreed on, as the 101 named them."""

    def frames(
        self, opcode: int, payload: bytes, frame_size: int | None, compress: bool | None, *, replaceable: bool
    ) -> list[Frame]:
        """Make the frames of a message for this client alone, and these must be sent.

        Args:
            opcode: TEXT or BINARY.
            payload: The message.
            frame_size: Bytes of payload of a frame at most; None for one frame.
            compress: Whether to compress; None leaves it to the threshold.
            replaceable: Whether another message can take its place.
        """

    def group(self, payload: bytes, compress: bool | None) -> Hashable:
        """Take part in a broadcast: name the clients that get the same bytes; None for plain frames."""

    def frames_for_all(self, opcode: int, payload: bytes, frame_size: int | None) -> list[Frame] | None:
        """Make the frames of a broadcast for all clients of the group; None for plain frames."""

    def rest(self) -> None:
        """Give back the memory that only a client in conversation needs."""
