"""A relay from plain TCP to a TLS server, for a client whose TLS is too old for any of today's."""

import ssl
from functools import partial
from urllib.parse import urlsplit

import trio

__all__ = ["relay_to_tls"]


async def pass_on(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
    """Pass on bytes until the source ends, then end the sink."""
    try:
        while data := await source.receive_some(65536):
            await sink.send_all(data)
        if isinstance(sink, trio.SocketStream):
            await sink.send_eof()
        else:
            await sink.aclose()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(sink)


async def relay_to_tls(
    address: str, context: ssl.SSLContext, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Listen on a free port and relay each connection to ``address`` over TLS; report the port as ``ws://...``."""
    target = urlsplit(address)
    assert target.hostname is not None
    assert target.port is not None
    host, port = target.hostname, target.port

    async def relay(plain: trio.SocketStream) -> None:
        sealed = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=context, https_compatible=True)
        async with sealed, trio.open_nursery() as nursery:
            nursery.start_soon(pass_on, plain, sealed)
            await pass_on(sealed, plain)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, relay, 0, host="127.0.0.1"))
        task_status.started(f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
