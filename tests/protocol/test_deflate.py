"""permessage-deflate: what is agreed on, and what is inflated of what a peer sends."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension
from wsproto.connection import SERVER
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage
from wsproto.extensions import PerMessageDeflate

from tests.peer import BINARY, CLOSE, CONTINUATION, FIN, PING, RSV1, TEXT, frame
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, filled
from wsframe.protocol.decoder import Connection
from wsframe.protocol.deflate import Deflate, Deflater, InflateExtension, Terms, negotiate
from wsframe.protocol.events import Ended, PingReceived

NAME = "permessage-deflate"
DEDICATED = Deflate.dedicated(window_bits=15)
TAIL = b"\x00\x00\xff\xff"
PARAMETERS = (
    "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits",
)  # fmt: skip


class TestNegotiation:
    @pytest.mark.parametrize(
        "offer",
        [
            f"{NAME}; unknown",
            f"{NAME}; unknown=1",
            f"{NAME}; server_no_context_takeover; server_no_context_takeover",
            f"{NAME}; server_max_window_bits=10; server_max_window_bits=10",
            f"{NAME}; server_no_context_takeover=1",
            f"{NAME}; client_no_context_takeover=true",
            f'{NAME}; client_no_context_takeover=""',
            f"{NAME}; server_max_window_bits",
            f"{NAME}; server_max_window_bits=8",
            f"{NAME}; server_max_window_bits=16",
            f"{NAME}; server_max_window_bits=7",
            f"{NAME}; server_max_window_bits=09",
            f"{NAME}; server_max_window_bits=+9",
            f"{NAME}; server_max_window_bits=ten",
            f'{NAME}; server_max_window_bits="10',
            f"{NAME}; server_max_window_bits='10'",
            f"{NAME}; server_max_window_bits=1 0",
            f"{NAME}; client_max_window_bits=",
            f"{NAME}; client_max_window_bits=010",
            f"{NAME}; client_max_window_bits=7",
            f"{NAME}; client_max_window_bits=16",
            f"{NAME}; Server_No_Context_Takeover",
            f"{NAME};",
            f"{NAME}; ;client_max_window_bits",
            f"{NAME} client_max_window_bits",
            f"{NAME}\xa0",
            f"{NAME}; client_max_window_bits\x0b=10",
            "x-webkit-deflate-frame",
            "permessage-deflate2",
            "",
        ],
    )
    def test_a_faulty_offer_is_declined_and_the_next_one_taken(self, offer: str) -> None:
        assert negotiate([offer], DEDICATED) is None
        after = negotiate([f"{offer}, {NAME}; server_max_window_bits=11"], DEDICATED)
        assert after == Terms(11, 15, True, True, f"{NAME}; server_max_window_bits=11")
        assert negotiate([offer, f"{NAME}; server_max_window_bits=11"], DEDICATED) == after

    @pytest.mark.parametrize("bits", range(9, 16))
    @pytest.mark.parametrize("write", ["{}", '"{}"', ' "{}" '])
    def test_the_server_takes_the_smaller_window_and_says_so(self, bits: int, write: str) -> None:
        terms = negotiate([f"{NAME}; server_max_window_bits={write.format(bits)}"], Deflate.dedicated(window_bits=12))
        assert terms is not None
        assert terms.server_bits == min(bits, 12)
        assert terms.answer == f"{NAME}; server_max_window_bits={min(bits, 12)}"

    @pytest.mark.parametrize("bits", range(8, 16))
    def test_the_client_is_held_to_a_window_only_if_it_can(self, bits: int) -> None:
        named = negotiate([f"{NAME}; client_max_window_bits={bits}"], DEDICATED)
        assert named is not None
        assert named.client_bits == bits
        assert named.answer == NAME + (f"; client_max_window_bits={bits}" if bits < 15 else "")
        small = Deflate.dedicated(window_bits=10)
        able, unable = negotiate([f"{NAME}; client_max_window_bits"], small), negotiate([NAME], small)
        assert able is not None
        assert unable is not None
        assert (able.client_bits, unable.client_bits) == (10, 15)
        assert "client_max_window_bits" not in unable.answer

    def test_the_first_acceptable_offer_wins(self) -> None:
        terms = negotiate([f"{NAME}; server_max_window_bits=10, {NAME}"], DEDICATED)
        assert terms is not None
        assert terms.server_bits == 10

    def test_nothing_of_a_declined_offer_remains(self) -> None:
        terms = negotiate([f"{NAME}; server_max_window_bits=10; client_no_context_takeover; oops", NAME], DEDICATED)
        assert terms == Terms(15, 15, True, True, NAME)

    @pytest.mark.parametrize(
        ("options", "takeover", "offer", "agreed"),
        [
            (DEDICATED, True, "", (True, True)),
            (DEDICATED, True, "; server_no_context_takeover", (False, True)),
            (DEDICATED, True, "; client_no_context_takeover", (True, False)),
            (DEDICATED, False, "", (False, True)),
            (Deflate.shared(), True, "", (False, False)),
            (Deflate.shared(), True, "; server_no_context_takeover; client_no_context_takeover", (False, False)),
        ],
    )
    def test_context_takeover(self, options: Deflate, takeover: bool, offer: str, agreed: tuple[bool, bool]) -> None:
        terms = negotiate([NAME + offer], options, takeover=takeover)
        assert terms is not None
        assert (terms.server_takeover, terms.client_takeover) == agreed
        for side, kept in zip(("server", "client"), agreed, strict=True):
            assert (f"{side}_no_context_takeover" in terms.answer) is not kept

    @given(st.lists(st.text() | st.text(alphabet='permessage-deflate;,=" 0189_\t')))
    def test_garbage_never_raises(self, fields: list[str]) -> None:
        terms = negotiate(fields, DEDICATED)
        assert terms is None or terms.answer.startswith(NAME)

    value = st.sampled_from(["", "=", "=8", "=9", "=12", '="15"', "=16", "=x", "=012"])

    @given(st.lists(st.tuples(st.sampled_from([*PARAMETERS, "other"]), value), max_size=5))
    def test_what_is_accepted_is_what_the_rfc_allows(self, parameters: list[tuple[str, str]]) -> None:
        terms = negotiate(["; ".join([NAME, *(name + value for name, value in parameters)])], DEDICATED)
        names = [name for name, _ in parameters]
        numbers = {"=9", "=12", '="15"'}
        allowed = {
            "server_no_context_takeover": {""},
            "client_no_context_takeover": {""},
            "server_max_window_bits": numbers,
            "client_max_window_bits": numbers | {"", "=8"},
        }
        good = len(set(names)) == len(names) and all(value in allowed.get(name, ()) for name, value in parameters)
        assert (terms is not None) is good

    bits = st.integers(9, 15)

    @given(st.booleans(), st.booleans(), st.none() | bits, st.none() | st.just(True) | bits, bits, st.booleans())
    def test_the_websockets_package_takes_our_answer(
        self, server_no: bool, client_no: bool, server_bits: int | None, client_bits: int | None, ours: int, own: bool
    ) -> None:
        factory = ClientPerMessageDeflateFactory(server_no, client_no, server_bits, client_bits)
        offer = build_extension([(factory.name, list(factory.get_request_params()))])
        terms = negotiate([offer], (Deflate.dedicated if own else Deflate.shared)(window_bits=ours))
        assert terms is not None
        [(name, parameters)] = parse_extension(terms.answer)
        extension = factory.process_response_params(parameters, [])
        assert name == NAME
        # For the client "remote" is the server. A client bound to less by itself does no harm.
        assert extension.remote_max_window_bits == terms.server_bits
        assert extension.local_max_window_bits <= terms.client_bits
        assert extension.remote_no_context_takeover is not terms.server_takeover
        assert extension.local_no_context_takeover or terms.client_takeover


@pytest.mark.parametrize(
    "wrong",
    [{"window_bits": 8}, {"window_bits": 16}, {"mem_level": 0}, {"mem_level": 10}, {"level": 10}, {"level": -2},
     {"threshold": -1}],
)  # fmt: skip
def test_options_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Deflate.shared(**wrong)


def agreed(*, bits: int = 15, takeover: bool = True) -> Terms:
    return Terms(bits, bits, takeover, takeover, NAME)


def connection(*, takeover: bool = True, bits: int = 15, **limits: int) -> Connection:
    """Make a connection whose peer may compress."""
    all_limits = filled(Limits(**limits), DEFAULT_LIMITS)
    inflate = InflateExtension(agreed(bits=bits, takeover=takeover), all_limits.max_message)
    return Connection(all_limits, DEFAULT_TIMEOUTS, 0.0, inflate)


def packed(message: bytes, compressor: zlib._Compress | None = None) -> bytes:
    """Compress a message as a client does."""
    compressor = compressor or zlib.compressobj(wbits=-15)
    octets = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return octets[:-4]


def final(message: bytes) -> bytes:
    """Compress a message and mark its last block as the last of the stream (RFC 7692 section 7.2.3.4)."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(message) + compressor.flush() + b"\x00"


def fed(receiver: Connection, *frames: bytes) -> list[object]:
    """Return what octets that arrive together bring."""
    return list(receiver.receive(bytearray(b"".join(frames)), 1000))


def code(events: list[object]) -> int:
    assert isinstance(events[-1], Ended), events
    return int(events[-1].code)


def test_the_example_of_the_rfc() -> None:
    hello = bytes.fromhex("f248cdc9c90700")
    again = bytes.fromhex("f200110000")
    assert fed(connection(), frame(FIN | RSV1 | TEXT, hello), frame(FIN | RSV1 | TEXT, again)) == ["Hello", "Hello"]
    bfinal = bytes.fromhex("f348cdc9c9070000")
    assert fed(connection(), frame(FIN | RSV1 | TEXT, bfinal)) == ["Hello"]
    two_blocks = bytes.fromhex("f24805000000ffffcac9c90700")
    assert fed(connection(), frame(FIN | RSV1 | TEXT, two_blocks)) == ["Hello"]


@pytest.mark.parametrize("takeover", [True, False])
def test_the_limit_counts_what_is_inflated_and_is_exact(takeover: bool) -> None:
    receiver = connection(takeover=takeover, max_message=10_000)
    fits, bursts = packed(b"x" * 10_000), packed(b"x" * 10_001)
    if takeover:
        compressor = zlib.compressobj(wbits=-15)
        fits, bursts = packed(b"x" * 10_000, compressor), packed(b"x" * 10_001, compressor)
    assert fed(receiver, frame(FIN | RSV1 | BINARY, fits)) == [b"x" * 10_000]
    assert receiver.octets == 10_000
    assert code(fed(receiver, frame(FIN | RSV1 | BINARY, bursts))) == 1009


@pytest.mark.parametrize("size", [1_000, 100_000, 1_000_000])
def test_the_limit_is_exact_for_what_does_not_shrink(size: int) -> None:
    noise = os.urandom(size)
    assert len(packed(noise)) > size
    assert fed(connection(max_message=size), frame(FIN | RSV1 | BINARY, packed(noise))) == [noise]
    assert code(fed(connection(max_message=size - 1), frame(FIN | RSV1 | BINARY, packed(noise)))) == 1009


def test_the_wire_is_bounded_too() -> None:
    """Empty blocks inflate to nothing, for as long as one likes to send them."""
    empty = b"\x00" + TAIL
    assert code(fed(connection(max_message=1000), frame(FIN | RSV1 | BINARY, empty * 300))) == 1009
    assert code(fed(connection(max_message=1000), frame(FIN | BINARY, b"x" * 1001))) == 1009


def test_the_limit_holds_across_fragments_with_control_frames_between() -> None:
    octets = packed(b"x" * 10_001)
    half = len(octets) // 2
    frames = (frame(RSV1 | BINARY, octets[:half]), frame(FIN | PING, b"?"), frame(FIN | CONTINUATION, octets[half:]))
    assert fed(connection(max_message=10_001), *frames) == [PingReceived(b"?"), b"x" * 10_001]
    assert code(fed(connection(max_message=10_000), *frames)) == 1009


@pytest.mark.parametrize("takeover", [True, False])
def test_final_blocks_end_the_stream_but_not_the_connection(takeover: bool) -> None:
    receiver = connection(takeover=takeover)
    messages = [b"first " * 50, b"", b"second " * 9]
    assert fed(receiver, *(frame(FIN | RSV1 | BINARY, final(message)) for message in messages)) == messages
    several = final(b"a" * 70_000)[:-1] + final(b"b")[:-1] + final(b"c" * 65_536)
    assert fed(receiver, frame(FIN | RSV1 | BINARY, several)) == [b"a" * 70_000 + b"b" + b"c" * 65_536]
    assert fed(receiver, frame(FIN | RSV1 | BINARY, packed(b"third"))) == [b"third"]


def test_with_takeover_the_window_survives_a_final_block() -> None:
    receiver, message = connection(), os.urandom(500)
    assert fed(receiver, frame(FIN | RSV1 | BINARY, final(message))) == [message]
    compressor = zlib.compressobj(wbits=-15, zdict=message)
    octets = packed(message, compressor)
    assert len(octets) < 50
    assert fed(receiver, frame(FIN | RSV1 | BINARY, octets)) == [message]


def test_empty_messages() -> None:
    receiver = connection()
    compressor = zlib.compressobj(wbits=-15)
    for _ in range(3):
        assert fed(receiver, frame(FIN | RSV1 | TEXT, packed(b"", compressor) or b"\x00")) == [""]
    assert fed(receiver, frame(RSV1 | TEXT), frame(CONTINUATION), frame(FIN | CONTINUATION, b"\x00")) == [""]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ((frame(FIN | RSV1 | BINARY, b"\xff" * 20),), 1007),
        ((frame(FIN | RSV1 | TEXT, packed(b"\xc3\x28")),), 1007),
        ((frame(FIN | RSV1 | TEXT, packed("é".encode()[:1])),), 1007),
        ((frame(FIN | RSV1 | PING),), 1002),
        ((frame(FIN | RSV1 | CLOSE, b"\x03\xe8"),), 1002),
        ((frame(BINARY), frame(FIN | RSV1 | CONTINUATION, packed(b"x"))), 1002),
        ((frame(RSV1 | BINARY, packed(b"x")), frame(FIN | RSV1 | CONTINUATION, b"\x00")), 1002),
        ((frame(FIN | 0x20 | BINARY),), 1002),
        ((frame(FIN | RSV1 | 0x10 | BINARY, packed(b"x")),), 1002),
    ],
)
def test_violations(frames: Iterable[bytes], expected: int) -> None:
    assert code(fed(connection(), *frames)) == expected


def test_without_an_agreement_nothing_may_be_compressed() -> None:
    plain = Connection(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0)
    assert code(fed(plain, frame(FIN | RSV1 | BINARY, packed(b"x")))) == 1002


def test_the_inflater_is_made_late_and_freed_without_takeover() -> None:
    for takeover in (True, False):
        inflate = InflateExtension(agreed(takeover=takeover), 1000)
        receiver = Connection(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, inflate)
        assert fed(receiver, frame(FIN | TEXT, b"plain"), frame(TEXT, b"p"), frame(FIN | CONTINUATION)) == [
            "plain",
            "p",
        ]
        assert inflate._inflater is None
        assert fed(receiver, frame(FIN | RSV1 | TEXT, packed(b"packed"))) == ["packed"]
        assert (inflate._inflater is not None) is takeover
        assert bool(inflate._window) is takeover


messages_strategy = st.lists(
    st.tuples(st.binary(max_size=40).map(lambda piece: piece * 9), st.booleans(), st.integers(1, 3)), max_size=8
)


@given(messages_strategy, st.booleans(), st.integers(9, 15), st.data())
def test_any_mixture_in_any_pieces_comes_out_as_it_went_in(
    messages: list[tuple[bytes, bool, int]], takeover: bool, bits: int, data: st.DataObject
) -> None:
    compressor, frames = None, []
    for message, compress, count in messages:
        if compressor is None or not takeover:
            compressor = zlib.compressobj(wbits=-bits)
        payload = packed(message, compressor) if compress else message
        step = len(payload) // count + 1
        parts = [payload[at : at + step] for at in range(0, len(payload), step)] or [b""]
        for at, part in enumerate(parts):
            first = CONTINUATION if at else (RSV1 * compress | BINARY)
            frames.append(frame(first | FIN * (at == len(parts) - 1), part))
    octets = b"".join(frames)
    receiver, events = connection(takeover=takeover, bits=bits), []
    while octets:
        size, room = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 3))
        events += receiver.receive(bytearray(octets[:size]), room)
        octets = octets[size:]
        while receiver.stopped:
            events += receiver.receive(bytearray(), room)
    assert events == [message for message, _, _ in messages]


@given(st.lists(st.binary(max_size=300).map(lambda piece: piece * 5), max_size=6), st.booleans())
def test_it_agrees_with_wsproto_itself(messages: list[bytes], takeover: bool) -> None:
    theirs = PerMessageDeflate(client_no_context_takeover=not takeover)
    theirs._enabled = True
    engine, compressor = Engine(SERVER, [theirs]), zlib.compressobj(wbits=-15)
    octets = b""
    for message in messages:
        octets += frame(FIN | RSV1 | BINARY, packed(message, compressor if takeover else None))
    engine.receive_data(octets)
    seen: list[bytes] = []
    for event in engine.events():
        assert isinstance(event, BytesMessage)
        seen.append(bytes(event.data))
    assert seen == fed(connection(takeover=takeover), octets) == messages


def test_empty_messages_can_be_compressed_over_and_over() -> None:
    deflater, inflater = Deflater(agreed(), DEDICATED), zlib.decompressobj(-15)
    for message in (b"", b"", b"text" * 99, b"", b""):
        octets = deflater.compress(message)
        assert octets
        assert inflater.decompress(octets + TAIL) == message


def test_a_message_that_does_not_shrink_goes_as_it_is_unless_it_must_be_kept_in_view() -> None:
    noise = os.urandom(500)
    assert Deflater(agreed(takeover=False), Deflate.shared()).compress(noise) is None
    assert Deflater(agreed(), DEDICATED).compress_for_all(noise) is None
    assert Deflater(agreed(), DEDICATED).compress(noise) is not None


@pytest.mark.parametrize(
    "wrong",
    [{"window_bits": "15"}, {"mem_level": None}, {"level": 6.0}, {"threshold": "1"}, {"mode": "no"}, {"mode": []}],
)
def test_options_of_another_type_are_type_errors_that_name_the_field(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=rf"^Deflate\.{next(iter(wrong))} must be "):
        Deflate(**wrong)  # type: ignore[arg-type]
