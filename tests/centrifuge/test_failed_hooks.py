"""Hooks of the protocol that fail: the client has an error and comes back, and no command makes one fail."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.centrifuge.noting import Noting
from tests.centrifuge.speaking import Speaker, connected, speaking
from wsframe import Client


@pytest.mark.parametrize(
    ("hook", "command"),
    [
        ("connecting", {"connect": {}}),
        ("subscribing", {"subscribe": {"channel": "c"}}),
        ("publishing", {"publish": {"channel": "c"}}),
        ("rpc", {"rpc": {"method": "m"}}),
    ],
)
async def test_a_hook_that_fails_is_an_internal_error_and_closes_so_that_the_sdk_comes_back(
    hook: str, command: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with speaking(Noting(**{hook: RuntimeError("oh")})) as kit:
        speaker = Speaker(await kit.connect())
        if hook != "connecting":
            await speaker.ask("connect")
        speaker.send(command)
        error = {"code": 100, "message": "internal server error", "temporary": True}
        assert (await speaker.next())["error"] == error
        assert (await speaker.end())[0] == 3004
    assert "RuntimeError: oh" in caplog.text


@pytest.mark.parametrize(
    ("hook", "command", "wanted"),
    [
        ("connecting", {"connect": {}}, "connecting returns a Connected or None"),
        ("subscribing", {"subscribe": {"channel": "c"}}, "subscribing returns a Subscribed or None"),
        ("publishing", {"publish": {"channel": "c"}}, "publishing returns a Published or None"),
    ],
)
async def test_an_answer_of_another_type_is_an_error_that_names_the_hook(
    hook: str, command: dict[str, Any], wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with speaking(Noting(**{hook: {"user": "7"}})) as kit:
        speaker = Speaker(await kit.connect())
        if hook != "connecting":
            await speaker.ask("connect")
        speaker.send(command)
        assert (await speaker.next())["error"]["code"] == 100
        await speaker.end()
    assert wanted in caplog.text


async def test_one_that_stays_after_a_failed_hook_has_its_reply(caplog: pytest.LogCaptureFixture) -> None:
    class Staying(Noting):
        on_hook_failed = "drop_message"

    async with speaking(Staying(subscribing=RuntimeError("oh"))) as kit:
        speaker = await connected(kit)
        assert (await speaker.ask("subscribe", channel="c"))["code"] == 100
        assert await speaker.ask("ping") == {}
        assert (await speaker.ask("subscribe", channel="c"))["code"] == 100  # and not 105
    assert "RuntimeError: oh" in caplog.text


JSON: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 2**31, 2**64, 1.5, "", "c", "x" * 300, "\ud800", [], {}, {"offset": 1}, {"a": {"offset": -1}}]
)
NAMES = ["channel", "token", "data", "recover", "epoch", "offset", "type", "tf", "limit", "since", "method", "flag"]
METHODS = ["connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "ping", "send",
           "rpc", "refresh", "sub_refresh", "nope"]  # fmt: skip


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(METHODS), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3)), max_size=4)
)
def test_no_commands_make_a_hook_fail(commands: list[tuple[str, dict[str, Any]]]) -> None:
    class Failing(Noting):
        async def hook_failed(self, error: BaseException, *, hook: str, client: Client | None) -> None:
            failures.append(error)

    failures: list[BaseException] = []

    async def converse() -> None:
        async with speaking(Failing()) as kit:
            speaker = await connected(kit)
            speaker.send(*({name: request} for name, request in commands))
            speaker.send({"ping": {}})

    trio.run(converse)
    assert failures == []
