"""Which peers are trusted: addresses, networks and unix sockets, in any spelling."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from wsframe.net.trusted_proxies import TrustedProxies, canonical_address

TRUSTED = {
    "an address": (["10.0.0.7"], ["10.0.0.7", "::ffff:10.0.0.7"], ["10.0.0.8", "", "::1"]),
    "a network": (["10.0.0.0/8"], ["10.255.0.1", "::ffff:10.0.0.7"], ["11.0.0.1", "::a00:1", ""]),
    "a network of one": (["10.0.0.7/32"], ["10.0.0.7"], ["10.0.0.8"]),
    "IPv6": (["2001:DB8::1"], ["2001:db8:0::1", "2001:db8::1%eth0"], ["2001:db8::2"]),
    "an IPv6 network": (["2001:db8::/32"], ["2001:db8:1::1"], ["2001:db9::1", "32.1.13.184"]),
    "a mapped address": (["::ffff:10.0.0.7"], ["10.0.0.7", "::ffff:a00:7"], ["10.0.0.8"]),
    "a mapped network": (["::ffff:10.0.0.0/104"], ["10.1.2.3"], ["11.0.0.1"]),
    "unix": (["unix"], [""], ["127.0.0.1", "::1"]),
    "all of IPv4": (["0.0.0.0/0"], ["192.0.2.1"], ["2001:db8::1", ""]),
    "a zone": (["fe80::1%eth0"], ["fe80::1%eth0"], ["fe80::1%eth1", "fe80::1"]),
    "objects": ([ip_address("10.0.0.7"), ip_network("192.0.2.0/24")], ["10.0.0.7", "192.0.2.9"], ["10.0.0.8"]),
    "nobody": ([], [], ["127.0.0.1", ""]),
    "peers of other families": (["0.0.0.0/0", "::/0"], ["192.0.2.1", "::1"], ["2", "client", "1.2.3"]),
}


@pytest.mark.parametrize(("given", "yes", "no"), TRUSTED.values(), ids=TRUSTED)
def test_a_peer_is_trusted_by_its_address_in_any_spelling(given: list[object], yes: list[str], no: list[str]) -> None:
    proxies = TrustedProxies(given)
    assert [host for host in yes if not proxies.trusts(host)] == []
    assert [host for host in no if proxies.trusts(host)] == []
    assert bool(proxies) is bool(given)


WRONG = {
    "*": "not '*'; ['0.0.0.0/0', '::/0', 'unix'] trusts every peer",
    "": "an address such as '10.0.0.7', a network such as '10.0.0.0/8', or 'unix': not ''",
    "localhost": "not 'localhost'",
    "127.0.0.1:80": "not '127.0.0.1:80'",
    "[::1]": "not '[::1]'",
    "10.0.0": "not '10.0.0'",
    "010.0.0.1": "not '010.0.0.1'",
    " 10.0.0.1": "not ' 10.0.0.1'",
    "10.0.0.7/8": "'10.0.0.7/8' is not a network: give '10.0.0.0/8', or the address '10.0.0.7' alone",
    "2001:db8::1/32": "give '2001:db8::/32', or the address '2001:db8::1' alone",
    "10.0.0.0/33": "not '10.0.0.0/33'",
    "/8": "not '/8'",
    "unix:": "not 'unix:'",
    "UNIX": "not 'UNIX'",
}


@pytest.mark.parametrize(("given", "text"), WRONG.items(), ids=lambda value: str(value)[:12])
def test_anything_else_is_an_error_that_says_how_to_write_it(given: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"network") as caught:
        TrustedProxies([given])
    assert text in str(caught.value)


@pytest.mark.parametrize("given", [b"10.0.0.7", 1, None])
def test_another_type_is_a_type_error(given: object) -> None:
    with pytest.raises(TypeError, match=r"a trusted proxy is an address .* of type"):
        TrustedProxies([given])


def test_an_address_has_one_spelling() -> None:
    for text, one in [("::FFFF:1.2.3.4", "1.2.3.4"), ("fe80::1%eth0", "fe80::1"), ("2001:DB8:0:0::1", "2001:db8::1")]:
        assert canonical_address(text) == one
    for text in ("1.2.3", "1.2.3.4%eth0", "x", "", "1.2.3.4 "):
        with pytest.raises(ValueError, match="address"):
            canonical_address(text)
