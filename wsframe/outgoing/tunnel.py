"""Tunnels through a proxy: HTTP CONNECT by h11, SOCKS5 by python-socks."""

from __future__ import annotations

import h11
import trio

from wsframe.http.other_protocols import beginning, may_be_http
from wsframe.log import escaped
from wsframe.net.tls import default_context, naming_no_tls
from wsframe.net.transport import Transport, transport_of
from wsframe.outgoing.exceptions import ProxyFailed
from wsframe.outgoing.hosts import server_name, with_zone
from wsframe.outgoing.proxy import Proxy
from wsframe.outgoing.retrying import status_may_pass
from wsframe.outgoing.url import Target, basic_authorization

__all__ = ["open_http_tunnel", "open_socks_tunnel"]

MAX_HEAD = 16384
# SOCKS5 replies (RFC 1928 section 6) after which another try may go better: a host that is overloaded
# or unreachable now may not stay so.
TEMPORARY_REPLIES = frozenset({1, 3, 4, 5, 6})


async def open_http_tunnel(transport: Transport, proxy: Proxy, target: Target) -> None:
    """Ask a proxy that is connected for a tunnel (RFC 9110 section 9.3.6).

    Raises:
        ProxyFailed: If it refuses.
        OSError: If the connection breaks.
    """
    if proxy.scheme == "https":
        with naming_no_tls(f"the proxy {proxy} does not speak TLS: is its URL http:// in place of https://?"):
            await transport.start_tls(default_context(), server_name(proxy.host))
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    fields = [("Host", target.destination)]
    if proxy.credentials is not None:
        fields.append(("Proxy-Authorization", basic_authorization(proxy.credentials)))
    request = h11.Request(method="CONNECT", target=target.destination, headers=fields)
    await transport.send_all(connection.send(request) + connection.send(h11.EndOfMessage()))
    status = await answer_of(connection, transport, proxy)
    if not 200 <= status <= 299:
        login = ": it wants user:password@ in its URL" if status == 407 and proxy.credentials is None else ""
        message = f"the proxy {proxy} answered {status} to CONNECT{login}"
        raise ProxyFailed(message, status, temporary=status_may_pass(status))
    if connection.trailing_data[0]:
        raise ProxyFailed(f"the proxy {proxy} sent data of its own through the tunnel")


async def answer_of(connection: h11.Connection, transport: Transport, proxy: Proxy) -> int:
    """Read the head of the answer; return its status. Heads only: a refusal goes on with a page."""
    received, begun = 0, b""
    try:
        while True:
            event = connection.next_event()
            if received - len(connection.trailing_data[0]) > MAX_HEAD:
                raise ProxyFailed(f"the answer of the proxy {proxy} is too large")
            if isinstance(event, h11.Response):
                return event.status_code
            if event is h11.NEED_DATA:
                data = await transport.receive_some()
                if not data:
                    raise ConnectionResetError(f"the proxy {proxy} ended the connection before it answered")
                received += len(data)
                begun = begun or data
                if not may_be_http(begun):
                    raise ProxyFailed(f"the answer of the proxy {proxy} is not HTTP: {beginning(begun)}")
                connection.receive_data(data)
    except h11.RemoteProtocolError as error:
        raise ProxyFailed(f"the answer of the proxy {proxy} is not HTTP: {escaped(str(error))}") from None


async def open_socks_tunnel(proxy: Proxy, target: Target, at_most: float) -> Transport:
    """Connect to a SOCKS5 proxy and through it.

    Raises:
        ProxyFailed: If it refuses.
        OSError: If the proxy cannot be reached, or takes longer than ``at_most`` seconds.
        ImportError: Without the extra ``socks``.
    """
    try:
        from python_socks import ProxyError, ProxyType
        from python_socks._errors import IncompleteReadError
        from python_socks.async_.trio import Proxy as SocksProxy
    except ImportError:
        raise ImportError("SOCKS needs python-socks: pip install 'wsframe[socks]'") from None
    there = proxy.scheme == "socks5h"
    host = target.host if there else with_zone(target.host, target.zone)
    user, password = proxy.credentials or (None, None)
    socks = SocksProxy(ProxyType.SOCKS5, with_zone(proxy.host, proxy.zone), proxy.port, user, password, rdns=there)
    try:
        connected: trio.socket.SocketType = await socks.connect(host, target.port, timeout=at_most)
    except ProxyError as error:
        if isinstance(error.__cause__, IncompleteReadError):
            raise ConnectionResetError(f"the proxy {proxy} ended the connection before it answered") from None
        temporary = error.error_code in TEMPORARY_REPLIES
        raise ProxyFailed(f"the proxy {proxy} refused: {error}", error.error_code, temporary=temporary) from None
    except UnicodeDecodeError:  # of the name in its answer, which nobody needs
        raise ProxyFailed(f"the answer of the proxy {proxy} is not SOCKS") from None
    return transport_of(connected)
