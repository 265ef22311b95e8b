"""The names and keys of servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from wsframe.net.peer_header import key_of
from wsframe.server.peers.keys import KEPT, Keys, peer_address, peer_name


def test_a_name_carries_the_address_and_is_another_one_each_time() -> None:
    for address in (("10.0.0.7", 9000), ("::1", 1), ("node-3.internal", 65535)):
        assert peer_address(peer_name(address, 3)) == address
    assert peer_address(peer_name(None, 0)) is None
    assert peer_name(None, 0) != peer_name(None, 0)


NAMELESS = ["", "-/0/a", "a", "a:b/0", ":9/0", "a:0/0", "a:65536/0", "a:\u0661/0", "a:-1/0", "a:1\n/0", "a: 1/0"]


@pytest.mark.parametrize("name", [*NAMELESS, "a:" + "9" * 10_000 + "/0"])
def test_other_names_have_no_address(name: str) -> None:
    assert peer_address(name) is None


class Hub:
    """Messages between servers in memory."""

    def __init__(self) -> None:
        self.takers: dict[Messages, Callable[[bytes], None]] = {}


class Messages:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def hear(self, topic: str, take: Callable[[bytes], None] | None = None) -> trio.Event:
        assert take is not None
        self.hub.takers[self] = take
        event = trio.Event()
        event.set()
        return event

    def unhear(self, topic: str) -> None:
        del self.hub.takers[self]

    def tell(self, topic: str, payload: bytes) -> bool:
        for take in tuple(self.hub.takers.values()):
            take(payload)
        return True


async def test_servers_learn_each_others_keys_and_forget_those_that_have_gone(autojump_clock: MockClock) -> None:
    hub = Hub()
    one, other = (Keys(name, Messages(hub), None) for name in ("one", "other"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        async with trio.open_nursery() as leaving:
            leaving.start_soon(other.run)
            await trio.sleep(0.01)
            assert one.key_for("other") == other.own != one.own == other.key_for("one")
            await trio.sleep(2 * KEPT)
            assert one.key_for("other") == other.own
            leaving.cancel_scope.cancel()
        await trio.sleep(2 * KEPT)
        assert one.key_for("other") is None
        nursery.cancel_scope.cancel()
    assert not hub.takers


async def test_a_secret_is_the_key_of_all_and_is_told_to_nobody(autojump_clock: MockClock) -> None:
    hub, told = Hub(), list[bytes]()
    Messages(hub).hear("any", told.append)
    keys = Keys("one", Messages(hub), "secret")
    with trio.move_on_after(10):
        await keys.run()
    assert keys.own == keys.key_for("any") == key_of("secret")
    assert told
    assert not any(keys.own in one or b"secret" in one for one in told)


async def test_the_port_for_proxies_is_told_too(autojump_clock: MockClock) -> None:
    hub = Hub()
    one = Keys("10.0.0.1:7000/0/a", Messages(hub), "secret", 8000)
    other = Keys("[::1]:7000/0/b", Messages(hub), "secret")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        nursery.start_soon(other.run)
        await trio.sleep(0.01)
        assert other.address_for("10.0.0.1:7000/0/a") == "10.0.0.1:8000"
        assert one.address_for("[::1]:7000/0/b") == ""
        assert one.address_for("-/0/c") == ""
        nursery.cancel_scope.cancel()


async def test_odd_messages_are_dropped_and_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.server.peers.keys.MOST_KEYS", 2)
    hub = Hub()
    keys = Keys("one", Messages(hub), None)
    for payload in (b"", b"x" * 34, b"x" * 34 + b"\xff"):
        keys._hear(payload)
    for name in (b"n" * 301, b"a", b"b", b"c"):
        keys._hear(b"k" * 34 + name)
    assert [keys.key_for(name) is not None for name in "abc"] == [True, True, False]
    assert keys.key_for("n" * 301) is None
    assert "kkk" not in repr(keys)
