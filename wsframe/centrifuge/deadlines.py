"""The deadlines of clients, kept by one task of the resource while it has clients."""

from __future__ import annotations

import trio

from wsframe.centrifuge.channels import Channels
from wsframe.centrifuge.command_handler import Handler
from wsframe.centrifuge.errors import DISCONNECTS
from wsframe.centrifuge.hooks import Hooks
from wsframe.centrifuge.replies import PING
from wsframe.centrifuge.session import Session, SessionDeadline, SessionPhase, Sessions
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["TICK", "Deadlines"]

TICK = 1.0
"""Seconds between two looks at the deadlines."""

CLOSES = {"connect": 3502, "pong": 3012, "expiry": 3005}


class Deadlines:
    """Pings clients, and ends connections and subscriptions whose time is up."""

    def __init__(self, resource: Hooks, sessions: Sessions, handler: Handler, channels: Channels) -> None:
        self._resource = resource
        self._sessions = sessions
        self._handler = handler
        self._channels = channels
        self._running = False

    def begin(self, session: Session) -> None:
        """Give a new client its time to connect, and start the task if it does not run."""
        now = trio.current_time()
        self._sessions.deadlines.set(SessionDeadline(session.client, "connect"), now + self._resource.options.connect)
        if not self._running:
            self._running = True
            self._resource.start_soon(self.run)

    async def run(self) -> None:
        """Look at the deadlines until no client is left."""
        async with ProtectedNursery() as nursery:
            try:
                while len(self._sessions):
                    await trio.sleep(TICK)
                    for due in self._sessions.deadlines.due(trio.current_time()):
                        self._act(due, nursery)
            finally:
                # Before the nursery waits for hooks: a client that comes in the meantime needs another task.
                self._running = False

    def _act(self, due: SessionDeadline, nursery: ProtectedNursery) -> None:
        session = self._sessions.of(due.client)
        if session is None:
            return
        if due.kind == "ping":
            self._ping(session)
        elif due.kind == "subscription":
            nursery.start_soon(self._end_subscription, session, due.channel)
        elif due.kind in ("connect", "pong") and self._is_behind(session):
            # Its connect or pong can be among the messages that still wait for hooks: this is not the client's fault.
            options = self._resource.options
            more = options.pong if due.kind == "pong" else options.connect
            self._sessions.deadlines.set(due, trio.current_time() + more)
        elif session.phase is not SessionPhase.OVER:
            code = CLOSES[due.kind]
            self._handler.close(session, code, DISCONNECTS[code])

    def _ping(self, session: Session) -> None:
        options, deadlines, now = self._resource.options, self._sessions.deadlines, trio.current_time()
        assert options.ping is not None
        session.client.send_text(PING)
        session.pings += 1
        if session.pings == 1:
            deadlines.set(SessionDeadline(session.client, "pong"), now + options.pong)
        deadlines.set(SessionDeadline(session.client, "ping"), now + options.ping)

    def _is_behind(self, session: Session) -> bool:
        return session.busy or session.client.statistics().messages_waiting > 0

    async def _end_subscription(self, session: Session, channel: str) -> None:
        """End a subscription that was not refreshed."""
        subscription = session.subscriptions.get(channel)
        if subscription is not None and self._channels.end_by_server(session, subscription, 2501):
            await self._channels.tell_ended(session, channel)
