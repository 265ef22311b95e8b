"""The members of one topic over all nodes, as one node knows them; without input or output.

Each node is the only writer of its own members. It sends the others each join and leave, with a version that grows by
one; every 5 s a heartbeat with the version and a digest of its list; and the whole list when a node asks for it,
because a version is missing or the digest differs. So every list is right again within one heartbeat, whatever was
lost.

A member is a key, which several connections and nodes can have at once. It has joined when the first of them has it.
It has left 10 s after the last one has lost it, and not if the key comes back anywhere before: members that reconnect
have never left. A node that says goodbye leaves its members to that rule at once; a node that is silent for 27 s too.
A node that is killed was last heard up to one heartbeat before that, and both nodes look at their clocks each half
second. So its members have left 37 - 5.5 to 37 + 0.5 s after its death: 30 to 40 s, if each node is 1.5 s late.

A node that starts asks for all lists, and reports no joins for 2 s: a member that connects to it can have been a member
before, perhaps on a node that has ended. The lists of the others include lingering members, and a node that already has
such a member says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import blake2b
from math import inf
from typing import Any, NamedTuple

__all__ = ["HEARTBEAT", "HOLD", "LINGER", "SILENCE", "Member", "Roll"]

HEARTBEAT = 5.0
"""Seconds between two heartbeats."""
LINGER = 10.0
"""Seconds for which a member can come back before it has left."""
SILENCE = 27.0
"""Seconds of silence after which a node is gone. With LINGER that makes 37 s after its last heartbeat."""
HOLD = 2.0
"""Seconds after its beginning in which a node reports no joins."""
ASK_AGAIN = 2.0
"""Seconds before a node's list is asked for again."""
WHOLE_AGAIN = 1.0
"""Seconds between two whole lists of ours."""


class Member(NamedTuple):
    """A member of a topic."""

    key: str
    """Its name among the members: that of a user, or of a connection."""
    info: Any = None
    """Anything that JSON can hold: a colour, a state."""


class Peer:
    """Another node and its members."""

    __slots__ = ("asked", "digest", "heard", "members", "version")

    def __init__(self) -> None:
        self.version: int = 0
        self.digest: int = 0
        self.members: dict[str, Member] = {}
        self.heard: float = 0.0
        self.asked: float = -inf


class Roll:
    """The members of one topic.

    Args:
        node: The name of this node.
        send: Sends an object to the other nodes that follow the topic.
        joined, left: Called for each member that has joined or left, on any node.
        now: The time; no method asks a clock.
        hold: Seconds from now in which joins are not told: others can know of the members.
    """

    def __init__(
        self,
        node: str,
        send: Callable[[dict[str, Any]], object],
        joined: Callable[[Member], object],
        left: Callable[[Member], object],
        now: float,
        hold: float = 0.0,
    ) -> None:
        self._node = node
        self._send = send
        self._joined = joined
        self._left = left
        self._began = now
        self._hold_until = now + hold
        self._held: dict[str, Member] = {}
        """The members whose joins are not reported yet."""
        self._known: dict[str, None] = {}
        """Members that connected to a node that has just started, and were members before."""
        self._own: dict[str, Member] = {}
        self._counts: dict[str, int] = {}
        """How many connections here have each key."""
        self._version = 0
        self._digest = 0
        self._peers: dict[str, Peer] = {}
        self._present: dict[str, Member] = {}
        """All members, with those that linger."""
        self._holders: dict[str, int] = {}
        """How many nodes have each key."""
        self._lingering: dict[str, float] = {}
        """The keys that no node has any more, and when they have left."""
        self._leaves_at = inf
        """When the first of them has left, or an earlier moment."""
        self._beat_at = inf
        self._whole_at = inf
        self._whole_sent = -inf
        self.due: float = inf
        """When :meth:`tick` is to be called."""

    @property
    def members(self) -> list[Member]:
        """All members, in the order in which they joined."""
        return list(self._present.values())

    @property
    def is_empty(self) -> bool:
        """Whether nobody here is a member, and nobody lingers."""
        return not self._own and not self._lingering

    # This node's members

    def enter(self, member: Member, now: float) -> None:
        """Add a connection of a member."""
        key = member.key
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] == 1:
            self._own[key] = member
            self._version += 1
            self._digest ^= digest_of(member)
            if self._beat_at == inf:
                self._beat_at = now + HEARTBEAT
            begins = {"b": True} if now < self._hold_until else {}
            self._send({"t": "j", "v": self._version, "k": key, "i": member.info, **begins})
            self._came(member, now)
            self._plan()

    def leave(self, key: str, now: float, *, at_once: bool = False) -> None:
        """Remove a connection of a member; ``at_once``: it has left, and does not come back."""
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]
            member = self._own.pop(key)
            self._version += 1
            self._digest ^= digest_of(member)
            self._send({"t": "l", "v": self._version, "k": key, "o": at_once})
            self._went(member, None if at_once else now)
            self._plan()

    def goodbye(self) -> None:
        """Tell the others that this node goes."""
        self._tell_known()
        if self._own or self._lingering:
            self._send({"t": "b", "l": {key: member.info for key, member in self._leaving()}})

    # Others

    def ask_all(self) -> None:
        """Ask all nodes for their lists, because messages can be missing."""
        self._send({"t": "?", "n": None})

    def receive(self, sender: str, message: dict[str, Any], now: float) -> None:
        """Take an object of another node.

        Raises:
            KeyError, TypeError, ValueError: For one that no node of this version sends.
        """
        kind = message["t"]
        if kind == "?":
            if (self._own or self._lingering) and message["n"] in (None, self._node):
                self._whole_at = max(now, self._whole_sent + WHOLE_AGAIN)
                self._plan()
                self.tick(now)
            return
        if kind == "k":
            for key in message["k"]:
                self._held.pop(key, None)
            return
        peer = self._peers.get(sender)
        is_new = peer is None
        if peer is None:
            peer = self._peers[sender] = Peer()
        peer.heard = now
        if kind == "w":
            self._take_whole(peer, message, now, quietly=is_new or not peer.version)
        elif kind == "h":
            if (peer.version, peer.digest) != (message["v"], message["d"]):
                self._ask(sender, peer, now)
        elif kind == "b":
            self._forget(sender, now)
            self._take_lingering(message.get("l", {}), now)
        elif message["v"] == peer.version + 1:
            self._take_change(peer, message, now)
        elif message["v"] > peer.version:
            self._ask(sender, peer, now)
        self._plan()

    def _take_change(self, peer: Peer, message: dict[str, Any], now: float) -> None:
        """Take a member that joined or left."""
        if message["t"] not in ("j", "l"):
            raise ValueError(f"a message of kind {message['t']!r}")
        key = str(message["k"])
        peer.version += 1
        if message["t"] == "j":
            member = Member(key, message["i"])
            if message.get("b") and key in self._present:
                self._known[key] = None
            if key not in peer.members:
                peer.members[key] = member
                peer.digest ^= digest_of(member)
                self._came(member, now)
        elif (gone := peer.members.pop(key, None)) is not None:
            peer.digest ^= digest_of(gone)
            self._went(gone, None if message.get("o") else now)

    def _take_whole(self, peer: Peer, message: dict[str, Any], now: float, *, quietly: bool) -> None:
        """Take a whole list. The first list of each node names earlier members: nobody has joined."""
        listed = {str(key): Member(str(key), info) for key, info in message["m"].items()}
        before, peer.members = peer.members, listed
        peer.version = int(message["v"])
        peer.digest = 0
        quietly = quietly and now < self._began + HEARTBEAT + ASK_AGAIN
        for member in listed.values():
            peer.digest ^= digest_of(member)
            if member.key not in before:
                self._came(member, now, quietly=quietly)
        for member in before.values():
            if member.key not in listed:
                self._went(member, now)
        self._take_lingering(message.get("l", {}), now)

    def _take_lingering(self, lingering: dict[str, Any], now: float) -> None:
        """Take the members that linger on another node, if this one has just started: they were members before."""
        for key, info in lingering.items() if now < self._hold_until else ():
            self._held.pop(str(key), None)
            if key not in self._present:
                self._present[str(key)] = Member(str(key), info)
                self._linger(str(key), now)

    def _ask(self, sender: str, peer: Peer, now: float) -> None:
        """Ask a node for its list, but not again at once."""
        if now >= peer.asked + ASK_AGAIN:
            peer.asked = now
            self._send({"t": "?", "n": sender})

    def _forget(self, node: str, since: float) -> None:
        """Let a node's members linger from a moment on."""
        for member in self._peers.pop(node).members.values():
            self._went(member, since)

    # All members

    def _came(self, member: Member, now: float, *, quietly: bool = False) -> None:
        key = member.key
        self._holders[key] = self._holders.get(key, 0) + 1
        if quietly:
            self._held.pop(key, None)
        if self._holders[key] == 1 and self._lingering.pop(key, None) is None:
            self._present[key] = member
            if now < self._hold_until:
                if not quietly:
                    self._held[key] = member
            elif not quietly:
                self._joined(member)

    def _went(self, member: Member, since: float | None) -> None:
        """Note that a node has lost a member, which lingers from a moment on; None: it does not linger."""
        key = member.key
        self._holders[key] -= 1
        if not self._holders[key]:
            del self._holders[key]
            if since is None:
                self._goes(key)
            else:
                self._linger(key, since)

    def _linger(self, key: str, since: float) -> None:
        self._lingering[key] = until = since + LINGER
        self._leaves_at = min(self._leaves_at, until)

    def _goes(self, key: str) -> None:
        """Report that a member has left, if its join was reported."""
        member = self._present.pop(key)
        if self._held.pop(key, None) is None:
            self._left(member)

    # Time

    def tick(self, now: float) -> None:
        """Do all that is due."""
        if now < self.due:
            return
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT if self._own else inf
            if self._own:
                self._send({"t": "h", "v": self._version, "d": self._digest})
        if now >= self._whole_at:
            self._whole_at, self._whole_sent = inf, now
            self._send(self._whole())
        self._tell_known()
        if self._held and now >= self._hold_until:
            held, self._held = self._held, {}
            for member in held.values():
                self._joined(member)
        for node, peer in tuple(self._peers.items()):
            if peer.heard + SILENCE <= now:
                # At least half of the time is left: if we were stopped, the others' messages are still on their way.
                self._forget(node, max(peer.heard + SILENCE, now - LINGER / 2))
        if now >= self._leaves_at:
            for key in [key for key, until in self._lingering.items() if until <= now]:
                del self._lingering[key]
                self._goes(key)
            self._leaves_at = min(self._lingering.values(), default=inf)
        self._plan()

    def _whole(self) -> dict[str, Any]:
        """Return our whole list, and the lingering members."""
        own = {one.key: one.info for one in self._own.values()}
        return {"t": "w", "v": self._version, "m": own, "l": {key: self._present[key].info for key in self._lingering}}

    def _leaving(self) -> list[tuple[str, Member]]:
        """Return the members who linger, or will when this node has ended."""
        return [(key, self._present[key]) for key in (*self._own, *self._lingering)]

    def _tell_known(self) -> None:
        """Report members who have not joined there to nodes that begin."""
        if self._known:
            self._send({"t": "k", "k": [*self._known]})
            self._known.clear()

    def _plan(self) -> None:
        """Note when the next thing is due."""
        silent = min((peer.heard for peer in self._peers.values()), default=inf) + SILENCE
        held = -inf if self._known else self._hold_until if self._held else inf
        self.due = min(self._beat_at, self._whole_at, self._leaves_at, silent, held)


def digest_of(member: Member) -> int:
    """Return 52 bits that differ for members that differ; those of a list are combined in any order."""
    text = json.dumps(member, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 12
