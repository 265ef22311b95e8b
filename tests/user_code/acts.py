"""Acts of user code that cancel tasks of wsframe, or leave scopes in them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio
import trio.lowlevel


def parent() -> trio.Nursery:
    nursery = trio.lowlevel.current_task().parent_nursery
    assert nursery is not None
    return nursery


def cancel_parent() -> None:
    parent().cancel_scope.cancel()


def cancel_eventual_parent() -> None:
    task = trio.lowlevel.current_task()
    nursery = task.eventual_parent_nursery or task.parent_nursery
    assert nursery is not None
    nursery.cancel_scope.cancel()


def set_deadline() -> None:
    parent().cancel_scope.deadline = trio.current_time()


def set_shield() -> None:
    parent().cancel_scope.shield = True


def cancel_all_above() -> None:
    nursery: trio.Nursery | None = parent()
    while nursery is not None:
        nursery.cancel_scope.cancel()
        nursery = nursery.parent_task.parent_nursery


def cancel_those_open() -> None:
    for nursery in trio.lowlevel.current_task().child_nurseries or [parent()]:
        nursery.cancel_scope.cancel()


def leave_cancelled() -> None:
    trio.CancelScope().__enter__().cancel()


def leave_open() -> None:
    trio.move_on_after(1).__enter__()


def leave_two() -> None:
    leave_open()
    leave_cancelled()


def leave_past() -> None:
    trio.CancelScope(deadline=trio.current_time() - 1).__enter__()


FORBIDDEN_ACTS = [cancel_parent, cancel_eventual_parent, set_deadline, set_shield, cancel_all_above, cancel_those_open]
ACTS: list[Callable[[], None]] = [*FORBIDDEN_ACTS, leave_cancelled, leave_open, leave_two, leave_past]
FEW_ACTS = [cancel_parent, set_deadline, cancel_all_above, leave_cancelled, leave_two, leave_past]


class ActingHandler(logging.Handler):
    """Acts for each line."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self.act = act
        self.acted = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.acted += 1
        self.act()
