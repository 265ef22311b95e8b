"""The hooks of a hand-over: their defaults, and mistakes found where the class is made."""

from __future__ import annotations

import pytest

import wsframe
from wsframe.resources.handing_over import hands_over


class Stays(wsframe.Resource):
    pass


class Goes(wsframe.Resource):
    async def hand_over(self) -> bytes:
        return b"state"


def test_only_a_resource_that_defines_hand_over_takes_part() -> None:
    assert not hands_over(Stays())
    assert not hands_over(wsframe.JSONResource())
    assert hands_over(Goes())
    assert hands_over(type("Derived", (Goes,), {})())


async def test_the_defaults_pass_the_client_s_data() -> None:
    class Peer:
        data: object = None

    before, after = Peer(), Peer()
    before.data = {"name": "Ann"}
    Stays().restore_client(after, Stays().client_state(before))  # type: ignore[arg-type]
    assert after.data == {"name": "Ann"}
    assert await Stays().hand_over() == b""
    await Stays().take_over(b"")


@pytest.mark.parametrize("name", ["hand_over", "take_over"])
def test_they_are_coroutine_functions(name: str) -> None:
    with pytest.raises(TypeError, match=f"Chat.{name} must be a coroutine function"):
        type("Chat", (wsframe.Resource,), {name: lambda self, *args: None})


@pytest.mark.parametrize("name", ["client_state", "restore_client"])
def test_the_state_of_a_client_is_plain_functions(name: str) -> None:
    async def hook(self: object, *args: object) -> None: ...

    with pytest.raises(TypeError, match=f"Chat.{name} must be a plain function"):
        type("Chat", (wsframe.Resource,), {name: hook})


def test_a_hook_that_takes_something_else_is_found() -> None:
    def restore(self: object, client: object) -> None: ...

    with pytest.raises(TypeError, match=r"Chat.restore_client takes .*, but is called with \(self, client, state\)"):
        type("Chat", (wsframe.Resource,), {"restore_client": restore})
