"""The one way to the log, where a failure of logging costs a line and nothing else.

Each room of the package has a logger of its own, such as ``wsframe.server``, below the logger ``wsframe``.
Peers cause most lines, so each is short, and a kind of line that comes too often is counted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from logging import Logger, LoggerAdapter, LogRecord, getLogger
from threading import RLock, Timer, current_thread
from time import monotonic
from traceback import format_exception, format_tb
from types import CodeType, TracebackType
from typing import Any, cast

from wsframe.user_code.program import program

__all__ = [
    "EACH", "LONGEST_QUOTE", "LONGEST_REASON", "Log", "escaped", "log_for", "quoted", "shortened",
    "tell_left_out", "without_controls",
]  # fmt: skip

EACH = object()
"""The kind of a line that is shown each time, whatever their number."""

# Characters of a peer's in a line or an answer, counted after escaping: enough to know it again.
LONGEST_QUOTE = 100
# Characters of a reason of ours that quotes twice.
LONGEST_REASON = 300
# Characters of a whole line, for objects of users have a repr of any length.
LONGEST_LINE = 1000
# Characters of a line of a traceback, whose last one often quotes a peer, and how many lines.
LONGEST_TRACE_LINE = 200
MOST_TRACE_LINES = 100

# Lines of one kind that a second shows, and kinds that are told apart.
MOST_IN_SECOND = 10
MOST_KINDS = 200

DOTS = "..."

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def shortened(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return text that needs no escaping, cut where it is too long."""
    return text if len(text) <= longest else text[: longest - len(DOTS)] + DOTS


def quoted(text: object, longest: int = LONGEST_QUOTE) -> str:
    """Return the ``repr`` of a peer's text or bytes, cut between two characters where it is too long."""
    if not isinstance(text, str | bytes):
        return repr(text)
    shown = repr(text[:longest])
    if len(text) <= longest and len(shown) <= longest:
        return shown
    size = min(len(text), longest)
    while len(shown) > longest - len(DOTS):
        size -= max(1, (len(shown) - longest) // 10)  # no character is escaped with more than ten
        shown = repr(text[:size])
    return shown + DOTS


def escaped(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return text as it is where it can be printed, else its ``repr``; cut where it is too long."""
    return shortened(text, longest) if text.isprintable() else quoted(text, longest)


CONTROLS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (
        *range(9),
        *range(11, 32),
        *range(127, 160),
        0x061C,
        0x200E,
        0x200F,
        0x2028,
        0x2029,
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
}
"""Characters that move the cursor, colour a terminal, end a line or turn text round, but for LF and TAB."""


def without_controls(text: str) -> str:
    """Return text with its control characters escaped; its lines stay."""
    return text if text.isascii() and text.isprintable() else text.translate(CONTROLS)


def thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")


class Kind:
    """The lines of one kind in the current second."""

    __slots__ = ("left_out", "level", "shown", "since", "text")

    def __init__(self, now: float, level: int) -> None:
        self.since: float = now
        self.level: int = level
        self.shown: int = 0
        self.left_out: int = 0
        self.text: str = ""
        """The last line shown."""


class Spared:
    """Lines that came too often: a second shows a few of each kind, and counts the others.

    Args:
        tell: Takes level and text of a line that reports how many there were, and their number.
        clock: Seconds.
    """

    def __init__(self, tell: Callable[[int, str, int], None], clock: Callable[[], float] = monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._lock = RLock()
        self._kinds: dict[object, Kind] = {}
        self._timer: Timer | None = None

    def shows(self, key: object, level: int, text: Callable[[], str]) -> bool:
        """Return whether to show a line; if not, count it."""
        over = None
        with self._lock:
            now = self._clock()
            kind = self._kinds.get(key)
            if kind is None or now >= kind.since + 1:
                over, kind = kind, self._begin(key, now, level)
            kind.shown += 1
            if kind.shown > MOST_IN_SECOND:
                kind.left_out += 1
                self._tell_in_time()
        if over is not None:
            self._report(over)
        if kind.shown == MOST_IN_SECOND:
            kind.text = text()  # a repr may log: not under the lock
        return kind.shown <= MOST_IN_SECOND

    def _begin(self, key: object, now: float, level: int) -> Kind:
        """Begin the second of a kind; where there are too many they share one."""
        if key not in self._kinds and len(self._kinds) >= MOST_KINDS:
            for old in [old for old, kind in self._kinds.items() if now >= kind.since + 1 and not kind.left_out]:
                del self._kinds[old]
            if len(self._kinds) >= MOST_KINDS:
                key = None
                if key in self._kinds and now < self._kinds[key].since + 1:
                    return self._kinds[key]
        kind = self._kinds[key] = Kind(now, level)
        return kind

    def _tell_in_time(self) -> None:
        """Report the count even if no other line of its kind comes."""
        if self._timer is None or not self._timer.is_alive():  # after a fork it is not
            self._timer = Timer(1.0, self.tell_all)
            self._timer.daemon = True
            self._timer.start()

    def tell_all(self) -> None:
        """Report now how many lines of each kind were left out."""
        with self._lock:
            timer, self._timer = self._timer, None
            over = [kind for kind in self._kinds.values() if kind.left_out]
            self._kinds.clear()
        if timer is not None and timer is not current_thread():
            timer.cancel()
            timer.join(0.5)  # it may be waiting for a handler
        for kind in over:
            self._report(kind)

    def _report(self, kind: Kind) -> None:
        if kind.left_out:
            text = f"{kind.text} {DOTS} and {thousands(kind.left_out)} more like it in the last second"
            self._tell(kind.level, text, kind.left_out)


class Log(LoggerAdapter[Logger]):
    """A logger that raises nothing: handlers, filters and the ``repr`` of an argument are user code.

    KeyboardInterrupt passes, and SystemExit makes the server end in order. That lines are lost is
    said once, on stderr. Ten lines of a kind are shown in a second, then how many more there
    were. Lines and tracebacks have an end.
    """

    def __init__(self, logger: Logger, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(logger)
        self._told = False
        self._spared = Spared(self._emit_count, clock)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Return both as they are: there is nothing to add."""
        return msg, kwargs

    def log(
        self,
        level: int,
        msg: object,
        *args: object,
        kind: object = None,
        exc_info: object = None,
        stacklevel: int = 1,
        **kwargs: Any,
    ) -> None:
        """Log, or lose the line.

        Args:
            level, msg, args, stacklevel, kwargs: As for any logger; with a ``stack``, shown below the
                line as that of ``stack_info`` is.
            kind: Distinguishes lines of one ``msg``: lines counted together have one kind. Peers
                must not choose it. Lines of the kind EACH are not counted.
            exc_info: As for any logger; its type distinguishes lines too.
        """
        try:
            if self.logger.isEnabledFor(level):
                error = exception_of(exc_info)
                key = (msg, kind, None if error is None else error[0])
                if kind is EACH or self._spared.shows(key, level, lambda: line_of(msg, args)):
                    self._emit(level, msg, args, error, stacklevel + 2, sinfo=kwargs.pop("stack", None), **kwargs)
        except BaseException as error:
            self._lost(error)

    def show(self, level: int, place: CodeType, msg: str, fields: dict[str, object]) -> None:
        """Log a line that is shown each time, for much less than :meth:`log` costs, or lose it.

        Args:
            level: As for any logger; the caller has asked ``isEnabledFor``.
            place: The code whose place the record names.
            msg: Is formatted with the fields.
            fields: They become attributes of the record. So none has the name of another attribute, and the caller
                has cut all that comes from a peer.
        """
        logger = self.logger

        def emit() -> None:
            record = logger.makeRecord(
                logger.name, level, place.co_filename, place.co_firstlineno, msg, (fields,), None, place.co_name
            )
            record.__dict__.update(fields)
            logger.handle(record)

        try:
            calling(emit)
        except BaseException as error:
            self._lost(error)

    def forget_in_child(self) -> None:
        """Begin again, in a process that was forked."""
        self._spared = Spared(self._emit_count)

    def tell_left_out(self) -> None:
        """Report now how many lines were left out; afterwards no thread of the log runs."""
        self._spared.tell_all()

    def _emit(
        self, level: int, msg: object, args: tuple[object, ...], error: ExcInfo | None, stacklevel: int, **extra: Any
    ) -> None:
        # Not the logger's own method: structlog has classes of loggers that count the frames in another way.
        file, line, function, _ = Logger.findCaller(self.logger, False, stacklevel)

        def emit() -> None:
            record = self.logger.makeRecord(self.logger.name, level, file, line, msg, args, error, function, **extra)
            cut_record(record)
            self.logger.handle(record)

        calling(emit)

    def _emit_count(self, level: int, text: str, left_out: int) -> None:
        try:
            self._emit(level, "%s", (text,), None, 1, extra={"left_out": left_out})
        except BaseException as error:
            self._lost(error)

    def _lost(self, error: BaseException) -> None:
        """Go on without a line, but where the error must pass."""
        around = program.get(None)
        if isinstance(error, SystemExit) and around is not None:
            around.leave(error)
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            raise error
        else:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        if self._told:
            return
        self._told = True
        with suppress(Exception):  # no stderr, or one that is closed
            print(f"wsframe: logging failed with {type(error).__name__}; lines are lost", file=sys.stderr)


def calling(emit: Callable[[], None]) -> None:
    """Call handlers; ``user_code`` replaces this, for the log itself knows nothing of trio."""
    emit()


def exception_of(exc_info: object) -> ExcInfo | None:
    """Return the exception that ``exc_info`` stands for, as a logger takes it."""
    if exc_info is None or exc_info is False:
        return None
    if issubclass(type(exc_info), BaseException):  # its attributes, and its length, can be user code that raises
        error = cast(BaseException, exc_info)
        return type(error), error, vars(BaseException)["__traceback__"].__get__(error)
    return exc_info if isinstance(exc_info, tuple) else sys.exc_info()


def line_of(msg: object, args: tuple[object, ...]) -> str:
    named = args[0] if len(args) == 1 and isinstance(args[0], dict) else args  # as LogRecord does it
    return shortened(str(msg) % named if args else str(msg), LONGEST_LINE)


def cut_record(record: LogRecord) -> None:
    """Cut the line and its traceback where they are too long."""
    text = record.getMessage()
    if len(text) > LONGEST_LINE:
        record.msg, record.args = shortened(text, LONGEST_LINE), None
    if record.exc_info and record.exc_info[0] is not None:
        lines = traceback_of(record.exc_info[0], record.exc_info[1], record.exc_info[2])
        if len(lines) > MOST_TRACE_LINES:
            half = MOST_TRACE_LINES // 2
            lines[half:-half] = [f"  {DOTS} {thousands(len(lines) - 2 * half)} lines"]
        # Formatters take this as it is.
        record.exc_text = "\n".join(shortened(without_controls(line), LONGEST_TRACE_LINE) for line in lines)


def traceback_of(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> list[str]:
    """Return the lines of a traceback; of an exception that raises as it is read, those of its frames alone."""
    try:
        return "".join(map(indented, format_exception(kind, error, trace))).rstrip("\n").split("\n")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        shown = f"{''.join(format_tb(trace))}{kind.__name__}, which cannot be read"
        return shown.split("\n")


def indented(part: str) -> str:
    """Return a part of a traceback where no line of an exception's text looks like one of the log."""
    if part[:1].isspace():  # a frame, or a group, which is indented already
        return part
    return part.rstrip("\n").replace("\n", "\n    ") + "\n"


logs: dict[str, Log] = {}


def log_for(module: str) -> Log:
    """Return the log of a module's room: that of ``wsframe.server.admission`` is ``wsframe.server``."""
    name = ".".join(module.split(".")[:2]) if module.startswith("wsframe.") else "wsframe"  # __main__
    if name not in logs:
        logs[name] = Log(getLogger(name))
    return logs[name]


def tell_left_out() -> None:
    """Report now how many lines each log has left out; afterwards no thread of a log runs."""
    for log in logs.values():
        log.tell_left_out()


def forget_in_child() -> None:
    for log in logs.values():
        log.forget_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_in_child)  # a lock may be held by a thread that is not there
