"""The commands of clients: each calls its hook and makes its reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from wsframe.centrifuge.answers import Connected, Published, Subscribed, filled_in
from wsframe.centrifuge.channels import Channels
from wsframe.centrifuge.commands import PONG, BadMessage, Command, decode
from wsframe.centrifuge.errors import CentrifugeDisconnect, CentrifugeError
from wsframe.centrifuge.hooks import Hooks
from wsframe.centrifuge.replies import ChannelPublication, as_json, as_text, error, expiry, members, reply
from wsframe.centrifuge.session import Session, SessionDeadline, SessionPhase, Sessions
from wsframe.centrifuge.subscription import Subscription, SubscriptionState
from wsframe.log import Log, log_for
from wsframe.resources.client import Client

if TYPE_CHECKING:
    AnyClient = Client[Any]

AnswerT = TypeVar("AnswerT", Connected, Subscribed)

__all__ = ["Handler"]

logger: Log = log_for(__name__)


PART = 64 << 10
"""Characters of replies after which they go out, and the client must have taken them before it gets more."""
TURN = 64
"""Commands of one message after which other clients have their turn."""
MOST_RECOVERED = 1 << 20
"""Characters in the reply to ``connect`` after which no further subscription of the server recovers."""


class Replies:
    """The replies to one message of a client, which go out together unless they are long."""

    __slots__ = ("_client", "_lines", "_refused", "_size")

    def __init__(self, client: AnyClient) -> None:
        self._client = client
        self._lines: list[str] = []
        self._size = 0
        self._refused = False

    def add(self, line: str) -> None:
        """Add a reply."""
        self._lines.append(line)
        self._size += len(line)

    def send(self) -> None:
        """Send the replies so far. A push that is sent next comes after them."""
        if self._lines:
            self._refused = not self._client.send_text("\n".join(self._lines))
            self._lines.clear()

    async def taken(self) -> bool:
        """Send long replies, and wait while the client does not take them; return whether it can have more."""
        if self._size >= PART:
            self._size = 0
            self.send()
            return not self._refused and await self._client.drained()
        return not self._refused


class Handler:
    """Handles the commands of the clients of one life of a resource.

    Args:
        resource: The resource, whose hooks decide.
        sessions: The clients.
        channels: Their subscriptions.
    """

    def __init__(self, resource: Hooks, sessions: Sessions, channels: Channels) -> None:
        self._resource = resource
        self._sessions = sessions
        self._channels = channels

    async def take(self, client: AnyClient, message: str) -> None:
        """Handle one message. Only an exception of a hook is raised, after its command was answered."""
        session = self._sessions.add(client)
        replies = Replies(client)
        session.busy = True
        try:
            for number, command in enumerate(decode(message, self._resource.options.max_commands), 1):
                if session.over:
                    return
                if not number % TURN:
                    await trio.lowlevel.checkpoint()
                await self._one(session, command, replies)
                if session.refused or not await replies.taken():
                    return
        except BadMessage as bad:
            logger.info("%r sent something that is not in the protocol: %s", client, bad, kind=str(bad))
            self.close(session, 3501, "bad request", replies)
        except CentrifugeDisconnect as order:
            self.close(session, order.code, order.reason, replies)
        finally:
            session.busy = False
            replies.send()

    def close(self, session: Session, code: int, reason: str, replies: Replies | None = None) -> None:
        """Close a client after the replies so far, and handle no more of its commands."""
        if replies is not None:
            replies.send()
        session.phase = SessionPhase.OVER
        session.client.close(code, reason)

    async def _one(self, session: Session, command: Command, replies: Replies) -> None:
        if command.method != "connect" and not session.connected:
            raise BadMessage("a command comes before connect")
        if command.method == PONG:
            if not session.pings:
                raise BadMessage("a pong answers no ping")
            session.pings -= 1
            self._sessions.deadlines.clear(SessionDeadline(session.client, "pong"))
            return
        try:
            await HANDLERS[command.method](self, session, command, replies)
        except CentrifugeError as refusal:
            replies.add(error(command.id, refusal))
            if command.method == "connect" and session.phase is SessionPhase.NEW:
                session.phase = SessionPhase.REFUSED
        except CentrifugeDisconnect:
            raise
        except Exception:
            replies.add(error(command.id, CentrifugeError(100)))
            raise

    # The connection

    async def _connect(self, session: Session, command: Command, replies: Replies) -> None:
        if session.phase is not SessionPhase.NEW:
            raise CentrifugeDisconnect(3501)
        resource, request, client = self._resource, command.request, session.client
        verified = Connected() if resource.tokens is None else await resource.tokens.connection(request["token"])
        begun = trio.current_time()
        answer = await resource.connecting(client, request["token"], request["data"])
        verified, begun = shortened(verified, begun), trio.current_time()
        answer = verified if answer is None else filled_in(checked("connecting", answer, Connected), verified)
        session.user = answer.user or ""
        session.subject = session.user if verified.user is None else verified.user
        session.info = resource.json_of(answer.info)
        session.refreshes = answer.expires is not None and request["token"] != ""
        subscriptions = self._channels.of_server(session, answer.subscriptions)
        try:
            results = await self._fill_all(session, subscriptions, request["subs"])
            if session.over:
                raise CentrifugeError(100)
        except BaseException:
            for one in subscriptions:
                self._channels.end(session, one)
            raise
        answer = shortened(answer, begun)
        replies.add(reply(command.id, "connect", members(self._connect_result(session, answer, results))))
        replies.send()
        session.phase = SessionPhase.CONNECTED
        self._begin_times(session, answer)
        for one in subscriptions:
            self._channels.go_live(session, one)

    async def _fill_all(
        self, session: Session, subscriptions: Collection[Subscription], subs: Mapping[str, Any]
    ) -> dict[str, str]:
        """Fill the subscriptions of a new client; return the result of each that the server has not ended."""
        results: dict[Subscription, str] = {}
        size = 0
        for one in subscriptions:
            recovers = size < MOST_RECOVERED
            result = results[one] = await self._channels.fill(session, one, subs.get(one.channel), recovers=recovers)
            size += len(result)
        return {one.channel: result for one, result in results.items() if one.state is not SubscriptionState.ENDED}

    def _connect_result(
        self, session: Session, answer: Connected, results: dict[str, str]
    ) -> dict[str, str | int | bool | None]:
        options = self._resource.options
        subs = "{" + ",".join(f"{as_text(channel)}:{result}" for channel, result in results.items()) + "}"
        return {
            "client": as_text(session.client.id),
            "version": '"wsframe"',
            "data": self._resource.json_of(answer.data),
            "subs": subs if results else None,
            **expiry(answer.expires if session.refreshes else None),
            "ping": None if options.ping is None else ceil(options.ping),
            "pong": options.ping is not None,
        }

    def _begin_times(self, session: Session, answer: Connected) -> None:
        """Set the deadlines of a client that has connected."""
        client, options, deadlines, now = (
            session.client,
            self._resource.options,
            self._sessions.deadlines,
            trio.current_time(),
        )
        deadlines.clear(SessionDeadline(client, "connect"))
        if options.ping is not None:
            # The first one at a random moment: clients that came together are not pinged together.
            deadlines.set(SessionDeadline(client, "ping"), now + options.ping * int(client.id[:4], 16) / 0xFFFF)
        self._set_expiry(session, answer.expires)

    def _set_expiry(self, session: Session, expires: float | None) -> None:
        due = SessionDeadline(session.client, "expiry")
        if expires is None:
            self._sessions.deadlines.clear(due)
        else:
            grace = self._resource.options.expired_grace if session.refreshes else 0.0
            self._sessions.deadlines.set(due, trio.current_time() + expires + grace)

    async def _refresh(self, session: Session, command: Command, replies: Replies) -> None:
        token = command.request["token"]
        if self._resource.tokens is None and not session.refreshes:
            raise CentrifugeError(108)
        if not token:
            raise CentrifugeDisconnect(3501)
        try:
            answer = await verified_again(self._resource, session, token)
        except CentrifugeError as refusal:
            if refusal.code == 109:  # an SDK comes back for this code, with a new token
                raise CentrifugeDisconnect(3005) from None
            raise
        if (answer.user or "") != session.subject:
            raise CentrifugeDisconnect(3500)
        if answer.info is not None:
            session.info = self._resource.json_of(answer.info)
        session.refreshes = answer.expires is not None
        self._set_expiry(session, answer.expires)
        result = members({"client": as_text(session.client.id), "version": '"wsframe"', **expiry(answer.expires)})
        replies.add(reply(command.id, "refresh", result))

    async def _ping(self, session: Session, command: Command, replies: Replies) -> None:
        replies.add(reply(command.id, "ping"))

    async def _send(self, session: Session, command: Command, replies: Replies) -> None:
        raise CentrifugeDisconnect(3508)

    async def _rpc(self, session: Session, command: Command, replies: Replies) -> None:
        result = await self._resource.rpc(session.client, command.request["method"], command.request["data"])
        data = self._resource.json_of(result)
        replies.add(reply(command.id, "rpc", members({"data": data})))

    # Channels

    async def _subscribe(self, session: Session, command: Command, replies: Replies) -> None:
        request, resource = command.request, self._resource
        channel = self._channels.name(request)
        if request["type"]:
            raise CentrifugeError(108)  # maps and polled channels
        if request["tf"] is not None:
            raise CentrifugeError(107)  # filters by tags
        subscription = self._channels.begin(session, channel)
        try:
            verified = Subscribed()
            if resource.tokens is not None:
                verified = await resource.tokens.subscription(request["token"], session.user, channel)
            begun = trio.current_time()
            answer = await resource.subscribing(session.client, channel, request["data"])
            verified = shortened(verified, begun)
            answer = resource.subscription if answer is None else checked("subscribing", answer, Subscribed)
            self._channels.allow(subscription, filled_in(answer, verified))
            result = await self._channels.fill(session, subscription, request)
            if subscription.state is SubscriptionState.ENDED:
                raise CentrifugeError(103)  # its client has left
        except BaseException:
            self._channels.end(session, subscription)
            raise
        replies.add(reply(command.id, "subscribe", result))
        replies.send()
        self._channels.go_live(session, subscription)
        if subscription.ending is not None:
            await resource.unsubscribed(session.client, channel)

    async def _sub_refresh(self, session: Session, command: Command, replies: Replies) -> None:
        request, tokens = command.request, self._resource.tokens
        channel = self._channels.name(request)
        subscription = self._channels.subscribed(session, channel)
        if tokens is None or request["type"]:
            raise CentrifugeError(108)
        if not request["token"]:
            raise CentrifugeError(107)
        try:
            answer = await tokens.subscription(request["token"], session.user, channel)
        except CentrifugeError as refusal:
            if refusal.code == 109:  # an SDK ends the subscription for good unless it shall try again
                raise CentrifugeError(109, temporary=True) from None
            raise
        if subscription.live:
            self._channels.set_expiry(session, subscription, answer.expires)
        replies.add(reply(command.id, "sub_refresh", members(expiry(answer.expires))))

    async def _unsubscribe(self, session: Session, command: Command, replies: Replies) -> None:
        channel = self._channels.name(command.request)
        subscription = session.subscriptions.get(channel)
        if subscription is not None and self._channels.end(session, subscription):
            await self._resource.unsubscribed(session.client, channel)
        replies.add(reply(command.id, "unsubscribe"))

    async def _publish(self, session: Session, command: Command, replies: Replies) -> None:
        channel, data = self._channels.name(command.request), command.request["data"]
        if command.request["type"]:
            raise CentrifugeError(108)  # maps
        answer = await self._resource.publishing(session.client, channel, data)
        info = session.seen_in(session.subscriptions.get(channel)).json()
        if answer is None:
            publication = ChannelPublication(of_client(data), info)
        else:
            checked("publishing", answer, Published)
            content = self._resource.json_of(answer.data) or "null"
            publication = ChannelPublication(
                content, None if answer.anonymous else info, self._resource.json_of(answer.tags)
            )
        if not self._channels.publish(channel, publication):
            raise CentrifugeError(100, "the history cannot take it")
        replies.add(reply(command.id, "publish"))

    async def _presence(self, session: Session, command: Command, replies: Replies) -> None:
        present = await self._channels.present(session, self._channels.name(command.request))
        replies.add(reply(command.id, "presence", members({"presence": as_json(present)})))

    async def _presence_stats(self, session: Session, command: Command, replies: Replies) -> None:
        present = await self._channels.present(session, self._channels.name(command.request))
        users = len({one["user"] for one in present.values()})
        replies.add(reply(command.id, "presence_stats", members({"num_clients": len(present), "num_users": users})))

    async def _history(self, session: Session, command: Command, replies: Replies) -> None:
        channel = self._channels.name(command.request)
        subscription = self._channels.subscribed(session, channel)
        if not subscription.options.history or self._resource.history_of(channel) is None:
            raise CentrifugeError(108)
        replies.add(reply(command.id, "history", await self._channels.history(channel, command.request)))


HANDLERS: dict[str, Callable[[Handler, Session, Command, Replies], Awaitable[None]]] = {
    "connect": Handler._connect,
    "subscribe": Handler._subscribe,
    "unsubscribe": Handler._unsubscribe,
    "publish": Handler._publish,
    "presence": Handler._presence,
    "presence_stats": Handler._presence_stats,
    "history": Handler._history,
    "ping": Handler._ping,
    "send": Handler._send,
    "rpc": Handler._rpc,
    "refresh": Handler._refresh,
    "sub_refresh": Handler._sub_refresh,
}


async def verified_again(resource: Hooks, session: Session, token: str) -> Connected:
    """Return the answer for a new token of a client that has connected."""
    if resource.tokens is not None:
        return await resource.tokens.connection(token)
    answer = await resource.connecting(session.client, token, None)
    return Connected(user=session.subject) if answer is None else checked("connecting", answer, Connected)


def shortened(answer: AnswerT, begun: float) -> AnswerT:
    """Return an answer with the time that is left of it, after hooks and the engine had theirs."""
    if answer.expires is None:
        return answer
    return replace(answer, expires=max(0.0, answer.expires - (trio.current_time() - begun)))


def checked(hook: str, answer: object, kind: type[Any]) -> Any:
    """Return the answer of a hook if it is of its type."""
    if not isinstance(answer, kind):
        raise TypeError(f"{hook} returns a {kind.__name__} or None, not {answer!r}")
    return answer


def of_client(data: object) -> str:
    """Encode a client's data again; numbers such as 1e999 have no place in JSON."""
    try:
        return as_json(data)
    except (ValueError, RecursionError):
        raise CentrifugeError(107) from None
