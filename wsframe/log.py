"""The one way to the log, which costs a line where logging fails, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from contextlib import suppress
from logging import Logger, LoggerAdapter, getLogger
from typing import Any

__all__ = ["Log", "logger"]


class Log(LoggerAdapter[Logger]):
    """A logger that raises nothing: handlers, filters and the ``repr`` of an argument are user code.

    Only KeyboardInterrupt and SystemExit pass. The first line that is lost is told on stderr.
    """

    def __init__(self, logger: Logger) -> None:
        super().__init__(logger)
        self._told = False

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Return both as they are: there is nothing to add."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, or lose the line."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller's line, not this one's
        try:
            self.logger.log(level, msg, *args, **kwargs)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        if self._told:
            return
        self._told = True
        with suppress(Exception):  # no stderr, or one that is closed
            print(f"wsframe: logging failed with {type(error).__name__}; lines are lost", file=sys.stderr)


logger = Log(getLogger("wsframe"))
