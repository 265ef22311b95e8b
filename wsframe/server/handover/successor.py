"""A worker that takes over partitions from its predecessor, in a rolling restart.

It has started no life of them. One partition after another becomes its own: by an offer of the predecessor, which has
left every ``running()`` of that partition before it offers (``predecessor`` has the messages), or by the supervisor's
word that the partition is over. From then on its lives begin, those that were offered with their state and their
clients.

An offer that breaks off before its last message is dropped: the sockets are closed, which the peers do not notice,
because the giver has duplicates.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from wsframe.backplane.interface import Position
from wsframe.connection.freeze import FrozenConnection, thaw_request
from wsframe.connection.frozen_document import from_document, request_of
from wsframe.connection.reactor import Reactor
from wsframe.hooks.listener import Listener
from wsframe.hooks.take_over import Taken, TakeOver
from wsframe.http.request import Request
from wsframe.http.responses import Reject
from wsframe.log import Log, log_for
from wsframe.server.capacity import Places
from wsframe.server.handover.unanswered import is_newcomer
from wsframe.user_code.errors import contain
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.socket_exchange import LostMessage, OtherSideGone, Received, SocketExchange
from wsframe.workers.state_file import open_parcel, read_file

__all__ = ["OfferedLife", "Successor"]

logger: Log = log_for(__name__)

Join = Callable[[tuple[str, str], Request | None], Listener]


class OfferedLife:
    """A life on its way in.

    Args:
        address: The address of the same life here.
        state: The parcel with the answer of ``hand_over``.
    """

    def __init__(self, address: tuple[str, str], state: bytes) -> None:
        self.address = address
        document = open_parcel(state)
        self.state: bytes = document["state"]
        request = document["request"]
        self.request: Request | None = None if request is None else thaw_request(request_of(request))
        self.positions: dict[str, Position] = {
            topic: Position(*position) for topic, position in document["positions"].items()
        }
        self.clients: list[tuple[socket.socket, FrozenConnection]] = []


class Successor:
    """Takes the offers of a predecessor.

    Args:
        reactor: Gets the clients.
        places: Get theirs.
        begin: Has the lives of a partition begin here, or raises OtherSideGone.
        join: Returns the life at an address, started if it does not run, and counts one more member.
        welcome: Takes messages about newcomers; None to take none.
    """

    def __init__(
        self,
        reactor: Reactor,
        places: Places,
        begin: Callable[[int], Awaitable[object]],
        join: Join,
        welcome: Callable[[Received], object] | None = None,
    ) -> None:
        self._reactor = reactor
        self._places = places
        self._begin = begin
        self._join = join
        self._welcome = welcome

    async def run(self, lineage: SocketExchange) -> None:
        """Take offers until there are no more."""
        async with ProtectedNursery() as nursery:
            while True:
                try:
                    received = await lineage.receive()
                    if self._welcome is not None and is_newcomer(received):
                        self._welcome(received)
                        continue
                    exchange, partition = conversation(received)
                except LostMessage as error:  # the giver sees its end, and closes the clients 1012
                    logger.error("an offer of the predecessor is lost: %s", error)
                    continue
                except OtherSideGone:
                    return
                nursery.start_soon(self._take_offer, exchange, partition)

    async def _take_offer(self, exchange: SocketExchange, partition: int) -> None:
        lives: list[OfferedLife] = []
        try:
            await self._receive(exchange, lives)
            await self._begin(partition)
            async with ProtectedNursery() as nursery:
                for number, life in enumerate(lives):
                    nursery.start_soon(self._take_life, exchange, number, life)
        except (OtherSideGone, ValueError, TypeError, KeyError, OSError) as error:
            logger.error("the offer of partition %d has failed: %s", partition, error)
        finally:
            for life in lives:
                for sock, _ in life.clients:
                    sock.close()
            exchange.close()

    async def _receive(self, exchange: SocketExchange, lives: list[OfferedLife]) -> None:
        """Receive everything that is offered.

        Raises:
            OtherSideGone: If it breaks off.
            ValueError: For a state of another version of wsframe.
        """
        clients = 0
        while True:
            received = await exchange.receive()
            name, *values = received.document
            if name == "all":
                if values != [len(lives), clients]:
                    raise OtherSideGone(f"{values} lives and clients were sent, {[len(lives), clients]} have come")
                return
            state = take_state(received)
            if name == "life":
                lives.append(OfferedLife(tuple(values[1]), state))
                continue
            number, count = values
            arrived = sockets_of(received)
            try:
                frozen = [from_document(one) for one in open_parcel(state)]
                if not count == len(frozen) == len(arrived):
                    raise ValueError(f"{count} clients came with {len(arrived)} sockets and {len(frozen)} states")
            except ValueError:
                for sock in arrived:
                    sock.close()
                raise
            lives[number].clients += zip(arrived, frozen, strict=True)
            clients += count
            await exchange.send(["got", count])

    async def _take_life(self, exchange: SocketExchange, number: int, life: OfferedLife) -> None:
        why = "take_over failed"
        try:
            listener = self._join(life.address, life.request)
        except BaseException as error:
            if not isinstance(error, Reject) and contain(error):
                logger.error("nothing here goes on with %s", life.address, exc_info=error)
            why = f"there is no life at {life.address[1]} here: {error}"
        else:
            clients = [
                Taken(sock, frozen, self._places.take_over(frozen.request.host, id(listener.resource)))
                for sock, frozen in life.clients
            ]
            life.clients.clear()
            say_mine = partial(try_to_tell, exchange, ["mine", number])
            taking = TakeOver(listener, self._reactor, life.state, clients, say_mine, life.positions)
            await taking.done.wait()
            if taking.taken:
                return
        try_to_tell(exchange, ["refused", number, why[:1000]])


def conversation(received: Received) -> tuple[SocketExchange, int]:
    """Return the conversation about an offer, and the number of its partition.

    Raises:
        LostMessage: If this is not an offer, or came without its socket.
    """
    try:
        _, partition = received.document
        (descriptor,) = received.descriptors
        sock = socket.socket(fileno=descriptor)
    except (ValueError, TypeError, OSError) as error:
        for descriptor in received.descriptors:
            os.close(descriptor)
        raise LostMessage(str(error)) from error
    return SocketExchange(sock), partition


def sockets_of(received: Received) -> list[socket.socket]:
    """Make sockets of the descriptors of a message."""
    made = [socket.socket(fileno=descriptor) for descriptor in received.descriptors]
    received.descriptors.clear()
    for sock in made:
        sock.setblocking(False)
    return made


def try_to_tell(exchange: SocketExchange, document: object) -> bool:
    """Send the giver a message; return False if it cannot receive it any more."""
    try:
        return exchange.send_now(document)
    except OtherSideGone:
        return False


def take_state(received: Received) -> bytes:
    """Read the state of a message, which is its last descriptor."""
    file = received.descriptors.pop()
    try:
        return read_file(file)
    finally:
        os.close(file)
