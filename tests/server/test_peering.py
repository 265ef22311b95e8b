"""Which servers have a peer port."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import cast

import wsframe
from wsframe import Cluster, Registry, Resource
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.server.peering import bound_peer_socket, plain_port
from wsframe.server.sockets.listen import Bound


class Feed(Resource):
    scope = "shared"


def test_a_server_that_shares_resources_of_one_owner_has_a_peer_port() -> None:
    def has(resource: Resource, plane: MemoryBackplane | None, sock: object) -> bool:
        registry = Registry()
        registry.register("/", resource, wsframe.any_origin)
        with bound_peer_socket(Cluster(), plane, [registry], None, [Bound(sock=cast(socket.socket, sock))]) as made:
            return made is not None

    with socket.socket() as real:
        assert has(Resource(), MemoryBackplane(MemoryHub()), real)
        assert not has(Feed(), MemoryBackplane(MemoryHub()), real)
        assert not has(Resource(), None, real)
        assert not has(Resource(), MemoryBackplane(MemoryHub()), object())


def test_a_proxy_is_told_a_port_at_which_it_can_ask_the_owner() -> None:
    with ExitStack() as stack:

        def place(host: str, *, proxied: bool = False, tls: bool = False) -> Bound:
            sock = stack.enter_context(socket.create_server((host, 0)))
            return Bound(sock=sock, proxy_protocol=proxied, tls=(lambda received: None) if tls else None)

        def told(host: str, *places: Bound) -> list[bool]:
            return [plain_port(one, host) == one.sock.getsockname()[1] for one in places]

        own, everywhere = place("127.0.0.1"), place("0.0.0.0")
        proxied, secured = place("0.0.0.0", proxied=True), place("127.0.0.1", tls=True)
        for host in ("10.0.0.7", "node-3.internal", "2001:db8::1"):
            assert told(host, secured, proxied, own, everywhere) == [False, False, False, True]
        for host in ("127.0.0.1", "::1", "localhost"):
            assert told(host, secured, proxied, own, everywhere) == [False, False, True, True]
        if hasattr(socket, "AF_UNIX"):
            assert not plain_port(Bound(sock=stack.enter_context(socket.socket(socket.AF_UNIX))), "10.0.0.7")
