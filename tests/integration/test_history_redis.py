"""History over Redis: kept messages are whole through lost connections, and an empty Redis is told."""

from __future__ import annotations

from pathlib import Path

import trio

import wsframe
from tests.backplane.redis_server import redis_server
from tests.local_server import local_server_of
from tests.patience import PATIENCE
from tests.requirements import require_package
from tests.wire import until
from wsframe.backplane import History, Position
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.resources.topics.publication import Publication
from wsframe.resources.topics.topic import Receiver
from wsframe.testing import Kit, open_kit

KEEP = History(messages=1_000)


class Recorder(Receiver):
    """Checks that each message follows the one before it, or comes after a resync."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self.texts: list[str] = []
        self.resyncs = 0

    def publication(self, topic: str, publication: Publication) -> None:
        assert publication.position is not None
        if self.position is not None:
            assert publication.position == self.position._replace(offset=self.position.offset + 1)
        self.position = publication.position
        self.texts.append(str(publication.message))

    def resync(self, topic: str, position: Position) -> None:
        self.resyncs += 1
        self.position = position


async def publish(kit: Kit, recorders: list[Recorder], *texts: str) -> None:
    """Publish until each recorder has the last text: messages for an engine that is away are lost to all."""
    while not all(texts[-1] in recorder.texts for recorder in recorders):
        for text in texts:
            kit.server.publish_text("t", text, history=KEEP)
        await trio.sleep(0.1)


async def test_messages_are_whole_over_lost_connections_and_an_empty_redis_is_told(tmp_path: Path) -> None:
    require_package("glide")
    with redis_server(tmp_path) as redis, trio.fail_after(PATIENCE):
        one, two = RedisBackplane(redis.url), RedisBackplane(redis.url)
        async with (
            open_kit(wsframe.Resource(), backplane=one) as near,
            open_kit(wsframe.Resource(), backplane=two) as far,
        ):
            recorders = [Recorder(), Recorder()]
            for kit, recorder in zip((near, far), recorders, strict=True):
                topics = local_server_of(kit.server).topics
                await topics.histories.resume("t")
                topics.listen("t", recorder)
            await publish(near, recorders, *map(str, range(100)))
            assert recorders[0].texts[:100] == recorders[1].texts[:100] == [str(number) for number in range(100)]

            for number in range(3):
                redis.kill_connections()
                await publish(far, recorders, f"a{number}", f"b{number}")
            await until(lambda: recorders[0].position == recorders[1].position)
            assert recorders[0].texts == recorders[1].texts
            assert [recorder.resyncs for recorder in recorders] == [0, 0]

            redis.kill()
            redis.start()
            await until(lambda: all(recorder.resyncs for recorder in recorders))
            await publish(near, recorders, "after")
            await until(lambda: recorders[0].position == recorders[1].position)
            newest = await near.server.newest("t")
            assert newest == recorders[0].position


async def test_a_client_resumes_over_a_frozen_redis(tmp_path: Path) -> None:
    require_package("glide")
    with redis_server(tmp_path) as redis, trio.fail_after(PATIENCE):
        async with open_kit(wsframe.Resource(), backplane=RedisBackplane(redis.url)) as kit:
            recorder, topics = Recorder(), local_server_of(kit.server).topics
            first = (await topics.histories.resume("t")).position
            topics.listen("t", recorder)
            assert first is not None
            assert first.offset == 0
            await publish(kit, [recorder], "1")
            redis.freeze()
            await trio.sleep(3)
            redis.thaw()
            recovery = await topics.histories.resume("t", first)
            while recovery.position is None:
                recovery = await topics.histories.resume("t", first)
            assert recovery.publications is not None
            assert [one.message for one in recovery.publications] == recorder.texts
            assert recorder.resyncs == 0
