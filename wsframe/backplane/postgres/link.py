"""A link to PostgreSQL: notifications for topics, tables for the rest.

A server looks through all channels of a connection for each notification, and at each LISTEN: with 20 000 of them
that is seconds. So a topic goes to one of 256 channels, and the link drops the messages that it does not want.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Awaitable, Collection, Sequence
from contextlib import suppress
from hashlib import blake2b

from wsframe.backplane.engines.engine import BackplaneRefused, EnginePublication, Take
from wsframe.backplane.engines.envelope import BODY, KEPT, body_of
from wsframe.backplane.interface import History, Kept, Position
from wsframe.backplane.postgres.libpq import CommandFailed, PostgresConnection, Row
from wsframe.backplane.postgres.schema import (
    ACQUIRE,
    BIRTH,
    COLUMNS,
    EXPIRE,
    HOLDERS,
    IDENTITY,
    KEPT_NOW,
    LARGE,
    NOTIFY,
    POSITIONS,
    PUBLISH_KEPT,
    PUBLISH_LARGE,
    RELEASE,
    RENEW,
    SCHEMA,
    SINCE,
    TABLES,
    TOPIC,
)
from wsframe.doorbell import Doorbell

__all__ = ["CHANNELS", "LONGEST", "PostgresLink", "TooManyWait"]

CHANNELS = 256
LONGEST = 7_999
"""Bytes of the longest payload of a notification."""
BY_ROW = "1L"
"""The head of a notification whose message stands in a table."""
LOCKED_FOR = "250ms"
"""How long a command waits for a lock, such as that of somebody who changes a table: all others wait behind it."""
LOCKED = "lock timeout"
MOST_WAITING = 20_000
"""Notifications that wait for a message to be read from its table."""


class TooManyWait(Exception):
    """Large messages come faster than they can be read."""


class PostgresLink:
    """One connection to a server.

    Args:
        service: The name of the service: other services share nothing with it.
        take: Called with the topic and the envelope of each message.
    """

    def __init__(self, service: str, take: Take) -> None:
        self.connection: PostgresConnection
        self.identity: str = ""
        self._service = service.encode()
        self._prefix = f"wsframe_{blake2b(self._service, digest_size=6).hexdigest()}_"
        self._take = take
        self._topics: set[str] = set()
        self._of_channel: dict[str, int] = {}
        """The number of topics in each channel that the connection listens to."""
        self._waiting: deque[tuple[str, str]] = deque()
        self._doorbell = Doorbell()
        self._reading = False

    async def prepare(self) -> None:
        """Make the tables that are missing.

        Raises:
            BackplaneRefused: If the server does not allow it.
        """
        # A lease that a crash of the server takes back could have two owners, whatever the database's setting is.
        await self.connection.execute("SET synchronous_commit TO on")
        tables, columns = await tables_there(self.connection)
        if tables < len(COLUMNS):
            try:
                await self.connection.execute(SCHEMA)
            except CommandFailed as error:
                if not tables:
                    raise BackplaneRefused(f"the tables of the backplane cannot be made: {error}") from None
                await self.connection.execute("ROLLBACK")  # plain messages need none of them
            else:
                tables, columns = await tables_there(self.connection)
        if tables == len(COLUMNS) and columns < sum(map(len, COLUMNS.values())):
            raise BackplaneRefused(
                "the tables of the backplane, whose names begin with wsframe_, are those of another version: drop them"
            )
        await self.connection.execute(f"SET lock_timeout TO '{LOCKED_FOR}'")  # not before: others make the tables too
        with suppress(CommandFailed):  # without the right to ask, a copy cannot be told from the original
            ((identity,),) = await self.connection.execute(IDENTITY)
            self.identity = identity.decode()

    # Messages in

    def notified(self, channel: str, payload: str) -> None:
        """Take a notification, after those that wait."""
        if len(self._waiting) >= MOST_WAITING:
            raise TooManyWait(f"{MOST_WAITING} notifications wait for messages in a table")
        self._waiting.append((channel, payload))
        if not self._reading:
            self._take_small()

    def _take_small(self) -> None:
        """Pass on the waiting messages, up to the first message that stands in a table."""
        while self._waiting:
            payload = self._waiting[0][1]
            if payload.startswith(BY_ROW):
                self._doorbell.ring()
                return
            self._waiting.popleft()
            head, _, rest = payload.partition(" ")
            topic, body = unpack_notification(b64decode(rest))
            if topic in self._topics:
                self._take(topic, head.encode() + body)

    async def read_large(self) -> None:
        """Read messages from their table, each in its turn."""
        while True:
            await self._doorbell.wait()
            while self._waiting and self._waiting[0][1].startswith(BY_ROW):
                number, _, rest = self._waiting[0][1].removeprefix(BY_ROW).partition(":")
                head, _, packed = rest.partition(" ")
                topic, _ = unpack_notification(b64decode(packed))
                self._reading = True
                if topic in self._topics:
                    rows = await self.connection.execute(LARGE, int(number))
                    # Without a row it is an envelope that nobody can read: a gap.
                    self._take(topic, head.encode() + from_bytea(rows[0][0]) if rows else b"")
                self._waiting.popleft()
                self._reading = False
                self._take_small()

    # Topics

    def _channel(self, topic: str) -> str:
        return f"{self._prefix}{blake2b(topic.encode(), digest_size=1).digest()[0] % CHANNELS}"

    async def subscribe(self, topics: Collection[str]) -> None:
        """Receive the messages of topics."""
        new = [topic for topic in topics if topic not in self._topics]
        channels = {channel for topic in new if (channel := self._channel(topic)) not in self._of_channel}
        if channels:
            await self.connection.execute(";".join(f'LISTEN "{channel}"' for channel in sorted(channels)))
        for topic in new:
            self._topics.add(topic)
            channel = self._channel(topic)
            self._of_channel[channel] = self._of_channel.get(channel, 0) + 1

    async def unsubscribe(self, topics: Collection[str]) -> None:
        """Stop receiving the messages of topics."""
        for topic in self._topics.intersection(topics):
            self._topics.discard(topic)
            self._of_channel[self._channel(topic)] -= 1
        deserted = sorted(channel for channel, count in self._of_channel.items() if not count)
        for channel in deserted:
            del self._of_channel[channel]
        if deserted:
            await self.connection.execute(";".join(f'UNLISTEN "{channel}"' for channel in deserted))

    async def publish(self, batch: Sequence[EnginePublication]) -> None:
        """Publish in this order: plain messages together, others one by one. A refused message does not stop the
        others."""
        refused: list[CommandFailed] = []
        together: list[tuple[str, str]] = []

        async def attempt(step: Awaitable[None]) -> None:
            try:
                await step
            except CommandFailed as error:
                refused.append(error)

        for one in batch:
            payload = f"{one.head} {pack_notification(one.topic, one.body)}"
            if one.keep is None and len(payload) <= LONGEST:
                together.append((self._channel(one.topic), payload))
                continue
            await attempt(self._notify(together))
            together = []
            if refused and LOCKED in str(refused[-1]):
                continue  # each further one would wait as long
            await attempt(self._publish_large(one) if one.keep is None else self._publish_kept(one, one.keep))
        await attempt(self._notify(together))
        if refused:
            raise refused[0]

    async def _notify(self, pairs: list[tuple[str, str]]) -> None:
        if pairs:
            await self.connection.execute(NOTIFY, json.dumps(pairs))

    async def _publish_large(self, one: EnginePublication) -> None:
        tail = f":{one.head} {pack_notification(one.topic, b'')}"
        await self.connection.execute(PUBLISH_LARGE, one.body, self._channel(one.topic), BY_ROW, tail)
        await self._expire()

    async def _publish_kept(self, one: EnginePublication, keep: History) -> None:
        _, length = BODY.unpack_from(one.body)
        tail = pack_notification(one.topic, one.body)
        large = len(KEPT) + 32 + 1 + len(tail) > LONGEST
        await self.connection.execute(
            PUBLISH_KEPT, self._service, one.topic.encode(), secrets.randbits(63), repr(float(keep.seconds)),
            len(one.body) - BODY.size - length, one.body, keep.messages, keep.bytes, BY_ROW if large else "",
            self._channel(one.topic), KEPT, " " + (pack_notification(one.topic, b"") if large else tail),
        )  # fmt: skip
        await self._expire()

    async def _expire(self) -> None:
        """Now and then delete messages that are too old."""
        if not secrets.randbelow(256):
            await self.connection.execute(EXPIRE)

    # History

    async def positions(self, topics: Sequence[str]) -> list[Position | None]:
        """Return the position of the newest kept message of each topic."""
        names = [topic.encode().hex() for topic in topics]
        rows = await self.connection.execute(POSITIONS, self._service, json.dumps(names))
        found = {name.decode(): Position(int(epoch), int(last)) for name, epoch, last in rows}
        return [found.get(name) for name in names]

    async def newest(self, topic: str) -> Position:
        """Return the position of the newest kept message; from now on the topic has one."""
        return (await self.kept(topic))[0]

    async def kept(self, topic: str) -> tuple[Position, list[Kept]]:
        """Return the position of the newest kept message and all kept ones; from now on the topic has one."""
        name = topic.encode()
        rows = await self.connection.execute(KEPT_NOW, self._service, name)
        if not rows or rows[0][4] == b"t":  # it is new, or was not used for an hour
            await self.connection.execute(TOPIC, self._service, name, secrets.randbits(63))
            await self._expire()
            rows = await self.connection.execute(KEPT_NOW, self._service, name)
        newest = Position(int(rows[0][0]), int(rows[0][1]))
        return newest, [kept_of(row[2:]) for row in rows if row[2]]

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""
        rows = await self.connection.execute(SINCE, self._service, topic.encode(), *position, limit)
        if not rows:
            return None
        kept = [kept_of(row[1:]) for row in rows if row[1]]
        whole = [one.offset for one in kept] == list(range(position.offset + 1, int(rows[0][0]) + 1))
        return kept if whole else None

    # Leases

    async def acquire(self, node: str, keys: Sequence[str], seconds: float) -> list[int | str]:
        """Grant keys: return the token of each, or the node that has it."""
        names = [key.encode().hex() for key in keys]
        length = repr(float(seconds))
        ((old_enough,),) = await self.connection.execute(BIRTH, self._service, self.identity, length)
        if old_enough != b"t":
            return [""] * len(keys)
        rows = await self.connection.execute(ACQUIRE, self._service, node, length, json.dumps(sorted(set(names))))
        tokens = {name.decode(): int(token) for name, token in rows}
        others = [name for name in names if name not in tokens]
        rows = await self.connection.execute(HOLDERS, self._service, json.dumps(others)) if others else []
        holders = {name.decode(): holder.decode() for name, holder in rows}
        return [tokens[name] if name in tokens else holders.get(name, "") for name in names]

    async def renew(self, keys: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Renew keys held with tokens; return whether each is still held."""
        rows = await self.connection.execute(RENEW, self._service, repr(float(seconds)), pairs_of(keys))
        held = {row[0].decode() for row in rows}
        return [key.encode().hex() in held for key, _ in keys]

    async def release(self, keys: Sequence[tuple[str, int]]) -> None:
        """Give back keys that are held with these tokens."""
        await self.connection.execute(RELEASE, self._service, pairs_of(keys))


async def tables_there(connection: PostgresConnection) -> tuple[int, int]:
    """Return how many of our tables and columns are there."""
    ((tables, columns),) = await connection.execute(TABLES)
    return int(tables), int(columns)


def pack_notification(topic: str, body: bytes) -> str:
    """Write a topic and a body as text: a notification has no other characters."""
    name = topic.encode()
    return b64encode(len(name).to_bytes(2, "big") + name + body).decode()


def unpack_notification(data: bytes) -> tuple[str, bytes]:
    """Read a topic and a body."""
    end = 2 + int.from_bytes(data[:2], "big")
    return data[2:end].decode(), data[end:]


def from_bytea(value: bytes) -> bytes:
    """Read binary data as the server writes it."""
    return bytes.fromhex(value.decode().removeprefix("\\x"))


def kept_of(row: Row) -> Kept:
    """Read a kept message: its number and its body."""
    _, sender, payload = body_of(from_bytea(row[1]))
    return Kept(int(row[0]), sender, payload)


def pairs_of(keys: Sequence[tuple[str, int]]) -> str:
    """Write keys and tokens."""
    return json.dumps([[key.encode().hex(), str(token)] for key, token in keys])
