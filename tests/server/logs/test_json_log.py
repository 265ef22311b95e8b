"""Whatever a record holds, its line is one JSON object in ASCII."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from enum import Enum
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, recursive, text

import wsframe
from wsframe import JSONFormatter
from wsframe.log import Log


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def take(self) -> dict[str, Any]:
        (line,) = self.lines
        self.lines.clear()
        assert line.isascii()
        assert line.isprintable()
        taken: dict[str, Any] = json.loads(line)
        return taken


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def log(kept: Kept) -> Log:
    inner = logging.Logger("wsframe.test_json_log")
    inner.addHandler(kept)
    return Log(inner)


def test_a_line_has_time_level_logger_and_message(log: Log, kept: Kept) -> None:
    log.warning("%s clients", 5)
    line = kept.take()
    assert list(line) == ["time", "level", "logger", "message"]
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "wsframe.test_json_log", "5 clients")
    assert line["time"].endswith("Z")
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None


def test_a_traceback_and_a_stack_are_fields(log: Log, kept: Kept) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.exception("failed")
    line = kept.take()
    assert line["message"] == "failed"
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert line["traceback"].endswith("ValueError: first\n    second")
    log.warning("slow", stack="It is here:\n  somewhere")
    assert kept.take()["stack"] == "It is here:\n  somewhere"


class Colour(Enum):
    RED = "red"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


LOOP: list[Any] = []
LOOP.append(LOOP)

VALUES: dict[str, tuple[object, object]] = {
    "number": (5, 5),
    "none": (None, None),
    "nested": ({"a": [1, 2.5]}, {"a": [1, 2.5]}),
    "bytes": (b"\x00\xff", "b'\\x00\\xff'"),
    "NaN": (nan, "nan"),
    "infinity": (-inf, "-inf"),
    "surrogate": ("\ud800", "\ud800"),
    "control characters": ("\x1b[2J\r\n\u2028\u202e", "\x1b[2J\r\n\u2028\u202e"),
    "set": ({1}, "{1}"),
    "enum": (Colour.RED, "<Colour.RED: 'red'>"),
    "loop": (LOOP, "[[...]]"),
    "key that is no str": ({(1, 2): 3}, "{(1, 2): 3}"),
    "repr that raises": (Broken(), "a Broken whose repr raises"),
    "long repr": ({"x" * 5000}, None),
    "int of 6 000 digits": (10**6000, "a int whose repr raises"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_json_does_not_have_is_replaced_alone(log: Log, kept: Kept, name: str) -> None:
    value, expected = VALUES[name]
    log.info("line", extra={"value": value, "beside": 7})
    line = kept.take()
    assert (line["message"], line["beside"]) == ("line", 7)
    if expected is None and value is not None:
        assert len(line["value"]) == 1000
    else:
        assert line["value"] == expected


@given(recursive(text(), lambda inner: dictionaries(text(), inner, max_size=3), max_leaves=5), text())
def test_any_text_of_a_peer_stays_in_its_line(value: object, message: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%s", (message,), None)
    record.value = value
    line = JSONFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert (json.loads(line)["message"], json.loads(line)["value"]) == (message, value)


def test_an_extra_of_a_fields_name_stands_beside_it(log: Log, kept: Kept) -> None:
    log.info("line", extra={"time": 5, "level": "deep", "logger": "mine"})
    line = kept.take()
    assert (line["level"], line["level_"], line["logger_"], line["time_"]) == ("INFO", "deep", "mine", 5)


def test_it_is_for_any_handler_of_a_program() -> None:
    assert wsframe.JSONFormatter is JSONFormatter
    record = logging.LogRecord("app", logging.ERROR, "f", 1, "plain %% text", (), None)
    assert json.loads(JSONFormatter().format(record))["message"] == "plain %% text"
