"""Which failures are tried again, and when: the default, the user's function, and Retry-After."""

from __future__ import annotations

import itertools
import ssl
import time
from email.utils import formatdate
from typing import Any

import pytest
import trio
import trio.testing

import wsframe
from tests.outgoing.tries import Outcome, Ready, rejected
from wsframe import HandshakeFailed, HandshakeRejected, Headers, ProxyFailed
from wsframe.outgoing.exceptions import OpeningTimeout
from wsframe.outgoing.opening import Opened, OpeningPlan
from wsframe.outgoing.reconnect import connect_forever
from wsframe.outgoing.retrying import may_succeed_later, retry_after


@pytest.mark.parametrize(
    "error",
    [
        OSError("name not known"), ConnectionRefusedError(), OpeningTimeout("x"), ssl.SSLError("x"),
        ProxyFailed("x", 503, temporary=True),
        *map(rejected, (200, 204, 301, 302, 404, 408, 409, 418, 420, 421, 423, 425, 429, 444, 499)),
        *map(rejected, (500, 502, 503, 504, 507, 508, 509, 511, *range(520, 531), 598, 599)),
    ],
)  # fmt: skip
def test_what_may_succeed_later(error: Exception) -> None:
    assert may_succeed_later(error)


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLCertVerificationError("x"), HandshakeFailed("x"), ProxyFailed("x", 407), ValueError("x"),
        *map(rejected, (400, 401, 402, 403, 405, 407, 410, 413, 414, 426, 431, 451, 501, 505)),
    ],
)  # fmt: skip
def test_what_will_not(error: Exception) -> None:
    assert not may_succeed_later(error)


NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30), ("Sunday, 06-Nov-94 08:50:07 GMT", 30), ("Sun Nov  6 08:50:07 1994", 30),
        ("Sun, 06 Nov 1994 08:49:60 GMT", 22), ("Sunday, 06-Nov-60 08:50:07 GMT", 2082844830), (NOW, 0),
        ("Sun, 06 Nov 1994 08:49:07 GMT", 0), ("Sunday, 06-Nov-93 08:50:07 GMT", 0), ("12", 12),
    ],
)  # fmt: skip
def test_retry_after_takes_every_form_of_a_date(asked: str, seconds: float) -> None:
    """It counts from the server's own clock."""
    error = HandshakeRejected(503, Headers([("date", NOW), ("retry-after", asked)]), b"")
    assert retry_after(error) == seconds


@pytest.mark.parametrize(
    "asked",
    [
        "", "soon", "-1", "+1", "1.5", "1e3", "0x10", "1, 2", "\u0661", "\u00b2", "Sun, 06 Nov 1994 08:50:07",
        "Sun, 06 Nov 1994 08:50:07 PST", "Sun, 06 Nov 1994 08:50:07 +0000", "Sun, 31 Feb 2094 08:50:07 GMT",
        "Sun, 06 Nov 2094 25:50:07 GMT", "Sun, 06 Nov 0000 08:50:07 GMT", "06 Nov 2094 08:50:07 GMT",
        "Sun, 6 Nov 2094 08:50:07 GMT", "2094-11-06T08:50:07Z",
    ],
)  # fmt: skip
def test_a_retry_after_that_says_nothing_is_passed_over(asked: str) -> None:
    assert retry_after(rejected(503, asked)) == 0


def test_without_a_date_of_the_server_ours_counts() -> None:
    asked = formatdate(time.time() + 1000, usegmt=True)
    assert 0 < retry_after(rejected(503, asked)) <= 1001
    assert 0 < retry_after(HandshakeRejected(503, Headers([("date", "now"), ("retry-after", asked)]), b"")) <= 1001


def test_an_error_without_an_answer_asks_for_no_pause() -> None:
    assert retry_after(OSError()) == 0


@pytest.mark.parametrize("sync", [True, False])
async def test_retry_decides(
    sync: bool, outcomes: list[Outcome], autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """True waits as ever, a number of seconds so long, False raises."""
    seen: list[int] = []
    verdicts: list[bool | float] = [True, 300.5, 0, False]

    def retry(error: Exception) -> bool | float:
        assert isinstance(error, HandshakeRejected)
        seen.append(error.status)
        return verdicts.pop(0)

    async def retry_async(error: Exception) -> bool | float:
        await trio.lowlevel.checkpoint()
        return retry(error)

    outcomes += [rejected(status) for status in (401, 403, 404, 503)]
    async with connect_forever("ws://chat.example/", retry=retry if sync else retry_async) as connections:
        with pytest.raises(HandshakeRejected, match="503"):
            await anext(connections)
    assert seen == [401, 403, 404, 503]
    assert trio.current_time() == 1 + 300.5
    assert "(the server answered 401); trying again in 1.0 s" in caplog.text  # a warning: somebody should look


@pytest.mark.parametrize(
    ("verdict", "error"),
    [(None, TypeError), ("5", TypeError), (-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError)],
)
async def test_retry_must_decide(verdict: Any, error: type[Exception], outcomes: list[Outcome]) -> None:
    outcomes += [OSError("one")]
    async with connect_forever("ws://chat.example/", retry=lambda _: verdict) as connections:
        with pytest.raises(error, match="retry returned") as caught:
            await anext(connections)
    assert isinstance(caught.value.__context__, OSError)


async def test_what_retry_raises_ends_the_loop(outcomes: list[Outcome]) -> None:
    def retry(error: Exception) -> bool:
        raise KeyError("mine")

    outcomes += [OSError("one")]
    async with connect_forever("ws://chat.example/", retry=retry) as connections:
        with pytest.raises(KeyError, match="mine"):
            await anext(connections)


@pytest.mark.parametrize("options", [{"retry": True}, {"retry": None}, {"failed": 3}, {"backoff": 3}, {"hedaers": ()}])
def test_wrong_options_raise_where_they_are_given(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        connect_forever("ws://chat.example/", **options)


@pytest.mark.parametrize("sync", [True, False])
async def test_url_and_headers_may_be_asked_for_before_each_try(
    sync: bool, outcomes: list[Outcome], autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[tuple[str, str]] = []
    real = OpeningPlan.open

    async def note(plan: OpeningPlan) -> Opened:
        tries.append((str(plan.target), plan.upgrade().headers["authorization"]))
        return await real(plan)

    monkeypatch.setattr(OpeningPlan, "open", note)
    count = itertools.count(1)

    def url() -> str:
        return f"ws://chat{len(tries)}.example/"

    def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {next(count)}"}

    async def url_async() -> str:
        await trio.lowlevel.checkpoint()
        return url()

    async def headers_async() -> dict[str, str]:
        await trio.lowlevel.checkpoint()
        return headers()

    outcomes += [OSError("one"), rejected(404), Ready()]
    given = (url, headers) if sync else (url_async, headers_async)
    async with connect_forever(given[0], headers=given[1]) as connections:
        ws = await anext(connections)
        assert ws.url == "ws://chat2.example/"
    assert tries == [(f"ws://chat{number}.example/", f"Bearer {number + 1}") for number in range(3)]


async def test_what_fails_to_tell_the_url_is_a_failure_of_that_try(
    outcomes: list[Outcome], autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "wsframe")
    failures: list[Exception] = [OSError("no directory"), KeyError("a bug")]

    def url() -> str:
        raise failures.pop(0)

    async with connect_forever(url) as connections:
        with pytest.raises(KeyError, match="a bug"):
            await anext(connections)
    assert trio.current_time() == 1
    assert "connection: not connected (no directory); trying again in 1.0 s" in caplog.text


@pytest.mark.parametrize("given", [3, None, b"ws://chat.example/", "http://chat.example/"])
async def test_a_function_that_names_no_url_ends_the_loop(given: Any, outcomes: list[Outcome]) -> None:
    async with connect_forever(lambda: given) as connections:
        with pytest.raises((TypeError, wsframe.InvalidURL)):
            await anext(connections)


@pytest.mark.parametrize("given", [{"X": "a\r\nY: b"}, {"Host\n": "x"}, {"Upgrade": "x"}])
async def test_a_function_whose_fields_cannot_be_sent_ends_the_loop(given: dict[str, str]) -> None:
    async with connect_forever("ws://127.0.0.1:1/", headers=lambda: given) as connections:
        with pytest.raises(ValueError, match=r"must not be sent|the handshake sets it"):
            await anext(connections)
