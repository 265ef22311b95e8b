"""One life of a resource that begins with clients of another process.

The listener task does it before any other work, in an errand:

1. ``running()`` has been entered.
2. ``take_over`` gets the state of the old object.
3. In one step without a wait: all clients are thawed, ``restore_client`` is called for each, and the giver is told that
   they are ours. Before that, nothing is read or sent: messages of ``restore_client`` wait. If the giver cannot be
   told, because it has given up or died, this process lets go of the clients untouched, and the life goes on without
   them.

A topic that any of the clients is subscribed to can have had messages in the meantime. The life asks for those with
history between the second and the third step, and sends them to the clients before anything else; for other topics, and
for messages that are not kept any more, it calls ``missed`` or ``resync``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from wsframe.backplane.interface import Position
from wsframe.backplane.presence import Member
from wsframe.connection.freeze import FrozenConnection, let_go, thaw
from wsframe.connection.interfaces import HeldPlace
from wsframe.connection.link import Link
from wsframe.connection.reactor import Reactor
from wsframe.hooks.hand_over import HOOK_SECONDS, RESTART
from wsframe.hooks.listener import Listener
from wsframe.hooks.posts import Errand
from wsframe.hooks.thawed_hosts import Restored
from wsframe.log import Log, log_for
from wsframe.net.sockets import Endpoint
from wsframe.protocol.closing import Phase
from wsframe.resources.client import Client
from wsframe.resources.topics.publication import OWN, Publication
from wsframe.resources.topics.recovery import Resumption
from wsframe.user_code.errors import call_plain, contain, failed
from wsframe.user_code.protected_nursery import ProtectedNursery

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["TakeOver", "Taken"]

logger: Log = log_for(__name__)


RESUME_SECONDS = 2.0
"""Seconds for the engine to answer; the giver waits no longer than 10 for everything."""


class Taken(NamedTuple):
    """A client on its way in."""

    sock: Endpoint
    frozen: FrozenConnection
    reservation: HeldPlace


class TakeOver:
    """The beginning of one life with clients of another process.

    Args:
        listener: The life, which has just been started and has one more seat taken until this is over.
        reactor: Gets its clients.
        state: The answer of ``hand_over``.
        clients: Its clients; their sockets and places belong to the life from now on.
        say_mine: Tells the giver that they are ours; returns False if it can no longer be told.
        positions: For topics with history: the position up to which the clients have all messages.
    """

    def __init__(
        self,
        listener: Listener,
        reactor: Reactor,
        state: bytes,
        clients: Sequence[Taken],
        say_mine: Callable[[], bool],
        positions: Mapping[str, Position] = {},
    ) -> None:
        self._listener = listener
        topics = listener.topics
        self._resumptions = {
            topic: Resumption(topics.interest, topics.histories, topic, position)
            for topic, position in positions.items()
        }
        self._missed: dict[str, list[Publication]] = {}
        """By topic: the messages that the clients have not had; none for topics of which that is unknown."""
        self._reactor = reactor
        self._state = state
        self._clients = list(clients)
        self._say_mine = say_mine
        self.done: trio.Event = trio.Event()
        """Set once the clients are here, or let go."""
        self.taken: bool = False
        """Whether they are here."""
        listener.hand_over_steps.put_errand(Errand(self._take, self._drop))

    async def _take(self) -> None:
        try:
            await self._listener.hand_over_steps.ask("take_over", HOOK_SECONDS, self._state)
            await self._resume()
            self._restore_all()
        except BaseException as error:
            if failed(error):
                name = type(self._listener.resource).__name__
                logger.error("take_over of %s failed; its clients are closed 1012", name, exc_info=error)
        finally:
            for one in self._resumptions.values():
                one.end()
            self._drop()

    async def _resume(self) -> None:
        """Ask for the messages that the clients have missed, for a moment."""
        with trio.move_on_after(RESUME_SECONDS):
            async with ProtectedNursery() as nursery:
                for one in self._resumptions.values():
                    nursery.start_soon(one.begin)

    def _restore_all(self) -> None:
        links: list[Link] = []
        missed = {topic: one.publications() for topic, one in self._resumptions.items()}
        self._missed = {topic: some for topic, some in missed.items() if some is not None}
        try:
            unfit = self._thaw_all(links)
        except BaseException:
            for link in links:
                self._let_go(link)
            raise
        try:
            self.taken = self._say_mine()
        except BaseException as error:
            contain(error)
            logger.error("clients of %r cannot be taken over", self._listener, exc_info=error)
        for link in links:
            if self.taken:
                let_go(link)
            else:
                self._let_go(link)
        for link in unfit:
            link.close(*RESTART, mute=True)
        if self.taken:
            self._tell_missed(links)

    def _thaw_all(self, links: list[Link]) -> list[Link]:
        """Thaw all clients and add their links to a list; return the links of those that cannot be restored."""
        unfit: list[Link] = []
        while self._clients:
            one = self._clients[-1]
            link = self._thaw(one)
            self._clients.pop()
            links.append(link)
            self._subscribe(link, one.frozen)
            if not self._restore(link, one.frozen.data):
                unfit.append(link)
        return unfit

    def _subscribe(self, link: Link, frozen: FrozenConnection) -> None:
        """Subscribe a client to its topics, and send it the messages it has missed."""
        client: Any = link.client
        topics, keeps = self._listener.topics, self._listener.resource.history is not None
        members = {topic: Member(key, info) for topic, key, info in frozen.members}
        if self._listener.topic:
            topics.enter(client, self._listener.topic)
        for topic in frozen.topics:
            if topic.startswith(OWN):  # of the old object's broadcasts
                continue
            topics.subscribe(client, topic, keeps=keeps, member=members.get(topic))
            for publication in self._missed.get(topic, ()):
                topics.interest.topics[topic].send(publication, [client])

    def _thaw(self, one: Taken) -> Link:
        """Thaw the last client; if that fails, it is where it was, or let go if it has got a link."""
        host, links, number = Restored(self._listener, one.frozen), self._reactor.links, one.sock.fileno()
        self._listener.join()
        try:
            link = thaw(one.frozen, one.sock, host, one.reservation, self._reactor, hold=True)
        except BaseException:
            if number in links:
                self._clients.pop()
                self._listener.hand_over_steps.keep_count(-links[number].inbox.received)
                self._let_go(links[number])
            else:
                self._listener.leave()
            raise
        self._listener.hand_over_steps.keep_count(-link.inbox.received)  # the other process has counted them
        return link

    def _restore(self, link: Link, state: Any) -> bool:
        try:
            call_plain(self._listener.resource.restore_client, link.client, state)
        except BaseException as error:
            if failed(error):
                logger.error("restore_client failed for %r, which is closed 1012", link.client, exc_info=error)
            return False
        return True

    def _let_go(self, link: Link) -> None:
        """Forget a client whose socket has not been touched, and which its giver ends."""
        client: Any = link.client
        self._listener.clients.pop(client, None)
        self._listener.hand_over_steps.keep_count(link.inbox.received)
        self._listener.topics.leave(client)
        link.inbox.discard()
        if link.closing.phase is Phase.OPEN:
            link.leaving.hand_over().close()
        else:
            link.abort("not taken over", mute=True)
        link.leaving.left()
        self._listener.leave()

    def _tell_missed(self, links: Iterable[Link]) -> None:
        clients: list[Any] = [link.client for link in links]
        topics = {topic for client in clients for topic in self._listener.topics.of(client)}
        for topic in sorted(topics.difference(self._missed)):
            hook = self._listener.topics.interest.topics[topic].hook_for_holes
            self._listener.notify(hook, (topic,), lambda: None)

    def _drop(self) -> None:
        """Let go of the clients that have not been thawed, and end this."""
        for one in self._clients:
            one.sock.close()
            one.reservation.release()
        self._clients.clear()
        if not self.done.is_set():
            self._listener.leave()
            self.done.set()
