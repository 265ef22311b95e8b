"""A process whose stderr has one JSON object in each line, whatever writes there.

Logs come through :class:`~wsframe.server.logs.stderr_log.StderrLog`. Everything else that Python writes there comes
through hooks and a stream in the place of ``sys.stderr``: exceptions that nothing caught, in any thread; those that
Python can only report; warnings; and lines that are printed. This stays so until the process ends, because some of
them come last. Only bytes that other processes, or code that is not Python, write to the descriptor stay as they are.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from wsframe.server.logs.json_log import JSONFormatter
from wsframe.server.logs.stderr_log import StderrLog

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["JSONStderr", "json_stderr", "report", "writes_json"]

Error = BaseException | None

LONGEST_BEGUN = 8192
"""Characters of a line that has no end yet: a progress bar never ends its line, and would be kept for ever."""


class LineStream(io.TextIOBase):
    """Stands in the place of ``sys.stderr``: each line printed becomes a record.

    Args:
        output: Takes the lines.
        stream: The stream that was there before.
    """

    def __init__(self, output: JSONStderr, stream: TextIO) -> None:
        self._output = output
        self._stream = stream
        self._begun: dict[int, str] = {}
        """The line that each thread has begun."""
        self.buffer: ByteStream = ByteStream(self)
        """Takes bytes."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """UTF-8, the encoding of the bytes that it takes."""
        return "utf-8"

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor, for processes that inherit it."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return whether somebody reads it at a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Take text; each line that is whole goes out."""
        thread = threading.get_ident()
        *lines, rest = (self._begun.pop(thread, "") + text).split("\n")
        if len(rest) > LONGEST_BEGUN:
            lines.append(rest)
        elif rest:
            self._begun[thread] = rest
        for line in lines:
            self._tell(line)
        return len(text)

    def _tell(self, line: str) -> None:
        if line.strip():
            self._output.report("stderr", logging.WARNING, line)

    def flush(self) -> None:
        """Let the begun line wait: its rest can still come, and half of an object is not JSON."""

    def end(self) -> None:
        """Write the lines that were begun and never ended: the process ends."""
        while self._begun:
            self._tell(self._begun.popitem()[1])

    def forget_in_child(self) -> None:
        """Leave the lines that threads of the parent have begun to the parent."""
        self._begun.clear()


class ByteStream(io.RawIOBase):
    """Stands in the place of ``sys.stderr.buffer``."""

    def __init__(self, lines: LineStream) -> None:
        self._lines = lines

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes."""
        self._lines.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)


class JSONStderr:
    """The one writer of a process's stderr.

    Args:
        stream: The stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = LineStream(self, stream)
        self.handler: StderrLog = StderrLog(stream, JSONFormatter())
        """The handler for loggers."""

    def install(self) -> None:
        """Take over everything that Python writes to stderr."""
        sys.stderr = sys.__stderr__ = self._lines  # type: ignore[misc, assignment]
        atexit.register(self._lines.end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._lines.forget_in_child)
        sys.excepthook = self._uncaught
        threading.excepthook = self._uncaught_in_thread
        sys.unraisablehook = self._unraisable
        warnings.showwarning = self._warn

    def take_handlers(self) -> None:
        """Have handlers that write text to stderr write objects, such as that of ``logging.basicConfig``.

        Those with a formatter of a class of their own stay: they can write JSON already.
        """
        if self.handler.closed:  # logging.config closes all handlers that there are
            self.handler = StderrLog(self._stream, JSONFormatter())
        for handler in handlers():
            streams = isinstance(handler, logging.StreamHandler) and handler.stream in (self._stream, self._lines)
            if streams and type(handler.formatter) in (logging.Formatter, type(None)):
                handler.emit = self.handler.emit  # type: ignore[method-assign]

    def report(self, logger: str, level: int, message: str, error: Error = None, **extra: object) -> None:
        """Write a line, whatever levels the loggers have."""
        exc_info = None if error is None else (type(error), error, error.__traceback__)
        record = logging.LogRecord(logger, level, __file__, 0, "%s", (message,), exc_info)
        record.__dict__.update(extra)
        if self.handler.closed:  # the interpreter ends
            with suppress(OSError, ValueError):
                self._stream.write(f"{self.handler.format(record)}\n")
                self._stream.flush()
        else:
            self.handler.handle(record)

    def _uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.report("python", logging.CRITICAL, f"{kind.__name__} ends the program", error.with_traceback(trace))

    def _uncaught_in_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            name = "a thread" if args.thread is None else f"thread {args.thread.name}"
            self.report("python", logging.ERROR, f"{args.exc_type.__name__} ends {name}", args.exc_value)

    def _unraisable(self, args: UnraisableHookArgs) -> None:
        message = f"{args.err_msg or 'Exception ignored in'}: {args.object!r}"
        self.report("python", logging.ERROR, message, args.exc_value)

    def _warn(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
    ) -> None:
        text = f"{category.__name__}: {message}"
        self.report("py.warnings", logging.WARNING, text, file=filename, line=lineno)


def handlers() -> Iterator[logging.Handler]:
    """Yield the handlers of all loggers."""
    for logger in (logging.getLogger(), *logging.getLogger().manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield from logger.handlers


installed: list[JSONStderr] = []


def json_stderr() -> JSONStderr | None:
    """Have each line on stderr be a JSON object from now on; return the writer, or None without stderr.

    Called again, it takes over the handlers for stderr that have been added to loggers since.
    """
    if not installed and sys.stderr is not None:
        output = JSONStderr(sys.stderr)
        installed.append(output)
        output.install()
    for output in installed:
        output.take_handlers()
    return installed[0] if installed else None


def writes_json() -> bool:
    """Return whether each line on stderr is a JSON object."""
    return bool(installed)


def report(logger: str, level: int, message: str) -> bool:
    """Write a line if stderr has JSON; return whether it has."""
    for output in installed:
        output.report(logger, level, message)
    return bool(installed)
