"""How many answers of each status newcomers have had."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

from wsframe.connection.account import OTHER

__all__ = ["NONE", "Answers"]

NONE = "none"
STATUSES = frozenset(HTTPStatus)


class Answers:
    """Counts of answers. Statuses that HTTP does not define count as one."""

    def __init__(self) -> None:
        self.handshakes: Counter[str] = Counter()
        """Handshakes by status, and those of peers that left before they had one."""
        self.pages: Counter[str] = Counter()
        """Requests that did not ask for a WebSocket, by the status of the handler's answer."""

    def count(self, status: int, *, page: bool = False) -> None:
        """Count an answer to a handshake, or to a request for a page."""
        (self.pages if page else self.handshakes)[str(status) if status in STATUSES else OTHER] += 1

    def left(self) -> None:
        """Count a peer that left before its answer."""
        self.handshakes[NONE] += 1
