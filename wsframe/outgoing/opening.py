"""Opens a connection, from its URL to the 101: connect, TLS, handshake, redirects."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import trio

from wsframe.http.client_handshake import HandshakeFailed, HandshakeRejected, Upgrade, Upgraded
from wsframe.http.request import Headers
from wsframe.http.responses import header_list
from wsframe.log import LONGEST_REASON, Log, log_for, shortened
from wsframe.net.tls import default_context, naming_no_tls
from wsframe.net.transport import Transport, transport_of
from wsframe.outgoing.exceptions import OpeningTimeout, ProxyFailed
from wsframe.outgoing.hosts import server_name, with_zone
from wsframe.outgoing.options import Opening
from wsframe.outgoing.proxy import Proxy, proxy_for
from wsframe.outgoing.tunnel import open_http_tunnel, open_socks_tunnel
from wsframe.outgoing.url import Target, basic_authorization, redirected
from wsframe.protocol.deflate import Deflate

__all__ = ["Opened", "OpeningPlan"]

logger: Log = log_for(__name__)

REDIRECTS = frozenset({301, 302, 303, 307, 308})
NO_TLS = "the server does not speak TLS at this port: is its URL ws:// in place of wss://?"
# Bytes read of an answer before other tasks have a turn: chunks of one byte each take h11 14 us.
READ_OF_ANSWER = 8192
# The field that carries the subprotocols.
SUBPROTOCOLS = "sec-websocket-protocol"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A connection after the 101."""

    transport: Transport
    target: Target
    request_headers: Headers
    upgraded: Upgraded


@dataclass(frozen=True, kw_only=True, slots=True)
class OpeningPlan:
    """How a connection is to be opened; its fields are the options of ``connect``."""

    target: Target
    headers: list[tuple[str, str]]
    subprotocols: list[str]
    keep_on_redirect: frozenset[str]
    """In lower case."""
    unix: str | None
    ssl_context: ssl.SSLContext | None
    proxy: str | None
    deflate: Deflate | None
    opening: Opening

    async def open(self) -> Opened:
        """Connect, and follow redirects.

        Raises:
            OSError: If the network or TLS fails; :exc:`OpeningTimeout` for a phase that takes too long.
            HandshakeRejected: If the server answers another status than 101.
            HandshakeFailed: If its 101 breaks the rules, or a redirect leads nowhere.
            ProxyFailed: If a proxy refuses.
        """
        plan, followed = self, 0
        while True:
            try:
                return await plan.open_once()
            except HandshakeRejected as rejected:
                there = plan.follow(rejected) if followed < self.opening.max_redirects else None
                if there is None:
                    raise
            plan, followed = there, followed + 1

    def follow(self, answer: HandshakeRejected) -> OpeningPlan | None:
        """Return the plan for a redirect; None if it is not a redirect, or leads away from a unix socket."""
        location = answer.headers.get("location")
        if answer.status not in REDIRECTS or location is None:
            return None
        target = redirected(self.target, location)
        if target.origin == self.target.origin:
            return replace(self, target=target)
        return None if self.unix is not None else self._elsewhere(target)

    def _elsewhere(self, target: Target) -> OpeningPlan:
        """Return the plan for another origin, which gets only the fields that the user named."""
        keep = self.keep_on_redirect
        headers = [field for field in self.headers if field[0].lower() in keep]
        subprotocols = self.subprotocols if SUBPROTOCOLS in keep else []
        if "authorization" in keep:
            target = replace(target, credentials=self.target.credentials)
        left = sorted({name.lower() for name, _ in self.headers} - keep)
        left += [SUBPROTOCOLS] if len(subprotocols) < len(self.subprotocols) else []
        left += ["user and password"] if self.target.credentials != target.credentials else []
        suffix = f", without {', '.join(left)}" if left else ""
        here, there = shortened(str(self.target)), shortened(str(target))
        logger.info("%s: redirected to another origin, %s%s", here, there, shortened(suffix, LONGEST_REASON))
        return replace(self, target=target, headers=headers, subprotocols=subprotocols)

    def upgrade(self) -> Upgrade:
        """Make the request.

        Raises:
            ValueError: If the options cannot be sent.
        """
        headers = header_list(self.headers)
        if self.target.credentials is not None and "authorization" not in {name.lower() for name, _ in headers}:
            headers.append(("Authorization", basic_authorization(self.target.credentials)))
        return Upgrade(
            self.target.resource,
            self.target.authority,
            headers=headers,
            subprotocols=self.subprotocols,
            deflate=self.deflate,
            max_head=self.opening.max_head,
            max_body=self.opening.max_body,
        )

    async def open_once(self) -> Opened:
        upgrade = self.upgrade()
        transport = await self.connect()
        try:
            if self.target.secure:
                context = self.ssl_context or default_context()
                with phase("the TLS handshake", self.opening.tls), naming_no_tls(NO_TLS):
                    await transport.start_tls(context, server_name(self.target.host))
                check_agreed(None if transport.tls is None else transport.tls.alpn)
            upgraded = await self.shake_hands(transport, upgrade)
        except HandshakeFailed:  # the server has answered, though not with a handshake
            await transport.end_and_close()
            raise
        except BaseException:
            transport.close(reset=True)
            raise
        return Opened(transport=transport, target=self.target, request_headers=upgrade.headers, upgraded=upgraded)

    async def connect(self) -> Transport:
        """Connect to the server, directly or through a proxy."""
        if self.unix is not None:
            with phase("connecting", self.opening.connect):
                path = f"\0{self.unix[1:]}" if self.unix.startswith("@") else self.unix
                return transport_of((await trio.open_unix_socket(path)).socket)
        proxy = proxy_for(self.target, self.proxy)
        if proxy is None:
            with phase("connecting", self.opening.connect):
                return await connect_to(self.target)
        return await self.connect_through(proxy)

    async def connect_through(self, proxy: Proxy) -> Transport:
        if proxy.scheme in ("socks5", "socks5h"):
            at_most = self.opening.connect + self.opening.tunnel
            with phase("connecting through the proxy", at_most):
                return await open_socks_tunnel(proxy, self.target, at_most)
        with phase("connecting to the proxy", self.opening.connect):
            transport = await connect_to(proxy)
        try:
            with phase("the proxy's answer", self.opening.tunnel):
                await open_http_tunnel(transport, proxy, self.target)
        except ProxyFailed:
            await transport.end_and_close()
            raise
        except BaseException:
            transport.close(reset=True)
            raise
        return transport

    async def shake_hands(self, transport: Transport, upgrade: Upgrade) -> Upgraded:
        """Send the request and read the answer."""
        with trio.move_on_after(self.opening.handshake):
            await transport.send_all(upgrade.request)
            while True:
                upgraded = upgrade.receive(await transport.receive_some(READ_OF_ANSWER))
                if upgraded is not None:
                    return upgraded
        upgrade.give_up()
        raise OpeningTimeout(f"the handshake took longer than {self.opening.handshake:g} s")


def check_agreed(protocol: str | None) -> None:
    """Check the protocol that was agreed on by ALPN (RFC 7301).

    Raises:
        HandshakeFailed: If it is another one than HTTP/1.1.
    """
    if protocol not in (None, "http/1.1"):
        raise HandshakeFailed(
            f"client and server agreed on {protocol!r} by ALPN, and a WebSocket needs HTTP/1.1: "
            "give an ssl_context with set_alpn_protocols(['http/1.1'])"
        )


@contextmanager
def phase(name: str, at_most: float) -> Iterator[None]:
    """Bound a phase."""
    with trio.move_on_after(at_most) as scope:
        yield
    if scope.cancelled_caught:
        raise OpeningTimeout(f"{name} took longer than {at_most:g} s")


async def connect_to(there: Target | Proxy) -> Transport:
    """Connect by TCP. Where a name has several addresses, trio's error does not say why each of them failed."""
    # Bytes, which trio leaves as they are: in a str it refuses names with an underscore.
    address = with_zone(there.host, there.zone).encode()
    try:
        return transport_of((await trio.open_tcp_stream(address, there.port)).socket)
    except OSError as error:
        if not isinstance(error.__cause__, ExceptionGroup):
            raise
        causes = (one for one in error.__cause__.exceptions if isinstance(one, OSError))
        reasons = dict.fromkeys(os.strerror(one.errno) if one.errno else str(one) for one in causes)
        raise OSError(f"{error}: {', '.join(reasons)}") from error.__cause__
