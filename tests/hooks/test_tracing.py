"""Spans of connections and hooks, as an SDK of OpenTelemetry gets them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.lowlevel
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import wsframe
from tests.local_server import local_server_of
from tests.patience import PATIENCE
from tests.recorder import Echo
from tests.wire import ask, connected, head, serving, text
from wsframe import Limits, Timeouts

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Spans:
    """A provider that keeps the spans that are over."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def __getitem__(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self._exporter.get_finished_spans()]

    async def until(self, name: str, count: int = 1) -> list[ReadableSpan]:
        while len(self[name]) < count:
            await trio.lowlevel.checkpoint()
        return self[name]


@pytest.fixture
def spans() -> Spans:
    return Spans()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    found: int = span.context.span_id
    return found


class Door(Echo):
    """Refuses by its query, and fails when asked to."""

    async def accept_client(self, request: wsframe.Request) -> None:
        if request.query_string == "raise":
            raise ValueError("in accept_client")
        if request.query_string:
            raise wsframe.Reject(int(request.query_string))

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message == "raise":
            raise ValueError("secret words")
        if message == "hang":
            self.journal.add("hangs")
            await trio.sleep_forever()
        await super().received_text(client, message)


class Patient(Door):
    cancel_on_disconnect = True


async def test_a_connection_has_a_span_and_its_hooks_have_spans_below_it(spans: Spans) -> None:
    registry = wsframe.Registry(alone=True)
    registry.register("/rooms/{room}", Door())
    with trio.fail_after(PATIENCE):
        async with wsframe.open_server(registry, port=0, tracing=spans.provider) as server:
            async with connected(server, "/rooms/7") as peer:
                for _ in range(2):
                    await peer.send(text("hello"))
                    await peer.receive_text()
                await peer.finish()
            [connection] = await spans.until("GET /rooms/{room}")
            assert (connection.kind, connection.status.status_code) == (SpanKind.SERVER, StatusCode.UNSET)
            found = attributes(connection)
            assert found.pop("client.port") > 0
            assert found.pop("wsframe.bytes_received") > 0
            assert found == {
                "http.request.method": "GET", "http.route": "/rooms/{room}", "url.path": "/rooms/7",
                "url.scheme": "ws", "network.protocol.name": "websocket", "server.address": "localhost",
                "client.address": "127.0.0.1", "http.response.status_code": 101, "wsframe.close_code": 1000,
                "wsframe.messages_received": 2, "wsframe.messages_sent": 2, "wsframe.messages_dropped": 0,
                "wsframe.bytes_sent": 14,
            }  # fmt: skip
            hooks = ["accept_client", "client_connected", "received_text", "received_text", "disconnected"]
            assert spans.names == [*(f"Door.{hook}" for hook in hooks), "GET /rooms/{room}"]
            for hook in hooks:
                for span in spans[f"Door.{hook}"]:
                    assert parent_of(span) == id_of(connection)
                    assert attributes(span) == {"code.function.name": f"{__name__}.Door.{hook}"}


async def test_the_trace_of_the_peer_goes_on(spans: Spans) -> None:
    async with serving(Door(), tracing=spans.provider) as server:
        await ask(server, head("/?403", {"traceparent": PARENT}))
        [connection] = await spans.until("GET /")
        assert connection.context is not None
        assert f"{connection.context.trace_id:032x}" == PARENT.split("-")[1]
        assert parent_of(connection) == int(PARENT.split("-")[2], 16)


@pytest.mark.parametrize("parent", ["", "00-0-0-01", "x" * 200, "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "\xff"])
async def test_a_traceparent_that_is_none_begins_a_trace(spans: Spans, parent: str) -> None:
    async with serving(Door(), tracing=spans.provider) as server:
        await ask(server, head("/?403", {"traceparent": parent}))
        [connection] = await spans.until("GET /")
        assert connection.parent is None


@pytest.mark.parametrize(("status", "outcome"), [(403, StatusCode.UNSET), (503, StatusCode.ERROR)])
async def test_a_refusal_is_an_error_only_of_the_server(spans: Spans, status: int, outcome: StatusCode) -> None:
    async with serving(Door(), tracing=spans.provider) as server:
        await ask(server, head(f"/?{status}"))
        [connection] = await spans.until("GET /")
        assert (attributes(connection)["http.response.status_code"], connection.status.status_code) == (status, outcome)
        [hook] = spans["Door.accept_client"]
        assert (hook.status.status_code, hook.events) == (StatusCode.UNSET, ())


async def test_a_hook_that_fails_has_its_error_recorded(spans: Spans) -> None:
    async with serving(Door(), tracing=spans.provider) as server:
        async with connected(server) as peer:
            await peer.send(text("raise"))
            assert (await peer.receive_close())[0] == 1011
        [connection] = await spans.until("GET /")
        [hook] = spans["Door.received_text"]
        assert hook.status.status_code is StatusCode.ERROR
        assert attributes(hook)["error.type"] == "ValueError"
        [event] = hook.events
        assert event.name == "exception"
        assert [parent_of(span) for span in spans["Door.hook_failed"]] == [id_of(connection)]


async def test_accept_client_that_fails_is_an_error_of_both(spans: Spans) -> None:
    async with serving(Door(), tracing=spans.provider) as server:
        await ask(server, head("/?raise"))
        [connection] = await spans.until("GET /")
        [hook] = spans["Door.accept_client"]
        assert hook.status.status_code is connection.status.status_code is StatusCode.ERROR
        assert attributes(connection)["http.response.status_code"] == 500


async def test_a_hook_that_is_cancelled_has_a_span_without_an_error(spans: Spans) -> None:
    room = Patient()
    async with serving(room, tracing=spans.provider) as server:
        async with connected(server) as peer:
            await peer.send(text("hang"))
            await room.journal.until("hangs")
        await spans.until("GET /")
        [hook] = spans["Patient.received_text"]
        assert hook.status.status_code is StatusCode.UNSET


async def test_a_hook_that_takes_too_long_is_an_error(spans: Spans) -> None:
    async with serving(Door(), tracing=spans.provider, timeouts=Timeouts(hook=0.01)) as server:
        async with connected(server) as peer:
            await peer.send(text("hang"))
            await peer.receive_close()
        [hook] = await spans.until("Door.received_text")
        assert attributes(hook)["error.type"] == "HookTimeout"


async def test_spans_of_the_hook_itself_are_below_its_own(spans: Spans) -> None:
    tracer = spans.provider.get_tracer("of the program")

    class Working(Echo):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            with tracer.start_as_current_span(f"work {message}"):
                await trio.lowlevel.checkpoint()
            await super().received_text(client, message)

    async with serving(Working(), tracing=spans.provider) as server, connected(server) as peer:
        for word in "ab":
            await peer.send(text(word))
            await peer.receive_text()
        [hook] = await spans.until("work b")
        name = "test_spans_of_the_hook_itself_are_below_its_own.<locals>.Working.received_text"
        hooks = await spans.until(name, 2)
        assert [parent_of(spans["work a"][0]), parent_of(hook)] == list(map(id_of, hooks))
        assert trace.get_current_span() is trace.INVALID_SPAN


async def test_messages_of_nobody_are_traces_of_their_own(spans: Spans) -> None:
    class Posted(Echo):
        async def received_custom(self, message: object) -> None:
            self.journal.add("custom")

    room = Posted()
    async with serving(room, tracing=spans.provider):
        room.post(["unhashable"])
        await room.journal.until("custom")
        [span] = await spans.until("test_messages_of_nobody_are_traces_of_their_own.<locals>.Posted.received_custom")
        assert span.parent is None


async def test_nothing_is_kept_of_connections_that_are_over(spans: Spans) -> None:
    async with serving(Door(), tracing=spans.provider, limits=Limits(max_message=10)) as server:
        for query in ("", "?403", "?raise"):
            await ask(server, head(f"/{query}") if query else head("/")[:-2] + b"Sec-WebSocket-Version: 9\r\n\r\n")
        async with connected(server) as peer:
            await peer.send(text("x" * 100))
            await peer.receive_close()
        async with connected(server) as peer:
            peer.reset()
        tracing = local_server_of(server)._around.tracing
        assert tracing is not None
        while tracing._spans:
            await trio.lowlevel.checkpoint()


async def test_without_the_option_there_are_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*args: object) -> object:
        raise AssertionError("a tracer was made")

    monkeypatch.setattr(trace, "get_tracer", made)
    async with serving(Door()) as server, connected(server) as peer:
        await peer.send(text("hello"))
        await peer.receive_text()


async def test_without_an_sdk_spans_go_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(Door(), tracing=True) as server, connected(server) as peer:
        await peer.send(text("hello"))
        assert await peer.receive_text() == "..hello"[2:]
    assert caplog.messages == []


def test_wrong_values_are_errors_that_say_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="tracing is True, False or a TracerProvider of OpenTelemetry, not 'yes'"):
        wsframe.ServeOptions(tracing="yes")
    monkeypatch.setattr("wsframe.server.check_options.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"tracing needs opentelemetry-api: pip install 'wsframe\[opentelemetry\]'"):
        wsframe.ServeOptions(tracing=True)
