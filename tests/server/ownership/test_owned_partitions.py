"""Servers that share a backplane: one of them acts for a resource at a time, and only while its lease lasts."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.server.owners import Cuttable, Owners, owners
from wsframe import Registry, Resource
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.testing import ClientClosed, Refused, open_kit

LEASE = 5.0


async def refused(servers: Owners, name: str, path: str = "/one") -> Refused:
    with pytest.raises(Refused) as caught:
        await servers.kits[name].connect(path, patience=1000)
    return caught.value


async def test_the_first_server_that_is_asked_has_the_resource_and_others_refuse(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        client = await servers.kits["a"].connect("/one")
        client.send_text("hello")
        assert await client.receive() == "hello"
        error = await refused(servers, "b")
        assert error.status == 503
        assert 1 <= int(error.headers["Retry-After"]) <= 5
        assert servers.owner(0) == ["a"]
        assert servers.diary.acts("b") == []


async def test_the_partitions_are_shared_by_those_that_start_together(autojump_clock: MockClock) -> None:
    async with owners("a", "b", "c") as servers:
        await trio.sleep(3)
        counts = [len(servers.owned(name).here) for name in servers.kits]
        assert sum(counts) == 256
        assert min(counts) > 50, counts
        assert all(len(servers.owner(partition)) == 1 for partition in range(256))


async def test_invariant_8_a_server_that_is_cut_off_acts_no_more_before_another_begins(
    autojump_clock: MockClock,
) -> None:
    async with owners("a", "b") as servers:
        client = await servers.kits["a"].connect("/one", patience=1000)
        servers.planes["a"].cut()
        cut_at = trio.current_time()
        await trio.sleep(LEASE + 1)
        other = await servers.kits["b"].connect("/one", patience=1000)
        other.send_text("hello")
        assert await other.receive() == "hello"
        begun = next(at for at, by, act, _ in servers.diary.entries if (by, act) == ("b", "begin"))
        ended = [at for at, by, act, _ in servers.diary.entries if by == "a" and act in ("tick", "begin")]
        assert max(ended) < begun <= cut_at + LEASE + 1
        with pytest.raises(ClientClosed) as caught:
            await client.receive()
        assert caught.value.code == 1012
        assert servers.diary.acts("a")[-2:] == ["disconnected 1012, lost: True", "end"]


async def test_invariant_8_a_hook_that_waits_beyond_the_lease_is_cancelled(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        client = await servers.kits["a"].connect("/one", patience=1000)
        client.send_text("wait")
        client.send_text("never")
        await trio.sleep(0.5)
        servers.planes["a"].cut()
        await trio.sleep(20)
        assert "waited" not in servers.diary.acts("a")
        assert "never" not in servers.diary.acts("a")


async def test_invariant_9_the_token_grows_with_each_owner(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        await servers.kits["a"].connect("/one", patience=1000)
        for _ in range(3):
            servers.planes["a"].cut()
            await trio.sleep(LEASE + 2)
            servers.planes["a"].join()
            servers.planes["b"].cut()
            await trio.sleep(LEASE + 2)
            servers.planes["b"].join()
        tokens = [token for _, _, act, token in servers.diary.entries if act == "begin"]
        assert len(tokens) >= 4
        assert tokens == sorted(set(tokens))


async def test_a_server_that_cannot_reach_the_engine_refuses_at_once_and_is_not_ready(
    autojump_clock: MockClock,
) -> None:
    async with owners("a") as servers:
        kit = servers.kits["a"]
        await kit.connect("/one", patience=1000)
        servers.planes["a"].cut()
        assert kit.server.unready() == ""
        await trio.sleep(LEASE)
        assert kit.server.unready() == "backplane out of reach"
        begun = trio.current_time()
        error = await refused(servers, "a")
        assert (error.status, error.body.strip()) == (503, "backplane out of reach")
        assert trio.current_time() == begun
        servers.planes["a"].join()
        again = await kit.connect("/one", patience=1000)
        assert trio.current_time() < begun + 3
        again.send_text("hello")
        assert await again.receive() == "hello"
        assert servers.diary.count("a", "begin") == 2


async def test_a_server_that_is_granted_no_lease_by_an_engine_within_reach_is_not_ready(
    autojump_clock: MockClock,
) -> None:
    async with owners("a", "b") as servers:
        kit = servers.kits["a"]
        await kit.connect("/one", patience=1000)
        for plane in servers.planes.values():
            plane.denying = True
        await trio.sleep(2 * LEASE + 2)
        assert [one.server.unready() for one in servers.kits.values()] == ["backplane grants no leases"] * 2
        begun = trio.current_time()
        error = await refused(servers, "a")
        assert (error.status, error.body.strip()) == (503, "backplane grants no leases")
        assert trio.current_time() == begun
        for plane in servers.planes.values():
            plane.denying = False
        await trio.sleep(3)
        assert [one.server.unready() for one in servers.kits.values()] == ["", ""]


async def test_a_newcomer_waits_while_nobody_has_its_partition(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        await servers.kits["a"].connect("/one", patience=1000)
        servers.planes["a"].cut()
        servers.owned("b").other_servers._reports.clear()
        client = await servers.kits["b"].connect("/one", patience=1000)
        client.send_text("hello")
        assert await client.receive() == "hello"
        assert servers.owner(0) == ["b"]


async def test_after_the_loss_a_resource_publishes_posts_and_subscribes_no_more(autojump_clock: MockClock) -> None:
    results: list[object] = []

    class Last(Resource):
        async def client_connected(self, client: wsframe.Client) -> None:
            self.subscribe(client, "t")

        async def disconnected(self, client: wsframe.Client) -> None:
            results.append(self.publish_text("t", "late"))
            results.append(self.post("late"))
            results.append(self.ownership.lost)

    plane = Cuttable(MemoryHub())
    async with open_kit(Last(), backplane=plane) as kit:
        await kit.connect(patience=1000)
        plane.cut()
        await trio.sleep(LEASE + 1)
    assert results == [(0, 0), False, True]


async def test_without_a_backplane_the_right_is_never_lost() -> None:
    class Alone(Resource):
        pass

    resource = Alone()
    async with open_kit(resource) as kit:
        await kit.connect()
        assert not resource.ownership.lost
        assert resource.ownership.until == float("inf")
        assert resource.ownership.token > 0
    with pytest.raises(RuntimeError, match="is not being served"):
        _ = resource.ownership


async def test_resources_of_scope_shared_need_no_lease(autojump_clock: MockClock) -> None:
    class Shared(Resource):
        scope = "shared"

    async with open_kit(Shared(), backplane=MemoryBackplane(MemoryHub())) as kit:
        await kit.connect()
        assert kit.server._internals.owner is None  # type: ignore[attr-defined]


async def test_a_server_that_shares_resources_takes_no_registration_while_it_serves(autojump_clock: MockClock) -> None:
    registry = Registry(alone=True)
    registry.register("/", Resource(), wsframe.any_origin)
    async with open_kit(registry, backplane=MemoryBackplane(MemoryHub())):
        with pytest.raises(RuntimeError):
            registry.register("/new", Resource(), wsframe.any_origin)


async def test_an_orderly_end_gives_the_partitions_to_the_others_at_once(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        async with servers.serving("b") as kit:
            await trio.sleep(3)
            path = next(path for n in range(1000) if servers.holds("b", path := f"/room/{n}"))
            await kit.connect(path, patience=1000)
            assert len(servers.owned("a").here) < 256
        await trio.sleep(0.5)
        assert len(servers.owned("a").here) == 256
        await servers.kits["a"].connect(path, patience=1000)


async def test_100_000_paths_take_at_most_200_lease_commands_a_second(autojump_clock: MockClock) -> None:
    async with owners("a", "b", "c") as servers:
        requests = await servers.requests_during(5)
        while any(kind != "renew" for kind, _ in requests):  # servers that start together still even out
            requests = await servers.requests_during(5)
        requests = await servers.requests_during(20)
        assert sum(keys for _, keys in requests) <= 200 * 20  # whatever the number of paths: a lease is of a partition
        assert len(requests) <= 3 * 20


async def test_invariant_8_running_is_not_entered_by_a_life_whose_lease_is_over(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        await servers.kits["a"].connect("/one", patience=1000)
        owned, roster = servers.owned("a"), servers.kits["a"].server._internals.roster  # type: ignore[attr-defined]
        partition = servers.partition("a", "/room/5")
        await owned.settle(partition)
        request = wsframe.Request("/room/5", [])
        factory, request.path_params = roster.registries.lookup("/room/5")
        listener = roster.join(factory, request)
        owned._leases._held.clear()  # as if the process had been stopped here for longer than the lease
        await listener.ended.wait()
        assert servers.diary.count("a", "begin") == 1  # that of /one


async def test_invariant_8_a_task_does_not_begin_without_the_lease(autojump_clock: MockClock) -> None:
    begun: list[str] = []

    async with owners("a") as servers:
        await servers.kits["a"].connect("/one", patience=1000)
        room = servers.kits["a"].server.find("/one")
        assert room is not None

        async def begin() -> None:
            begun.append("task")

        room.start_soon(begin)
        servers.owned("a")._leases._held.clear()
        await trio.sleep(1)
        assert begun == []


async def test_a_resource_that_one_server_is_to_have_is_registered_before_the_start(autojump_clock: MockClock) -> None:
    class Shared(Resource):
        scope = "shared"

    registry = Registry(alone=True)
    registry.register("/", Shared(), wsframe.any_origin)
    async with open_kit(registry, backplane=MemoryBackplane(MemoryHub())) as kit:
        registry.register("/more", Shared(), wsframe.any_origin)
        await kit.connect("/more")
        with pytest.raises(RuntimeError, match="would live on every server of the backplane: register it before"):
            registry.register("/late", Resource(), wsframe.any_origin)


async def test_however_many_wait_for_a_partition_none_is_refused(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        await trio.sleep(3)
        owned = servers.owned("a")
        owned.close(3)
        async with trio.open_nursery() as nursery:
            for _ in range(300):
                nursery.start_soon(owned.settle, 3)
            await trio.sleep(1)
            assert len(nursery.child_tasks) == 300
            owned._closed.clear()


async def test_a_newcomer_whose_lease_is_lost_while_the_resource_decides_is_refused(autojump_clock: MockClock) -> None:
    entered, decide = trio.Event(), trio.Event()

    class Slow(Resource):
        async def accept_client(self, request: wsframe.Request) -> wsframe.Accept:
            entered.set()
            await decide.wait()
            return wsframe.Accept()

    async def come() -> None:
        with pytest.raises(Refused) as caught:
            await kit.connect(patience=1000)
        assert caught.value.status == 503

    plane = Cuttable(MemoryHub())
    limits = wsframe.Timeouts(handshake=100)
    async with open_kit(Slow(), backplane=plane, timeouts=limits) as kit, trio.open_nursery() as nursery:
        nursery.start_soon(come)
        await entered.wait()
        plane.cut()
        await trio.sleep(LEASE + 1)
        decide.set()


async def test_an_error_while_partitions_are_acquired_costs_a_look_and_not_the_server(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with owners("a") as servers:
        owned, broken = servers.owned("a"), True
        due = owned._due

        def fragile() -> list[int]:
            if broken:
                raise RuntimeError("a fault")
            return due()

        monkeypatch.setattr(owned, "_due", fragile)
        await trio.sleep(3)
        assert "partitions cannot be acquired" in caplog.text
        assert not owned.here
        broken = False
        await trio.sleep(2)
        assert len(owned.here) == 256
        caplog.clear()
