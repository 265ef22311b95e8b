"""Records of the log as JSON, one object in one line, for collectors that read stderr."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

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
    end of a connection. An attribute with the name of another field has ``_`` behind it. A value that JSON does
    not have is its ``repr``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
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


def dumped(fields: dict[str, object]) -> str:
    """Return fields as JSON; if one of them makes that impossible, it alone is replaced."""
    try:
        return json.dumps(fields, allow_nan=False, default=shown)
    except Exception:
        return json.dumps({str(name): plain(value) for name, value in fields.items()})


def shown(value: object) -> str:
    return quoted(value, LONGEST_REPR) if isinstance(value, bytes) else shortened(repr(value), LONGEST_REPR)


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
