"""The proxies whose word counts: addresses and networks, in one spelling."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["UNIX", "TrustedProxies", "canonical_address"]

UNIX = "unix"
"""Stands for the peers of unix sockets, which have no address."""

WANTED = "an address such as '10.0.0.7', a network such as '10.0.0.0/8', or 'unix'"


def canonical_address(text: str) -> str:
    """Return an IP address in one spelling: IPv4 in IPv6 as IPv4, IPv6 shortened and without its zone.

    A zone names an interface of the machine that wrote it.

    Raises:
        ValueError: For anything but an address.
    """
    return str(parsed(text))


def parsed(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0] if ":" in text else text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


class TrustedProxies:
    """The peers that are trusted to name their own clients.

    Args:
        given: Addresses, networks, and ``"unix"`` for every peer of a unix socket. An address with a zone
            (``"fe80::1%eth0"``) is trusted on that interface only.

    Raises:
        TypeError: For anything but a str or an object of ``ipaddress``.
        ValueError: For a str that is none of these.
    """

    def __init__(self, given: Iterable[object]) -> None:
        self._unix = False
        self._addresses: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for one in given:
            self._add(one)

    def _add(self, one: object) -> None:
        if not isinstance(one, str | IPv4Address | IPv6Address | IPv4Network | IPv6Network):
            raise TypeError(f"a trusted proxy is {WANTED}: not {one!r} of type {type(one).__name__}")
        text = str(one)
        if text == UNIX:
            self._unix = True
        elif "/" in text:
            self._networks.append(network(text))
        elif "%" in text:
            canonical(text)
            self._addresses.add(text)
        else:
            self._addresses.add(canonical(text))

    def __bool__(self) -> bool:
        """Whether anybody is trusted."""
        return self._unix or bool(self._addresses or self._networks)

    def trusts(self, host: str) -> bool:
        """Return whether a peer is trusted.

        Args:
            host: Its IP address; ``""`` for the peer of a unix socket.
        """
        if not host:
            return self._unix
        if host in self._addresses:
            return True
        try:
            address = parsed(host)
        except ValueError:  # of another family of sockets, such as a number of AF_VSOCK
            return False
        return str(address) in self._addresses or any(address in network for network in self._networks)


def canonical(text: str) -> str:
    try:
        return canonical_address(text)
    except ValueError:
        hint = ""
        if text == "*":
            hint = "; ['0.0.0.0/0', '::/0', 'unix'] trusts every peer, so that each can claim any address"
        raise ValueError(f"a trusted proxy is {WANTED}: not {text!r}{hint}") from None


def network(text: str) -> IPv4Network | IPv6Network:
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"a trusted proxy is {WANTED}: not {text!r}") from None
    first = found.network_address
    if str(first) != str(ip_address(text.partition("/")[0])):
        alone = text.partition("/")[0]
        raise ValueError(f"{text!r} is not a network: give {str(found)!r}, or the address {alone!r} alone")
    mapped = first.ipv4_mapped if isinstance(first, IPv6Address) else None
    if mapped is not None and found.prefixlen >= 96:
        return IPv4Network((mapped, found.prefixlen - 96))
    return found
