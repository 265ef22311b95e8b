"""The fuzz targets of the client's side, driven by hypothesis: the same inputs in every run."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import rude, servers, targets
from tests.fuzz.servers import packed, server_frame
from tests.fuzz.test_fuzz import changed

FIRST = st.sampled_from((0x81, 0x82, 0x01, 0x80, 0x00, 0x88, 0x89, 0x8A, 0xC1, 0x41)) | st.integers(0, 255)
WELL = st.builds(
    server_frame, st.sampled_from((0x81, 0x81, 0x82, 0x89, 0x8A)), st.text(max_size=20).map(str.encode)
) | st.builds(lambda size: server_frame(0xC1, packed(b"deflated" * size)), st.integers(0, 200))
ILL = st.builds(
    server_frame, FIRST, st.binary(max_size=40), length=st.none() | st.sampled_from((0, 1, 126, 65_536, 2**63))
)
FRAMES = st.lists(WELL | WELL | ILL, max_size=12).map(b"".join)


def plans(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


ANSWERS = [raw[2:] for _, raw in servers.answers()]
LINES = st.sampled_from([line for raw in ANSWERS for line in raw.split(b"\r\n") if line])
HEADS = st.builds(
    lambda lines, end: b"\r\n".join(lines) + end,
    st.lists(LINES | st.binary(max_size=30), max_size=10),
    st.sampled_from((b"\r\n\r\n", b"\n\n", b"")),
)
STREAMS = st.tuples(st.sampled_from(ANSWERS) | HEADS | st.just(b""), FRAMES).map(b"".join)
WORDS = [
    word
    for _, raw in servers.agreements()
    for word in raw.replace(b";", b" ; ").replace(b"=", b" = ").split()
]  # fmt: skip


@settings(max_examples=400)
@given(st.tuples(plans(targets.PLANS), FRAMES).map(b"".join) | changed("received") | st.binary(max_size=300))
def test_what_a_server_sends_is_read_in_any_pieces(data: bytes) -> None:
    targets.received(data)


@settings(max_examples=400)
@given(st.tuples(plans(2), STREAMS).map(b"".join) | changed("upgrade") | st.binary(max_size=300))
def test_what_a_server_answers_is_read_in_any_pieces(data: bytes) -> None:
    targets.upgrade(data)


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([*WORDS, b"\n", b","]) | st.binary(max_size=3), max_size=16).map(b" ".join)
    | changed("agreement")
)
def test_what_is_agreed_on_was_offered(data: bytes) -> None:
    targets.agreement(data)


@settings(max_examples=200)
@given(st.tuples(plans(1), HEADS).map(b"".join) | changed("tunnel") | st.binary(max_size=300))
def test_what_a_proxy_answers_is_read_in_any_pieces(data: bytes) -> None:
    targets.tunnel(data)


@settings(max_examples=400)
@given(st.tuples(plans(rude.PLAN), STREAMS).map(b"".join) | changed("rude"))
def test_a_rude_server_harms_nobody(data: bytes) -> None:
    targets.rude(data)
