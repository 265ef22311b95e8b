"""The search for the peer's close frame, after ours (RFC 6455 section 5.5.1)."""

from __future__ import annotations

from wsframe.protocol.close import CloseCode
from wsframe.protocol.events import Ended
from wsframe.protocol.fast_lane import read_control
from wsframe.protocol.frames import MAX_CONTROL_PAYLOAD, frame_extent, skip_frames

__all__ = ["CloseSeeker"]


class CloseSeeker:
    """Skips frames up to the peer's close frame.

    Args:
        most: Bytes to skip at most; a peer that sends more has not closed.
        prefix: The bytes so far of a header that is not whole.
        owed: Bytes to come of a frame whose header is known.
        masked: Whether the peer masks its frames.
    """

    __slots__ = ("_discarded", "_masked", "_most", "_owed", "_prefix")

    def __init__(self, most: int, prefix: bytes = b"", owed: int = 0, *, masked: bool) -> None:
        self._masked = masked
        self._most = most
        self._prefix = prefix
        self._owed = owed
        self._discarded = 0

    def seek(self, data: bytearray) -> Ended | None:
        """Skip frames in ``data``; return the end, if it is in there or does not come."""
        self._discarded += len(data)
        skipped = min(self._owed, len(data))
        self._owed -= skipped
        data = bytearray(self._prefix + data[skipped:])
        self._prefix = b""
        at = skip_frames(data, 0)
        if at >= len(data):
            self._owed += at - len(data)
        else:
            header, length = frame_extent(data, at)
            stop = at + header + length
            if header and (stop <= len(data) or length > MAX_CONTROL_PAYLOAD):
                return read_close(data[at:stop], masked=self._masked)
            self._prefix = bytes(data[at:])
        if self._discarded > self._most:
            return Ended(CloseCode.ABNORMAL_CLOSURE, "data instead of a close frame", clean=False)
        return None


def read_close(frame: bytearray, *, masked: bool) -> Ended:
    """Read the close frame that answers ours."""
    control = read_control(frame, 0, masked)
    if control is not None and isinstance(control[0], Ended) and control[0].clean:
        return control[0]._replace(answer=None, owed=False)
    return Ended(CloseCode.ABNORMAL_CLOSURE, "malformed close frame", clean=False)
