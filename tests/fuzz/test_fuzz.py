"""The fuzz targets, driven by the corpus and by hypothesis: the same inputs in every run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client_frames import frame
from tests.fuzz import corpus, targets, twins
from tests.fuzz.corpus import heads, offered

KEPT = [(target, name) for target in targets.TARGETS for name in corpus.read(target)]

FIRST = st.sampled_from((0x81, 0x82, 0x01, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8A, 0xC1, 0xC2, 0x41)) | st.integers(0, 255)
LENGTH = st.none() | st.sampled_from((0, 1, 125, 126, 65_536, 2**63))
FRAMES = st.builds(
    frame,
    FIRST,
    st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.just(bytes(300)),
    mask=st.sampled_from((b"\0\0\0\0", b"mask", None)),
    length=LENGTH,
    form=st.none() | st.just(8),
)
FRAMES_IN_ORDER = st.builds(
    frame, st.sampled_from((0x81, 0x82, 0x89, 0x01, 0x80, 0xC2)), st.text(max_size=20).map(str.encode)
)
PLAN = st.binary(min_size=targets.PLANS, max_size=targets.PLANS)
STREAMS = st.builds(lambda plan, parts: plan + b"".join(parts), PLAN, st.lists(FRAMES_IN_ORDER | FRAMES, max_size=12))

LARGE_FRAMES = st.builds(
    lambda first, payload, times: frame(first, payload * times),
    st.sampled_from((0x81, 0x82, 0x82)),
    st.text(min_size=1, max_size=9).map(str.encode) | st.binary(min_size=1, max_size=9),
    st.integers(10, 300),
)
LIVES = st.builds(
    lambda plan, parts: plan + b"".join(parts),
    st.binary(min_size=twins.PLANS, max_size=twins.PLANS),
    st.lists(FRAMES_IN_ORDER | LARGE_FRAMES | FRAMES, max_size=12),
)

OLD_FRAMES = st.one_of(
    st.text(max_size=20).map(lambda text: b"\0" + text.encode() + b"\xff"),
    st.sampled_from((b"\xff\x00", b"\x00", b"\x80\x00", b"\x01x\xff", b"\x80\x82\x2c" + bytes(300), b"\xff\x80")),
    st.binary(max_size=40),
)
OLD_STREAMS = st.builds(lambda plan, parts: plan + b"".join(parts), PLAN, st.lists(OLD_FRAMES, max_size=12))

FIELDS = st.sampled_from(
    [line for _, raw in heads() for line in raw[2:].split(b"\r\n") if line]
) | st.binary(max_size=30)  # fmt: skip
HEADS = st.builds(
    lambda seed, lines, end: seed + b"\r\n".join(lines) + end,
    st.binary(min_size=2, max_size=2),
    st.lists(FIELDS, max_size=12),
    st.sampled_from((b"\r\n\r\n", b"\n\n", b"")),
)
WORDS = [word for _, raw in offered() for word in raw.replace(b";", b" ; ").replace(b"=", b" = ").split()]
OFFERS = st.lists(st.sampled_from([*WORDS, b"\n"]) | st.binary(max_size=3), max_size=20).map(b" ".join)


def changed(target: str) -> st.SearchStrategy[bytes]:
    """Take an input of the corpus and change a few bytes of it."""

    def change(raw: bytes, changes: list[tuple[int, int]]) -> bytes:
        made = bytearray(raw)
        for at, byte in changes:
            made[at % len(made)] = byte
        return bytes(made)

    inputs = st.sampled_from(list(corpus.read(target).values()))
    return st.builds(change, inputs, st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6))


@pytest.mark.parametrize(("target", "name"), KEPT)
def test_the_corpus(target: str, name: str) -> None:
    targets.TARGETS[target](corpus.read(target)[name])


@pytest.mark.parametrize("target", targets.TARGETS)
def test_the_corpus_is_the_one_that_is_written(target: str) -> None:
    kept = corpus.read(target)
    differing = [name for name, raw in corpus.MADE[target]() if kept.get(name) != raw]
    assert differing == []  # by name: pytest takes minutes to show the bytes


@settings(max_examples=800)
@given(STREAMS | changed("connection") | st.binary(max_size=300))
def test_a_connection_bears_anything(data: bytes) -> None:
    targets.connection(data)


@settings(max_examples=500)
@given(OLD_STREAMS | changed("hixie") | st.binary(max_size=300))
def test_a_connection_of_version_0_bears_anything(data: bytes) -> None:
    targets.hixie(data)


@settings(max_examples=500)
@given(HEADS | changed("head") | st.binary(max_size=300))
def test_the_handshake_bears_anything(data: bytes) -> None:
    targets.head(data)


@settings(max_examples=300)
@given(OFFERS | changed("offers") | st.binary(max_size=60))
def test_the_negotiation_bears_anything(data: bytes) -> None:
    targets.offers(data)


@settings(max_examples=500)
@given(changed("proxied") | st.binary(max_size=200))
def test_a_proxy_header_is_read_or_refused_whatever_it_is(data: bytes) -> None:
    targets.proxied(data)


@settings(max_examples=500)
@given(changed("forwarded") | st.binary(max_size=200))
def test_no_fields_of_a_client_take_the_place_of_its_address(data: bytes) -> None:
    targets.forwarded(data)


@pytest.mark.usefixtures("in_c")
@settings(max_examples=600)
@given(LIVES | changed("links") | st.binary(max_size=300))
def test_a_link_is_the_same_in_c(data: bytes) -> None:
    targets.links(data)


@pytest.mark.usefixtures("in_c")
@settings(max_examples=200)
@given(changed("sending") | st.binary(max_size=200))
def test_what_is_sent_is_the_same_in_c(data: bytes) -> None:
    targets.sending(data)
