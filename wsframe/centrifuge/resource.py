"""The class that users subclass to serve Centrifugo's client protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, final

from wsframe.backplane.interface import History
from wsframe.backplane.presence import Member
from wsframe.centrifuge.answers import CentrifugeOptions, Connected, Published, Subscribed, Tokens
from wsframe.centrifuge.channels import Channels
from wsframe.centrifuge.command_handler import Handler
from wsframe.centrifuge.deadlines import Deadlines
from wsframe.centrifuge.errors import DISCONNECTS, CentrifugeError, check_code
from wsframe.centrifuge.replies import ChannelPublication, escaped, members, push
from wsframe.centrifuge.session import Sessions, topic_of
from wsframe.doorbell import check_trio
from wsframe.resources.check_attributes import Ordering
from wsframe.resources.check_hooks import check_hook, is_async
from wsframe.resources.client import Client
from wsframe.resources.resource import HOOKS, Resource
from wsframe.workers.partitions import Scope

if TYPE_CHECKING:
    from wsframe.resources.client import DataT
    from wsframe.resources.life import Life
else:
    DataT = TypeVar("DataT")

__all__ = ["CentrifugeResource", "Connection"]

PROTOBUF = "centrifuge-protobuf"
"""It is agreed on and then closed: SDKs try again for ever after a handshake that agrees on nothing."""
OURS = ("connecting", "subscribing", "publishing", "rpc", "unsubscribed")
WITH_SUPER = ("client_connected", "received_text", "disconnected")


class Connection(NamedTuple):
    """A client that has connected in the protocol; returned by :meth:`CentrifugeResource.connection_of`."""

    id: str
    """The id of the :class:`~wsframe.Client`."""
    user: str
    """The user's id; ``""`` for an anonymous user."""
    channels: tuple[str, ...]
    """The channels it is subscribed to, in the order in which it subscribed."""


class CentrifugeService:
    """The parts that serve the clients of one life of a resource."""

    def __init__(self, resource: CentrifugeResource[Any], life: Life[Any]) -> None:
        self.life = life
        self.sessions: Sessions = Sessions()
        self.channels: Channels = Channels(resource, self.sessions, life.topics)
        self.handler: Handler = Handler(resource, self.sessions, self.channels)
        self.deadlines: Deadlines = Deadlines(resource, self.sessions, self.handler, self.channels)


class CentrifugeResource(Resource[DataT]):
    """A resource that the SDKs of Centrifugo connect to, unchanged; they speak its client protocol, JSON, version 2.

    Five hooks decide. They return None or an answer, and refuse by raising :exc:`CentrifugeError`, to which the SDK
    gets an error, or :exc:`CentrifugeDisconnect`, which closes the connection. The server answers any other exception
    with error 100, and handles it as in any hook: the default logs it and closes 3004, and the SDK connects again.
    :meth:`~wsframe.Resource.hook_failed` gets it with the name ``received_text``.

    All that its clients get is in the protocol: do not use ``client.send_text``, ``broadcast_text`` or topics for them,
    whose messages an SDK cannot read, and do not move clients to or from such a resource.

    Hooks of one client never overlap, those of several do (``ordering = "client"``). A subclass that overrides
    ``client_connected``, ``received_text`` or ``disconnected`` calls the method of this class in it.

    Raises:
        TypeError: When a subclass is made with a hook or an attribute of another kind.
        ValueError: When a subclass is made with another ``overflow`` than ``"disconnect"``.
    """

    subprotocols: ClassVar[Collection[str]] = ("centrifuge-json", PROTOBUF)
    ordering: ClassVar[Ordering] = "client"
    scope: ClassVar[Scope] = "shared"
    """Where it lives if several workers or servers serve. Default ``"shared"``, unlike other resources: an object in
    each, and each serves every channel, as the nodes of Centrifugo do. So each worker has its own attributes, and a
    task in ``running()`` runs in each worker: publish from a resource of scope ``"one"``, or set that here."""
    error_close_code: ClassVar[int] = 3004
    options: ClassVar[CentrifugeOptions] = CentrifugeOptions()
    """Limits and times of the protocol."""
    subscription: ClassVar[Subscribed] = Subscribed()
    """The options of a subscription where the hook returns None."""
    tokens: ClassVar[Tokens | None] = None
    """The verifier of connection and subscription tokens; None: ``connecting`` verifies connection tokens, and
    subscription tokens are ignored."""

    _wsframe_hooks = (*HOOKS, *OURS)
    _service: CentrifugeService | None = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for name in OURS:
            check_hook(CentrifugeResource, cls, name)
        for name in WITH_SUPER:
            hook = vars(cls).get(name)
            if hook is not None and "super" not in getattr(getattr(hook, "__code__", None), "co_names", ("super",)):
                raise TypeError(f"{cls.__name__}.{name} must call super().{name}(...), which serves the protocol")
        if cls.hand_over is not Resource.hand_over:
            raise TypeError(
                f"{cls.__name__}.hand_over: SDKs do not notice a new process; they connect again by themselves"
            )
        if cls.overflow != "disconnect":
            raise ValueError(f"{cls.__name__}.overflow is 'disconnect': a client that stays must not miss messages")
        for name in ("connection", "subscription"):
            if cls.tokens is not None and not is_async(getattr(cls.tokens, name, None)):
                raise TypeError(f"{cls.__name__}.tokens has no coroutine function {name!r}: {cls.tokens!r}")
        for name, kind in (("options", CentrifugeOptions), ("subscription", Subscribed)):
            if not isinstance(getattr(cls, name), kind):
                raise TypeError(f"{cls.__name__}.{name} is a {kind.__name__}, not {getattr(cls, name)!r}")

    # Hooks

    async def connecting(self, client: Client[DataT], token: str, data: object) -> Connected | None:
        """Decide whether a client can connect; None lets it in, anonymous unless its token names a user.

        Without :attr:`tokens` it is also called for the new token of a client whose connection ``expires``: ``data`` is
        None then, and of the answer ``expires`` and ``info`` count; another ``user`` closes 3500.

        Args:
            client: The client; its WebSocket connection is open.
            token: Its connection token, ``""`` without one. If :attr:`tokens` is set, it is valid.
            data: JSON of the application, None without any.
        """
        return None

    async def subscribing(self, client: Client[DataT], channel: str, data: object) -> Subscribed | None:
        """Decide whether a client can subscribe to a channel; None lets it, with the options of :attr:`subscription`.

        If :attr:`tokens` is set, the client's subscription token is valid for the channel.
        """
        return None

    async def publishing(self, client: Client[DataT], channel: str, data: object) -> Published | None:
        """Decide whether a client can publish; None publishes its data. The default refuses with error 103."""
        raise CentrifugeError(103)

    async def rpc(self, client: Client[DataT], method: str, data: object) -> object:
        """Answer a call of a client with JSON. The default refuses each with error 104."""
        raise CentrifugeError(104)

    async def unsubscribed(self, client: Client[DataT], channel: str) -> None:
        """Learn that a client's subscription has ended, from either side or with its connection."""

    def history_of(self, channel: str) -> History | None:
        """Return how much of a channel is kept; None for nothing. The default is ``history`` for all channels.

        Override it where channels differ. It is called for each publication and subscription, and must not wait.
        """
        return self.history

    # Actions of the program

    @final
    def publish(self, channel: str, data: object, *, tags: Mapping[str, str] | None = None) -> None:
        """Publish JSON to all subscribers of a channel, on all servers of the service.

        It never waits. Tags are strings that subscribers get with the data.

        Raises:
            TypeError: For a channel that is not a str, and for data that has no place in JSON.
            ValueError: For a name that is empty or too long, and for a number that has no place in JSON.
            RuntimeError: While the resource is not being served.
        """
        service = self._serving()
        service.channels.check_name(channel)
        content = self.json_of(data)
        service.channels.publish(
            channel, ChannelPublication("null" if content is None else content, None, self.json_of(tags))
        )

    async def add_subscription(self, client: Client[DataT], channel: str, options: Subscribed | None = None) -> bool:
        """Subscribe a client that has connected, and tell it; return False if it has left or is subscribed already.

        Raises:
            ValueError: For a name that is empty or too long.
        """
        check_trio()
        service = self._serving()
        service.channels.check_name(channel)
        session = service.sessions.of(client)
        if session is None or not session.connected or channel in session.subscriptions:
            return False
        return await service.channels.add(session, channel, self.subscription if options is None else options)

    async def remove_subscription(
        self, client: Client[DataT], channel: str, code: int = 2000, reason: str = ""
    ) -> bool:
        """End a client's subscription, and tell it; return False if it had none.

        Args:
            client, channel: The client and the channel.
            code: 2000 to 2499: the SDK does not subscribe again. 2500 to 2999: it does.
            reason: Text for the client's programmer.
        """
        check_trio()
        check_code("the code of an unsubscribe", code, 2000, 2999)
        service = self._serving()
        session = service.sessions.of(client)
        subscription = None if session is None else session.subscriptions.get(channel)
        if session is None or subscription is None:
            return False
        if service.channels.end_by_server(session, subscription, code, reason):
            await self.unsubscribed(client, channel)
        return True

    def send_message(self, client: Client[DataT], data: object) -> bool:
        """Send JSON to one client, outside of channels, for its event ``message``; return whether it was queued."""
        return client.send_text(push("message", members({"data": self.json_of(data) or "null"})))

    async def presence(self, topic: str) -> list[Member]:
        """Return the members of a channel on all servers; ``info`` of each is the part that clients see.

        Raises:
            TypeError, ValueError: For a name that no channel can have.
        """
        service = self._serving()
        service.channels.check_name(topic)
        return await service.life.topics.presences.members(topic_of(topic))

    def connection_of(self, client: Client[DataT]) -> Connection | None:
        """Return the protocol's state of a client; None before its ``connect`` was accepted and after its end."""
        session = None if self._service is None else self._service.sessions.of(client)
        if session is None or not session.connected:
            return None
        return Connection(client.id, session.user, tuple(session.channels))

    def json_of(self, value: object) -> str | None:
        """Encode a value with :meth:`~wsframe.Resource.encode_json`; None stands for no value."""
        if value is None:
            return None
        encoded = self.encode_json(value)
        return escaped(encoded) if isinstance(encoded, str) else encoded.decode()

    # The hooks of a resource

    async def client_connected(self, client: Client[DataT]) -> None:
        """Begin to wait for the client's ``connect``."""
        if client.subprotocol == PROTOBUF:
            client.close(3506, DISCONNECTS[3506])
            return
        service = self._serving()
        service.deadlines.begin(service.sessions.add(client))

    async def received_text(self, client: Client[DataT], message: str) -> None:
        """Handle the commands of one message."""
        await self._serving().handler.take(client, message)

    async def received_binary(self, client: Client[DataT], message: bytes) -> None:
        """Close 3506: the protocol in protobuf is not served."""
        client.close(3506, DISCONNECTS[3506])

    async def disconnected(self, client: Client[DataT]) -> None:
        """End the client's subscriptions; ``unsubscribed`` is called for each that was live."""
        service = self._serving()
        session = service.sessions.of(client)
        if session is None:
            return
        ended = [
            one.channel
            for one in tuple(session.subscriptions.values())
            if service.channels.end(session, one, lost=True)
        ]
        service.sessions.remove(client)
        for channel in ended:
            await service.channels.ended(session, channel)

    def _serving(self) -> CentrifugeService:
        """Return the parts of this life of the resource."""
        life = self._life()
        service = self._service
        if service is None or service.life is not life:
            service = CentrifugeService(self, life)
            object.__setattr__(self, "_service", service)  # also of a frozen dataclass
        return service
