"""A link to Redis: its requests as commands and scripts."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha1
from typing import Any, Final

import trio

from wsframe.backplane.engines.engine import BackplaneRefused, EnginePublication, LinkLost
from wsframe.backplane.engines.envelope import BODY, HEX, KEPT, body_of
from wsframe.backplane.interface import Kept, Position
from wsframe.backplane.redis.connection import Command, RedisConnection
from wsframe.backplane.redis.scripts import ACQUIRE, KEPT_NOW, POSITIONS, PUBLISH_KEPT, RELEASE, RENEW, SCRIPTS, SINCE
from wsframe.log import Log, log_for

__all__ = ["RedisLink", "linked"]

logger: Log = log_for(__name__)

SHA = {script: sha1(script.encode(), usedforsecurity=False).hexdigest() for script in SCRIPTS}
LOADS: Final[list[Command]] = [("SCRIPT", "LOAD", source) for source in SCRIPTS]
IDENTITY: Command = ("CLIENT", "ID")
REPLICATION: Command = ("INFO", "replication")
LOOK_EVERY: Final = 0.4
"""Seconds between two looks whether the server has become a replica; a node's probes go out less often."""
FORGOTTEN: Final = "No matching script"


class Reconnected(LinkLost):
    """The client library has made another connection by itself."""


class Replica(LinkLost):
    """The server copies another one, for now."""

    def __init__(self) -> None:
        super().__init__("it is a replica, which grants no leases and keeps no messages")


class RedisLink:
    """One connection to a server.

    Args:
        connection: Sends the commands.
        service: The prefix of all channels and keys.
        run_id: The server's name for its life since it was started.
        identity: The server's name for this connection.
    """

    def __init__(self, connection: RedisConnection, service: str, run_id: str, identity: int) -> None:
        self._connection = connection
        self._service = service
        self._run_id = run_id
        self._identity = identity
        self._look_at = trio.current_time() + LOOK_EVERY

    async def subscribe(self, topics: Collection[str]) -> None:
        """Receive the messages of topics."""
        await self._connection.subscribe([self._channel(topic) for topic in topics])

    async def unsubscribe(self, topics: Collection[str]) -> None:
        """Stop receiving the messages of topics."""
        await self._connection.unsubscribe([self._channel(topic) for topic in topics])

    async def publish(self, batch: Sequence[EnginePublication]) -> None:
        """Publish in this order, and see whether the server still is the one that all others use.

        A server that was made a replica goes on publishing, to those alone who are still connected to it.
        """
        commands = [self._published(one) for one in batch]
        looks = trio.current_time() >= self._look_at
        try:
            answers = await self._connection.commands([*commands, REPLICATION] if looks else commands)
        except Exception as error:
            if FORGOTTEN in str(error):  # nobody knows which of the batch have gone out: it is not sent again
                await self._connection.commands(LOADS)
            raise
        if looks:
            self._look_at = trio.current_time() + LOOK_EVERY
            if facts_of(answers[-1:]).get("role") == "slave":
                raise Replica

    def _published(self, one: EnginePublication) -> Command:
        if one.keep is None:
            return ("PUBLISH", self._channel(one.topic), one.head.encode() + one.body)
        keep, (_, length) = one.keep, BODY.unpack_from(one.body)
        return script(
            PUBLISH_KEPT,
            [self._key("state", one.topic), self._key("kept", one.topic)],
            [
                self._channel(one.topic),
                KEPT,
                self._run_id,
                new_epoch(),
                one.body,
                str(keep.messages),
                str(max(1, round(keep.seconds * 1_000))),
                str(keep.bytes),
                str(BODY.size + length),
            ],
        )

    async def positions(self, topics: Sequence[str]) -> list[Position | None]:
        """Return the position of the newest kept message of each topic."""
        answer = await self._call(POSITIONS, [self._key("state", topic) for topic in topics], [self._run_id])
        return [position_of(one) if one else None for one in answer]

    async def newest(self, topic: str) -> Position:
        """Return the position of the newest kept message; from now on the topic has one."""
        return (await self._kept(topic, bodies=False))[0]

    async def kept(self, topic: str) -> tuple[Position, list[Kept]]:
        """Return the position of the newest kept message and all kept ones; from now on the topic has one."""
        return await self._kept(topic, bodies=True)

    async def _kept(self, topic: str, *, bodies: bool) -> tuple[Position, list[Kept]]:
        found, *rest = await self._call(
            KEPT_NOW,
            [self._key("state", topic), self._key("kept", topic)],
            [self._run_id, new_epoch(), str(int(bodies))],
        )
        newest = position_of(found)
        return newest, kept_from(newest.offset - len(rest), rest)

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""
        found, *bodies = await self._call(
            SINCE,
            [self._key("state", topic), self._key("kept", topic)],
            [self._run_id, f"{position.epoch:016x}", str(position.offset), str(limit)],
        )
        if not found:
            return None
        return kept_from(position.offset, bodies)

    async def acquire(self, node: str, keys: Sequence[str], seconds: float) -> list[int | str]:
        """Grant keys: return the token of each, or the node that has it."""
        answer = await self._call(
            ACQUIRE,
            [self._key("leases", "born"), self._key("leases", "token"), *(self._key("lease", key) for key in keys)],
            [self._run_id, node, milliseconds(seconds)],
        )
        texts = [text(one) for one in answer] or ["-"] * len(keys)
        return [int(one[1:]) if one.startswith("+") else one[1:] for one in texts]

    async def renew(self, keys: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Renew keys held with tokens; return whether each is still held."""
        answer = await self._call(
            RENEW,
            [self._key("leases", "born"), *(self._key("lease", key) for key, _ in keys)],
            [self._run_id, milliseconds(seconds), *(str(token) for _, token in keys)],
        )
        return [bool(one) for one in answer]

    async def release(self, keys: Sequence[tuple[str, int]]) -> None:
        """Give back keys that are held with these tokens."""
        await self._call(RELEASE, [self._key("lease", key) for key, _ in keys], [str(token) for _, token in keys])

    async def _call(self, source: str, keys: Sequence[bytes], arguments: Sequence[str | bytes]) -> list[Any]:
        """Run a script, and make sure that it was on this connection: the data may be another server's."""
        commands = [IDENTITY, script(source, keys, arguments)]
        try:
            identity, answer = await self._connection.commands(commands)
        except Exception as error:
            if FORGOTTEN not in str(error):
                raise
            await self._connection.commands(LOADS)
            identity, answer = await self._connection.commands(commands)
        if identity != self._identity:
            raise Reconnected("the client library has connected again by itself")
        return answer if isinstance(answer, list) else [answer]

    def _channel(self, topic: str) -> bytes:
        return f"{self._service}:{topic}".encode()

    def _key(self, kind: str, name: str) -> bytes:
        return f"{self._service}:{kind}:{name}".encode()


def script(source: str, keys: Sequence[bytes], arguments: Iterable[str | bytes]) -> Command:
    """Make the command that runs a script."""
    return ("EVALSHA", SHA[source], str(len(keys)), *keys, *arguments)


def milliseconds(seconds: float) -> str:
    """Write the length of a lease."""
    return str(max(1, round(seconds * 1_000)))


def text(value: Any) -> str:
    """Decode an answer."""
    return value.decode() if isinstance(value, bytes) else str(value)


def facts_of(answers: Iterable[Any]) -> dict[str, str]:
    """Read the answers to INFO."""
    lines = "".join(text(one) for one in answers).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def position_of(value: Any) -> Position:
    """Read a position as the scripts write it: the epoch and the offset."""
    found = text(value)
    return Position(int(found[:HEX], 16), int(found[HEX:]))


def kept_from(offset: int, bodies: Iterable[bytes]) -> list[Kept]:
    """Read the messages that come after an offset."""
    read = (body_of(one) for one in bodies)
    return [Kept(number, sender, payload) for number, (_, sender, payload) in enumerate(read, offset + 1)]


def new_epoch() -> str:
    """Return 63 random bits, as the scripts write them."""
    return f"{secrets.randbits(63):016x}"


async def linked(connection: RedisConnection, service: str) -> RedisLink:
    """Look at a server that has been connected, and give it the scripts.

    Raises:
        BackplaneRefused: If it cannot be used.
        Replica: If it is a replica, which can be used once it is promoted.
    """
    asked: list[Command] = [("INFO", "server"), ("INFO", "memory"), REPLICATION]
    identity, *answers = await connection.commands([IDENTITY, *asked, *LOADS])
    facts = facts_of(answers[: len(asked)])
    if facts.get("redis_mode") == "cluster":
        raise BackplaneRefused("the backplane is a Redis Cluster: use one server, or one with replicas")
    if facts.get("role") == "slave":
        raise Replica
    if facts.get("maxmemory", "0") != "0" and facts.get("maxmemory_policy", "noeviction") != "noeviction":
        logger.warning(
            "the backplane's server drops keys where memory is short, leases too (maxmemory-policy %s): set noeviction",
            facts["maxmemory_policy"],
        )
    return RedisLink(connection, service, facts.get("run_id", ""), identity)
