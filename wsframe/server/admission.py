"""From an accepted socket to a client: at once, or in a short-lived task.

The checks, in this order, the cheap ones before those that run user code:

1. the PROXY header, on a socket that expects one, and the TLS handshake: a wrong one has no answer;
2. the head of the request, at most ``capacity.max_head`` bytes: 400, 431, 505;
3. ``Host`` (400), then plain HTTP goes to its route or ``http_handler`` and ends here;
4. the upgrade and its version: 400, 405, 426;
5. the path: 404;
6. the origin, by the registration's validator: 403;
7. the resource's life, which the newcomer joins and waits for: 503;
8. a place in the server, the resource and for the address: 503, 429;
9. ``accept_client``, with the place held: any status that it raises;
10. whether the peer is still there, then the 101, and the reactor adopts the socket.

A refused newcomer gets its status with one line that gives the reason, and the same line goes
to the log. User code that fails refuses too: nothing fails open.

No task. Most requests are here when their connection is accepted, most resources let everybody in, and the
validators that wsframe makes only compare. Then nothing has to wait: ``admit_at_once`` takes the same steps in the
task that accepts, for half the cost. At the first step that could wait or runs user code it stops, and ``admit``
goes on from there, in a task of the newcomer's own; so does an error, which ``admit`` raises and answers. Once the
request of a newcomer with a task is whole, it takes the same short way, ``_greet_unasked``.

Ownership. Three things are held on the way in, each by a ``with`` or ``finally`` that gives it back on
every way out: the socket, which is closed unless it was handed over to the reactor; the membership
of a life and the place in it, which a ``Seat`` gives back unless the client keeps them.
Adopting hands all three over in one synchronous step, so that no cancellation can come between.

Time. ``newcomer.scope`` has the deadline ``timeouts.handshake``, and its cancellation has four
reasons: the deadline or a lack of room (408), the earlier deadline in a drain (503), the peer's
end (no answer), and a peer that does not take its answer (a reset).

Bounds. ``pending`` holds the newcomers without an answer, at most ``capacity.max_pending_handshakes``: beyond them the
server does not accept. Those that wait for something else leave it in the meantime, with a place. An answer under way
leaves it too, and counts in ``answering``, with the same bound: beyond it the kernel gets as much of an answer as it
takes, and the socket is closed.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any

import trio

from wsframe.connection.interfaces import Arrival
from wsframe.connection.reactor import Reactor
from wsframe.exceptions import LivesElsewhere
from wsframe.hooks.listener import Listener
from wsframe.hooks.listeners import Roster
from wsframe.hooks.tracing import TracedPlace, Tracing
from wsframe.http import handshake
from wsframe.http.origins import is_pure
from wsframe.http.request import Request
from wsframe.http.responses import Reject, retry_later
from wsframe.log import Log, log_for
from wsframe.net.proxy_protocol import MalformedProxyHeader
from wsframe.net.transport import FAREWELL
from wsframe.net.trusted_proxies import TrustedProxies
from wsframe.resources.accept import Accept
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Factory
from wsframe.resources.routing.registry import Registry
from wsframe.server.capacity import Places
from wsframe.server.handover.unanswered import Unanswered, check_in_time
from wsframe.server.newcomers.answering import Answering
from wsframe.server.newcomers.decide import LET_IN, check_origin, decide, internal_error, lets_all_in, stopping
from wsframe.server.newcomers.disconnects import Disconnects
from wsframe.server.newcomers.greeting import greet, prepare, receive_nonce
from wsframe.server.newcomers.newcomer import Gone, Newcomer, note_gone
from wsframe.server.newcomers.pending import Pending
from wsframe.server.newcomers.plain_http import PlainHttp, Share
from wsframe.server.newcomers.seat import Seat
from wsframe.server.options import ServeOptions
from wsframe.server.passing.carried import Carried
from wsframe.server.passing.destination import Signpost
from wsframe.server.passing.passage import Passage
from wsframe.server.peers.splice import Splices
from wsframe.user_code.errors import contain
from wsframe.workers.worker import Worker

__all__ = ["Admission"]

logger: Log = log_for(__name__)

NO_SPAN = nullcontext()


class Admission:
    """Admits newcomers to one server."""

    splices: Splices | None = None
    """The way to servers of other machines; None without them."""

    def __init__(
        self,
        roster: Roster,
        reactor: Reactor,
        places: Places,
        options: ServeOptions,
        registries: Sequence[Registry],
        tracing: Tracing | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._roster = roster
        self._reactor = reactor
        self._places = places
        self._tracing = tracing
        self._capacity = options.capacity
        self._proxies = TrustedProxies(options.trusted_proxies)
        self._believed = self._proxies or None
        self._versions = frozenset(options.versions)
        prepare(self._versions)
        self._answer_by = inf
        """The time by which newcomers have their answer; infinite until the drain."""
        self._pages_by = inf
        self.pending: Pending = Pending(self._capacity.max_pending_handshakes)
        self._disconnects = Disconnects(reactor, self.pending.decided, self._capacity.max_pending_handshakes)
        self._pages = PlainHttp(
            registries, options.http_handler, self._capacity.max_body, reactor.budget, self._disconnects
        )
        self.answering: Answering = Answering(self._capacity.max_pending_handshakes, self.pending.decided)
        self.carried: Carried = Carried(options)
        self.unanswered: Unanswered = Unanswered()
        self.passage: Passage | None = None
        """The way to other workers; None without them."""
        self.signpost: Signpost = Signpost(
            roster.whereabouts, self._pages, roster.placement, self._capacity.max_head, self._proxies
        )
        if worker is not None and roster.placement.spread:
            self.passage = Passage(worker, self.signpost, places, self.pending, self.carried)

    def drain(self, seconds: float, for_pages: float = 0.0) -> None:
        """Let the newcomers on the way in finish within this many seconds, and pages within others if these are more.

        The requests of newcomers have to be whole soon.
        """
        now = trio.current_time()
        self._answer_by, self._pages_by = now + seconds, now + max(seconds, for_pages)
        self.unanswered.hurry(self.pending.all(), self._answer_by, self._pages_by)

    async def until_decided(self) -> None:
        """Wait until all newcomers are in or refused, in a drain."""
        with trio.move_on_at(self._answer_by):
            while self.pending.all():
                await self.pending.fewer()

    def admit_at_once(self, newcomer: Newcomer) -> bool:
        """Let a newcomer in for which nothing has to wait and no user code runs; return whether that is done.

        If it is not, :meth:`admit` goes on.
        """
        if self.splices is not None and not self.splices.is_here_at_once(newcomer):
            return False
        place = newcomer.place
        if place.tls is not None or place.proxy_protocol or self._answer_by < inf or self._tracing is not None:
            return False
        seat = Seat()
        try:
            newcomer.expect_head(self._capacity.max_head, self._believed)
            data = newcomer.receive_at_once()
            request = newcomer.take_head(data) if data else None  # an end will be there again
            if request is None:
                return False
            headers = request.headers
            if not handshake.wants_upgrade(headers):
                return False
            self._pages.check_host(newcomer, request, headers)
            newcomer.check_upgrade(headers, self._versions)
            greeting = self._greet_unasked(newcomer, request, seat)
            if greeting is None:
                return False
            answer, arrival = greeting
            newcomer.send_at_once(answer)
            self._adopt(newcomer, arrival, seat)
        except BaseException as error:
            newcomer.error = error
            return False
        finally:
            if not seat.kept:
                seat.give_back()
        return True

    def _greet_unasked(self, newcomer: Newcomer, request: Request, seat: Seat) -> tuple[bytes, Arrival] | None:
        """Take a seat, and make the answer for it; None if that takes user code, a wait, or another answer than 101.

        Raises:
            Reject: If the newcomer is refused.
            Gone: If its peer has gone.
        """
        found = self._roster.ready_for(request) if newcomer.version else None
        if found is None:
            return None
        registration, params, listener = found
        origins = registration.origins
        if not is_pure(origins) or not lets_all_in(listener.resource) or origins(request) is not True:
            return None
        request.path_params = params or request.path_params
        listener.join()
        seat.take(listener, self._places, newcomer.host)
        newcomer.check_there()
        return greet(newcomer, request, LET_IN, seat)

    async def admit(self, newcomer: Newcomer) -> None:
        """Take one newcomer all the way in, or refuse it; never raises because of it."""
        try:
            with newcomer.scope:
                await self._until_answered(newcomer)
            if newcomer.scope.cancelled_caught:
                await self._cut_off(newcomer)
        except BaseException as error:  # a scope that a validator left open shows here
            contain(error)
            logger.error("%s: internal error", newcomer.name, exc_info=error)
        finally:
            self._leave(newcomer)

    def _leave(self, newcomer: Newcomer) -> None:
        """Close a newcomer's socket, unless it was handed over to the reactor."""
        self.unanswered.seats.pop(newcomer, None)
        self.pending.decided(newcomer)
        if newcomer.transport.heard and not newcomer.answered and not newcomer.handed_over:
            self.answering.answers.left()
        if not newcomer.handed_over:
            newcomer.transport.close(reset=newcomer.reset)

    async def _cut_off(self, newcomer: Newcomer) -> None:
        """End a newcomer whose scope was cancelled: by its peer's end, its deadline or the drain."""
        if newcomer.gone:
            note_gone(newcomer)
        elif newcomer.answered:
            newcomer.reset = True  # the rest of its answer must not stay in the kernel
        elif await self.unanswered.goes_on(newcomer):
            pass
        elif newcomer.transport.heard or self._answer_by == inf:  # a spare connection of a browser needs no answer
            with trio.move_on_after(FAREWELL):
                await self.answering.refuse(
                    newcomer, Reject(408, body="too slow") if self._answer_by == inf else stopping()
                )

    async def _until_answered(self, newcomer: Newcomer) -> None:
        """Let a newcomer in or answer it otherwise."""
        try:
            await self._let_in(newcomer)
        except Reject as reject:
            await self.answering.refuse(newcomer, reject)
        except Gone:
            note_gone(newcomer)
        except LivesElsewhere as error:
            if self._roster.placement.leased is None:
                logger.error("%s: %s", newcomer.name, error)
            elif newcomer.spliced:  # an end without an answer has the server that accepted it ask the next owner
                return
            await self.answering.refuse(newcomer, retry_later("resource not here"))
        except MalformedProxyHeader as error:
            self.answering.refused += 1
            fields = {"peer": newcomer.name, "reason": str(error)}
            logger.info("%(peer)s: no PROXY header of a proxy: %(reason)s", fields, extra=fields)
        except ssl.SSLError as error:
            await self.answering.end_failed_tls(newcomer, error)
        except OSError as error:
            if newcomer.transport.heard:
                logger.info("%s: lost during the handshake (%s)", newcomer.name, error.strerror)
        except BaseException as error:
            answer = internal_error() if contain(error) else stopping()
            logger.error("%s: internal error during the handshake", newcomer.name, exc_info=error)
            await self.answering.refuse(newcomer, answer)

    async def _let_in(self, newcomer: Newcomer) -> None:
        if newcomer.error is not None:
            raise newcomer.error
        if self.passage is not None and not newcomer.passed and await self.passage.passes(newcomer):
            return
        if self.splices is not None and await self.splices.takes(newcomer):
            return
        if newcomer.head is None:
            if not await newcomer.unwrap(self._proxies):
                return
            newcomer.expect_head(self._capacity.max_head, self._believed)
        while (request := newcomer.request) is None:
            data = await newcomer.transport.receive_some()
            if not data:
                if newcomer.begun:
                    note_gone(newcomer)
                return
            newcomer.take_head(data)
        if self._answer_by < inf:
            newcomer.scope.deadline = self._answer_by
        headers = request.headers
        self._pages.check_host(newcomer, request, headers)
        if not handshake.wants_upgrade(headers):
            handshake.check_not_dropped(headers, self._versions)
            page = self._pages.find(request)
            if page is None:
                raise handshake.plain_refused(request, self._versions)
            newcomer.for_page = True
            if self._pages_by < inf:
                newcomer.scope.deadline = self._pages_by
            with Share(self._reactor.budget) as share:
                answer, content = await self._pages.ask(newcomer, page, share)
                await self.answering.answer_page(newcomer, answer, content, share)
            return
        newcomer.check_upgrade(headers, self._versions)
        if newcomer.version == 0 and not await receive_nonce(newcomer, request):
            return
        await self._join_resource(newcomer, request)

    async def _join_resource(self, newcomer: Newcomer, request: Request) -> None:
        if self._answer_by == inf and self._tracing is None:
            with Seat() as seat:
                greeting = self._greet_unasked(newcomer, request, seat)
                if greeting is not None:
                    await self._answer(newcomer, *greeting, seat)
                    return
        found = self._roster.registries.answer(request)
        if found is None:
            raise self._roster.registries.refusal(request)
        registration, params = found
        request.path_params = params or request.path_params
        check_origin(registration.origins, request, request.headers)
        span: AbstractContextManager[None] = NO_SPAN
        if self._tracing is not None:
            span = self._tracing.admission(request, self._roster.counters.of(registration.resource).path)
        with span, Seat() as seat:
            self.unanswered.seats[newcomer] = seat
            decision = self._decide(newcomer, request, registration.resource, seat)
            accept = await self._disconnects.watch(newcomer, decision)
            newcomer.check_there()
            await check_in_time(self._answer_by)
            answer, arrival = greet(newcomer, request, accept, seat)
            if self._tracing is not None:
                arrival = arrival._replace(reservation=TracedPlace(arrival.reservation, self._tracing, request))
            await self._answer(newcomer, answer, arrival, seat)

    async def _answer(self, newcomer: Newcomer, answer: bytes, arrival: Arrival, seat: Seat) -> None:
        newcomer.answered = True
        await newcomer.transport.send_all(answer)
        self._adopt(newcomer, arrival, seat)

    def _adopt(self, newcomer: Newcomer, arrival: Arrival, seat: Seat) -> None:
        """Hand a newcomer that has its 101 over to the reactor."""
        arrival.request._parsed = None
        transport, tuning = newcomer.transport, seat.listener.tuning
        if newcomer.spliced:
            transport.tune(tuning[0], None)  # where it was accepted, it is watched
        elif transport.tuned != tuning:
            transport.tune(*tuning)
        self._reactor.adopt(arrival, newcomer.trailing)
        seat.kept = True
        newcomer.handed_over = True
        self.answering.answers.count(101)

    async def _wait_for_life(
        self, newcomer: Newcomer, request: Request, resource: Resource[Any] | Factory, seat: Seat
    ) -> Listener:
        """Take a place, and wait until a resource can be joined.

        Raises:
            Reject: If it is refused.
        """
        seat.reserve(self._places, newcomer.host)
        async with self.pending.aside(newcomer):
            listener = await self._roster.join_when_ready(resource, request)
            seat.enter(listener)
        return listener

    async def _decide(
        self, newcomer: Newcomer, request: Request, resource: Resource[Any] | Factory, seat: Seat
    ) -> Accept:
        """Ask the resource about a newcomer, after a place for it has been taken.

        Raises:
            Reject: If it is refused.
        """
        if self._roster.is_open(resource, request):
            listener = await self._roster.join_when_ready(resource, request)
            seat.take(listener, self._places, newcomer.host)
        else:
            listener = await self._wait_for_life(newcomer, request, resource, seat)
        accept_client: Callable[[Request], Awaitable[Any]] = listener.resource.accept_client
        if self._tracing is not None:
            accept_client = self._tracing.around(type(listener.resource), "accept_client", accept_client)
        accept = await decide(listener.ownership_guard.within(accept_client), request, listener.resource)
        await check_in_time(self._answer_by)
        target = accept.deliver_to
        if isinstance(target, Resource) and target is not listener.resource:
            try:
                aside = nullcontext() if self._roster.is_open(target, request) else self.pending.aside(newcomer)
                async with aside:
                    listener = await self._roster.join_when_ready(target, request)
                    seat.move(listener)
            except LivesElsewhere as error:
                logger.error("%s: not delivered to %s", newcomer.name, error)
                raise internal_error() from None
        return accept
