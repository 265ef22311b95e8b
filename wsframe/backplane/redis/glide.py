"""Redis by valkey-glide: one connection, used so that the library's own repairs have no effect.

* ``GlideClient.create`` waits for the network in the thread that calls it, a second for each server that does
  not answer. So a worker thread calls it.
* The library connects again in silence, and then subscribes again to all topics that it knows, some seconds later, and
  messages are lost without a report. It does not notice a SUBSCRIBE in a batch, so after it has connected again nothing
  arrives, probes included, and the session ends.
* It matches one confirmation to one command: each SUBSCRIBE has one topic. 20 000 take a second.
* A cancelled wait for a message loses messages: instead of a wait there is a callback in trio's thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sniffio
import trio
from glide import (
    AdvancedGlideClientConfiguration,
    Batch,
    GlideClient,
    GlideClientConfiguration,
    Logger,
    LogLevel,
    NodeAddress,
    ServerCredentials,
    TlsAdvancedConfiguration,
)

from wsframe.backplane.redis.address import RedisAddress
from wsframe.backplane.redis.connection import CONNECTED_WITHIN, Command, Push

__all__ = ["open_glide"]

MILLISECONDS = 1_000
NEVER = 24 * 3_600 * MILLISECONDS


# Private, with its maker: the types of glide are unknown where it is not installed, and ours are complete.
class _ThreadMadeClient(GlideClient):
    """A client whose connection a worker thread makes."""

    def _setup_pipe_after_creation(self, provider_backed: bool) -> None:
        """Leave this to trio's thread."""

    def begin(self) -> None:
        """Have the answers come to trio's thread, which calls this."""
        super()._setup_pipe_after_creation(False)


def _made_in_thread(configuration: GlideClientConfiguration) -> _ThreadMadeClient:
    """Connect. Nothing in it awaits, so it ends with its first step."""
    sniffio.thread_local.name = "trio"
    try:
        _ThreadMadeClient.create(configuration).send(None)
    except StopIteration as done:
        client: _ThreadMadeClient = done.value
        return client
    finally:
        sniffio.thread_local.name = None
    raise RuntimeError("this version of valkey-glide is not one that wsframe knows: install valkey-glide 2.6")


class GlideConnection:
    """The commands of one connection."""

    def __init__(self, client: GlideClient) -> None:
        self._client = client

    async def commands(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together, and return their answers."""
        batch = Batch(is_atomic=False)
        for one in commands:
            batch.custom_command(list(one))
        return await self._client.exec(batch, raise_on_error=True) or []

    async def subscribe(self, channels: Collection[bytes]) -> None:
        """Receive the messages of channels."""
        await self.commands([(b"SUBSCRIBE", channel) for channel in channels])

    async def unsubscribe(self, channels: Collection[bytes]) -> None:
        """Stop receiving the messages of channels."""
        await self.commands([(b"UNSUBSCRIBE", channel) for channel in channels])


def configuration_of(address: RedisAddress, push: Push) -> GlideClientConfiguration:
    """Return a configuration that names the server and turns the library's repairs off."""

    def take(message: Any, _: object) -> None:
        push(message.channel, message.message)

    at = NodeAddress(unix_socket_path=address.path) if address.path else NodeAddress(address.host, address.port)
    tls = None
    if address.tls and (address.ca or address.cert):
        tls = TlsAdvancedConfiguration(
            root_pem_cacerts=content(address.ca),
            client_cert_pem=content(address.cert),
            client_key_pem=content(address.key),
        )
    return GlideClientConfiguration(
        [at],
        use_tls=address.tls,
        credentials=None if address.password is None else ServerCredentials(address.password, address.user),
        database_id=address.database,
        request_timeout=int(CONNECTED_WITHIN * MILLISECONDS),
        inflight_requests_limit=10_000,
        pubsub_subscriptions=GlideClientConfiguration.PubSubSubscriptions({}, take, None),
        advanced_config=AdvancedGlideClientConfiguration(
            connection_timeout=int(CONNECTED_WITHIN * MILLISECONDS),
            tls_config=tls,
            pubsub_reconciliation_interval=NEVER,
        ),
    )


def content(path: str | None) -> bytes | None:
    """Read a file, if there is one."""
    return None if path is None else Path(path).read_bytes()


@asynccontextmanager
async def open_glide(address: RedisAddress, push: Push) -> AsyncIterator[GlideConnection]:
    """Connect; the messages go to ``push`` until the block ends."""
    Logger.set_logger_config(LogLevel.OFF)  # it writes to stderr by itself, and we say the same in one line
    configuration = configuration_of(address, push)
    client = await trio.to_thread.run_sync(_made_in_thread, configuration)
    try:
        client.begin()
        yield GlideConnection(client)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await client.close()
