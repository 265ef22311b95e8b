"""Posts as bytes on their way to another worker; ``tests/workers/test_scopes.py`` has their arrival."""

from __future__ import annotations

import pytest

from tests.workers.services import opened as service_opened
from wsframe import Registry, Resource
from wsframe.server.posting import LONGEST_POST, envelope, opened, topic_of
from wsframe.workers.partitions import EVERYWHERE, PARTITIONS


@pytest.mark.parametrize("path", ["/", "/rooms/5", "/café", "/" + "x" * 5000])
@pytest.mark.parametrize("message", ["", "text", "ü\0", b"", b"\0\xff", b"x" * LONGEST_POST])
def test_a_post_comes_out_as_it_was(path: str, message: str | bytes) -> None:
    assert opened(envelope(path, message)) == (path, message)


@pytest.mark.parametrize("payload", [b"", b"t", b"t\xff\0\0\0/", b"x\1\0\0\0/text", b"b\2\0\0\0/", b"t\1\0\0\0/\xff"])
def test_bytes_that_are_no_post_are_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        opened(payload)


def test_a_post_has_text_without_surrogates_and_a_path() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        envelope("/", "\ud800")
    with pytest.raises(TypeError, match="a path is a str"):
        envelope(5, "x")


def test_each_partition_has_a_topic() -> None:
    assert len({topic_of(partition) for partition in (EVERYWHERE, *range(PARTITIONS))}) == PARTITIONS + 1


async def test_a_malformed_post_of_another_worker_is_dropped_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    async with service_opened(2, lambda registry, _: registry.register("/", Resource())) as service:
        engine = service.engines[0]
        topic = topic_of(0, engine.posting.service)
        engine.topics.message(topic, b"nonsense", "node", None)
        engine.topics.message(topic, envelope("/gone", "x"), "node", None)
    assert "a post of another worker is dropped" in caplog.text


async def test_12_a_post_for_which_there_is_no_room_is_dropped_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    def register(registry: Registry, slot: int) -> None:
        registry.register("/", Resource())

    async with service_opened(2, register) as service:
        engine = service.engines[0]
        for _ in range(10_000):
            engine.post("/", "x")
        assert not engine.post("/", "x")
        engine.topics.message(topic_of(0, engine.posting.service), envelope("/", "x"), "node", None)
    assert "too many wait there" in caplog.text


async def test_services_that_share_a_backplane_get_none_of_each_others_posts() -> None:
    def register(registry: Registry, slot: int) -> None:
        registry.register("/", Resource())

    async with service_opened(2, register) as one, service_opened(2, register) as other:
        names = {engine.posting.service for service in (one, other) for engine in service.engines.values()}
    assert len(names) == 2
