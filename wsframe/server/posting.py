"""Posts to the resource of a path, in whichever worker it lives.

A resource of this process gets its post at once. For one in another worker the post goes through the backplane, as
a message of a topic that stands for the partition and that only its worker hears. So the posts of one sender to one
resource stay in order, sending never waits, and a post arrives at most once.
"""

from __future__ import annotations

import socket
from hashlib import blake2b

from wsframe.connection.flusher import Flusher, flushing
from wsframe.hooks.listeners import Roster
from wsframe.log import Log, log_for, quoted
from wsframe.resources.resource import Resource
from wsframe.resources.topics.publication import OWN
from wsframe.resources.topics.topics import Topics
from wsframe.workers.partitions import EVERYWHERE, PARTITIONS
from wsframe.workers.worker import Worker

__all__ = ["LONGEST_POST", "Posting", "hear_other_servers"]

logger: Log = log_for(__name__)

LONGEST_POST = 1 << 20
"""Bytes of one message at most."""
TEXT, BINARY = b"t", b"b"


class Posting:
    """The posts that come from the program and from other workers.

    Args:
        roster: The lives of this process.
        topics: The link to other workers.
        worker: This process, if it is one of several. A backplane can link services, each with partitions of its
            own.
    """

    def __init__(self, roster: Roster, topics: Topics, worker: Worker | None = None) -> None:
        self._roster = roster
        self._topics = topics
        self.service: str = service_of(worker)

    def open(self) -> None:
        """Take the posts of other workers for all partitions that live here."""
        if self._roster.placement.divided:
            for partition in (EVERYWHERE, *range(PARTITIONS)):
                if self._roster.placement.is_here(partition):
                    self.begin(partition)
        elif self._linked:
            self.begin(EVERYWHERE)

    @property
    def _linked(self) -> bool:
        """Whether a resource of scope ``"shared"`` has objects in other processes too."""
        return self._roster.placement.divided or self._topics.interest.others is not None

    def begin(self, partition: int) -> None:
        """Take the posts of other workers for a partition."""
        self._topics.interest.hear(topic_of(partition, self.service), self._take)

    def end(self, partition: int) -> None:
        """Stop taking the posts for a partition."""
        self._topics.interest.unhear(topic_of(partition, self.service))

    def post(self, path: str, message: str | bytes) -> bool:
        """Post to the resource of a path; see :meth:`Server.post`."""
        payload = wrap_post(path, message)
        placement = self._roster.placement
        residence = self._roster.whereabouts.named(path) if self._linked else None
        partition = None if residence is None else residence.partition
        if placement.divided and partition is None:
            return False
        queued = True
        if partition is None or placement.is_here(partition):
            resource = self._roster.resource_at(path)
            queued = partition == EVERYWHERE if resource is None else resource.post(message)
        if partition is not None and (partition == EVERYWHERE or not placement.is_here(partition)):
            queued = self._topics.interest.tell(topic_of(partition, self.service), payload) and queued
        return queued

    def _take(self, payload: bytes) -> None:
        """Deliver a post of another worker."""
        try:
            path, message = unwrap_post(payload)
        except ValueError as error:
            logger.error("a post of another worker is dropped: %s", error, kind="malformed")
            return
        resource: Resource | None = self._roster.resource_at(path)
        if resource is None:
            logger.info("a post to %s is dropped: nothing runs there", quoted(path), kind="nobody")
        elif not resource.post(message):
            logger.warning("a post to %s is dropped: too many wait there", quoted(path), kind="full")


def topic_of(partition: int, service: str = "") -> str:
    """Return the topic of the posts to a partition of a service."""
    return f"{OWN}posts everywhere" if partition == EVERYWHERE else f"{OWN}posts to {partition} {service}"


def service_of(worker: Worker | None) -> str:
    """Return a name of the service that a worker belongs to, the same in all of its workers and nowhere else."""
    if worker is None:
        return ""
    named = f"{socket.gethostname()} {worker.supervisor} {worker.folder}"
    return blake2b(named.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def wrap_post(path: object, message: object) -> bytes:
    """Wrap a post: its kind, the length of the path, the path, and the message.

    Raises:
        TypeError: For anything but a path and a str or bytes.
        ValueError: For a message that is too long, or text with a lone surrogate.
    """
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    if not isinstance(message, str | bytes):
        raise TypeError(
            f"server.post takes a str or bytes, which can go to another process, not {type(message).__name__}"
        )
    data = message.encode() if isinstance(message, str) else message
    if len(data) > LONGEST_POST:
        raise ValueError(f"a post has at most {LONGEST_POST} bytes, not {len(data)}")
    place = path.encode("utf-8", "surrogatepass")
    return b"".join((TEXT if isinstance(message, str) else BINARY, len(place).to_bytes(4, "little"), place, data))


def unwrap_post(payload: bytes) -> tuple[str, str | bytes]:
    """Unwrap a post: path and message.

    Raises:
        ValueError: If this version of wsframe cannot read it.
    """
    kind, end = payload[:1], 5 + int.from_bytes(payload[1:5], "little")
    if kind not in (TEXT, BINARY) or len(payload) < end:
        raise ValueError("it is cut off, or of an unknown kind")
    path, data = payload[5:end].decode("utf-8", "surrogatepass"), payload[end:]
    return path, data.decode() if kind == TEXT else data


async def hear_other_servers(topics: Topics, flusher: Flusher) -> None:
    """Take the messages of other servers, and flush those for our clients."""
    await flushing(topics.run(), flusher)
