"""A server that does not know the owner of a newcomer's resource looks again, once, and then answers 503."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from tests.server.peer_servers import BOUND, nodes, read
from wsframe.net.transport import Transport
from wsframe.server.peers import dialing, splice


async def test_invariant_10_a_spliced_newcomer_is_never_spliced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        a, b = (service.local(name).owner for name in "ab")
        assert a is not None
        assert b is not None
        # Between the answer of the peer port and the admission the owner has changed its mind.
        asked: list[int] = []

        def once(partition: int) -> str:
            asked.append(partition)
            return a.owned.node if len(asked) == 1 else b.owned.node

        monkeypatch.setattr(a.owned, "holder_of", once)
        async with service.raw("b") as stream:
            await read(stream, b"\r\n\r\n")
        assert service.peering("a").splices.spliced == 0
        assert service.peering("b").port.taken == 0


async def test_invariant_10_after_a_second_look_at_the_table_it_is_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(splice, "REFUSED_FOR", 0.0)
    async with nodes() as service:
        owner = service.owner("b")
        monkeypatch.setattr(service.peering("a").port, "_has", lambda partition: False)
        looks: list[int] = []

        async def look_again(partition: int) -> str:
            looks.append(partition)
            return service.local("a").topics.interest.node

        monkeypatch.setattr(owner.owned, "look_again", look_again)
        async with service.raw("b") as stream:
            answer = await read(stream, b"never")
        assert b" 503 " in answer
        assert b"Retry-After" in answer
        assert looks == [service.partition()]


async def test_a_newcomer_that_its_owner_refuses_while_it_restarts_is_carried_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(splice, "REDIAL", (0.001, 0.002))
    monkeypatch.setattr(splice, "REFUSED_FOR", BOUND)
    async with nodes() as service:
        port = service.peering("a").port
        asked: list[int] = []

        def has(partition: int, of_port: Callable[[int], bool] = port._has) -> bool:
            asked.append(partition)
            return len(asked) > 4 and of_port(partition)

        monkeypatch.setattr(port, "_has", has)
        async with service.raw("b") as stream:
            assert b" 101 " in await read(stream, b"\r\n\r\n")
        assert len(asked) > 4


async def test_a_newcomer_that_belongs_here_after_all_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        a, b = (service.local(name).owner for name in "ab")
        assert a is not None
        assert b is not None
        while not b.owned.other_servers.holder(service.partition()):  # noqa: ASYNC110
            await trio.sleep(0.01)
        known = [b.owned.other_servers.holder(service.partition())]
        monkeypatch.setattr(service.peering("a").port, "_has", lambda partition: False)

        async def look_again(partition: int) -> str:
            await a.giving.give(partition, b.owned.node)
            while not b.owned.holds(partition):
                b.owned.want([partition])
                await trio.sleep(0.01)
            known[:] = [b.owned.node]
            return b.owned.node

        monkeypatch.setattr(b.owned, "holder_of", lambda partition: known[0])
        monkeypatch.setattr(b.owned, "look_again", look_again)
        async with service.raw("b") as stream:
            assert b"b 127.0.0.1" in await read(stream, b"False")


async def test_a_newcomer_of_a_partition_that_nobody_has_yet_is_carried_to_the_first_owner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An engine that has just started grants nothing for the length of a lease, while newcomers come to all servers."""
    async with nodes() as service:
        owned, node = service.owner("b").owned, service.local("a").topics.interest.node
        answers = iter(["", "", node])
        monkeypatch.setattr(owned, "holder_of", lambda partition: "")

        async def look_again(partition: int) -> str:
            await trio.lowlevel.checkpoint()
            return next(answers)

        monkeypatch.setattr(owned, "look_again", look_again)
        async with service.raw("b") as stream:
            assert b"a 127.0.0.1" in await read(stream, b"False")


async def test_a_newcomer_of_a_partition_that_nobody_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        owned = service.owner("b").owned
        monkeypatch.setattr(owned, "holder_of", lambda partition: "")
        monkeypatch.setattr(splice, "PATIENCE", 0.05)

        async def look_again(partition: int) -> str:
            await trio.lowlevel.checkpoint()
            return ""

        monkeypatch.setattr(owned, "look_again", look_again)
        async with service.raw("b") as stream:
            answer = await read(stream, b"never")
        assert b" 503 " in answer
        assert b"its owner does not answer" in answer


async def test_a_newcomer_whose_owner_cannot_be_reached_waits_until_one_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was killed has its leases for five more seconds."""
    async with nodes() as service:
        dialer = service.peering("b").splices.dialer
        connect, failures = dialer._connect, iter(range(3))

        async def failing(host: str, port: int) -> Transport:
            await trio.lowlevel.checkpoint()
            if next(failures, None) is not None:
                raise ConnectionRefusedError
            return await connect(host, port)

        monkeypatch.setattr(dialer, "_connect", failing)
        monkeypatch.setattr(splice, "REDIAL", (0.001, 0.002))
        async with service.raw("b") as stream:
            assert b"a 127.0.0.1" in await read(stream, b"False")


async def test_one_that_counts_as_pending_does_not_wait_for_an_owner_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(splice, "MOST_WAITING", 0)
    async with nodes() as service:
        dials: list[int] = []

        async def failing(host: str, port: int) -> Transport:
            dials.append(port)
            await trio.lowlevel.checkpoint()
            raise ConnectionRefusedError

        monkeypatch.setattr(service.peering("b").splices.dialer, "_connect", failing)
        async with service.raw("b") as stream:
            assert b" 503 " in await read(stream, b"never")
        assert len(dials) == 2


async def test_a_newcomer_that_waits_for_the_engine_is_not_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        owner, node = service.local("b").owner, service.local("a").topics.interest.node
        assert owner is not None
        known = trio.Event()

        async def look_again(partition: int) -> str:
            await known.wait()
            return node

        monkeypatch.setattr(owner.owned, "holder_of", lambda partition: node if known.is_set() else "")
        monkeypatch.setattr(owner.owned, "look_again", look_again)
        monkeypatch.setattr(splice, "WITHIN", BOUND)
        monkeypatch.setattr(dialing, "WITHIN", BOUND)
        admission = service.local("b").admission
        async with service.raw("b") as stream:
            while not (waiting := [*admission.pending.away]):  # noqa: ASYNC110
                await trio.sleep(0.002)
            assert not admission.pending.under_way
            monkeypatch.setattr(splice, "MOST_WAITING", 1)
            async with service.raw("b") as second:  # beyond the bound it is among the pending, and still has its time
                while not admission.pending.under_way:  # noqa: ASYNC110
                    await trio.sleep(0.002)
                for one in (*waiting, *admission.pending.under_way):
                    one.since -= 100
                while not all(one.head_received for one in admission.pending.under_way):  # noqa: ASYNC110
                    await trio.sleep(0.002)
                admission.pending.make_room()
                known.set()
                for one_stream in (stream, second):
                    assert b"a 127.0.0.1" in await read(one_stream, b"False")


@pytest.mark.parametrize("share", [splice.PATIENCE, 0.001])
async def test_an_engine_that_does_not_answer_costs_a_503(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(splice, "PATIENCE", share)
    async with nodes() as service:
        owner = service.owner("b")

        async def look_again(partition: int) -> str:
            await trio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(owner.owned, "holder_of", lambda partition: "")
        monkeypatch.setattr(owner.owned, "look_again", look_again)
        if share > 0.1:  # it counts as pending, and has less time
            monkeypatch.setattr(splice, "WITHIN", 0.05)
            monkeypatch.setattr(splice, "MOST_WAITING", 0)
        before = service.local("b").admission.answering.refused
        async with service.raw("b") as stream:
            answer = await read(stream, b"never")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in answer
        assert service.local("b").admission.answering.refused == before + 1


async def test_a_partition_of_the_generation_before_is_waited_for_and_not_dialed() -> None:
    async with nodes() as service:
        splices = service.peering("b").splices
        placement = splices._signpost.placement
        partition = next(one for one in range(256) if splices._owned.holder_of(one) != splices._node)
        assert not splices._is_here(partition)
        placement._away.add(partition)
        assert splices._is_here(partition)
        assert await splices._find(partition, patient=True, again=True) == ""
        placement.leave(partition)  # to the generation after, which has a port
        assert not splices._is_here(partition)
