"""permessage-deflate: what is agreed on, and what is compressed."""

from __future__ import annotations

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from wsframe.protocol.deflate import Deflate, Deflater, Terms, negotiate

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
        answer = f"{NAME}; server_max_window_bits={min(bits, 12)}; client_no_context_takeover"
        assert terms.answer == answer

    @pytest.mark.parametrize("options", [Deflate.dedicated(), Deflate.shared(window_bits=9), Deflate.shared()])
    @pytest.mark.parametrize("offer", [NAME, f"{NAME}; client_max_window_bits", f"{NAME}; client_max_window_bits=9"])
    def test_the_server_names_its_window_only_when_asked(self, offer: str, options: Deflate) -> None:
        """Clients of nhooyr's package fail at a parameter that they did not offer."""
        terms = negotiate([offer], options)
        assert terms is not None
        assert "server_max_window_bits" not in terms.answer
        assert terms.server_bits == options.window_bits

    @pytest.mark.parametrize("bits", range(9, 16))
    def test_no_context_is_held_of_a_client_that_cannot_be_held_to_the_window(self, bits: int) -> None:
        options = Deflate.dedicated(window_bits=bits)
        unable, able = negotiate([NAME], options), negotiate([f"{NAME}; client_max_window_bits"], options)
        assert unable is not None
        assert able is not None
        assert unable.client_takeover is ("client_no_context_takeover" not in unable.answer) is (bits == 15)
        assert able.client_takeover

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
        assert extension.remote_max_window_bits >= terms.server_bits
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


def test_empty_messages_can_be_compressed_over_and_over() -> None:
    deflater, inflater = Deflater(Terms(15, 15, True, True, NAME), DEDICATED), zlib.decompressobj(-15)
    for message in (b"", b"", b"text" * 99, b"", b""):
        octets = deflater.compress(message)
        assert octets
        assert inflater.decompress(octets + TAIL) == message


def test_a_message_that_does_not_shrink_goes_as_it_is_unless_it_must_be_kept_in_view() -> None:
    noise = os.urandom(500)
    assert Deflater(Terms(15, 15, False, False, NAME), Deflate.shared()).compress(noise) is None
    assert Deflater(Terms(15, 15, True, True, NAME), DEDICATED).compress_for_all(noise) is None
    assert Deflater(Terms(15, 15, True, True, NAME), DEDICATED).compress(noise) is not None


@pytest.mark.parametrize(
    "wrong",
    [{"window_bits": "15"}, {"mem_level": None}, {"level": 6.0}, {"threshold": "1"}, {"mode": "no"}, {"mode": []}],
)
def test_options_of_another_type_are_type_errors_that_name_the_field(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=rf"^Deflate\.{next(iter(wrong))} must be "):
        Deflate(**wrong)  # type: ignore[arg-type]
