"""An object that Python's cyclic collector frees in a task of wsframe leaves nothing open there."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, FrameType

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.user_code.acts import (
    FORBIDDEN_ACTS,
    cancel_eventual_parent,
    leave_cancelled,
    leave_open,
    leave_past,
    leave_two,
)
from tests.user_code.breaking import Echo, around, check_well, refused
from wsframe.log import log_for
from wsframe.testing import open_kit
from wsframe.user_code.errors import call_plain
from wsframe.user_code.finalizers import FinalizerGuard

PACKAGE = str(Path(wsframe.__file__).parent)

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def open_nursery() -> trio.Nursery:
    """Open a nursery without a wait, as no program should."""
    with pytest.raises(StopIteration) as info:
        trio.open_nursery().__aenter__().send(None)
    nursery: trio.Nursery = info.value.value
    return nursery


def leave_nursery() -> None:
    open_nursery()


def leave_tasks() -> None:
    leave_open()
    nursery = open_nursery()
    for _ in range(2):
        nursery.start_soon(trio.sleep_forever)
    leave_open()


def fail() -> None:
    raise ValueError


LEAVING = [leave_open, leave_cancelled, leave_two, leave_past, leave_nursery, leave_tasks]
acting = pytest.mark.parametrize("act", [*LEAVING, fail])


class Dying:
    """An object of a cycle, which acts as it is collected."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act
        self.cycle = self

    def __del__(self) -> None:
        self.act()


class Referred:
    """An object of a cycle."""

    def __init__(self) -> None:
        self.cycle = self


def make_finalized(act: Callable[[], None]) -> None:
    Dying(act)


def make_referred(act: Callable[[], None]) -> None:
    REFERENCES.append(weakref.ref(Referred(), lambda _: act()))


def make_generator(act: Callable[[], None]) -> None:
    """Make a generator that acts when it is closed."""

    def generate() -> Iterator[int]:
        cycle.append(generator)
        try:
            yield 1
        finally:
            act()

    cycle: list[object] = []
    generator = generate()
    next(generator)


REFERENCES: list[weakref.ref[Referred]] = []
making = pytest.mark.parametrize("make", [make_finalized, make_referred, make_generator])


@pytest.fixture(autouse=True)
def small_heap() -> Iterator[None]:
    """Have the collector look at the objects of this test alone, and when the test says so."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()
    REFERENCES.clear()


def opened() -> tuple[object, list[trio.Nursery]]:
    task = trio.lowlevel.current_task()
    return task._cancel_status, task.child_nurseries


@pytest.mark.parametrize("act", [act for act in FORBIDDEN_ACTS if act is not cancel_eventual_parent])
async def test_garbage_that_cancels_while_the_server_starts_cancels_nothing(act: Callable[[], None]) -> None:
    acted: list[CodeType] = []

    def dying_at(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE) and len(gc.callbacks) > before:
            here = trio.lowlevel.current_task()
            if here.eventual_parent_nursery is not None and frame.f_code not in acted:
                acted.append(frame.f_code)
                make_finalized(act)
                gc.collect(0)

    before = len(gc.callbacks)
    former = sys.getprofile()
    sys.setprofile(dying_at)
    try:
        async with open_kit(around(Echo()), "/x") as kit:
            await check_well(kit)
    finally:
        sys.setprofile(former)
    assert len(acted) > 20


@acting
@making
async def test_a_collection_leaves_the_scopes_of_its_task_as_they_were(
    make: Callable[[Callable[[], None]], None], act: Callable[[], None]
) -> None:
    acted = []

    def note() -> None:
        acted.append(True)
        act()

    async with trio.open_nursery():
        with FinalizerGuard(), trio.CancelScope():
            before = opened()
            for number in range(2):
                make(note)
                gc.collect()
                assert len(acted) == number + 1
                assert opened() == before
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("act", LEAVING)
async def test_a_plain_function_that_leaves_something_open_leaves_it_to_nobody(act: Callable[[], None]) -> None:
    before = opened()
    async with trio.open_nursery():
        with trio.CancelScope():
            with pytest.raises(RuntimeError, match="left a nursery or cancel scope open"):
                call_plain(act)
            await trio.lowlevel.checkpoint()
    assert opened() == before


async def test_tasks_in_a_nursery_that_is_left_so_are_cancelled() -> None:
    ended = trio.Event()

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    def leave() -> None:
        open_nursery().start_soon(task)

    with suppress(RuntimeError):
        call_plain(leave)
    await ended.wait()


def test_a_collection_without_a_task_is_let_alone() -> None:
    with FinalizerGuard():
        make_finalized(fail)
        gc.collect()
        thread = threading.Thread(target=gc.collect)
        make_finalized(leave_open)
        thread.start()
        thread.join()


def test_a_guard_leaves_no_callback_even_if_others_were_removed() -> None:
    before = gc.callbacks[:]
    with FinalizerGuard():
        with FinalizerGuard():
            assert len(gc.callbacks) == len(before) + 2
        kept = gc.callbacks[:]
        gc.callbacks.clear()
    gc.callbacks[:] = before
    assert len(kept) == len(before) + 1


class Collector:
    """Has garbage collected at the first call of each function of wsframe, and where it goes on, in each task."""

    def __init__(self, make: Callable[[Callable[[], None]], None], act: Callable[[], None]) -> None:
        self.make = make
        self.act = act
        self.callbacks = len(gc.callbacks)
        self.seen: set[tuple[str, CodeType, int]] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        if not trio.lowlevel.in_trio_task() or len(gc.callbacks) == self.callbacks:  # the server has ended
            return
        here = trio.lowlevel.current_task().name, frame.f_code, frame.f_lasti
        if here not in self.seen and here[0].startswith("wsframe") and "testing" not in here[0]:
            self.seen.add(here)
            self.make(self.act)
            gc.collect(0)


@contextmanager
def collecting(collector: Collector) -> Iterator[None]:
    before = sys.getprofile()
    sys.setprofile(collector)
    try:
        yield
    finally:
        sys.setprofile(before)


def log_line() -> None:
    log_for("wsframe.dying").error("one dies")


@pytest.mark.parametrize(
    ("make", "act"),
    [
        *((make_finalized, act) for act in [*LEAVING, log_line]),
        (make_referred, leave_two),
        (make_generator, leave_tasks),
    ],
)
async def test_garbage_that_dies_at_each_function_in_the_tasks_of_a_server_costs_nobody_anything(
    autojump_clock: MockClock, make: Callable[[Callable[[], None]], None], act: Callable[[], None]
) -> None:
    collector = Collector(make, act)
    with collecting(collector):
        async with open_kit(around(Echo()), "/x") as kit:
            staying = await kit.connect("/x")
            await check_well(kit)
            assert await refused(kit, "/nowhere") == 404
            (await kit.connect("/x")).reset()
            staying.send_text("still here")
            assert await staying.receive_text() == "still here"
            kit.server.close()
            assert (await staying.closed()).code == 1001
    assert len({task for task, _, _ in collector.seen}) > 5
    assert len(collector.seen) > 200
