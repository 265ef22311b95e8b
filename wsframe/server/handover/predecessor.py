"""A worker that leaves its partitions to its successor, in a rolling restart.

A partition is left in one step, in jittered order over ``timeouts.drain``: from then on its newcomers wait in the
successor. First come all waits for peers: lives that define ``hand_over`` go on while they wait for clients in the
middle of a message, and the clients of all others are closed 1012. Then lives are packed (``hooks/hand_over``), and
every ``running()`` of the partition is left. Then the successor gets an offer of the packed lives, and at last the
supervisor hears that the partition is over.

An offer is one conversation for each partition (``workers/socket_exchange``), whose socket the successor gets through
the *lineage*, a pair of sockets that the supervisor has made. Its messages:

=========================== ==================== ===========================================================
From the giver              Descriptors
=========================== ==================== ===========================================================
``["life", n, address]``    state                The n-th life: the path it is registered at, or was made for
``["clients", n, count]``   sockets, states      Some of its clients; at most 64 are under way
``["all", lives, clients]``                      No more will come
=========================== ==================== ===========================================================

=========================== =================================================================================
From the taker
=========================== =================================================================================
``["got", count]``          Clients have arrived
``["mine", n]``             The clients of the n-th life are the taker's, which touches them only now
``["refused", n, why]``     They are not, and never will be
=========================== =================================================================================

Until ``mine`` the giver has duplicates of the sockets, and nobody has touched them: if anything fails, it closes all
of them 1012. After ``mine`` they are the taker's. At its deadline the giver cuts the conversation, which decides for
both sides whether a ``mine`` was said in time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import NamedTuple

import trio

from wsframe.connection.freeze import freeze_request
from wsframe.connection.frozen_document import request_document, to_document
from wsframe.connection.link import Link
from wsframe.connection.reactor import Reactor
from wsframe.hooks.hand_over import RESTART, Given, HandOver, PackedClient, dismiss, is_leaving, send_away, why_not
from wsframe.hooks.listener import Listener
from wsframe.log import Log, log_for
from wsframe.resources.handing_over import hands_over
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.socket_exchange import OtherSideGone, Received, SocketExchange, make_exchange
from wsframe.workers.state_file import pack_parcel, written_file

__all__ = ["MOST_UNDER_WAY", "Offer", "leave_lives"]

logger: Log = log_for(__name__)

MOST_UNDER_WAY = 64
MOST_AT_ONCE = 16
"""Clients of one message: a file and an answer for each of them take most of the time."""
WITHIN = 10.0
"""Seconds for packing the lives of a partition, and again for the successor's answer."""
ARRIVING_WITHIN = 2.0
"""Seconds for newcomers that are on their way into a life."""
ANSWER_WITHIN = 1.0
"""Seconds for peers to answer our close frames, before their ``disconnected`` is called all the same."""
STAY = 1.0
"""Seconds for which a client stays that has just come: it has asked for something, and can have its answer."""
LOOK = 0.01
LONGEST_ADDRESS = 8192
"""Bytes of the JSON of an address at most, half of a message; peers choose the path of a life that a factory made."""

Address = tuple[str, str]
"""``registered`` or ``made``, and the path."""


class Packed(NamedTuple):
    """A life that has left, with the address of the same life in the successor."""

    listener: Listener
    address: Address
    given: Given


async def leave_lives(
    lives: Sequence[Listener],
    reactor: Reactor,
    address_of: Callable[[Listener], Address | None],
    lineage: SocketExchange | None,
    partition: int,
    left: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """End all lives of one partition, and offer those that can go on to the successor.

    Args:
        lives: The lives. No newcomer joins them any more.
        reactor: Has their clients.
        address_of: Returns the address of a life; None for one that nobody can find.
        lineage: Leads to the successor; None if there is none.
        partition: Its number.
        left: Called between the end of the last life and the offer.
    """
    with trio.move_on_after(ARRIVING_WITHIN):
        while any(life.seats.count > len(life.clients) for life in lives):  # noqa: ASYNC110
            await trio.sleep(LOOK)
    leavers = [Leaver(life, reactor, address_of if lineage is not None else nowhere) for life in lives]
    done: list[Packed] = []
    try:
        async with ProtectedNursery() as nursery:
            for one in leavers:
                nursery.start_soon(one.prepare)
        deadline = trio.current_time() + WITHIN
        async with ProtectedNursery() as nursery:
            for one in leavers:
                nursery.start_soon(one.end, deadline, done)
        if left is not None:
            await left()
        if lineage is not None and done:
            await Offer(done, reactor).make(lineage, partition)
    finally:
        for packed_life in done:
            dismiss(packed_life.given.clients, packed_life.listener, reactor)


def nowhere(life: Listener) -> None:
    """Return no address: nobody goes on with these lives."""


class Leaver:
    """One of the lives that end together, from now on closed to newcomers.

    Args:
        life: The life.
        reactor: Has its clients.
        address_of: Returns its address; None if nobody can find it.
    """

    def __init__(self, life: Listener, reactor: Reactor, address_of: Callable[[Listener], Address | None]) -> None:
        self._life = life
        self._reactor = reactor
        self._address = address_of(life) if hands_over(life.resource) and life.open else None
        life.hand_over_steps.leaves = True  # from here on it is not open any more
        if self._address is not None and len(json.dumps(self._address)) > LONGEST_ADDRESS:
            logger.error("%r is not offered: its path is too long; its clients are closed 1012", life)
            self._address = None
        self._giving = None if self._address is None else HandOver(life, reactor)

    async def prepare(self) -> None:
        """Do all that needs a wait for peers; clients that go along are served until every life is ready."""
        if self._giving is not None:
            await let_stay([link for link in self._links() if why_not(link) and not is_leaving(link)])
            await self._giving.settle()
        else:
            await self._close_clients()

    async def end(self, deadline: float, done: list[Packed]) -> None:
        """End the life; add it to a list if it can be offered."""
        given = None
        if self._giving is not None:
            given = await self._giving.pack(deadline)
            if given is None:
                await self._close_clients()
        if self._address is not None and given is not None:
            done.append(Packed(self._life, self._address, given))
        else:
            self._life.retire()
            if not self._life.ready.happened:  # nobody waits for it any more
                self._life.hurry()
            for link in self._links():
                send_away(link)
        await self._life.ended.wait()

    def _links(self) -> list[Link]:
        found = (self._reactor.links.get(client._link.fd) for client in self._life.clients)
        return [link for link in found if link is not None]

    async def _close_clients(self) -> None:
        """Close the clients 1012, and wait for a moment until they have gone."""
        await let_stay(self._links())
        self._reactor.close_all(self._links(), *RESTART)
        with trio.move_on_after(ANSWER_WITHIN):
            while self._life.seats.count:  # noqa: ASYNC110
                await trio.sleep(LOOK)


async def let_stay(links: Sequence[Link]) -> None:
    """Wait until the youngest of some clients, which are to be closed, has been here for a moment."""
    youngest = max((link.opened_at for link in links), default=-inf)
    await trio.sleep_until(min(youngest + STAY, trio.current_time() + STAY))


class Offer:
    """The offer of all packed lives of one partition.

    Args:
        lives: The lives, whose lists of clients are empty once they are the taker's.
        reactor: Has had their clients.
    """

    def __init__(self, lives: Sequence[Packed], reactor: Reactor) -> None:
        self._lives = lives
        self._reactor = reactor
        self._unanswered = set(range(len(lives)))
        self._under_way = 0

    async def make(self, lineage: SocketExchange, partition: int) -> None:
        """Offer them, and wait for the answers. Clients that are left in the lists then are still ours."""
        exchange, theirs = make_exchange()
        try:
            with trio.move_on_after(WITHIN), theirs:
                await lineage.send(["offer", partition], [theirs.fileno()])
                theirs.close()
                await self._send_all(exchange)
                while self._unanswered:
                    self._take(await exchange.receive())
        except (OtherSideGone, OSError, ValueError, TypeError) as error:
            logger.error("the clients of partition %d are closed 1012: %s", partition, error)
        finally:
            self._end(exchange)

    def _end(self, exchange: SocketExchange) -> None:
        """Refuse later answers, and take those that have come."""
        try:
            exchange.cut()
            while (received := exchange.receive_now()) is not None:
                self._take(received)
        except (OtherSideGone, OSError, ValueError, TypeError):
            pass
        finally:
            exchange.close()

    async def _send_all(self, exchange: SocketExchange) -> None:
        clients = 0
        for number, one in enumerate(self._lives):
            request = first_request(one.given)
            state = pack_parcel({"state": one.given.state, "request": request, "positions": one.given.positions})
            await send_with_state(exchange, ["life", number, one.address], state)
        for number, one in enumerate(self._lives):
            given = one.given.clients
            for at in range(0, len(given), MOST_AT_ONCE):
                await self._send_clients(exchange, number, given[at : at + MOST_AT_ONCE])
            clients += len(given)
        await exchange.send(["all", len(self._lives), clients])

    async def _send_clients(self, exchange: SocketExchange, number: int, clients: Sequence[PackedClient]) -> None:
        while self._under_way + len(clients) > MOST_UNDER_WAY:
            self._take(await exchange.receive())
        self._under_way += len(clients)
        states = pack_parcel([to_document(one.frozen) for one in clients])
        await send_with_state(
            exchange, ["clients", number, len(clients)], states, *(one.sock.fileno() for one in clients)
        )

    def _take(self, received: Received) -> None:
        """Act on a message of the taker."""
        for descriptor in received.descriptors:
            os.close(descriptor)
        name, *values = received.document
        if name == "got":
            self._under_way -= values[0]
            return
        number = values[0]
        self._unanswered.discard(number)
        given = self._lives[number].given
        if name == "mine":
            for client in given.clients:
                client.sock.close()
            given.clients.clear()
        else:
            logger.error("the successor refuses %r: %s", self._lives[number].listener, values[1])


def first_request(given: Given) -> list[object] | None:
    """Return the request of the first client, for a factory that makes the resource again."""
    return request_document(freeze_request(given.clients[0].client.request)) if given.clients else None


async def send_with_state(exchange: SocketExchange, document: object, state: bytes, *descriptors: int) -> None:
    """Send a message with a state in a file, after other descriptors."""
    file = written_file(state)
    try:
        await exchange.send(document, [*descriptors, file])
    finally:
        os.close(file)
