"""One life of a resource on its way out of this process, with its clients connected.

The order, for a resource that defines ``hand_over``:

1. Clients in the middle of a message are read until it is whole, and those that have been closed until they answer. In
   the meantime the life goes on with all others, which do not notice the wait.
2. Nothing more is read from its clients: their bytes stay in the kernel, for the next owner. From here on the clients
   notice a pause. A message that has just begun has a moment to become whole.
3. All that waits in the mailbox is worked off. Then the tasks of the clients and of the resource are ended; from
   here on posts and calls are refused.
4. Clients that cannot go along are closed 1012: those still in a message, and those that are not on the list of
   :func:`why_not`. Their ``disconnected`` runs here. Then the rest of the mailbox is worked off.
5. All clients are frozen in one step, each with its ``client_state``. None of them can leave from now on.
6. ``hand_over`` is called in the listener task: its state is of exactly these clients.
7. The life ends. No ``disconnected`` runs.

Gates do this. A gate is an errand: when the hooks get to it, all entries before it are done, and no hook begins until
the gate opens.

Only steps 1 and 2 wait for single clients, for a second in all, and everything together has a deadline. After the
deadline, or if ``hand_over`` fails, the life goes on as before, and its clients leave as in any other drain.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from wsframe.backplane.interface import Position
from wsframe.connection.freeze import CannotFreeze, FrozenConnection, Known, freeze, thaw
from wsframe.connection.link import Link
from wsframe.connection.reactor import Reactor
from wsframe.hooks.listener import Listener
from wsframe.hooks.posts import Errand
from wsframe.hooks.thawed_hosts import NO_PLACE, Departed, Returning
from wsframe.log import Log, log_for
from wsframe.net.sockets import Endpoint
from wsframe.protocol.close import CloseCode
from wsframe.protocol.closing import Phase
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended
from wsframe.resources.client import Client
from wsframe.user_code.errors import call_plain, failed
from wsframe.workers.state_file import check_packable

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["RESTART", "Given", "HandOver", "PackedClient", "dismiss", "is_leaving", "send_away", "why_not"]

logger: Log = log_for(__name__)

RESTART = 1012, "service restart"
WHOLE_WITHIN = 0.75
"""Seconds to wait for a client in the middle of a message, while the others are served."""
AT_REST_WITHIN = 0.25
"""Seconds to wait for it once nothing more is read from the others."""
LOOK = 0.02
HOOK_SECONDS = 5.0
ATTEMPTS = 5
"""How often to wait for clients that end in the last moment."""


class PackedClient(NamedTuple):
    """A client that leaves: its socket, and everything else."""

    sock: Endpoint
    frozen: FrozenConnection
    """Its ``data`` is that of ``client_state``."""
    client: AnyClient
    """The object that this process knew."""


class Given(NamedTuple):
    """A life that leaves."""

    state: bytes
    clients: list[PackedClient]
    positions: dict[str, Position]
    """For topics with history: the position up to which the clients have all messages."""


def why_not(link: Link) -> str:
    """Return why an open connection cannot go to another process; empty if it can.

    It is a whitelist: plain sockets, version 13, no compression or none that refers to earlier messages, neither
    closing nor on the way to another resource. Whether it is between two messages only freezing shows.
    """
    if is_leaving(link):
        return "it is closing, or moves to another resource"
    if link.transport.secure or not link.transport.by_descriptor:
        return "it is not a plain socket"
    if link.client.request.peer_certificate_der is not None:
        return "its certificate stays here"
    if not isinstance(link.connection, Decoder) or link.client.request.version != 13:
        return "it speaks an old version"
    inflate = link.connection.inflate
    if inflate is not None and (inflate.terms.client_takeover or inflate.terms.server_takeover or inflate.window):
        return "its compression refers to earlier messages"
    return ""


def is_leaving(link: Link) -> bool:
    """Return whether a client is about to leave: of the reasons of :func:`why_not`, those that can come later."""
    ended = link.closing.phase is not Phase.OPEN or link.closing.ended is not None
    return ended or link.outbox.shut or link.inbox.move is not None


def between_messages(link: Link) -> bool:
    """Return whether freezing finds a client at the end of a message."""
    return isinstance(link.connection, Decoder) and link.connection.between_messages


def is_waited_for(link: Link) -> bool:
    """Return whether a client would go along if only its message were whole, or has yet to answer our close frame."""
    if link.closing.phase is not Phase.OPEN:
        return link.closing.ended is None
    return not between_messages(link) and not why_not(link)


class Gate:
    """A place in the mailbox at which no hook runs, and none begins until it opens.

    Args:
        listener: The life that has the mailbox.
    """

    def __init__(self, listener: Listener) -> None:
        self._reached, self._open = trio.Event(), trio.Event()
        self._work: Callable[[], Awaitable[None]] | None = None
        self._worked = trio.Event()
        listener.hand_over_steps.put_errand(Errand(self._stand, self._drop))

    def _drop(self) -> None:
        """Let those that wait go on: the life has ended before its hooks got here."""
        self._reached.set()
        self._worked.set()

    async def _stand(self) -> None:
        self._reached.set()
        await self._open.wait()
        if self._work is not None:
            await self._work()
            self._worked.set()

    async def work(self, work: Callable[[], Awaitable[None]]) -> None:
        """Let the hooks go on, and wait until some work has been done first, or the life has ended."""
        self._work = work
        self._open.set()
        await self._worked.wait()

    async def reached(self) -> None:
        """Wait until the hooks have got here."""
        await self._reached.wait()

    def open(self) -> None:
        """Let the hooks go on."""
        self._open.set()


class HandOver:
    """The way out of one life.

    Args:
        listener: The life.
        reactor: Has its clients.
    """

    def __init__(self, listener: Listener, reactor: Reactor) -> None:
        self._listener = listener
        self._reactor = reactor
        self._gate: Gate | None = None
        self._positions: dict[str, Position] = {}

    async def settle(self) -> None:
        """Wait for messages that have begun and for answers to close frames, while the life goes on.

        Clients are held as soon as their message is whole: most likely the next one has parts, too.
        """
        begun = [link for link in self._links() if is_waited_for(link)]
        with trio.move_on_after(WHOLE_WITHIN):
            while self._hold(begun):  # noqa: ASYNC110
                await trio.sleep(LOOK)

    async def pack(self, deadline: float) -> Given | None:
        """Take the life out of this process; None if that did not succeed by the deadline, or ``hand_over`` failed.

        After None the life is still here with its clients, which are to leave in another way.
        """
        given: Given | None = None
        try:
            with trio.move_on_at(deadline):
                given = await self._pack()
        finally:
            if self._gate is not None:
                self._gate.open()
            if given is None:
                self._read_on()
        return given

    async def _pack(self) -> Given | None:
        listener = self._listener
        self._hold(self._links())
        (await self._at_a_gate()).open()
        listener.hand_over_steps.stop_tasks()
        await listener.hand_over_steps.tasks_ended.wait()
        states: dict[AnyClient, Any] = {}
        for _ in range(ATTEMPTS):
            await self._until_whole()
            for client in tuple(listener.clients):
                if client not in states:
                    self._judge(client, states)
            gate = await self._at_a_gate()
            frozen = self._freeze(states)
            if frozen is not None:
                return await self._ask(gate, frozen)
            gate.open()
        logger.error("%r is not handed over: clients that come or end do not leave it at rest", listener)
        return None

    async def _at_a_gate(self) -> Gate:
        """Return a gate that the hooks of the life have reached."""
        gate = self._gate = Gate(self._listener)
        await gate.reached()
        return gate

    # The clients

    def _links(self) -> list[Link]:
        links = self._reactor.links
        return [link for client in self._listener.clients if (link := links.get(client._link.fd)) is client._link]

    def _hold(self, links: Iterable[Link]) -> bool:
        """Stop reading from clients that need no wait; return whether others are left."""
        left = False
        for link in links:
            if is_waited_for(link):
                left = True
                if link.readiness.held:  # a hook has closed it since then, and its answer is to be read
                    link.readiness.let_go()
                    link.readiness.read_on()
            elif link.closing.phase is Phase.OPEN:
                link.readiness.hold()
        return left

    def _read_on(self) -> None:
        for link in self._links():
            if link.readiness.held:
                link.readiness.let_go()
                if not link.inbox.paused and not link.connection.stopped:
                    link.readiness.read_on()

    async def _until_whole(self) -> None:
        with trio.move_on_after(AT_REST_WITHIN):
            while self._hold(self._links()):  # noqa: ASYNC110
                await trio.sleep(LOOK)

    def _judge(self, client: AnyClient, states: dict[AnyClient, Any]) -> None:
        """Note the state of a client that can go along, and send away one that cannot."""
        link = self._reactor.links.get(client._link.fd)
        if link is None or link is not client._link or link.closing.phase is not Phase.OPEN:
            if link is not None and link is client._link and link.closing.ended is None:
                send_away(link)  # its peer does not answer our close frame
            return  # it is ending, and will have its disconnected
        why = why_not(link)
        if not why and not between_messages(link):
            why = "it is in the middle of a message"
        if not why:
            try:
                state = call_plain(self._listener.resource.client_state, client)
                check_packable(state)
            except BaseException as error:
                if not failed(error):
                    return
                logger.error("client_state failed for %r, which is closed 1012", client, exc_info=error)
                why = "its state cannot be passed on"
            else:
                states[client] = state
                return
        logger.info("%s: not handed over: %s", link.name, why, kind=why)
        send_away(link)

    def _freeze(self, states: dict[AnyClient, Any]) -> list[PackedClient] | None:
        """Freeze all clients in one step; None if one of them, or a newcomer, needs a wait first."""
        listener = self._listener
        clients = list(listener.clients)
        if listener.seats.count != len(clients) or not states.keys() >= set(clients):
            return None
        links = self._links()  # in the order of the clients
        if len(links) != len(clients) or any(map(is_leaving, links)):
            return None
        done: list[PackedClient] = []
        try:
            for client, link in zip(clients, links, strict=True):
                topics = tuple(sorted(listener.topics.of(client)))
                members = tuple((topic, *member) for topic, member in listener.topics.presences.of_client(client))
                sock, frozen = freeze(link, Known(states[client], topics, members))
                done.append(PackedClient(sock, frozen, client))
        except CannotFreeze:
            self._return(done)
            return None
        here = listener.topics.interest.topics
        delivered = {topic: here[topic].delivered for one in done for topic in one.frozen.topics}
        self._positions = {topic: position for topic, position in delivered.items() if position is not None}
        return done

    async def _ask(self, gate: Gate, clients: list[PackedClient]) -> Given | None:
        """Call ``hand_over`` in the listener task, and end the life if it has answered."""
        state: list[bytes] = []

        async def work() -> None:
            try:
                answer = await self._listener.hand_over_steps.ask("hand_over", HOOK_SECONDS)
                if not isinstance(answer, bytes):
                    raise TypeError(f"hand_over returns bytes, not {type(answer).__name__}")
                state.append(answer)
            except BaseException as error:
                if failed(error):
                    name = type(self._listener.resource).__name__
                    logger.error("hand_over of %s failed; its clients are closed 1012", name, exc_info=error)

        try:
            await gate.work(work)
        finally:
            if not state:
                self._return(clients)
        if not state:
            return None
        for one in clients:
            self._forget(one.client)
        self._listener.retire()
        return Given(state[0], clients, self._positions)

    def _forget(self, client: AnyClient) -> None:
        """Let a client go without its ``disconnected``."""
        listener = self._listener
        del listener.clients[client]
        listener.hand_over_steps.keep_count(client._link.inbox.received)
        listener.topics.leave(client)
        client._link.leaving.left()
        listener.leave()

    def _return(self, clients: list[PackedClient]) -> None:
        """Give clients back to the life, as the same objects."""
        for one in clients:
            reservation = one.client._link.leaving.reservation
            thaw(one.frozen, one.sock, Returning(self._listener, one.frozen, one.client), reservation, self._reactor)
        clients.clear()


def send_away(link: Link, code: int = RESTART[0], reason: str = RESTART[1]) -> None:
    """Close a connection and end it for its hooks, which do not wait for the peer's answer."""
    link.readiness.let_go()
    link.close(code, reason, mute=True)
    link.closing.note(Ended(CloseCode(code), reason, clean=False))


def dismiss(clients: Iterable[PackedClient], listener: Listener, reactor: Reactor) -> None:
    """Close clients 1012 whose life is over here, and which no other process has taken."""
    for one in clients:
        frozen = replace(one.frozen, messages=())
        try:
            link = thaw(frozen, one.sock, Departed(listener, frozen, one.client), NO_PLACE, reactor)
        except (OSError, ValueError):  # the server has been cut off, and its poller is closed
            one.sock.close()
            continue
        send_away(link)
        link.leaving.left()
