"""Deciding about a newcomer before the 101."""

import logging
from typing import Any, cast

import pytest
import trio

import wsframe
from tests.recorder import Recorder
from tests.wire import ask, connected, head, serving, status
from wsframe import Accept, Reject, Request


class Asking(Recorder):
    """Decides as it was told."""

    subprotocols = ("v2", "v1")

    def __init__(self, decision: object) -> None:
        super().__init__()
        self.decision = decision
        self.requests: list[Request] = []

    async def accept_client(self, request: Request) -> Accept | Reject | None:
        self.requests.append(request)
        if isinstance(self.decision, BaseException) and not isinstance(self.decision, Reject):
            raise self.decision
        return cast("Accept | Reject | None", self.decision)


class Raising(Asking):
    async def accept_client(self, request: Request) -> Accept | Reject | None:
        assert isinstance(self.decision, Exception)
        raise self.decision


async def test_none_accepts() -> None:
    room = Asking(None)
    async with serving(room) as server, connected(server, "/?a=1") as peer:
        await room.journal.until("connected")
        assert (room.only.data, room.only.subprotocol) == (None, None)
        assert room.only.request is room.requests[0]
        assert room.only.request.query_string == "a=1"
        assert b"Sec-WebSocket-Protocol" not in peer.handshake


async def test_accept_carries_data_headers_and_subprotocol() -> None:
    room = Asking(Accept("v1", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], {"user": 7}))
    offer = {"Sec-WebSocket-Protocol": "v2, v1"}
    async with serving(room) as server, connected(server, fields=offer) as peer:
        await room.journal.until("connected")
        assert (room.only.data, room.only.subprotocol) == ({"user": 7}, "v1")
        lines = peer.handshake.decode().lower().split("\r\n")
        assert [line for line in lines if line.startswith("set-cookie")] == ["set-cookie: a=1", "set-cookie: b=2"]
        assert "sec-websocket-protocol: v1" in lines


@pytest.mark.parametrize(("offer", "agreed"), [("v1, v2", "v1"), ("v2, v1", "v2"), ("x, v2", "v2"), ("x", None)])
async def test_without_a_choice_the_first_offered_that_is_spoken_is_agreed_on(offer: str, agreed: str | None) -> None:
    room = Asking(Accept(data=1))
    async with serving(room) as server, connected(server, fields={"Sec-WebSocket-Protocol": offer}):
        await room.journal.until("connected")
        assert room.only.subprotocol == agreed


@pytest.mark.parametrize("kind", [Asking, Raising])
async def test_reject_may_be_returned_or_raised(kind: type[Asking]) -> None:
    room = kind(Reject(401, {"WWW-Authenticate": "Basic"}, "who are you?"))
    async with serving(room) as server:
        answer = (await ask(server, head("/"))).decode()
    assert answer.startswith("HTTP/1.1 401 ")
    assert "www-authenticate: basic\r\n" in answer.lower()
    assert answer.rstrip().endswith("who are you?")
    assert room.notes == []


async def test_true_lets_in_and_false_is_403() -> None:
    async with serving(Asking(True)) as server, connected(server) as peer:
        assert peer.handshake.startswith(b"HTTP/1.1 101 ")
    async with serving(Asking(False)) as server:
        assert await status(server) == 403


@pytest.mark.parametrize(
    ("room", "reason"),
    [
        (Asking(False), "403: Asking.accept_client returned False"),
        (Asking(Reject(401)), "401: Asking.accept_client returned Reject without a body"),
        (Raising(Reject()), "403: Raising.accept_client raised Reject without a body"),
    ],
)
async def test_a_refusal_without_a_reason_names_its_maker_in_the_log_alone(
    room: Asking, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsframe")
    async with serving(room) as server:
        answer = await ask(server, head("/"))
    assert answer.endswith(b"\r\n\r\n"), "no body"
    assert [line.partition(" refused with ")[2] for line in caplog.messages if "refused" in line] == [reason]


async def test_a_reject_for_several_resources_names_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wsframe")
    shared = Reject(404)
    for kind in (Asking, Raising):
        async with serving(kind(shared)) as server:
            assert await status(server) == 404
    assert ["Asking" in line for line in caplog.messages if "refused" in line] == [True, False]


async def test_a_reject_that_cannot_be_copied_keeps_its_status() -> None:
    class Odd(Reject):
        def __reduce__(self) -> tuple[Any, ...]:
            raise RuntimeError

    async with serving(Raising(Odd(402))) as server:
        assert await status(server) == 402


async def test_a_reject_out_of_a_nursery_is_a_reject() -> None:
    async with serving(Asking(ExceptionGroup("a nursery's", [Reject(401)]))) as server:
        assert await status(server) == 401


async def test_reject_is_403_by_default() -> None:
    async with serving(Asking(Reject())) as server:
        assert await status(server) == 403


@pytest.mark.parametrize("decision", [0, 1, "yes", Accept, Reject, object(), ()])
async def test_any_other_result_refuses_with_500(decision: object, caplog: pytest.LogCaptureFixture) -> None:
    """Never fail open: a result that is neither True nor False does not let anybody in."""
    room = Asking(decision)
    async with serving(room) as server:
        assert await status(server) == 500
    assert room.notes == []
    assert [record.levelno for record in caplog.records if record.levelno >= logging.ERROR] == [logging.ERROR]


async def test_exception_refuses_with_500_and_tells_the_peer_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    room = Asking(KeyError("secret"))
    async with serving(room) as server:
        answer = await ask(server, head("/"))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in answer
    assert any(line.startswith("accept_client of Asking failed for ") for line in caplog.messages)
    assert [record.exc_info is not None for record in caplog.records if record.levelno >= logging.ERROR] == [True]
    assert room.notes == []


async def test_a_request_is_not_a_client_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Hasty(wsframe.Resource):
        async def accept_client(self, request: Request) -> None:
            request.send_text("hello")  # type: ignore[attr-defined]

    async with serving(Hasty()) as server:
        assert await status(server) == 500
    assert "wsframe: there is no client yet: return Reject(403) to refuse" in caplog.text


@pytest.mark.parametrize("subprotocol", ["v3", "v2"])
async def test_subprotocol_that_was_not_offered_refuses_with_500(
    subprotocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    room = Asking(Accept(subprotocol))
    async with serving(room) as server:
        assert await status(server, fields={"Sec-WebSocket-Protocol": "v1"}) == 500
    assert room.notes == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(("name", "value"), [("X-Bad", "a\r\nSet-Cookie: b"), ("X-Bad", "a\0"), ("X Bad", "a")])
async def test_header_field_that_would_inject_another_refuses_with_500(name: str, value: str) -> None:
    class Injecting(Recorder):
        async def accept_client(self, request: Request) -> Accept:
            return Accept(headers={name: value})

    async with serving(Injecting()) as server:
        answer = await ask(server, head("/"))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"Set-Cookie" not in answer


@pytest.mark.parametrize("status_code", [0, 101, 200, 299, 600])
def test_reject_needs_a_status_that_refuses(status_code: int) -> None:
    with pytest.raises(ValueError, match=str(status_code)):
        Reject(status_code)


class Gate(Recorder):
    """Lets a newcomer wait until it is let in."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()

    async def accept_client(self, request: Request) -> None:
        self.journal.add(f"asked by {request.path_params.get('name')}")
        if request.path_params.get("name") == "slow":
            await self.gate.wait()


async def test_newcomer_who_waits_holds_up_nobody() -> None:
    room = Gate()
    async with serving({"/{name}": room}) as server, trio.open_nursery() as nursery:

        async def slow() -> None:
            async with connected(server, "/slow"):
                await room.journal.until("connected", 2)

        nursery.start_soon(slow)
        await room.journal.until("asked by slow")
        async with connected(server, "/quick"):
            await room.journal.until("connected")
            room.gate.set()
            await room.journal.until("connected", 2)


async def test_newcomer_who_waits_too_long_is_answered_408() -> None:
    async with serving({"/{name}": Gate()}, timeouts=wsframe.Timeouts(handshake=0.05)) as server:
        assert await status(server, "/slow") == 408


async def test_place_is_reserved_before_the_hook_is_asked() -> None:
    """Else any number of newcomers would pass the check while the hook awaits."""

    class Small(Gate):
        max_clients = 1

    room = Small()
    async with serving({"/{name}": room}) as server, trio.open_nursery() as nursery:

        async def slow() -> None:
            async with connected(server, "/slow"):
                await room.journal.until("connected")

        nursery.start_soon(slow)
        await room.journal.until("asked by slow")
        assert await status(server, "/quick") == 503
        room.gate.set()
    assert room.notes.count("connected") == 1


async def test_refused_newcomer_gives_its_place_back() -> None:
    class Small(Asking):
        max_clients = 1

    room = Small(Reject())
    async with serving(room) as server:
        assert [await status(server) for _ in range(3)] == [403] * 3
        assert server.statistics().reserved == 0
        room.decision = None
        async with connected(server):
            await room.journal.until("connected")
