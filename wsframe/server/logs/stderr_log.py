"""The log on stderr, written by a thread: a pipe without a reader must not hold up the server."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread
from time import sleep, strftime
from typing import Literal, TextIO, TypeAlias, get_args

from wsframe.log import without_controls
from wsframe.server.logs.json_log import JSONFormatter
from wsframe.workers.worker import known_worker

__all__ = ["FORMATS", "LEVELS", "LINE", "LogFormat", "LogLevel", "StderrLog", "shown_on_stderr"]

LINE = "%(asctime)s %(levelname)s %(message)s"

LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]
FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)

# Most characters that wait to be written: some ten thousand lines.
MOST_WAITING = 1024 * 1024
# Seconds that the end of the process waits for the rest to be written.
PATIENCE = 0.5
# Seconds between two writes: the lines of a busy server share a write, and a switch of threads.
BETWEEN_WRITES = 0.01


class LineFormatter(logging.Formatter):
    """Formats records as text, in which no control character can move the cursor or colour the terminal."""

    _second = 0, ""
    """The last second in which there was a line, as a number and as it is shown."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return without_controls(super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the time of a record; lines of one second share most of it."""
        second, shown = self._second
        if second != int(record.created):
            second = int(record.created)
            shown = strftime(self.default_time_format, self.converter(second))
            self._second = second, shown
        return f"{shown},{int(record.msecs):03}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the first line of a record, which names the worker if this process is one."""
        worker = known_worker()
        if worker is not None:
            record.message = f"{worker.name}: {record.message}"
        return super().formatMessage(record)


class StderrLog(logging.Handler):
    """Writes lines in a thread of its own; it leaves out lines without room, and counts them.

    Args:
        stream: The stream to write to; None writes nowhere, as ``sys.stderr`` is None where it was closed.
        formatter: Makes the lines; None for text.
    """

    def __init__(self, stream: TextIO | None, formatter: logging.Formatter | None = None) -> None:
        super().__init__()
        self.setFormatter(formatter or LineFormatter(LINE))
        self._stream = stream
        self._lines: deque[str] = deque()
        self._waiting = 0
        """Characters, including those that are being written."""
        self._left_out = 0
        self._changed = Condition(self.lock)  # logging makes this one again in a child
        self.closed: bool = False
        """Whether it takes no more lines."""
        self._thread: Thread | None = None
        self._pid = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a line written, if there is room."""
        if self._stream is None or self.closed:
            return
        try:
            line = f"{self.format(record)}\n"
        except Exception as error:  # handleError() would write here and now
            line = self._own(f"a line of {record.pathname}:{record.lineno} cannot be logged: {type(error).__name__}")
        if os.getpid() != self._pid:
            self._write_in_child(line)
            return
        with self._changed:
            if self._waiting and self._waiting + len(line) > MOST_WAITING:
                self._left_out += 1
                return
            self._lines.append(line)
            self._waiting += len(line)
            if self._thread is None:
                self._thread = Thread(target=self._write_all, name="wsframe log", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter ends
                    self.closed = True
                    self._write_waiting()
            self._changed.notify_all()

    def _write_in_child(self, line: str) -> None:
        """Write a line now, in a process that user code has forked: it can end before a thread has written.

        The lines that wait here are the parent's.
        """
        with suppress(OSError, ValueError):
            self._write(line)

    def _own(self, text: str) -> str:
        """Return a line of this handler's own."""
        if not isinstance(self.formatter, JSONFormatter):
            return f"{text}\n"
        return f"{self.format(logging.LogRecord('wsframe.server', logging.ERROR, __file__, 0, text, (), None))}\n"

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._left_out or self.closed)
                if not self._lines and not self._left_out:
                    return
            self._write_waiting()
            sleep(BETWEEN_WRITES)

    def _write_waiting(self) -> None:
        with self._changed:
            text, left_out = "".join(self._lines), self._left_out
            size, self._left_out = len(text), 0
            self._lines.clear()
        if left_out:
            text += self._own(f"wsframe: {left_out} lines of the log are left out, because nobody read them in time")
        with suppress(OSError, ValueError):  # full, or closed: no reason to end
            self._write(text)
        with self._changed:
            self._waiting -= size
            self._changed.notify_all()

    def _write(self, text: str) -> None:
        assert self._stream is not None
        try:
            fd = self._stream.fileno()
        except OSError:  # it is not a file, as in a test
            self._stream.write(text)
            self._stream.flush()
            return
        # Not through the stream: the end of the interpreter would wait for the lock of its buffer.
        unwritten = memoryview(text.encode(self._stream.encoding or "utf-8", "backslashreplace"))
        while unwritten:
            unwritten = unwritten[os.write(fd, unwritten) :]

    def flush(self) -> None:
        """Wait until all is written, at most half a second."""
        with self._changed:
            if not self.closed and os.getpid() == self._pid:
                self._changed.wait_for(lambda: not self._waiting, PATIENCE)

    def close(self) -> None:
        """Write the lines that wait, for at most half a second, and none after that."""
        self.flush()
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        super().close()


@contextmanager
def shown_on_stderr(least: LogLevel | None = None, handler: logging.Handler | None = None) -> Iterator[None]:
    """Show wsframe's log on stderr if logging is not configured.

    Args:
        least: The least severe level to show; None for INFO, or the level that the logger has.
        handler: The handler for all loggers, which stays open; None for a new one for wsframe's.
    """
    logger = logging.getLogger("wsframe")
    if logger.hasHandlers():
        yield
        return
    shown, level = handler or StderrLog(sys.stderr), logger.level
    place = logger if handler is None else logging.getLogger()
    place.addHandler(shown)
    if least is not None:
        logger.setLevel(least.upper())
    elif level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        place.removeHandler(shown)
        logger.setLevel(level)
        if handler is None:
            shown.close()
        else:
            shown.flush()
