"""Our handshake judges as wsproto's own does, but where we say so; and no bytes make it raise anything else."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import SERVER
from wsproto.events import AcceptConnection
from wsproto.events import Request as EngineRequest
from wsproto.handshake import H11Handshake
from wsproto.utilities import RemoteProtocolError

from tests.http.heads import KEY, head_of, judge
from tests.protocol.streams import chunked
from wsframe.http.handshake import HeadReader, switching_protocols
from wsframe.http.responses import Reject

TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=8)


@dataclass
class Head:
    """A request, and the points in which our judgement differs on purpose from wsproto's."""

    data: bytes
    stricter: bool
    """Whether it has a part only we refuse: HTTP/1.0, a body whose length is not 0, a key that is none, a field that
    must be one twice, ``*`` for a path."""
    laxer: bool
    """Whether it has a part only we admit: a list in Upgrade (RFC 9110 section 7.8), Connection in several fields, any
    Host beside an absolute target (RFC 9112 section 3.2.2), none at all, which admission refuses."""


@st.composite
def heads(draw: st.DrawFn) -> Head:
    version = draw(st.sampled_from(["1.1", "1.1", "1.1", "1.0"]))
    method = draw(st.sampled_from(["GET", "GET", "GET", "POST", "get"]))
    target = draw(st.sampled_from(["/", "/chat?x=1", "ws://example.com/chat", "*"]) | TEXT.map("/".__add__))
    connections = draw(
        st.lists(st.sampled_from(["Upgrade", "upgrade", "keep-alive, Upgrade", "close", " , Upgrade,"]), max_size=2)
        | st.just(["Upgrade"])
    )
    upgrades = draw(st.sampled_from([["websocket"]] * 3 + [["WebSocket"], [], ["h2c"], ["h2c, websocket"]]))
    versions = draw(st.sampled_from([["13"]] * 4 + [[], ["8"], ["13", "13"], ["8", "13"]]))
    good_key = st.binary(min_size=16, max_size=16).map(lambda data: b64encode(data).decode())
    keys = draw(
        st.one_of(
            good_key.map(lambda key: [key]),
            good_key.map(lambda key: [key]),
            st.sampled_from([[], [""], ["short"], [KEY, KEY], [KEY + "="], [f"{KEY[:10]} {KEY[10:]}"]]),
        )
    )
    hosts = draw(st.sampled_from([["example.com"]] * 4 + [["[::1]:80"], [], ["a", "b"], ["ex\xe4mple.com"]]))
    body = draw(st.sampled_from([[]] * 5 + [["Content-Length: 0"], ["Transfer-Encoding: chunked"]]))
    offers = draw(st.lists(st.sampled_from(["Sec-WebSocket-Protocol: a, b", "Cookie: x", "Origin: http://a"])))
    fields = {"Host": hosts, "Connection": connections, "Upgrade": upgrades}
    fields |= {"Sec-WebSocket-Version": versions, "Sec-WebSocket-Key": keys}
    lines = [f"{name}: {value}" for name, values in fields.items() for value in values]
    none: dict[str, str | None] = dict.fromkeys(fields)
    order = draw(st.permutations([*lines, *body, *offers]))
    data = head_of(none, line=f"{method} {target} HTTP/{version}", more=order)
    key_is_one = len(keys) == 1 and len(keys[0]) == 24 and keys[0].isprintable() and " " not in keys[0]
    absolute, strange_host = target.startswith("ws:"), not "".join(hosts).isascii()
    stricter = (
        version == "1.0"
        or "Transfer-Encoding: chunked" in body
        or offers.count("Origin: http://a") > 1
        or len(versions) != 1
        or not key_is_one
    )
    stricter = stricter or target == "*" or (strange_host and not absolute)
    laxer = upgrades == ["h2c, websocket"] or len(connections) > 1 or (strange_host and absolute) or not hosts
    return Head(data, stricter, laxer)


def token_of(answer: bytes) -> bytes:
    """Return the accept token of a 101."""
    (line,) = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"sec-websocket-accept:")]
    return line.partition(b":")[2].strip()


def theirs(data: bytes) -> bytes | None:
    """Return wsproto's accept token; None if it refuses."""
    handshake = H11Handshake(SERVER)
    try:
        handshake.receive_data(data)
        (request,) = handshake.events()
    except (RemoteProtocolError, UnicodeError):
        return None
    assert isinstance(request, EngineRequest)
    return token_of(handshake.send(AcceptConnection()))


def ours(data: bytes) -> bytes | None:
    """Return our accept token; None if we refuse."""
    try:
        request = judge(data)
    except Reject:
        return None
    return token_of(switching_protocols(request.headers, None, []))


@settings(max_examples=600)
@given(heads())
def test_the_handshake_is_wsprotos_but_for_what_is_listed(head: Head) -> None:
    own, engine = ours(head.data), theirs(head.data)
    if own is None:
        assert engine is None or head.stricter
    else:
        assert not head.stricter
        assert own == engine or (engine is None and head.laxer)


@settings(max_examples=300)
@given(
    chunked(
        st.one_of(
            st.binary(max_size=200),
            st.lists(st.sampled_from(list(b"GET / HTTP/1.1\r\n:AB\x00\xff 9")), max_size=60).map(bytes),
            st.tuples(st.integers(0, 150), st.integers(0, 255)).map(
                lambda at: head_of()[: at[0]] + bytes((at[1],)) + head_of()[at[0] + 1 :]
            ),
            st.tuples(st.integers(0, 150), st.binary(max_size=5)).map(
                lambda at: head_of()[: at[0]] + at[1] + head_of()[at[0] :]
            ),
        )
    )
)
def test_no_bytes_raise_anything_but_a_refusal(chunks: list[bytes]) -> None:
    """Whatever comes in whatever pieces is waited for, a request, or a Reject."""
    reader = HeadReader(150)
    refusals = []
    try:
        requests = (reader.receive(chunk) for chunk in chunks if chunk)
        if any(request is not None for request in requests):
            judge(b"".join(chunks))
    except Reject as reject:
        refusals.append((reject.status, bool(reject.body)))
    assert refusals in ([], [(400, True)], [(405, True)], [(426, True)], [(431, True)], [(501, True)], [(505, True)])
