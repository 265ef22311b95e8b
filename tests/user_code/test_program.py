"""The server around user code, as far as an error there ends it."""

import threading

import pytest

from wsframe.user_code.program import Program, leaves


def made(done: list[str]) -> Program:
    return Program(debug=False, drain=lambda: done.append("drain"), cut_off=lambda: done.append("cut off"))


def test_the_first_word_is_the_last() -> None:
    done: list[str] = []
    program, first = made(done), SystemExit(3)
    program.leave(first)
    program.leave(SystemExit(4))
    program.stop(ValueError())
    assert program.error is first
    assert done == ["drain", "drain", "cut off"]


def test_in_another_thread_it_is_raised_there() -> None:
    done: list[str] = []
    program = made(done)

    def leave() -> None:
        with pytest.raises(SystemExit):
            program.leave(SystemExit(3))
        done.append("raised")

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert (done, program.error) == (["raised"], None)


def test_leaves_are_found_at_any_depth() -> None:
    one, other = ValueError(), KeyboardInterrupt()
    deep: BaseException = other
    for _ in range(5000):
        deep = BaseExceptionGroup("", [deep])
    assert set(leaves(BaseExceptionGroup("", [one, deep]))) == {one, other}
    assert list(leaves(one)) == [one]
