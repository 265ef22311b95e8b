"""Answering newcomers that do not become clients: with a refusal or a page, after which the connection ends."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from time import time

from wsframe.connection.counters import OTHER
from wsframe.http import handshake
from wsframe.http.responses import RETRY_AFTER, Reject, Response
from wsframe.log import Log, log_for
from wsframe.server.newcomers.decide import internal_error, stopping
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.newcomers.plain_http import Share
from wsframe.user_code.errors import contain

__all__ = ["Answering"]

logger: Log = log_for(__name__)

# The kernel can hold this many bytes of an answer when no task waits for the peer to take it.
SMALL = 16 * 1024
PLAIN_ON_TLS = Reject(400, body="this port speaks https")
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


class Answering:
    """The answers of one server to newcomers.

    Args:
        most: Answers that peers take at a time; beyond them the kernel gets as much of one as it takes.
        decided: Called with a newcomer whose answer begins: its place is free for another one.
    """

    def __init__(self, most: int, decided: Callable[[Newcomer], object]) -> None:
        self._most = most
        self._decided = decided
        self.under_way: int = 0
        """Answers that peers take now."""
        self.refused: int = 0
        self.answers: Answers = Answers()

    async def refuse(self, newcomer: Newcomer, reject: Reject) -> None:
        """Answer with a refusal, and log it."""
        if newcomer.answered:  # only frames can follow a 101
            newcomer.reset = True
            return
        self.refused += 1
        self.answers.count(reject.status, page=newcomer.for_page)
        try:
            answer = handshake.refusal(reject, now=time(), body=newcomer.wants_body)
        except BaseException as error:  # such as a Location with CR LF that the peer asked for
            reject = internal_error() if contain(error) else stopping()
            logger.error("%s: the Reject cannot be sent", newcomer.name, exc_info=error)
            answer = handshake.refusal(reject, now=time(), body=newcomer.wants_body)
        logger.info(
            "%(peer)s: refused with %(status)s: %(reason)s",
            fields := {"peer": newcomer.name, "status": reject.status, "reason": reject._reason},
            extra=fields,
            kind=reject.status,
        )
        await self._answer(newcomer, answer, None)

    async def end_failed_tls(self, newcomer: Newcomer, error: ssl.SSLError) -> None:
        """End a newcomer whose TLS handshake has failed; one that speaks plain HTTP has an answer."""
        if newcomer.transport.heard:  # else it was a probe
            logger.info("%s: TLS handshake failed (%s)", newcomer.name, error.reason)
        with suppress(OSError):
            if error.reason == "HTTP_REQUEST":
                newcomer.sock.send(handshake.refusal(PLAIN_ON_TLS, now=time()))
            await newcomer.say_goodbye()

    async def answer_page(self, newcomer: Newcomer, head: bytes, content: Response | None, share: Share) -> None:
        """Answer with a page.

        Raises:
            Reject: 503 if it is large and too many are under way, or there is no room for it.
        """
        if content is not None and content.length > SMALL and self._busy():
            raise Reject(503, [RETRY_AFTER], "too many answers under way")
        share.hold(0 if content is None else content.held)
        self.answers.count(int(head[9:12]), page=True)
        await self._answer(newcomer, head, content)

    def _busy(self) -> bool:
        """Return whether the most peers are taking their answers, so that no task can wait for another one."""
        return self.under_way >= self._most

    async def _answer(self, newcomer: Newcomer, head: bytes, content: Response | None) -> None:
        """Send the head of an answer and its content, if it has any; then end the connection."""
        newcomer.answered = True
        self._decided(newcomer)
        if self._busy():
            with suppress(OSError):
                newcomer.transport.send(head if content is None else head + content.body)
                newcomer.transport.shut_sending()  # a close without it is a reset where another worker carries it
            return
        with suppress(OSError), self._counted():
            await newcomer.transport.send_all(head)
            if content is not None:
                await newcomer.send_content(content)
            await newcomer.say_goodbye()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count an answer while its peer takes it."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
