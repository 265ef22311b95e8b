"""The line of the log at the end of each connection, with its figures."""

from __future__ import annotations

from collections.abc import Callable
from logging import INFO
from typing import TYPE_CHECKING, Any, Final, Protocol

from wsframe.http.request import peer_name
from wsframe.log import Log, escaped, log_for, shortened

if TYPE_CHECKING:
    from wsframe.connection.interfaces import LinkedClient
    from wsframe.connection.mailbox import Inbox
    from wsframe.connection.outbox import Outbox
    from wsframe.protocol.events import Ended

__all__ = ["LoggedLink", "log_end"]

logger: Log = log_for(__name__)

UNKNOWN: Final = "unknown"


class LoggedLink(Protocol):
    """A link, as far as the line of its end needs it."""

    clock: Callable[[], float]
    opened_at: float
    bytes_received: int
    client: LinkedClient
    inbox: Inbox[Any]
    outbox: Outbox


def log_end(link: LoggedLink, ended: Ended) -> None:
    """Log that a connection has ended, once its socket is closed; the figures are fields of the record too."""
    if not logger.logger.isEnabledFor(INFO):
        return
    outbox = link.outbox
    try:
        request = link.client.request
        peer, path = peer_name(request.host, request.port), shortened(request.path)
    except AttributeError:  # user code has overwritten it
        peer = path = UNKNOWN
    fields = {
        "peer": peer,
        "path": path,
        "code": ended.code,
        "reason": escaped(ended.reason),
        "seconds": round(link.clock() - link.opened_at, 3),
        "messages_in": link.inbox.received,
        "messages_out": outbox.messages_sent,
        "bytes_in": link.bytes_received,
        "bytes_out": outbox.bytes_sent,
        "queue_peak": outbox.peak,
    }
    logger.show(
        INFO,
        log_end.__code__,
        "%(peer)s %(path)s: closed %(code)s (%(reason)s) after %(seconds)s s; %(messages_in)d messages and "
        "%(bytes_in)d bytes in, %(messages_out)d and %(bytes_out)d out, queue peak %(queue_peak)d",
        fields,
    )
