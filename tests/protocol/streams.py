"""Strategies for streams of a peer: good frames, broken ones, garbage, in any pieces."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.protocol import peer

__all__ = ["chunked", "controls", "fragmented", "frames", "streams"]

SIZES = st.sampled_from([0, 1, 2, 5, 9, 10, 11, 24, 25, 26, 125, 126, 127, 200, 1023, 1024, 1030])
MASKS = st.binary(min_size=4, max_size=4)

texts = st.text(max_size=12).map(str.encode) | SIZES.map(lambda size: b"t" * size)
binaries = st.binary(max_size=12) | SIZES.map(lambda size: b"\x81\x88" * (size // 2) + b"b" * (size % 2))
bad_utf8 = st.sampled_from([b"\xff", b"ok\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"a\xe2\x82"])

whole = st.one_of(
    st.builds(peer.frame, st.just(peer.TEXT), texts, mask=MASKS),
    st.builds(peer.frame, st.just(peer.BINARY), binaries, mask=MASKS),
)
controls = st.builds(peer.frame, st.sampled_from([peer.PING, peer.PONG]), st.binary(max_size=125), mask=MASKS)
closes = st.one_of(
    st.builds(peer.close, st.sampled_from([None, 1000, 1001, 1004, 1005, 1012, 1014, 2999, 3000, 4999, 5000, 0])),
    st.builds(peer.close, st.just(1000), st.text(max_size=8).map(str.encode) | bad_utf8),
    st.just(peer.frame(peer.CLOSE, b"\x03")),
    st.just(peer.frame(peer.CLOSE, b"x" * 126)),
)
# Anything with the shape of a frame: every opcode, reserved bits, no mask, a length longer than it need be.
shaped = st.builds(
    peer.frame,
    st.integers(0, 15),
    st.binary(max_size=12),
    fin=st.booleans(),
    reserved=st.sampled_from([0, 0, 0, 1, 2, 4, 7]),
    mask=st.one_of(st.none(), MASKS),
    form=st.sampled_from([0, 0, 2, 8]),
)
announced = st.builds(
    peer.announce,
    st.sampled_from([peer.TEXT, peer.BINARY, peer.CONTINUATION, peer.CLOSE, peer.PING]),
    st.sampled_from([24, 25, 26, 1000, 1001, 65536, 2**40, 2**63, 2**64 - 1]),
    fin=st.booleans(),
)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """Make a message in fragments, split anywhere, with control frames between."""
    opcode = draw(st.sampled_from([peer.TEXT, peer.BINARY]))
    payload = draw(texts | bad_utf8 if opcode == peer.TEXT else binaries)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    parts = [payload[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    stream = b""
    for at, part in enumerate(parts):
        stream += peer.frame(peer.CONTINUATION if at else opcode, part, fin=at == len(parts) - 1, mask=draw(MASKS))
        stream += draw(st.one_of(st.just(b""), st.just(b""), controls))
    return stream


bad_texts = bad_utf8.map(lambda text: peer.frame(peer.TEXT, text))
frames = st.one_of(whole, whole, fragmented(), controls)
pieces = st.one_of(frames, frames, frames, frames, closes, bad_texts, shaped, announced, st.binary(max_size=20))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Make a stream of good and bad frames, perhaps with a byte changed and the tail cut off."""
    stream = bytearray(b"".join(draw(st.lists(pieces, max_size=8))))
    if stream and draw(st.integers(0, 3)) == 0:
        stream[draw(st.integers(0, len(stream) - 1))] = draw(st.integers(0, 255))
    if draw(st.integers(0, 3)) == 0:
        del stream[draw(st.integers(0, len(stream))) :]
    return bytes(stream)


@st.composite
def chunked(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> list[bytes]:
    """Cut a stream: whole, byte by byte, or anywhere."""
    stream = draw(whole)
    shape = draw(st.sampled_from(["whole", "each byte", "anywhere", "anywhere"]))
    if shape == "each byte":
        return [stream[at : at + 1] for at in range(len(stream))]
    count = 0 if shape == "whole" else 5
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=count)))
    return [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
