"""Which servers have a peer port."""

from __future__ import annotations

import socket

import wsframe
from wsframe import Cluster, Registry, Resource
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.server.peering import bound_peer_socket


class Feed(Resource):
    scope = "shared"


def test_a_server_that_shares_resources_of_one_owner_has_a_peer_port() -> None:
    def has(resource: Resource, plane: MemoryBackplane | None, sockets: list[object]) -> bool:
        registry = Registry()
        registry.register("/", resource, wsframe.any_origin)
        with bound_peer_socket(Cluster(), plane, [registry], None, True, sockets) as made:
            return made is not None

    with socket.socket() as real:
        assert has(Resource(), MemoryBackplane(MemoryHub()), [real])
        assert not has(Feed(), MemoryBackplane(MemoryHub()), [real])
        assert not has(Resource(), None, [real])
        assert not has(Resource(), MemoryBackplane(MemoryHub()), [object()])
