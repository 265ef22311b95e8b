"""The nodes of a hub, and the topics that each wants."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from wsframe.backplane.queue import Message, Queue, Run

__all__ = ["HubMember", "HubMembers"]


class HubMember:
    """One node of a hub."""

    def __init__(self, node: str, queue: Queue) -> None:
        self.node = node
        self.queue = queue
        self.topics: set[str] = set()


class HubMembers:
    """All nodes of a hub. Reports go into the queue of each, in one order for all."""

    def __init__(self) -> None:
        self._members: dict[str, HubMember] = {}
        self._interest: dict[str, dict[HubMember, None]] = {}

    def __iter__(self) -> Iterator[HubMember]:
        return iter(self._members.values())

    def named(self, node: str) -> HubMember | None:
        """Return the member of a name."""
        return self._members.get(node)

    def add(self, node: str, queue: Queue) -> HubMember:
        """Add a member; no other one has its name."""
        member = self._members[node] = HubMember(node, queue)
        return member

    def remove(self, member: HubMember) -> list[str]:
        """Remove a member; return the topics that nobody wants any more."""
        deserted = self.leave(member, tuple(member.topics))
        if self._members.get(member.node) is member:
            del self._members[member.node]
        return deserted

    def wanting(self, topic: str) -> Collection[HubMember]:
        """Return the members that want a topic."""
        return self._interest.get(topic, ())

    def join(self, member: HubMember, topic: str) -> bool:
        """Note that a member wants a topic; return whether nobody has wanted it before."""
        member.topics.add(topic)
        wanting = self._interest.setdefault(topic, {})
        is_new = not wanting
        wanting[member] = None
        return is_new

    def leave(self, member: HubMember, topics: Collection[str]) -> list[str]:
        """Note that a member no longer wants topics; return those that nobody wants any more."""
        deserted = []
        for topic in topics:
            member.topics.discard(topic)
            wanting = self._interest.get(topic)
            if wanting is not None and wanting.pop(member, member) is None and not wanting:
                del self._interest[topic]
                deserted.append(topic)
        return deserted

    def send(self, message: Message | Run, publisher: HubMember | None = None) -> None:
        """Queue a message, or a run of them, for each member that wants its topic, but not for its publisher."""
        topic, size = message.topic, message.size
        for member in self._interest.get(topic, ()):
            if member is not publisher:
                member.queue.put(topic, message, size)

    def report_gap(self, topic: str | None) -> None:
        """Report to the members that want a topic that messages of it are missing; None stands for all topics."""
        for member in self._members.values() if topic is None else self._interest.get(topic, ()):
            member.queue.gap(topic)
