"""Logging never raises into the code that logs."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from tests.user_code.breaking import Evil, Unreadable
from wsframe.log import Log, log_for, without_controls


class Panic(BaseException):
    """Stands for errors of extensions that are not an Exception."""


class Failing(logging.Handler):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        raise self.error


class Unprintable:
    def __repr__(self) -> str:
        raise Panic


@contextmanager
def log_with(handler: logging.Handler) -> Iterator[Log]:
    inner = logging.getLogger("wsframe.test_log")
    inner.setLevel("DEBUG")
    inner.addHandler(handler)
    try:
        yield Log(inner)
    finally:
        inner.removeHandler(handler)


@pytest.mark.parametrize("error", [RuntimeError("no disk"), Panic(), GeneratorExit(), RecursionError()])
def test_a_handler_that_raises_costs_its_line_and_says_so_once(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    with log_with(Failing(error)) as log:
        log.info("one")
        log.error("two")
        try:
            raise ValueError
        except ValueError:
            log.exception("three")
    told = capsys.readouterr().err
    assert told == f"wsframe: logging failed with {type(error).__name__}; lines are lost\n"


def test_a_filter_that_raises_costs_its_line() -> None:
    def failing(record: logging.LogRecord) -> bool:
        raise Panic

    handler = logging.StreamHandler(StringIO())
    handler.addFilter(failing)
    with log_with(handler) as log:
        log.warning("one")


def test_an_argument_that_cannot_be_printed_costs_its_line() -> None:
    stream = StringIO()
    with log_with(logging.StreamHandler(stream)) as log:
        log.info("%r", Unprintable())
        log.info("next")
    assert stream.getvalue() == "next\n"


class Empty(Exception):
    """Is false."""

    def __len__(self) -> int:
        return 0


class Untrue(Exception):
    def __bool__(self) -> bool:
        raise Panic


@pytest.mark.parametrize("make", [Evil, Unreadable, Empty, Untrue])
def test_an_exception_that_cannot_be_read_costs_its_text_and_not_its_line(make: Callable[[], Exception]) -> None:
    stream = StringIO()
    with log_with(logging.StreamHandler(stream)) as log:
        for _ in range(2):
            try:
                raise make()
            except Exception as error:
                log.error("a hook failed", exc_info=error)
        around = RuntimeError("around")
        around.__cause__ = make()
        log.error("another failed", exc_info=around)
    shown = stream.getvalue()
    assert shown.count("a hook failed") == 2
    assert "another failed" in shown
    assert make.__name__ in shown
    assert "test_log.py" in shown, "where it was raised"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_the_program_passes(error: BaseException) -> None:
    with log_with(Failing(error)) as log, pytest.raises(type(error)):
        log.info("one")


def test_a_line_without_stderr_is_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with log_with(Failing(RuntimeError())) as log:
        log.info("one")


def test_a_record_names_the_line_that_logged() -> None:
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    with log_with(Keeping()) as log:
        log.info("one")
        try:
            raise ValueError
        except ValueError:
            log.exception("two")
    assert [(record.filename, record.funcName) for record in records] == 2 * [
        ("test_log.py", "test_a_record_names_the_line_that_logged")
    ]


def test_a_line_that_is_shown_each_time_is_lost_if_a_handler_fails(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("failing")
    logger.addHandler(Failing(RuntimeError()))
    log = Log(logger)
    for _ in range(2):
        log.show(logging.INFO, test_each_room_has_a_logger_of_its_own.__code__, "%(number)d", {"number": 1})
    assert capsys.readouterr().err == "wsframe: logging failed with RuntimeError; lines are lost\n"


def test_a_line_can_be_logged_while_another_is_counted() -> None:
    """By a finalizer that the collector calls there, or by a signal handler of the program."""
    lines: list[str] = []

    def clock() -> float:
        if len(lines) < 5:
            lines.append("another")
            log.warning("another")
        return 0.0

    log = Log(logging.getLogger("wsframe.test_log"), clock)
    thread = threading.Thread(target=log.warning, args=("one",), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert len(lines) == 5


def test_each_room_has_a_logger_of_its_own() -> None:
    assert log_for("wsframe.server.admission") is log_for("wsframe.server") is log_for("wsframe.server.run")
    assert log_for("wsframe.server.admission").name == "wsframe.server"
    assert log_for("wsframe.connection.link").name == "wsframe.connection"
    for path in (Path(__file__).parent.parent / "wsframe").rglob("*/*.py"):
        text = path.read_text("utf-8")
        if "logger." in text and path.name not in {"stderr_log.py", "json_stderr.py"}:
            assert re.search(r"^logger(: Log)? = log_for\(__name__\)$", text, re.MULTILINE), path


@pytest.mark.parametrize("mark", [*"\x00\x07\x1b\x7f\x9b\r\u061c\u200e\u200f\u2028\u202e\u2066\u2069"])
def test_a_character_that_moves_the_cursor_or_turns_text_round_is_escaped(mark: str) -> None:
    shown = without_controls(f"a{mark}b\tc\n")
    assert mark not in shown
    assert shown.isascii()
    assert shown.endswith("b\tc\n")
