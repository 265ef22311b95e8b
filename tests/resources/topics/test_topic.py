"""One topic on a server: receivers beside subscribers."""

from __future__ import annotations

from typing import Any

from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.resources.lossy import Lossy, forget
from wsframe.backplane import History, MemoryBackplane, MemoryHub, Position
from wsframe.resources.topics.publication import Publication
from wsframe.resources.topics.topic import Receiver
from wsframe.resources.topics.topics import Topics
from wsframe.testing import Kit, open_kit


class Recorder(Receiver):
    """Notes all that it takes."""

    def __init__(self) -> None:
        self.got: list[object] = []

    def publication(self, topic: str, publication: Publication) -> None:
        self.got.append(publication.message)

    def wanted(self, topic: str) -> None:
        self.got.append("wanted")

    def missed(self, topic: str) -> None:
        self.got.append("missed")

    def resync(self, topic: str, position: Position) -> None:
        self.got.append(("resync", position.offset))


def topics_of(kit: Kit) -> Topics:
    topics: Topics = kit.server._internals.topics  # type: ignore[attr-defined]
    return topics


async def test_a_receiver_gets_the_messages_of_this_server_and_of_others(autojump_clock: MockClock) -> None:
    hub, mine, other = MemoryHub(), Recorder(), wsframe.Resource[Any]()
    near, afar = MemoryBackplane(hub), MemoryBackplane(hub)
    async with open_kit(wsframe.Resource(), backplane=near) as kit, open_kit(other, backplane=afar) as far:
        topics_of(kit).listen("t", mine)
        topics_of(kit).listen("t", mine)
        await wait_all_tasks_blocked()
        kit.server.publish_text("t", "a")
        far.server.publish_binary("t", b"b")
        await wait_all_tasks_blocked()
        far.server.publish_text("t", "c", history=History())
        kit.server.publish_text("t", "d", history=History())
        await wait_all_tasks_blocked()
        assert mine.got == ["wanted", "a", b"b", "c", "d"]
        topics_of(kit).unlisten("t", mine)
        topics_of(kit).unlisten("t", mine)
        topics_of(kit).unlisten("unknown", mine)
        kit.server.publish_text("t", "e")
        assert mine.got[-1] == "d"


async def test_a_receiver_learns_of_holes_before_the_next_message(autojump_clock: MockClock) -> None:
    hub, mine = MemoryHub(), Recorder()
    plane = Lossy(hub)
    async with open_kit(wsframe.Resource(), backplane=plane) as kit:
        topics_of(kit).listen("t", mine)
        await wait_all_tasks_blocked()
        plane.told.gap("t")
        kit.server.publish_text("t", "1", history=History())
        await wait_all_tasks_blocked()
        forget(hub)
        kit.server.publish_text("t", "2", history=History())
        kit.server.publish_text("t", "3", history=History())
        await wait_all_tasks_blocked()
        kit.server.publish_text("t", "4", history=History())
        await wait_all_tasks_blocked()
        assert mine.got == ["wanted", "missed", "1", ("resync", 2), "4"]


async def test_a_server_without_others_gives_messages_to_its_receivers(autojump_clock: MockClock) -> None:
    mine = Recorder()
    async with open_kit(wsframe.Resource()) as kit:
        topics = topics_of(kit)
        topics.listen("t", mine)
        kit.server.publish_text("t", "plain")
        kit.server.publish_text("t", "kept", history=History())
        await wait_all_tasks_blocked()
        assert mine.got == ["plain", "wanted", "kept"]
