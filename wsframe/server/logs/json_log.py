"""Records of the log as JSON, one object in one line, for collectors that read stderr."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from math import floor

from wsframe.log import quoted, shortened
from wsframe.workers.worker import known_worker

__all__ = ["JSONFormatter"]

# Characters of the repr of a value that JSON does not have.
LONGEST_REPR = 1000

OWN = frozenset({*logging.LogRecord("", 0, "", 0, "", (), None).__dict__, "message", "asctime", "taskName"})
"""The attributes that each record has; others were given by ``extra=``."""


class JSONFormatter(logging.Formatter):
    """Formats each record as one JSON object in one line of ASCII.

    The fields are ``time`` (ISO 8601 in UTC), ``level``, ``logger`` and ``message``; ``worker``, the number of this
    one of several processes; ``traceback`` and ``stack``
    where the record has them; and each attribute that was given by ``extra=``, such as those of the line at the
    end of a connection. An attribute with the name of another field gets a ``_`` at its end. A value that JSON does
    not have is its ``repr``.
    """

    _second = 0, ""
    """The last second in which there was a line, as a number and as it is shown."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields: dict[str, object] = {
            "time": self._time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        worker = known_worker()
        if worker is not None:
            fields["worker"] = worker.slot
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            fields["traceback"] = record.exc_text
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        for name, value in record.__dict__.items():
            if name not in OWN:
                fields[f"{name}_" if name in fields else name] = value
        return dumped(fields)

    def _time(self, created: float) -> str:
        """Return the time of a record; lines of one second share most of it."""
        second, shown = self._second
        if second != floor(created):
            second = floor(created)
            shown = datetime.fromtimestamp(second, UTC).isoformat()[:-6]
            self._second = second, shown
        return f"{shown}.{min(int((created - second) * 1000 + 0.0005), 999):03}Z"


def dumped(fields: dict[str, object]) -> str:
    """Return fields as JSON; if one of them makes that impossible, it alone is replaced."""
    try:
        return ENCODER.encode(fields)
    except Exception:
        return json.dumps({str(name): plain(value) for name, value in fields.items()})


def shown(value: object) -> str:
    return quoted(value, LONGEST_REPR) if isinstance(value, bytes) else shortened(repr(value), LONGEST_REPR)


ENCODER = json.JSONEncoder(allow_nan=False, default=shown)
"""json.dumps() would make one for each line."""


def plain(value: object) -> object:
    """Return a value that JSON has: the same, or else its ``repr``, or else its type."""
    try:
        json.dumps(value, allow_nan=False)
    except Exception:
        try:
            return shown(value)
        except Exception:
            return f"a {type(value).__name__} whose repr raises"
    return value
