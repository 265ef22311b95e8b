"""The client of a request that came through proxies: nobody but a trusted proxy has a say in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.forwarded import MOST_COMMAS, MOST_HOPS, Seen, read_element, read_node, seen_by_proxies
from wsframe.http.handshake import HeadReader
from wsframe.http.request import Request
from wsframe.http.responses import Reject
from wsframe.net.trusted_proxies import TrustedProxies

PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "2001:db8:aaaa::/48", "unix"])
PEER = ("127.0.0.1", 5000)


def seen(*fields: tuple[str, str], peer: tuple[str, int] = PEER) -> Seen:
    data = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    return seen_by_proxies(data, *peer, PROXIES)


FOR = "X-Forwarded-For"
LISTS: dict[str, tuple[list[str], tuple[str, int]]] = {
    "one": (["192.0.2.1"], ("192.0.2.1", 0)),
    "forged, then true": (["198.51.100.1, 192.0.2.1"], ("192.0.2.1", 0)),
    "behind a second proxy": (["198.51.100.1, 192.0.2.1, 10.1.1.1"], ("192.0.2.1", 0)),
    "in several fields": (["198.51.100.1", "192.0.2.1", "10.1.1.1"], ("192.0.2.1", 0)),
    "with a port": (["192.0.2.1:443"], ("192.0.2.1", 443)),
    "IPv6": (["2001:DB8::1"], ("2001:db8::1", 0)),
    "IPv6 with a port": (["[2001:db8::1]:443"], ("2001:db8::1", 443)),
    "IPv6 in brackets": (["[2001:db8::1]"], ("2001:db8::1", 0)),
    "a proxy with IPv6 behind it": (["192.0.2.1, 2001:db8:aaaa::7"], ("192.0.2.1", 0)),
    "IPv4 in IPv6": (["::ffff:192.0.2.1"], ("192.0.2.1", 0)),
    "a trusted IPv4 in IPv6": (["192.0.2.1, ::ffff:10.0.0.1"], ("192.0.2.1", 0)),
    "a zone": (["fe80::1%eth0"], ("fe80::1", 0)),
    "empty entries": ([" , ,192.0.2.1,, ", "", ","], ("192.0.2.1", 0)),
    "tabs": (["\t192.0.2.1\t"], ("192.0.2.1", 0)),
    "only proxies": (["10.0.0.1, 10.0.0.2"], ("10.0.0.1", 0)),
    "nothing": (["", " , "], PEER),
    "unknown": (["unknown"], PEER),
    "unknown behind a proxy": (["unknown, 10.0.0.1"], ("10.0.0.1", 0)),
    "garbage behind the client": (["192.0.2.1, garbage"], PEER),
    "garbage before the client": (["garbage, 192.0.2.1"], ("192.0.2.1", 0)),
    "a name": (["client.example"], PEER),
    "an address cut short": (["192.0.2"], PEER),
    "octal": (["192.0.2.01"], PEER),
    "port too large": (["192.0.2.1:65536"], PEER),
    "port not a number": (["192.0.2.1:x"], PEER),
    "no bracket": (["[2001:db8::1"], PEER),
    "in quotes": (['"192.0.2.1"'], PEER),
    "Latin-1": (["192.0.2.\xb9"], PEER),
    "100 hops": ([", ".join(["192.0.2.1"] + 99 * ["10.0.0.1"])], ("192.0.2.1", 0)),
    "101 proxies": ([", ".join(["192.0.2.1"] + 101 * ["10.0.0.1"])], ("10.0.0.1", 0)),
    "1000 forged": ([", ".join(1000 * ["198.51.100.1"] + ["192.0.2.1"])], ("192.0.2.1", 0)),
}


@pytest.mark.parametrize(("values", "client"), LISTS.values(), ids=LISTS)
def test_the_rightmost_hop_that_is_not_trusted_is_the_client(values: list[str], client: tuple[str, int]) -> None:
    assert seen(*((FOR, value) for value in values)) == (*client, None, None)


ELEMENTS: dict[str, tuple[list[str], tuple[str, int, bool | None, bytes | None]]] = {
    "an address": (["for=192.0.2.1"], ("192.0.2.1", 0, None, None)),
    "all": (["for=192.0.2.1;proto=https;by=10.0.0.1;host=chat.example"], ("192.0.2.1", 0, True, b"chat.example")),
    "quoted": (['For="192.0.2.1:443";Proto="WSS"'], ("192.0.2.1", 443, True, None)),
    "IPv6": (['for="[2001:db8::1]"'], ("2001:db8::1", 0, None, None)),
    "IPv6 with a port": (['for="[2001:db8::1]:443"'], ("2001:db8::1", 443, None, None)),
    "a hidden port": (['for="192.0.2.1:_x-1"'], ("192.0.2.1", 0, None, None)),
    "not quoted as it should be": (["for=[2001:db8::1]:443"], ("2001:db8::1", 443, None, None)),
    "escaped": (['for="1\\92.0.2.1"'], ("192.0.2.1", 0, None, None)),
    "two proxies": (
        ["for=198.51.100.1;proto=http, for=192.0.2.1;proto=wss;host=a.example", "for=10.0.0.1;proto=http;host=b"],
        ("192.0.2.1", 0, True, b"a.example"),
    ),
    "unknown": (["for=192.0.2.1, for=unknown;proto=https"], (*PEER, True, None)),
    "hidden": (["for=192.0.2.1, for=_gazonk"], (*PEER, None, None)),
    "no for": (["for=192.0.2.1, proto=https;host=a.example"], (*PEER, True, b"a.example")),
    "a comma in quotes": (['for=192.0.2.1;by="a, for=198.51.100.1"'], ("192.0.2.1", 0, None, None)),
    "quotation mark left open": (['for="198.51.100.1, for=192.0.2.1;proto=https'], ("192.0.2.1", 0, True, None)),
    "quotation mark behind a backslash": (['for="198.51.100.1\\", for=192.0.2.1'], ("192.0.2.1", 0, None, None)),
    "garbage before": (["=;,;;=, for=192.0.2.1"], ("192.0.2.1", 0, None, None)),
    "garbage behind": (["for=192.0.2.1, garbage"], (*PEER, None, None)),
    "twice": (["for=192.0.2.1;for=198.51.100.1"], (*PEER, None, None)),
    "a semicolon at the end": (["for=192.0.2.1;"], ("192.0.2.1", 0, None, None)),
    "empty pairs": ([' ;; for="[2001:db8::1]" ; ;proto=https;'], ("2001:db8::1", 0, True, None)),
    "nothing but semicolons": (["for=192.0.2.1, ; ;"], (*PEER, None, None)),
    "empty pairs and garbage": (["for=192.0.2.1;;proto"], (*PEER, None, None)),
    "space around =": (["for = 192.0.2.1"], (*PEER, None, None)),
    "another scheme": (["for=192.0.2.1;proto=gopher"], ("192.0.2.1", 0, None, None)),
    "a host that is none": (['for=192.0.2.1;host="a b"'], ("192.0.2.1", 0, None, None)),
    "empty": ([" , ", ""], (*PEER, None, None)),
}


@pytest.mark.parametrize(("values", "wanted"), ELEMENTS.values(), ids=ELEMENTS)
def test_forwarded_is_read_as_rfc_7239_has_it(
    values: list[str], wanted: tuple[str, int, bool | None, bytes | None]
) -> None:
    assert seen(*(("Forwarded", value) for value in values)) == wanted


def test_an_element_has_its_parameters_whatever_their_case() -> None:
    assert read_element('For="[::1]:1" ; PROTO=https;x="a;b\\"c"') == {"for": "[::1]:1", "proto": "https", "x": 'a;b"c'}


def test_x_real_ip_counts_where_nothing_else_names_a_client() -> None:
    assert seen(("X-Real-IP", "192.0.2.1")) == ("192.0.2.1", 0, None, None)
    assert seen(("X-Real-IP", "198.51.100.1"), ("X-Real-IP", "192.0.2.1")).host == "192.0.2.1"
    assert seen(("X-Real-IP", "garbage")) == (*PEER, None, None)
    assert seen(("X-Real-IP", "10.0.0.1")).host == "10.0.0.1"
    # An inner proxy that knows nothing of the outer one takes it for the client.
    assert seen((FOR, "192.0.2.1, 10.0.0.1"), ("X-Real-IP", "10.0.0.1")).host == "192.0.2.1"


@pytest.mark.parametrize(
    "fields",
    [
        [(FOR, "192.0.2.1"), ("Forwarded", "for=198.51.100.1")],
        [(FOR, "192.0.2.1"), ("X-Real-IP", "198.51.100.1")],
        [("Forwarded", "for=192.0.2.1"), ("X-Real-IP", "198.51.100.1")],
        [(FOR, "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("X-Real-IP", "198.51.100.1")],
    ],
)
def test_fields_that_name_two_clients_are_refused(fields: list[tuple[str, str]]) -> None:
    """A proxy passes on the field that it does not set, and the client can have invented it."""
    with pytest.raises(Reject) as caught:
        seen(*fields)
    assert caught.value.status == 400
    assert "192.0.2.1" in caught.value.body
    assert "198.51.100.1: the proxy must remove the field that it does not set" in caught.value.body


def test_fields_that_agree_or_do_not_know_stand_beside_each_other() -> None:
    assert seen((FOR, "192.0.2.1"), ("Forwarded", "for=192.0.2.1;proto=https")).secure is True
    assert seen((FOR, "192.0.2.1"), ("Forwarded", "for=_hidden")).host == "192.0.2.1"
    # A proxy that sets the first says that it does not know: the client's own second one does not help.
    assert seen((FOR, "unknown"), ("Forwarded", "for=198.51.100.1")) == (*PEER, None, None)


SCHEMES: dict[str, tuple[list[tuple[str, str]], bool | None]] = {
    "https": ([("X-Forwarded-Proto", "https")], True),
    "wss": ([("X-Forwarded-Proto", "WSS")], True),
    "http": ([("X-Forwarded-Proto", "http")], False),
    "ws": ([("X-Forwarded-Proto", "ws")], False),
    "another": ([("X-Forwarded-Proto", "on")], None),
    "of Forwarded, as this says nothing": ([("X-Forwarded-Proto", "?"), ("Forwarded", "proto=https")], True),
    "before Forwarded": ([("X-Forwarded-Proto", "http"), ("Forwarded", "proto=https")], False),
    "forged, then true": ([(FOR, "192.0.2.1"), ("X-Forwarded-Proto", "https, http")], False),
    "of the outer proxy": ([(FOR, "192.0.2.1, 10.0.0.1"), ("X-Forwarded-Proto", "https, http")], True),
    "of the outer proxy alone": ([(FOR, "192.0.2.1, 10.0.0.1"), ("X-Forwarded-Proto", "https")], True),
    "in two fields": (
        [(FOR, "192.0.2.1, 10.0.0.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")],
        True,
    ),
}


@pytest.mark.parametrize(("fields", "secure"), SCHEMES.values(), ids=SCHEMES)
def test_the_scheme_is_that_of_the_client(fields: list[tuple[str, str]], secure: bool | None) -> None:
    assert seen(*fields).secure is secure


HOSTS: dict[str, tuple[list[tuple[str, str]], bytes | None]] = {
    "a name": ([("X-Forwarded-Host", "chat.example")], b"chat.example"),
    "a port": ([("X-Forwarded-Host", "chat.example:8443")], b"chat.example:8443"),
    "IPv6": ([("X-Forwarded-Host", "[2001:db8::1]:443")], b"[2001:db8::1]:443"),
    "two, as Apache appends": (
        [(FOR, "192.0.2.1"), ("X-Forwarded-Host", "forged.example, chat.example")],
        b"chat.example",
    ),
    "two proxies": (
        [(FOR, "192.0.2.1, 10.0.0.1"), ("X-Forwarded-Host", "chat.example, inner")],
        b"chat.example",
    ),
    "more than hops": (
        [(FOR, "192.0.2.1, 10.0.0.1"), ("X-Forwarded-Host", "forged.example, forged.example, chat.example")],
        b"chat.example",
    ),
    "empty": ([("X-Forwarded-Host", "")], None),
    "a space": ([("X-Forwarded-Host", "a b")], None),
    "a path": ([("X-Forwarded-Host", "a/b")], None),
    "a user": ([("X-Forwarded-Host", "a@b")], None),
    "not ASCII": ([("X-Forwarded-Host", "h\xf6st")], None),
    "a wrong port": ([("X-Forwarded-Host", "a:99999")], None),
    "a wrong one, and Forwarded": ([("X-Forwarded-Host", "a b"), ("Forwarded", "host=b.example")], b"b.example"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "host"), HOSTS.values(), ids=HOSTS)
def test_the_host_is_the_one_that_the_client_asked_for(fields: list[tuple[str, str]], host: bytes | None) -> None:
    assert seen(*fields).authority == host


def head(*fields: tuple[str, str], target: str = "/", peer: str = "127.0.0.1") -> Request:
    lines = [f"GET {target} HTTP/1.1", "Host: inner", *(f"{name}: {value}" for name, value in fields), "", ""]
    reader = HeadReader(16384, host=peer, port=5000, secure=True, proxies=PROXIES)
    request = reader.receive("\r\n".join(lines).encode())
    assert request is not None
    return request


FIELDS = [
    (FOR, "192.0.2.1"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "chat.example"),
    ("Forwarded", "for=192.0.2.1;host=chat.example"),
    ("X-Real-IP", "192.0.2.1"),
]


def test_a_request_is_the_one_that_its_client_made() -> None:
    request = head(*FIELDS)
    assert (request.host, request.port, request.secure) == ("192.0.2.1", 0, False)
    assert request.headers.getall("host") == ["chat.example"]
    assert request.headers["x-forwarded-for"] == "192.0.2.1"
    assert repr(request) == "<Request GET '/' from 192.0.2.1>"
    # The proxy's word goes before that of the target, which can be the proxy's own too.
    assert head(*FIELDS, target="http://inner.example/").headers.getall("host") == ["chat.example"]
    # Nothing told, nothing changed.
    bare = head()
    assert (bare.host, bare.port, bare.secure, bare.headers["host"]) == ("127.0.0.1", 5000, True, "inner")


def test_a_peer_that_is_not_trusted_is_taken_for_the_client() -> None:
    request = head(*FIELDS, peer="192.0.2.99")
    assert (request.host, request.port, request.secure) == ("192.0.2.99", 5000, True)
    assert request.headers["host"] == "inner"
    # Not even two clients are a fault there.
    assert head((FOR, "1.2.3.4"), ("X-Real-IP", "5.6.7.8"), peer="192.0.2.99").host == "192.0.2.99"


def test_a_peer_of_a_unix_socket_is_trusted_by_that_word() -> None:
    assert head(*FIELDS, peer="").host == "192.0.2.1"
    assert seen((FOR, "unknown"), peer=("", 0)) == ("", 0, None, None)


def test_names_with_underscores_are_other_fields() -> None:
    """Some servers take both for the same, and let a field that a proxy did not see replace the proxy's own."""
    request = head(("X_Forwarded_For", "198.51.100.1"), ("X-Forwarded_For", "198.51.100.1"), (FOR, "192.0.2.1"))
    assert request.host == "192.0.2.1"


@given(st.text('0123456789abcdef.:%[]_"\\,;= forhst', max_size=60))
def test_whatever_a_client_sends_what_the_proxy_adds_counts(sent: str) -> None:
    for field, added in [(FOR, "192.0.2.1"), ("Forwarded", 'for="[2001:db8::1]:4711";proto=wss')]:
        found = seen((field, f"{sent}, {added}"))
        assert found.host in ("192.0.2.1", "2001:db8::1")
        assert seen((field, sent), (field, added)) == found


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_none(text: str) -> None:
    found = read_node(text)
    assert found is None or (found[0] and 0 <= found[1] < 65536)


def test_no_list_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read of it than of the longest chain, however many commas and quotation marks it has."""
    calls: list[str] = []

    def counted(text: str) -> dict[str, str]:
        calls.append(text)
        return read_element(text)

    monkeypatch.setattr("wsframe.http.forwarded.read_element", counted)
    for value in ('"' + ',a"' * 5000, "for=10.0.0.1," * 1200, "a=" * 8000, '"\\' * 8000, "," * 16000):
        seen(("Forwarded", value))
        assert len(calls) <= MOST_HOPS + MOST_COMMAS
        calls.clear()
