"""The terms of permessage-deflate: offers, the server's choice, and the client's reading of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from wsframe.http.deflate_terms import agreed, negotiate, offer
from wsframe.protocol.deflate import Deflate, Deflater, Terms
from wsframe.protocol.frames import data_frames

SHARED, DEDICATED = Deflate.shared(), Deflate.dedicated()
WIDE = Deflate.dedicated(window_bits=15)

options = st.builds(Deflate, mode=st.sampled_from(["shared", "dedicated"]), window_bits=st.integers(9, 15))


NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"
PARAMETERS = (
    "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits",
)  # fmt: skip
BROWSERS = "permessage-deflate; client_max_window_bits"


def test_shared_asks_both_sides_for_no_context_and_falls_back_to_the_offer_of_browsers() -> None:
    wanted = "permessage-deflate; client_max_window_bits; server_no_context_takeover; client_no_context_takeover"
    assert offer(SHARED) == f"{wanted}, {BROWSERS}"


@pytest.mark.parametrize("options", [DEDICATED, WIDE, Deflate.dedicated(window_bits=9)])
def test_dedicated_offers_what_browsers_offer(options: Deflate) -> None:
    assert offer(options) == BROWSERS


@given(options)
def test_no_offer_names_a_window_of_the_server(options: Deflate) -> None:
    """Servers of nhooyr answer 400 to server_max_window_bits in any offer that they come to."""
    assert "server_max_window_bits" not in offer(options)


@given(ours=options, theirs=options)
def test_our_server_and_our_client_agree(ours: Deflate, theirs: Deflate) -> None:
    """For messages that either side compresses, the other's inflater has the window and the context."""
    server = negotiate([offer(ours)], theirs)
    assert server is not None
    client = agreed([server.answer], ours)
    assert client is not None
    assert client.server_bits <= server.client_bits
    assert client.client_bits >= server.server_bits
    assert client.server_takeover <= server.client_takeover
    assert client.client_takeover >= server.server_takeover
    assert client.answer == server.answer
    assert client.server_bits <= ours.window_bits
    Deflater(client, ours).compress(b"x" * 1000)


@pytest.mark.parametrize("answer", [[], [""], [" , "]])
def test_no_answer_declines(answer: list[str]) -> None:
    assert agreed(answer, SHARED) is None
    assert agreed(answer, None) is None


def test_parameters_the_server_adds_are_obeyed() -> None:
    terms = agreed(
        ["permessage-deflate; client_no_context_takeover; client_max_window_bits=10; server_max_window_bits=9"], WIDE
    )
    assert terms == Terms(10, 9, False, True, terms.answer) if terms else False


def test_a_wider_window_of_ours_than_offered_is_not_used() -> None:
    terms = agreed(["permessage-deflate; server_max_window_bits=12; client_max_window_bits=15"], DEDICATED)
    assert terms is not None
    assert terms.server_bits == 12


def test_without_parameters_the_widest_is_meant() -> None:
    terms = agreed(["permessage-deflate"], WIDE)
    assert terms is not None
    assert (terms.server_bits, terms.client_bits) == (15, 15)


@pytest.mark.parametrize("options", [SHARED, DEDICATED, WIDE, Deflate.shared(window_bits=9)])
@pytest.mark.parametrize(
    ("answer", "bits", "takeover"),
    [
        ("permessage-deflate", 15, True),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", 15, False),
        ("permessage-deflate; client_no_context_takeover", 15, True),
        ("permessage-deflate; client_max_window_bits", 15, True),
        ("permessage-deflate; client_max_window_bits=15; server_max_window_bits=15", 15, True),
        ('Permessage-Deflate;server_max_window_bits="13" ;\tserver_no_context_takeover', 13, False),
        ("permessage-deflate; server_max_window_bits=8; client_max_window_bits=9", 8, True),
    ],
)
def test_every_answer_that_can_be_read_is_taken(answer: str, bits: int, takeover: bool, options: Deflate) -> None:
    """gorilla, uWebSockets, Mojolicious and Tornado have one answer for all offers."""
    terms = agreed([answer], options)
    assert terms is not None
    assert (terms.client_bits, terms.client_takeover) == (bits, takeover)
    assert terms.server_bits <= options.window_bits
    assert terms.server_takeover is (options.mode == "dedicated" and "client_no_context_takeover" not in answer)


def test_a_window_that_zlib_cannot_compress_for_is_taken_and_nothing_compressed() -> None:
    terms = agreed(["permessage-deflate; client_max_window_bits=8"], DEDICATED)
    assert terms is not None
    frames = Deflater(terms, DEDICATED).frames(1, b"x" * 1000, None, True, replaceable=False)
    assert frames == data_frames(1, b"x" * 1000, 1000)
    assert Deflater(terms, DEDICATED).group(b"x" * 1000, None) is None


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ("permessage-deflate", None),
        ("x-webkit-deflate-frame", WIDE),
        ("permessage-deflate, permessage-deflate", WIDE),
        ("permessage-deflate, permessage-bzip", WIDE),
        ("permessage-deflate; unknown", WIDE),
        ("permessage-deflate; server_no_context_takeover=1", WIDE),
        ("permessage-deflate; client_no_context_takeover=1", WIDE),
        ("permessage-deflate; server_max_window_bits", WIDE),
        ("permessage-deflate; server_max_window_bits=16", WIDE),
        ("permessage-deflate; server_max_window_bits=7", WIDE),
        ("permessage-deflate; client_max_window_bits=07", WIDE),
        ("permessage-deflate;", WIDE),
        ("permessage-deflate\xa0", WIDE),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", SHARED),
    ],
)
def test_what_was_not_offered_is_refused(answer: str, options: Deflate | None) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        agreed([answer], options)


@pytest.mark.parametrize("fields", [["permessage-deflate", "permessage-deflate"], [offer(SHARED)]])
def test_a_server_that_accepts_every_offer_is_refused_with_the_way_out(fields: list[str]) -> None:
    """Servers of libsoup do: they compress each message as many times."""
    with pytest.raises(ValueError, match=r"accepted 2 offers .* connect with Deflate.dedicated\(\)"):
        agreed(fields, SHARED)


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
        assert negotiate([offer], WIDE) is None
        after = negotiate([f"{offer}, {NAME}; server_max_window_bits=11"], WIDE)
        assert after == Terms(11, 15, True, True, f"{NAME}; server_max_window_bits=11")
        assert negotiate([offer, f"{NAME}; server_max_window_bits=11"], WIDE) == after

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

    @pytest.mark.parametrize("options", [SHARED, DEDICATED])
    @pytest.mark.parametrize("parameters", ["", "; client_max_window_bits", "; client_no_context_takeover"])
    def test_a_client_that_offers_no_parameter_may_not_hear_ours(self, parameters: str, options: Deflate) -> None:
        """Browsers do hear: of them nothing is held."""
        terms = negotiate([NAME + parameters], options)
        assert terms is not None
        assert terms.told is (not parameters)

    @pytest.mark.parametrize("bits", range(8, 16))
    def test_the_client_is_held_to_a_window_only_if_it_can(self, bits: int) -> None:
        named = negotiate([f"{NAME}; client_max_window_bits={bits}"], WIDE)
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
        terms = negotiate([f"{NAME}; server_max_window_bits=10, {NAME}"], WIDE)
        assert terms is not None
        assert terms.server_bits == 10

    def test_nothing_of_a_declined_offer_remains(self) -> None:
        terms = negotiate([f"{NAME}; server_max_window_bits=10; client_no_context_takeover; oops", NAME], WIDE)
        assert terms == Terms(15, 15, True, True, NAME)

    @pytest.mark.parametrize(
        ("options", "takeover", "offer", "agreed"),
        [
            (WIDE, True, "", (True, True)),
            (WIDE, True, "; server_no_context_takeover", (False, True)),
            (WIDE, True, "; client_no_context_takeover", (True, False)),
            (WIDE, False, "", (False, True)),
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
        terms = negotiate(fields, WIDE)
        assert terms is None or terms.answer.startswith(NAME)

    value = st.sampled_from(["", "=", "=8", "=9", "=12", '="15"', "=16", "=x", "=012"])

    @given(st.lists(st.tuples(st.sampled_from([*PARAMETERS, "other"]), value), max_size=5))
    def test_what_is_accepted_is_what_the_rfc_allows(self, parameters: list[tuple[str, str]]) -> None:
        terms = negotiate(["; ".join([NAME, *(name + value for name, value in parameters)])], WIDE)
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


def test_clients_that_agree_on_the_same_share_the_terms() -> None:
    first, second = negotiate([BROWSERS], SHARED), negotiate([f"{BROWSERS} ", "x"], SHARED)
    assert first is not None
    assert first is second
    assert negotiate([BROWSERS], DEDICATED) not in (None, first)
