"""Which errors of user code cost only their client, and which must pass; the other files test where it runs."""

from __future__ import annotations

import pytest
import trio

from wsframe.user_code.errors import LEFT_OPEN, contain, harmless, nested, only_leaf


async def test_an_error_costs_only_its_client() -> None:
    assert contain(ValueError())
    assert contain(ExceptionGroup("two", [ValueError(), OSError()]))


async def test_cancellation_and_ctrl_c_pass_also_inside_a_group() -> None:
    with pytest.raises(KeyboardInterrupt):
        contain(KeyboardInterrupt())
    with pytest.raises(BaseExceptionGroup):
        contain(BaseExceptionGroup("group", [ValueError(), KeyboardInterrupt()]))
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            contain(cancelled)
    assert scope.cancelled_caught


async def test_an_exit_outside_of_a_server_passes() -> None:
    with pytest.raises(SystemExit):
        contain(SystemExit(1))


def test_an_error_whose_repr_raises_is_replaced() -> None:
    class Odd(Exception):
        def __repr__(self) -> str:
            raise ZeroDivisionError

    plain, odd = ValueError(), Odd()
    assert harmless(plain) is plain
    replaced = harmless(odd)
    assert repr(replaced) == "RuntimeError('Odd, which cannot be read')"
    assert replaced.__cause__ is odd


def test_one_error_in_groups_is_taken_out_and_two_stay() -> None:
    leaf = ValueError()
    assert only_leaf(ExceptionGroup("outer", [ExceptionGroup("inner", [leaf])])) is leaf
    two = ExceptionGroup("two", [ValueError(), OSError()])
    assert only_leaf(two) is two


async def test_a_scope_that_user_code_left_open_is_closed_and_is_its_error() -> None:
    before = trio.lowlevel.current_task()._cancel_status

    async def leaves_open() -> None:
        trio.CancelScope().__enter__()

    with pytest.raises(RuntimeError, match=LEFT_OPEN):
        await nested(leaves_open)
    assert trio.lowlevel.current_task()._cancel_status is before


async def test_code_that_leaves_the_stack_as_it_was_returns_its_result() -> None:
    async def inside(number: int) -> int:
        with trio.CancelScope() as scope:
            scope.shield = True
            await trio.lowlevel.checkpoint()
        return number

    assert await nested(inside, 7) == 7
