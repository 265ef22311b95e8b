"""The lane of compressed messages that are one whole frame: they are inflated without wsproto.

It takes a frame that keeps to every rule and limit of its header, and no more of it than wsproto would be passed in
one piece. Its payload goes through the same :class:`~wsframe.protocol.deflate.InflateExtension`, in the same
steps. All other compressed frames are for the slow lane.
"""

from __future__ import annotations

from wsproto.frame_protocol import CloseReason, Opcode

from wsframe.limits import Limits
from wsframe.protocol.close import INVALID_DEFLATE, PHRASES, CloseCode
from wsframe.protocol.deflate import InflateExtension
from wsframe.protocol.events import Ended
from wsframe.protocol.frames import BINARY, FIN, RSV1, TEXT, frame_extent, shortest_header, unmask
from wsframe.protocol.size_limits import most_compressed

__all__ = ["COMPRESSED_WORK", "read_compressed"]

WHOLE = (FIN | RSV1 | TEXT, FIN | RSV1 | BINARY)

COMPRESSED_WORK = 2
"""A frame takes as long as this many control frames, beside the cost of inflating, which the extension counts."""


def read_compressed(
    data: bytearray, at: int, limits: Limits, inflate: InflateExtension, *, masked: bool
) -> tuple[str | bytes | Ended, int] | None:
    """Decode a compressed message that is one whole frame.

    Args:
        data: The bytes received.
        at: Where a frame begins.
        limits: Sizes of frames and messages.
        inflate: The extension of the peer.
        masked: Whether the frames come from a client.

    Returns:
        The message, or the end if its payload is refused, and the position after it; None if it is for the slow lane.
    """
    header, length = frame_extent(data, at)
    if data[at] not in WHOLE or not header or data[at + 1] >> 7 != masked:
        return None
    start = at + header
    stop = start + length
    most = most_compressed(limits.max_message)
    if limits.max_frame is not None:
        most = min(most, limits.max_frame)
    if stop > len(data) or length > most or stop - at > inflate.at_once:
        return None
    if header != shortest_header(length) + 4 * masked:
        return None
    payload = unmask(data[start:stop], data[start - 4 : start]) if masked else bytes(data[start:stop])
    output = inflate.inflate_whole(Opcode(data[at] & 0x0F), bytes(payload))
    if isinstance(output, CloseReason):
        return refused(output, inflate), stop
    if data[at] & 0x0F == BINARY:
        return output, stop
    try:
        return output.decode(), stop
    except UnicodeDecodeError:
        return ended(CloseCode.INVALID_PAYLOAD, PHRASES[CloseCode.INVALID_PAYLOAD]), stop


def refused(reason: CloseReason, inflate: InflateExtension) -> Ended:
    """Say why the extension refused a payload, as the slow lane does."""
    if inflate.refusal is not None:
        return ended(*inflate.refusal)
    if reason == CloseReason.INVALID_FRAME_PAYLOAD_DATA:
        return ended(int(reason), INVALID_DEFLATE)
    return ended(int(reason), PHRASES.get(CloseCode(int(reason)), ""))


def ended(code: int, phrase: str) -> Ended:
    return Ended(int(code), phrase, clean=False, answer=int(code), owed=True)
