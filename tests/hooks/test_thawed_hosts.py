"""Hosts of connections that are thawed: the client stays the same object, and no hook hears of it."""

from __future__ import annotations

from tests.handing import Goer, life_of, two_servers
from tests.local_server import local_server_of
from tests.wire import connected, text, until
from wsframe.connection.freeze import freeze, thaw
from wsframe.hooks.thawed_hosts import NO_PLACE, Restored, Returning


def test_no_place_is_never_held() -> None:
    assert not NO_PLACE.take("place", None)
    NO_PLACE.settle()
    NO_PLACE.release()


async def test_a_client_that_returns_is_the_same_object_in_the_same_mailbox() -> None:
    old = Goer()
    async with two_servers(old, Goer()) as servers, connected(servers[0]) as peer:
        await until(lambda: len(old.clients) == 1)
        (client,) = old.clients
        reactor, life = local_server_of(servers[0]).reactor, life_of(old)
        link, mailbox = reactor.links[client._link.fd], client._link.inbox.mailbox
        sock, frozen = freeze(link)
        again = thaw(frozen, sock, Returning(life, frozen, client), link.leaving.reservation, reactor)
        assert again.client is client
        assert client._link is again
        assert again.inbox.mailbox is mailbox
        assert not mailbox.entries
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"


async def test_limits_stay_those_of_the_resource_that_admitted_the_client() -> None:
    old = Goer()
    async with two_servers(old, Goer()) as servers, connected(servers[0]) as peer:
        await peer.send(text("x"))
        await peer.receive_text()
        (client,) = old.clients
        reactor = local_server_of(servers[0]).reactor
        link = reactor.links[client._link.fd]
        sock, frozen = freeze(link)
        host = Restored(life_of(old), frozen)
        assert (host.limits, host.timeouts) == (life_of(old).limits, life_of(old).timeouts)
        assert host.overflow == old.overflow
        assert not host.over
        thaw(frozen, sock, Returning(life_of(old), frozen, client), link.leaving.reservation, reactor)
