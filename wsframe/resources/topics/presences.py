"""The members of a topic on all servers, told over an inner topic.

Each topic with members, or whose members are asked for, has a :class:`~wsframe.backplane.presence.Roll`. Its
messages go over a topic of wsframe's own, so presence works over every backplane, and a server without one has its
own members alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import trio

from wsframe.backplane.presence import HOLD, LINGER, Member, Roll
from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for
from wsframe.protocol.frames import BINARY
from wsframe.resources.topics.interest import Interest
from wsframe.resources.topics.publication import OWN, Publication, wrap_publication
from wsframe.resources.topics.topic import AnyClient, Receiver

__all__ = ["Presences", "check_member"]

logger: Log = log_for(__name__)

TICK = 0.5
"""Seconds between two looks at the clock."""
SETTLE = 1.0
"""Seconds in which the other servers answer with their lists."""


class Sheet(Receiver):
    """The members of one topic, and the messages about them.

    Args:
        interest: The topics of the server.
        topic: The name of the topic.
        told: Called with ``"joined"`` or ``"left"``, the topic and the member.
    """

    def __init__(self, interest: Interest, topic: str, told: Callable[[str, str, Member], None]) -> None:
        self._interest = interest
        self.inner: str = f"{OWN}presence of {topic}"
        self.settled_at: float = trio.current_time() + (0.0 if interest.others is None else SETTLE)
        """When the lists of the others are here."""
        self.used_at: float = trio.current_time()
        joined, left = partial(told, "joined", topic), partial(told, "left", topic)
        hold = 0.0 if interest.others is None else HOLD
        self.roll: Roll = Roll(interest.node, self._send, joined, left, trio.current_time(), hold)

    def _send(self, message: dict[str, Any]) -> None:
        others = self._interest.others
        if others is not None:
            others.publish(self.inner, wrap_publication(BINARY, json.dumps(message).encode(), None, None))

    def publication(self, topic: str, publication: Publication) -> None:
        """Take a message of another server."""
        try:
            self.roll.receive(publication.sender, json.loads(publication.data), trio.current_time())
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
            logger.error("a message about members is dropped: %r", error, kind="presence")

    async def settled(self) -> None:
        """Wait until the lists of the others are here."""
        asked_at = -inf
        while asked_at < self.settled_at:  # it can be put off in the meantime
            asked_at = self.settled_at
            await trio.sleep_until(asked_at)

    def wanted(self, topic: str) -> None:
        self.settled_at = trio.current_time() + SETTLE
        self.roll.ask_all()

    def missed(self, topic: str) -> None:
        self.roll.ask_all()


class Presences:
    """The members of the topics of one server.

    Args:
        interest: The topics of the server.
    """

    def __init__(self, interest: Interest) -> None:
        self._interest = interest
        self._sheets: dict[str, Sheet] = {}
        self._begun = Doorbell()
        self._members_of: dict[AnyClient, dict[str, Member]] = {}
        """The topics that clients are members of, and as which ones."""

    def enter(self, topic: str, member: Member) -> None:
        """Add a connection of a member; :meth:`leave` ends it.

        Raises:
            TypeError, ValueError: For a member whose key is not a str, or whose info is not JSON.
        """
        check_member(member)
        self._sheet(topic).roll.enter(member, trio.current_time())

    def leave(self, topic: str, key: str, *, at_once: bool = False) -> None:
        """Remove a connection of a member; ``at_once``: it does not come back, so it has left."""
        self._sheets[topic].roll.leave(key, trio.current_time(), at_once=at_once)

    def enter_client(self, client: AnyClient, topic: str, member: Member) -> None:
        """Make a client a member of a topic; nothing changes if it is one already."""
        topics = self._members_of.setdefault(client, {})
        if topic not in topics:
            self.enter(topic, member)
            topics[topic] = member

    def leave_client(self, client: AnyClient, topic: str) -> None:
        """End a client's membership of a topic: it wants to go."""
        topics = self._members_of.get(client, {})
        member = topics.pop(topic, None)
        if member is not None:
            self.leave(topic, member.key, at_once=True)
            if not topics:
                del self._members_of[client]

    def forget_client(self, client: AnyClient) -> None:
        """End all memberships of a client that has lost its connection: it can come back."""
        for topic, member in self._members_of.pop(client, {}).items():
            self.leave(topic, member.key)

    def of_client(self, client: AnyClient) -> list[tuple[str, Member]]:
        """Return the topics that a client is a member of, and as which ones."""
        return sorted(self._members_of.get(client, {}).items())

    async def members(self, topic: str) -> list[Member]:
        """Return the members of a topic on all servers, in the order in which they joined, as far as is known here.

        For a topic that this server has not followed before, the others have a second to answer.
        """
        sheet = self._sheet(topic)
        sheet.used_at = trio.current_time()
        await sheet.settled()
        return sheet.roll.members

    def follow(self, topic: str) -> None:
        """Follow the members of a topic for as long as it is used here."""
        self._sheet(topic)

    def _sheet(self, topic: str) -> Sheet:
        sheet = self._sheets.get(topic)
        if sheet is None:
            sheet = self._sheets[topic] = Sheet(self._interest, topic, self._tell)
            if self._interest.others is not None:
                self._interest.use(sheet.inner).receivers[sheet] = None
            self._begun.ring()
        return sheet

    def _tell(self, hook: str, topic: str, member: Member) -> None:
        """Tell the resources with subscribers of the topic, and its receivers, that a member has joined or left."""
        used = self._interest.topics.get(topic)
        if used is None:
            return
        for life in used.lives():
            life.notify(hook, (topic, member), nothing)
        for receiver in tuple(used.receivers):
            (receiver.joined if hook == "joined" else receiver.left)(topic, member)

    async def run(self) -> None:
        """Send heartbeats, and let members leave, until cancelled."""
        await self._begun.wait()
        try:
            while True:
                await trio.sleep(TICK)
                now = trio.current_time()
                for topic, sheet in tuple(self._sheets.items()):
                    sheet.roll.tick(now)
                    if sheet.roll.is_empty:
                        self._let_go(topic, sheet, now)
        finally:
            for sheet in self._sheets.values():
                sheet.roll.goodbye()

    def _let_go(self, topic: str, sheet: Sheet, now: float) -> None:
        """Follow the members of a topic no longer, if nobody here has used it for a while."""
        used = self._interest.topics.get(topic)
        if used is not None and used.is_used:
            sheet.used_at = now
        elif now >= sheet.used_at + LINGER:
            del self._sheets[topic]
            inner = self._interest.topics.get(sheet.inner)
            if inner is not None:
                inner.receivers.pop(sheet, None)
                self._interest.desert(inner)


def nothing() -> None:
    """Do nothing."""


def check_member(member: object) -> None:
    """Raise for a value that is not a member that other servers can understand."""
    if not isinstance(member, Member):
        raise TypeError(f"a member is a wsframe.Member(key, info), not {type(member).__name__}")
    if not isinstance(member.key, str):
        raise TypeError(f"the key of a member is a str, not {type(member.key).__name__}")
    json.dumps(member.info, allow_nan=False).encode()
    member.key.encode()
