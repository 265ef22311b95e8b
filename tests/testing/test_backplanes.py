"""The tests that every backplane passes find the backplanes that must not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from wsframe.backplane.interface import Backplane, History, Kept, Lease, Position
from wsframe.backplane.memory import MemoryBackplane, MemoryHub
from wsframe.testing.backplanes import Conformance, HistoryConformance, LeaseConformance, PublishConformance


class Lossy(MemoryBackplane):
    """Loses a message now and then, and does not tell."""

    count = 0

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
        self.count += 1
        return self.count % 100 == 0 or super().publish(topic, payload, keep=keep)


class Reordering(MemoryBackplane):
    """Swaps two messages."""

    held: list[tuple[str, bytes]]

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
        if payload == b"5":
            super().publish(topic, b"6")
            super().publish(topic, b"5")
        elif payload != b"6":
            return super().publish(topic, payload, keep=keep)
        return True


class Deaf(MemoryBackplane):
    """Goes on sending a topic that nobody wants any more."""

    def unwant(self, topics: Collection[str]) -> None:
        pass


class Partial(MemoryBackplane):
    """Returns the messages that it still has."""

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        whole = await super().since(topic, position, limit)
        newest = await self.newest(topic)
        assert newest is not None
        return whole if whole is not None else await super().since(topic, newest, limit)


class Generous(MemoryBackplane):
    """Grants leases that another node has."""

    async def acquire(self, keys: Sequence[str], seconds: float) -> list[Lease | str]:
        return [Lease(key, 1, 0.0) for key in keys]


def conformance(suite: type[Conformance], backplane: type[MemoryBackplane]) -> Any:
    class Tried(suite):  # type: ignore[valid-type, misc]
        patience = 5.0

        @asynccontextmanager
        async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
            hub = MemoryHub()
            yield lambda: backplane(hub)

    return Tried()


@pytest.mark.parametrize(
    ("suite", "backplane", "test"),
    [
        (PublishConformance, Lossy, "test_messages_of_one_publisher_keep_their_order"),
        (PublishConformance, Reordering, "test_messages_of_one_publisher_keep_their_order"),
        (PublishConformance, Deaf, "test_a_topic_no_longer_wanted_is_silent"),
        (HistoryConformance, Partial, "test_messages_missed_are_returned_whole_or_not_at_all"),
        (LeaseConformance, Generous, "test_one_node_at_a_time_holds_a_key"),
    ],
)
async def test_a_backplane_that_breaks_a_promise_fails(
    suite: type[Conformance], backplane: type[MemoryBackplane], test: str, autojump_clock: trio.testing.MockClock
) -> None:
    await getattr(conformance(suite, MemoryBackplane), test)()
    with pytest.raises((ExceptionGroup, trio.TooSlowError)) as caught:
        await getattr(conformance(suite, backplane), test)()
    assert isinstance(caught.value, trio.TooSlowError) or caught.group_contains(AssertionError, depth=1)


async def test_a_class_without_a_service_says_so() -> None:
    with pytest.raises(NotImplementedError, match="PublishConformance has no service"):
        await PublishConformance().test_nothing_is_published_before_a_backplane_runs()
