"""Reading by the reactor, or by the listener that has the lead."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.local_server import local_server_of
from tests.pollers import POLLERS
from tests.recorder import Echo, Recorder
from tests.wire import BOUND, TEXT, Frame, connected, serving, text
from wsframe.connection.flusher import Flusher
from wsframe.connection.lead import PASSED_OVER, SPIN_SECONDS, Lead, ListenerBell
from wsframe.hooks.listener import Listener
from wsframe.net.poller import Poller, PollerName
from wsframe.resources.resource import Ordering
from wsframe.testing import Kit, open_kit

Ready = list[tuple[int, int]]


def lead_of(kit: Kit) -> Lead:
    return local_server_of(kit.server).reactor.lead


def bell_of(resource: wsframe.Resource) -> ListenerBell:
    listener = resource._listener
    assert isinstance(listener, Listener)
    return listener._mailbox.doorbell


# The right itself


class Rig:
    """A lead whose poller and clock tests move by hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self.polls = self.waits = 0
        self.ready: list[Ready] = []
        """The results of the next polls; nothing when they are used up."""
        self.read: list[Ready | None] = []
        self.on_read: Callable[[], None] = lambda: None
        self.flusher = Flusher()
        self.lead = Lead(self.flusher, self.take)
        self.lead.poller = cast("Poller", self)
        self.bell = ListenerBell()
        self.bell.lead = self.lead
        self.wait_seconds = 0.0

    def clock(self) -> float:
        self.time += 1e-6
        return self.time

    def take(self, ready: Ready | None) -> None:
        self.read.append(ready)
        self.on_read()

    def poll(self) -> Ready:
        self.polls += 1
        return self.ready.pop(0) if self.ready else []

    async def wait(self) -> None:
        self.waits += 1
        self.time += self.wait_seconds
        await trio.lowlevel.checkpoint()

    def wake(self) -> None:
        raise NotImplementedError

    async def be_rung(self, *bells: ListenerBell) -> bool:
        """Ring as the reactor does in a turn, bells at which tasks wait."""
        self.lead.times_rung = 0
        async with trio.open_nursery() as nursery:
            for bell in bells:
                nursery.start_soon(bell.wait)
            await wait_all_tasks_blocked()
            for bell in bells:
                bell.ring()
            return self.lead.offer()

    async def lead_now(self) -> None:
        assert await self.be_rung(self.bell)
        self.lead.take()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig()
    monkeypatch.setattr("wsframe.connection.lead.perf_counter", rig.clock)
    return rig


async def test_only_one_that_was_woken_alone_gets_the_lead(rig: Rig) -> None:
    other = ListenerBell()
    other.lead = rig.lead
    assert not rig.lead.offer(), "nobody was rung"
    rig.bell.ring()
    assert not rig.lead.offer(), "its task does not wait for its mailbox"
    rig.bell.rung = False
    assert not await rig.be_rung(rig.bell, other)
    assert await rig.be_rung(rig.bell)
    assert rig.lead.bell is rig.bell


async def test_one_that_gave_the_lead_back_is_passed_over_for_a_while(rig: Rig) -> None:
    await rig.lead_now()
    rig.lead.give_back()
    assert [await rig.be_rung(rig.bell) for _ in range(PASSED_OVER + 1)] == [False] * PASSED_OVER + [True]


async def test_one_that_leaves_is_forgotten(rig: Rig) -> None:
    await rig.lead_now()
    rig.lead.leave(rig.bell)
    assert (rig.lead.bell, rig.flusher.leader) == (None, None)
    assert await rig.be_rung(rig.bell), "it is another one with the same bell"


async def test_leader_that_read_for_another_alone_gives_the_lead_back(rig: Rig) -> None:
    await rig.lead_now()

    def another() -> None:
        rig.lead.times_rung += 1

    def both() -> None:
        another()
        rig.bell.ring()

    rig.on_read = both
    await rig.lead.turn(rig.bell)
    assert rig.lead.bell is rig.bell, "it has something to do"
    rig.on_read = lambda: None
    await rig.lead.turn(rig.bell)
    assert rig.lead.bell is rig.bell, "nobody has"
    rig.on_read = another
    await rig.lead.turn(rig.bell)
    assert rig.lead.bell is None


async def test_leader_that_is_rung_reads_nothing(rig: Rig) -> None:
    await rig.lead_now()
    rig.bell.ring()
    await rig.lead.turn(rig.bell)
    assert (rig.waits, rig.read) == (0, [])
    await rig.lead.turn(rig.bell)
    assert (rig.waits, rig.read) == (1, [None])


async def test_leader_that_is_cancelled_at_the_poller_has_the_lead_to_give_back(rig: Rig) -> None:
    await rig.lead_now()
    with trio.CancelScope() as scope:
        scope.cancel()
        await rig.lead.turn(rig.bell)
    assert scope.cancelled_caught
    assert (rig.flusher.leader, rig.lead.at_poller) == (rig.lead, None)


async def test_leader_whose_poller_was_closed_waits_for_its_own_end(autojump_clock: MockClock, rig: Rig) -> None:
    """The reactor has ended, and the server with it: this is no error of the resource."""
    await rig.lead_now()

    async def wait() -> None:
        raise trio.ClosedResourceError

    rig.wait = wait  # type: ignore[method-assign]
    with trio.move_on_after(1) as scope:
        await rig.lead.turn(rig.bell)
    assert scope.cancelled_caught
    assert rig.read == []


# Looking again


async def test_leader_spins_after_waits_that_were_short_and_three_times_in_vain(rig: Rig) -> None:
    rig.lead.spins = True
    await rig.lead_now()
    for _ in range(5):
        await rig.lead.turn(rig.bell)
    assert rig.waits == 5, "it waits after each look in vain"
    rig.wait_seconds = 0.5
    polls = []
    for _ in range(5):
        before = rig.polls
        await rig.lead.turn(rig.bell)
        polls.append(rig.polls - before)
    assert polls[0] == pytest.approx(SPIN_SECONDS / 1e-6, abs=2), "it looks for 60 us"
    assert polls[1:] == [0] * 4, "after a long wait it does not"


async def test_messages_that_come_while_the_leader_spins_are_read_at_once(rig: Rig) -> None:
    rig.lead.spins = True
    await rig.lead_now()
    await rig.lead.turn(rig.bell)
    rig.ready = [[], [], [(7, 1)]]
    await rig.lead.turn(rig.bell)
    assert (rig.waits, rig.read) == (1, [None, [(7, 1)]])


async def test_leader_that_spins_gives_others_a_turn_each_millisecond(rig: Rig) -> None:
    rig.lead.spins = True
    await rig.lead_now()
    for _ in range(1000):
        rig.time += 30e-6
        rig.ready = [[(7, 1)]]
        await rig.lead.turn(rig.bell)
    assert 2 < rig.waits < 50
    assert len(rig.read) == 1000


async def test_leader_does_not_spin_unless_it_pays(rig: Rig) -> None:
    await rig.lead_now()
    for _ in range(5):
        await rig.lead.turn(rig.bell)
    assert (rig.polls, rig.waits) == (0, 5)


# In a server


class Patient(Recorder):
    """Echoes, once the gate is open."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.journal.add(f"text {message}")
        if message == "hold":
            await self.release.wait()
        client.send_text(message)


@pytest.mark.parametrize("ordering", ["resource", "client"])
async def test_listener_of_the_only_busy_client_leads(autojump_clock: MockClock, ordering: Ordering) -> None:
    class Ordered(Echo):
        pass

    Ordered.ordering = ordering
    async with open_kit(Ordered()) as kit:
        client, _ = await kit.connect(), await kit.connect()
        for message in ("first", "second", "third"):
            client.send_text(message)
            assert await client.receive_text() == message
            assert lead_of(kit).bell is lead_of(kit).at_poller is not None


@pytest.mark.parametrize("poller", POLLERS)
async def test_leader_whose_hook_waits_holds_nobody_up(poller: PollerName) -> None:
    registry, slow, other = wsframe.Registry(), Patient(), Echo()
    registry.register("/slow", slow)
    registry.register("/other", other)
    with trio.fail_after(BOUND):
        async with (
            wsframe.open_server(registry, port=0, poller=poller) as server,
            connected(server, "/slow") as one,
            connected(server, "/other") as two,
        ):
            lead = local_server_of(server).reactor.lead
            await one.send(text("a"))
            assert (await one.receive()) == Frame(TEXT, b"a")
            assert lead.bell is bell_of(slow)
            await one.send(text("hold"))
            await slow.journal.until("text hold")
            for message in ("b", "c"):
                await two.send(text(message))
                assert (await two.receive()) == Frame(TEXT, message.encode())
            slow.release.set()
            assert (await one.receive()) == Frame(TEXT, b"hold")


@pytest.mark.parametrize("poller", POLLERS)
async def test_leader_at_the_poller_hears_of_posts(poller: PollerName) -> None:
    room = Echo()
    async with serving(room, poller=poller) as server, connected(server) as peer:
        lead = local_server_of(server).reactor.lead
        for number in range(3):
            await peer.send(text("a"))
            await peer.receive()
            await wait_all_tasks_blocked(0.01)
            assert lead.at_poller is bell_of(room)
            room.post(number)
            await room.journal.until(f"custom {number}")
            await trio.to_thread.run_sync(room.post_from_thread, f"{number} of a thread")
            await room.journal.until(f"custom {number} of a thread")


async def test_reactor_reads_again_when_the_life_of_the_leader_is_over(autojump_clock: MockClock) -> None:
    registry, room, other = wsframe.Registry(), Echo(), Echo()
    registry.register("/", room)
    registry.register("/other", other)
    async with open_kit(registry) as kit:
        one, two = await kit.connect("/"), await kit.connect("/other")
        one.send_text("a")
        await one.receive_text()
        assert lead_of(kit).bell is bell_of(room)
        registry.unregister("/")
        one.close()
        await wait_all_tasks_blocked()
        assert room._listener is None
        assert lead_of(kit).bell is None
        two.send_text("b")
        assert await two.receive_text() == "b"


async def test_listener_with_more_to_do_than_a_batch_lets_the_reactor_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.hooks.caller.BATCH", 2)
    async with open_kit(room := Echo()) as kit:
        client = await kit.connect()
        client.send_text("a")
        await client.receive_text()
        assert lead_of(kit).bell is bell_of(room)
        for number in range(5):
            client.send_text(str(number))
        for number in range(5):
            assert await client.receive_text() == str(number)
        assert lead_of(kit).bell is None


VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="unset")


async def test_variables_that_check_message_sets_are_not_those_of_the_leaders_hooks(autojump_clock: MockClock) -> None:
    class Checking(Echo):
        def check_message(self, *args: object, **named: object) -> None:
            VARIABLE.set("of the check")

        async def received_text(self, client: wsframe.Client, message: str) -> None:
            client.send_text(VARIABLE.get())

    async with open_kit(room := Checking()) as kit:
        client = await kit.connect()
        for _ in range(3):
            client.send_text("a")
            assert await client.receive_text() == "unset"
            await wait_all_tasks_blocked()
            assert lead_of(kit).at_poller is bell_of(room)
