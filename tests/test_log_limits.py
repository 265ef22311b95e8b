"""A line of the log is short, whatever a peer sent, and of a kind that comes too often there is a count."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis.strategies import binary, text

from wsframe.log import Log, escaped, quoted, shortened


@given(text() | text(alphabet="\x00\x80\u2028\U000e0001'\\\"", min_size=20, max_size=300) | binary(max_size=300))
def test_what_is_quoted_is_cut_to_100_characters_after_escaping(sent: str | bytes) -> None:
    shown = quoted(sent)
    assert len(shown) <= 100
    assert shown == repr(sent) or (shown.endswith("...") and len(shown) > 80)
    cut = shown.removesuffix("...")
    assert shown == repr(sent) or any(cut == repr(sent[:size]) for size in range(101))


@given(text(max_size=300))
def test_what_can_be_printed_stands_unquoted_and_is_cut_too(sent: str) -> None:
    shown = escaped(sent)
    assert len(shown) <= 100
    assert shown.isprintable()


def test_what_is_short_stays_as_it_is() -> None:
    assert shortened("a" * 100) == "a" * 100
    assert shortened("a" * 101) == "a" * 97 + "..."
    assert quoted("a" * 98) == f"'{'a' * 98}'"
    assert quoted("a" * 99) == f"'{'a' * 95}'..."
    assert quoted(None) == "None"


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self.lines: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        if "more like it" in self.lines[-1]:
            self.came.set()


class Scene:
    def __init__(self, log: Log, handler: Lines) -> None:
        self.log = log
        self.handler = handler
        self.now = 0.0

    def take(self) -> list[str]:
        taken, self.handler.lines = self.handler.lines, []
        return taken


@contextmanager
def scene_of_log() -> Iterator[Scene]:
    inner = logging.getLogger("wsframe.test_log_limits")
    inner.setLevel("INFO")
    inner.propagate = False
    handler = Lines()
    inner.addHandler(handler)
    scenes: list[Scene] = []
    log = Log(inner, lambda: scenes[0].now)
    scenes.append(Scene(log, handler))
    try:
        yield scenes[0]
    finally:
        log.tell_left_out()
        inner.removeHandler(handler)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with scene_of_log() as made:
        yield made


def test_ten_lines_of_a_kind_are_shown_in_a_second_and_the_others_counted(scene: Scene) -> None:
    for number in range(1244):
        scene.log.info("refused: %s", number)
    assert scene.take() == [f"INFO refused: {number}" for number in range(10)]
    scene.now = 1.0
    scene.log.info("refused: %s", "again")
    assert scene.take() == ["INFO refused: 9 ... and 1 234 more like it in the last second", "INFO refused: again"]
    scene.now = 2.5
    scene.log.info("refused: %s", "later")
    assert scene.take() == ["INFO refused: later"]


def test_kinds_are_told_apart_by_line_kind_and_error(scene: Scene) -> None:
    for _ in range(20):
        scene.log.info("refused", kind=404)
        scene.log.info("refused", kind=403)
        scene.log.info("other")
        for error in (KeyError("k"), ValueError("v")):
            scene.log.error("failed", exc_info=error)
    assert len(scene.take()) == 50
    scene.log.tell_left_out()
    assert sorted(scene.take()) == [
        f"{line} ... and 10 more like it in the last second"
        for line in ("ERROR failed", "ERROR failed", "INFO other", "INFO refused", "INFO refused")
    ]


def test_the_count_comes_though_no_other_line_does_and_no_thread_stays(scene: Scene) -> None:
    for _ in range(15):
        scene.log.warning("flood")
    assert scene.handler.came.wait(60)
    scene.log.tell_left_out()
    assert scene.take()[10:] == ["WARNING flood ... and 5 more like it in the last second"]
    assert scene.log._spared._timer is None


def test_lines_below_the_level_count_for_nothing(scene: Scene) -> None:
    for _ in range(100):
        scene.log.debug("flood")
    scene.log.logger.setLevel("DEBUG")
    scene.log.debug("flood")
    assert scene.take() == ["DEBUG flood"]


def test_kinds_that_are_too_many_share_one_and_the_memory_is_bounded(scene: Scene) -> None:
    for number in range(1000):
        scene.log.info("line", kind=number)
    assert len(scene.take()) == 200 + 10
    scene.now = 5.0
    scene.log.info("line", kind=5000)
    assert scene.take()[-1] == "INFO line"
    assert len(scene.log._spared._kinds) < 210


def test_a_repr_that_logs_does_not_hang(scene: Scene) -> None:
    class Talkative:
        def __repr__(self) -> str:
            scene.log.info("inner")
            return "talkative"

    for _ in range(12):
        scene.log.info("%r", Talkative())
    assert scene.take().count("INFO talkative") == 10


def test_an_object_with_a_long_repr_does_not_make_a_long_line(scene: Scene) -> None:
    scene.log.error("no hook for %r", "m" * 1_000_000)
    (line,) = scene.take()
    assert len(line) <= len("ERROR ") + 1000
    assert line.endswith("...")


def test_a_traceback_is_cut_in_width_and_length(scene: Scene) -> None:
    def fail(depth: int) -> None:
        if depth % 2 or depth:  # Python folds lines that repeat
            fail(depth - 1)
        raise KeyError("\x00" * 1_000_000)

    try:
        fail(80)
    except KeyError:
        scene.log.exception("failed")
    (report,) = scene.take()
    lines = report.split("\n")
    assert len(lines) <= 102
    assert max(map(len, lines)) <= 200
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1].startswith("KeyError: '\\x00")
    assert lines[-1].endswith("...")


def test_a_short_traceback_stands_whole(scene: Scene) -> None:
    try:
        int(ascii_letters)
    except ValueError:
        scene.log.exception("failed")
    (report,) = scene.take()
    assert report.endswith(f"ValueError: invalid literal for int() with base 10: '{ascii_letters}'")
    assert "int(ascii_letters)" in report


def test_a_line_with_named_fields_is_counted_too(scene: Scene) -> None:
    for number in range(11):
        scene.log.info("%(peer)s refused", {"peer": number})
    scene.log.tell_left_out()
    assert scene.take()[-1] == "INFO 9 refused ... and 1 more like it in the last second"


def test_the_count_is_a_field_of_its_record(scene: Scene) -> None:
    records: list[logging.LogRecord] = []

    def keep(record: logging.LogRecord) -> bool:
        records.append(record)
        return True

    scene.log.logger.addFilter(keep)
    for _ in range(12):
        scene.log.info("refused")
    scene.log.tell_left_out()
    scene.log.logger.removeFilter(keep)
    assert [getattr(record, "left_out", 0) for record in records] == [0] * 10 + [2]


def test_no_line_of_a_traceback_looks_like_one_of_the_log(scene: Scene) -> None:
    forged = "2026-11-28 07:00:00,000 INFO forged"
    try:
        raise ValueError(f"said\n{forged}\r\n\x1b[2J\x9b1m\u2028\u202e")
    except ValueError:
        scene.log.exception("failed")
    (report,) = scene.take()
    assert f"\n    {forged}" in report
    assert f"\n{forged}" not in report
    assert report.replace("\n", "").isprintable()


def test_a_group_of_errors_keeps_its_form(scene: Scene) -> None:
    try:
        raise ExceptionGroup("some", [ValueError("one\ntwo")])
    except ExceptionGroup:
        scene.log.exception("failed")
    (report,) = scene.take()
    assert "  | ExceptionGroup: some (1 sub-exception)" in report
    assert "    | ValueError: one" in report
    assert "    | two" in report
