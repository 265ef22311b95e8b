"""permessage-deflate from the client's side: the offer, and which answers are one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.deflate_offer import agreed, offer
from wsframe.protocol.deflate import Deflate, Deflater, Terms, negotiate
from wsframe.protocol.frames import data_frames

SHARED, DEDICATED = Deflate.shared(), Deflate.dedicated()
WIDE = Deflate.dedicated(window_bits=15)

options = st.builds(Deflate, mode=st.sampled_from(["shared", "dedicated"]), window_bits=st.integers(9, 15))


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
    """What either compresses the other's inflater has the window and the context for."""
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


def test_the_answer_may_come_in_two_fields_but_not_be_two() -> None:
    with pytest.raises(ValueError, match="not what was offered"):
        agreed(["permessage-deflate", "permessage-deflate"], WIDE)
