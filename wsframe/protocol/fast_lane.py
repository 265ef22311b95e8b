"""The fast lane: whole messages and control frames straight from the bytes, without wsproto.

It takes the frame that nearly every message is: whole, unfragmented, without reserved
bits, within the limits, its length written the shortest way; and control frames that keep
to the rules. All else stays where it is, for the slow lane.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Callable
from struct import Struct
from typing import Any

from wsframe.protocol.close import CloseCode, may_be_sent
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.frames import CLOSE, FIN, MAX_CONTROL_PAYLOAD, PING, PONG, frame_extent, unmask
from wsframe.speedups import accelerated

__all__ = ["check_text", "read_control", "read_messages", "weigh"]

WHOLE_TEXT = 0x81
WHOLE_BINARY = 0x82
EMPTY = "".__sizeof__()
WHOLE_CONTROL = (FIN | CLOSE, FIN | PING, FIN | PONG)

# A key of four bytes times the first of these numbers is the key repeated over so many bytes, or up to three more; the
# second cuts those off.
SHORT = 126
REPEATED = [int.from_bytes(b"\1\0\0\0" * ((length + 3) // 4), "little") for length in range(SHORT)]
FULL = [(1 << 8 * length) - 1 for length in range(SHORT)]
mask_at: Callable[..., tuple[Any, ...]] = Struct("<I").unpack_from
from_bytes: Callable[..., int] = int.from_bytes


def weigh(message: str | bytes) -> int:
    """Return the memory that a message takes beyond that of an empty one.

    These are its bytes, except for text beyond ASCII: one such character can make four bytes of each.
    """
    return len(message) if isinstance(message, bytes) or message.isascii() else message.__sizeof__() - EMPTY


@accelerated
def read_messages(
    data: bytearray, at: int, room: int, limit: int, masked: bool, messages: list[Event]
) -> tuple[int, int, int]:
    """Decode whole messages from ``at`` on, as long as the lane can.

    Args:
        data: The bytes received.
        at: Where a frame begins.
        room: The length of ``messages`` at most.
        limit: Bytes of payload of a message at most.
        masked: Whether the frames come from a client (RFC 6455 section 5.3).
        messages: Takes the messages, ``str`` and ``bytes``.

    Returns:
        The position where it stopped, the weight of the messages, as :func:`weigh` counts, and,
        if it stopped at a message that is not whole yet, the bytes its frame will have; else 0.
    """
    byte_count, size = 0, len(data)
    mask_bit, mask_size = (0x80, 4) if masked else (0, 0)
    shortest = 2 + mask_size
    while size - at >= shortest and len(messages) < room:
        first = data[at]
        if first != WHOLE_TEXT and first != WHOLE_BINARY:
            break
        length = data[at + 1] - mask_bit
        start = at + shortest
        if length > 125:
            start, length = extent(data, at, length, mask_size)
        if not 0 <= length <= limit:
            break
        stop = start + length
        if stop > size:
            return at, byte_count, stop - at
        payload: bytes | bytearray = data[start:stop]
        if masked and length < SHORT:
            # unmask() in line, with the key as a number: nearly every message comes here.
            (key,) = mask_at(data, start - 4)
            number = from_bytes(payload, "little") ^ key * REPEATED[length]
            payload = (number & FULL[length]).to_bytes(length, "little")
        elif masked:
            payload = unmask(payload, data[start - 4 : start])
        if first == WHOLE_TEXT:
            try:
                text = payload.decode()
            except UnicodeDecodeError:
                break
            messages.append(text)
            byte_count += length if text.isascii() else text.__sizeof__() - EMPTY
        else:
            messages.append(bytes(payload))
            byte_count += length
        at = stop
    return at, byte_count, 0


def read_control(data: bytearray, at: int, masked: bool) -> tuple[Event, int] | None:
    """Decode a control frame that is whole and keeps to the rules.

    Args:
        data: The bytes received.
        at: Where a frame begins.
        masked: Whether the frames come from a client.

    Returns:
        Its event, and the position after it; None if it is for the slow lane.
    """
    start = at + (6 if masked else 2)
    if data[at] not in WHOLE_CONTROL or len(data) < start or data[at + 1] >> 7 != masked:
        return None
    length = data[at + 1] & 0x7F
    stop = start + length
    if length > MAX_CONTROL_PAYLOAD or stop > len(data):
        return None
    payload = unmask(data[start:stop], data[start - 4 : start]) if masked else bytes(data[start:stop])
    kind = data[at] & 0x0F
    if kind == CLOSE:
        return read_close_payload(payload), stop
    return (PingReceived(payload) if kind == PING else PongReceived(payload)), stop


def read_close_payload(payload: bytes) -> Ended:
    if not payload:
        return Ended(1005, "", clean=True, answer=None, owed=True)
    if len(payload) < 2:
        return violation(CloseCode.PROTOCOL_ERROR, "a close frame of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        return violation(CloseCode.PROTOCOL_ERROR, f"close code {code} must not be sent")
    try:
        return Ended(code, payload[2:].decode(), clean=True, answer=code, owed=True)
    except UnicodeDecodeError:
        return violation(CloseCode.INVALID_PAYLOAD, "invalid UTF-8 in a close frame")


def violation(code: int, rule: str) -> Ended:
    return Ended(int(code), rule, clean=False, answer=int(code), owed=True)


def check_text(data: bytearray, at: int, checked: int) -> int:
    """Check the text of a frame that is not whole yet, as far as it goes.

    Args:
        data: The bytes received.
        at: Where the frame begins.
        checked: Bytes from there that are already known to be valid; 0 at first.

    Returns:
        Bytes that are valid now, without a character that is not whole; -1 if it is
        not UTF-8. For a binary message, ``checked``.
    """
    if data[at] == WHOLE_BINARY:
        return checked
    start = frame_extent(data, at)[0]
    checked = max(checked, start)
    rest: bytes | bytearray = data[at + checked :]
    if data[at + 1] & 0x80:
        mask, turn = data[at + start - 4 : at + start], (checked - start) % 4
        rest = unmask(rest, mask[turn:] + mask[:turn])
    try:
        return checked + utf_8_decode(rest, "strict", False)[1]
    except UnicodeDecodeError:
        return -1


def extent(data: bytearray, at: int, length: int, mask_size: int) -> tuple[int, int]:
    """Find start and length of a payload over 125 bytes; a length of -1 is for the slow lane."""
    available = len(data) - at - mask_size
    if length == 126 and available >= 4:
        length = data[at + 2] << 8 | data[at + 3]
        return at + 4 + mask_size, length if length > 125 else -1
    if length == 127 and available >= 10:
        length = int.from_bytes(data[at + 2 : at + 10], "big")
        return at + 10 + mask_size, length if length > 65535 else -1
    return 0, -1
