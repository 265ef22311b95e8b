"""Posts as bytes on their way to another worker; ``tests/workers/test_scopes.py`` has their arrival."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from trio.abc import Clock

from tests.workers.services import opened as service_opened
from wsframe import Registry, Resource
from wsframe.server.posting import LONGEST_POST, topic_of, unwrap_post, wrap_post
from wsframe.testing import open_cluster
from wsframe.workers.partitions import EVERYWHERE, PARTITIONS, Scope


@pytest.mark.parametrize("path", ["/", "/rooms/5", "/café", "/" + "x" * 5000])
@pytest.mark.parametrize("message", ["", "text", "ü\0", b"", b"\0\xff", b"x" * LONGEST_POST])
def test_a_post_comes_out_as_it_was(path: str, message: str | bytes) -> None:
    assert unwrap_post(wrap_post(path, message)) == (path, message)


@pytest.mark.parametrize("payload", [b"", b"t", b"t\xff\0\0\0/", b"x\1\0\0\0/text", b"b\2\0\0\0/", b"t\1\0\0\0/\xff"])
def test_bytes_that_are_no_post_are_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        unwrap_post(payload)


def test_a_post_has_text_without_surrogates_and_a_path() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        wrap_post("/", "\ud800")
    with pytest.raises(TypeError, match="a path is a str"):
        wrap_post(5, "x")


def test_each_partition_has_a_topic() -> None:
    assert len({topic_of(partition) for partition in (EVERYWHERE, *range(PARTITIONS))}) == PARTITIONS + 1


async def test_a_malformed_post_of_another_worker_is_dropped_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    async with service_opened(2, lambda registry, _: registry.register("/", Resource())) as service:
        engine = service.engines[0]
        topic = topic_of(0, engine.posting.service)
        engine.topics.message(topic, b"nonsense", "node", None)
        engine.topics.message(topic, wrap_post("/gone", "x"), "node", None)
    assert "a post of another worker is dropped" in caplog.text


async def test_12_a_post_for_which_there_is_no_room_is_dropped_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    def register(registry: Registry, slot: int) -> None:
        registry.register("/", Resource())

    async with service_opened(2, register) as service:
        engine = service.engines[0]
        for _ in range(10_000):
            engine.post("/", "x")
        assert not engine.post("/", "x")
        engine.topics.message(topic_of(0, engine.posting.service), wrap_post("/", "x"), "node", None)
    assert "too many wait there" in caplog.text


@pytest.mark.parametrize("scopes", [("shared",), ("shared", "one")])
async def test_a_post_reaches_a_shared_resource_in_all_servers(scopes: Sequence[Scope], autojump_clock: Clock) -> None:
    class Kept(Resource):
        def __init__(self, scope: Scope) -> None:
            self.scope = scope  # type: ignore[misc]
            self.taken: list[object] = []

        async def received_custom(self, message: object) -> None:
            self.taken.append(message)

    made: list[Kept] = []

    def make(number: int) -> Registry:
        registry = Registry(alone=True)
        for scope in scopes:
            made.append(Kept(scope))
            registry.register(f"/{scope}", made[-1])
        return registry

    async with open_cluster(make, nodes=3) as cluster:
        await cluster.settle()
        assert cluster.nodes[2].server.post("/shared", "hello")
        await cluster.settle()
        assert [one.taken for one in made if one.scope == "shared"] == [["hello"]] * 3
        assert not cluster.nodes[2].server.post("/nothing", "hello")


async def test_services_that_share_a_backplane_get_none_of_each_others_posts() -> None:
    def register(registry: Registry, slot: int) -> None:
        registry.register("/", Resource())

    async with service_opened(2, register) as one, service_opened(2, register) as other:
        names = {engine.posting.service for service in (one, other) for engine in service.engines.values()}
    assert len(names) == 2
