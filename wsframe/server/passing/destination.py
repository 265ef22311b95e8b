"""To which worker a newcomer belongs, by the bytes that it has sent so far, which stay in its socket.

Only the request's path counts, and whether it asks for a WebSocket. The worker that the newcomer belongs to reads and
checks everything; the worker that accepted a newcomer refuses it if any worker would.
"""

from __future__ import annotations

from re import compile as pattern

from wsframe.http.handler_marks import answers_in_any_worker
from wsframe.http.handshake import HeadReader, after_empty_lines, wants_upgrade
from wsframe.http.request import Request
from wsframe.http.responses import Reject
from wsframe.net.proxy_protocol import MOST_BYTES, MalformedProxyHeader, ProxyHeaderReader
from wsframe.net.trusted_proxies import TrustedProxies
from wsframe.resources.routing.worker_of_path import Whereabouts
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.newcomers.plain_http import PlainHttp
from wsframe.server.sockets.listen import Bound
from wsframe.workers.partitions import EVERYWHERE, ONE
from wsframe.workers.placement import Placement

__all__ = ["Signpost"]

# Nearly every head: one look instead of a parser. All others are parsed.
PLAIN = pattern(rb"GET (/[!-~]*) HTTP/1\.1\r\n")
UPGRADE = pattern(rb"\r\n[Uu]pgrade:[ \t]*[Ww]eb[Ss]ocket[ \t]*\r\n")
END = pattern(rb"\n\r?\n")


class Signpost:
    """Names the partition of a newcomer.

    Args:
        whereabouts: Where resources live.
        pages: Which handler takes a request that does not ask for a WebSocket.
        placement: The partitions of this process.
        max_head: Bytes of a head at most.
        proxies: The proxies that send a PROXY header.
    """

    def __init__(
        self, whereabouts: Whereabouts, pages: PlainHttp, placement: Placement, max_head: int, proxies: TrustedProxies
    ) -> None:
        self._whereabouts = whereabouts
        self._pages = pages
        self.placement = placement
        self._max_head = max_head
        self.proxies: TrustedProxies = proxies
        self.most: int = MOST_BYTES + max_head + 1
        """The most bytes that it takes to decide."""

    def partition_of(self, place: Bound, host: str, received: bytes) -> int | None:
        """Return the partition that a newcomer asks for; EVERYWHERE for one that is answered where it is.

        Args:
            place: The listening socket that it came to.
            host: The address of its peer.
            received: All that it has sent.

        Returns:
            None if more bytes have to come.
        """
        if place.tls is not None:
            return EVERYWHERE
        if place.proxy_protocol:
            if not self.proxies.trusts(host):
                return EVERYWHERE
            reader = ProxyHeaderReader()
            try:
                if reader.receive(received) is None:
                    return None
            except MalformedProxyHeader:
                return EVERYWHERE
            received = reader.trailing
        return self.partition_of_head(received)

    def partition_of_head(self, received: bytes) -> int | None:
        """Return the partition that a request asks for; EVERYWHERE for one that is answered where it is.

        Args:
            received: The bytes of its head so far, and those after it.

        Returns:
            None if more bytes have to come.
        """
        head = after_empty_lines(received) if received[:1] == b"\r" else received
        end = END.search(head)
        if end is None:
            return EVERYWHERE if len(received) > self._max_head else None
        plain = PLAIN.match(head)
        if plain is not None and UPGRADE.search(head, 0, end.end()):
            return self._of_resource(plain[1].partition(b"?")[0].decode("ascii"))
        return self._of_unusual(received)

    def check(self, newcomer: Newcomer) -> None:
        """Check the request of a newcomer that goes to another machine, as far as only this server can.

        Raises:
            Reject: If it is refused.
        """
        newcomer.expect_head(self._max_head, self.proxies)
        if newcomer.request is not None:
            self._pages.check_host(newcomer, newcomer.request, newcomer.request.headers)

    def _of_unusual(self, received: bytes) -> int:
        """Return the partition for a head that needs to be parsed: of a page, or in an unusual form."""
        try:
            request = HeadReader(self._max_head).receive(received)
            if request is None:
                return EVERYWHERE
            return self._of_resource(request.path) if wants_upgrade(request.headers) else self._of_page(request)
        except Reject:
            return EVERYWHERE

    def _of_resource(self, path: str) -> int:
        residence = self._whereabouts.asked_for(path)
        return EVERYWHERE if residence is None else residence.partition

    def _of_page(self, request: Request) -> int:
        page = self._pages.find(request)
        return EVERYWHERE if page is None or answers_in_any_worker(page.handler, page.request) else ONE
