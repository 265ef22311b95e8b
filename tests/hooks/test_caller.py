"""``on_hook_failed``: the cost of a failed hook where ``hook_failed`` is not overridden."""

import logging

import pytest

import wsframe
from tests.recorder import Echo
from tests.wire import BINARY, PONG, connected, frame, serving, text


class Failing(Echo):
    """Raises in the hook whose name it is given, the first time."""

    def __init__(self, hook: str) -> None:
        super().__init__()
        self.hook: str | None = hook

    def fail(self, hook: str) -> None:
        if hook == self.hook:
            self.hook = None
            raise ZeroDivisionError(hook)

    async def client_connected(self, client: wsframe.Client) -> None:
        await super().client_connected(client)
        self.fail("client_connected")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.fail("received_text")
        await super().received_text(client, message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.fail("received_binary")
        await super().received_binary(client, message)

    async def received_pong(self, client: wsframe.Client, payload: bytes) -> None:
        self.fail("received_pong")

    async def received_custom(self, message: object) -> None:
        self.fail("received_custom")
        await super().received_custom(message)


class Lenient(Failing):
    on_hook_failed = "drop_message"


@pytest.mark.parametrize(
    ("hook", "data"),
    [("received_text", text("lost")), ("received_binary", frame(BINARY, b"lost")), ("received_pong", frame(PONG))],
)
async def test_drop_message_goes_on_with_the_next(hook: str, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    room = Lenient(hook)
    async with serving(room) as server, connected(server, trailing=data + text("next")) as peer:
        assert await peer.receive_text() == "next"
        await peer.finish()
        await room.journal.until("disconnected 1000")
    assert room.notes == ["connected", "text next", "disconnected 1000"]
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage().startswith(f"{hook} of Lenient failed for <Client ")
    assert record.exc_info is not None


async def test_drop_message_drops_a_client_that_could_not_be_greeted() -> None:
    async with serving(Lenient("client_connected")) as server, connected(server, trailing=text("x")) as peer:
        assert await peer.receive_close() == (1011, "internal error")


async def test_drop_message_is_for_posts_as_ever() -> None:
    room = Lenient("received_custom")
    async with serving(room) as server, connected(server) as peer:
        room.post("lost")
        room.post("next")
        await room.journal.until("custom next")
        await peer.finish()


async def test_drop_client_is_the_default() -> None:
    assert wsframe.Resource.on_hook_failed == "drop_client"

    async with (
        serving(Failing("received_text")) as server,
        connected(server, trailing=text("x") + text("next")) as peer,
    ):
        assert await peer.receive_close() == (1011, "internal error")


def test_unknown_choice_is_a_type_error_that_lists_the_choices() -> None:
    with pytest.raises(TypeError, match="on_hook_failed must be one of drop_client, drop_message"):
        type("Wrong", (wsframe.Resource,), {"on_hook_failed": "ignore"})
