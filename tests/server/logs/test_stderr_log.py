"""The log on stderr holds up nobody, whether it is read or not."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from wsframe.server.logs.json_log import JSONFormatter
from wsframe.server.logs.stderr_log import StderrLog, shown_on_stderr


def record(text: object, *args: object) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "file.py", 7, text, args, None)


@contextmanager
def piped() -> Iterator[tuple[StderrLog, io.BufferedReader]]:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w", encoding="utf-8") as writer:
        handler = StderrLog(writer)
        handler.setFormatter(logging.Formatter("%(message)s"))
        yield handler, reader
        handler.close()


def test_lines_are_written_in_order_by_a_thread_and_all_are_there_after_the_close() -> None:
    stream = io.StringIO()
    handler = StderrLog(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    for number in range(100):
        handler.emit(record("line %s", number))
    handler.close()
    assert stream.getvalue() == "".join(f"INFO line {number}\n" for number in range(100))
    handler.emit(record("too late"))
    assert "too late" not in stream.getvalue()


def test_a_pipe_that_nobody_reads_blocks_nobody_and_what_is_left_out_is_counted() -> None:
    with piped() as (handler, reader):
        handler.emit(record("y" * 199_999))
        while handler._lines:  # the thread takes it, and waits: it is more than a pipe holds
            time.sleep(0.001)
        for _ in range(3000):
            handler.emit(record("x" * 999))
        assert handler._left_out > 1500
        assert handler._waiting <= 1024 * 1024
        handler.flush()  # comes back
        left_out = handler._left_out
        assert reader.readline() == b"y" * 199_999 + b"\n"
        lines = [reader.readline() for _ in range(3000 - left_out)]
        assert set(lines) == {b"x" * 999 + b"\n"}
        told = b"wsframe: %d lines of the log are left out, because nobody read them in time\n" % left_out
        assert reader.readline() == told
        handler.emit(record("next"))
        assert reader.readline() == b"next\n"


def test_a_close_comes_back_though_nobody_reads() -> None:
    with piped() as (handler, reader):
        for _ in range(200):
            handler.emit(record("x" * 999))
        handler.close()
        handler.flush()
        reader.read(200_000)  # lets the thread go


def test_one_line_that_is_larger_than_the_room_is_written() -> None:
    stream = io.StringIO()
    handler = StderrLog(stream)
    handler.emit(record("x" * 3_000_000))
    handler.close()
    assert len(stream.getvalue()) > 3_000_000


@pytest.mark.parametrize("reader_has_gone", [True, False])
def test_a_stream_that_takes_nothing_costs_its_lines_alone(reader_has_gone: bool) -> None:
    with piped() as (handler, reader):
        if reader_has_gone:
            reader.close()
        else:
            assert handler._stream is not None
            handler._stream.close()
        handler.emit(record("lost"))
        handler.flush()
        assert not handler._waiting
    StderrLog(None).emit(record("nowhere"))


def test_a_line_that_cannot_be_formatted_names_its_place() -> None:
    stream = io.StringIO()
    handler = StderrLog(stream)
    handler.emit(record("%d", "text"))
    handler.close()
    assert stream.getvalue() == "a line of file.py:7 cannot be logged: TypeError\n"


def test_control_characters_of_any_logger_cannot_reach_a_terminal() -> None:
    stream = io.StringIO()
    handler = StderrLog(stream)
    handler.emit(record("red \x1b[31m, bell \x07, \x9b1m, \u202e turned, \ttab and\nsecond line"))
    handler.close()
    assert stream.getvalue().endswith(
        " INFO red \\x1b[31m, bell \\x07, \\x9b1m, \\u202e turned, \ttab and\nsecond line\n"
    )


def test_lines_of_its_own_are_json_where_the_others_are() -> None:
    stream = io.StringIO()
    handler = StderrLog(stream, JSONFormatter())
    handler.emit(record("%d", "text"))
    handler.close()
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "a line of file.py:7 cannot be logged: TypeError"


def test_characters_that_the_stream_does_not_have_are_escaped() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w", encoding="ascii") as writer:
        handler = StderrLog(writer)
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.emit(record("\u00e9"))
        handler.close()
        assert reader.readline() == b"\\xe9\n"


def test_no_thread_is_left_after_the_close() -> None:
    handler = StderrLog(io.StringIO())
    handler.emit(record("one"))
    thread = handler._thread
    assert thread is not None
    handler.close()
    thread.join(60)
    assert not thread.is_alive()


@contextmanager
def bare_logging() -> Iterator[logging.Logger]:
    """Have nobody have configured logging, pytest included."""
    loggers = [logging.getLogger(), logging.getLogger("wsframe")]
    before = [(logger, logger.handlers, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers = []
        logger.setLevel("WARNING" if logger is loggers[0] else "NOTSET")
    try:
        yield loggers[1]
    finally:
        for logger, handlers, level in before:
            logger.handlers = handlers
            logger.setLevel(level)


def test_the_log_is_shown_if_nobody_has_configured_logging(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_logging() as logger:
        with shown_on_stderr():
            logger.info("seen")
            logger.debug("not seen")
        assert (logger.handlers, logger.level) == ([], logging.NOTSET)
    assert capsys.readouterr().err.endswith(" INFO seen\n")


@pytest.mark.parametrize("name", [None, "wsframe"])
def test_a_program_that_has_configured_logging_is_left_alone(
    capsys: pytest.CaptureFixture[str], name: str | None
) -> None:
    stream = io.StringIO()
    with bare_logging() as logger:
        logging.getLogger(name).addHandler(logging.StreamHandler(stream))
        with shown_on_stderr():
            logger.info("below the level")
            logger.warning("once")
    assert stream.getvalue() == "once\n"
    assert capsys.readouterr().err == ""


def test_a_level_that_was_set_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with bare_logging() as logger:
        logger.setLevel("ERROR")
        with shown_on_stderr():
            logger.info("hidden")
            logger.error("shown")
        assert logger.level == logging.ERROR
    assert capsys.readouterr().err.endswith(" ERROR shown\n")


MUTE = """
import wsframe

class Chat(wsframe.Resource):
    pass

wsframe.register_global_resource("/", Chat())
if __name__ == "__main__":
    wsframe.run(port=0, started=lambda server: server.close())
"""


def test_a_program_without_logging_says_where_it_serves(tmp_path: Path) -> None:
    path = tmp_path / "chat.py"
    path.write_text(MUTE)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0
    assert "INFO serving at ws://127.0.0.1:" in done.stderr
