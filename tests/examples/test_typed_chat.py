"""The typed chat works as described, and its document describes its messages."""

import json
import subprocess
import sys
from urllib.request import ProxyHandler, build_opener

from tests.examples.running import EXAMPLES, example_running, example_served
from tests.examples.speaking import open_at, receive, tell
from tests.patience import PATIENCE


def test_rooms_hear_what_is_said_in_them() -> None:
    with (
        example_running("typed_chat.py", "--port", "0") as address,
        open_at(address, "/rooms/lobby") as ann,
        open_at(address, "/rooms/lobby") as bob,
        open_at(address, "/rooms/attic") as cleo,
    ):
        tell(ann, type="say", text="too early")
        assert receive(ann) == {"type": "problem", "reason": "join first"}
        tell(ann, type="join", nick="ann")
        assert receive(ann) == receive(bob) == {"type": "joined", "nick": "ann"}
        tell(bob, type="join", nick="ann")
        assert receive(bob) == {"type": "problem", "reason": "somebody is called ann"}
        tell(cleo, type="join", nick="ann")
        assert receive(cleo) == {"type": "joined", "nick": "ann"}
        tell(ann, type="say", text="hello")
        assert receive(ann) == receive(bob) == {"type": "said", "nick": "ann", "text": "hello"}


def test_what_does_not_fit_is_a_problem_and_the_client_stays() -> None:
    with (
        example_served("typed_chat.py", "--port", "0") as address,
        open_at(address, "/rooms/lobby") as ann,
    ):
        for message, reason in (
            ({"type": "join"}, "missing required field `nick`"),
            ({"type": "join", "nick": "a b"}, "Expected `str` matching regex"),
            ({"type": "leave"}, "Invalid value 'leave'"),
        ):
            tell(ann, **message)
            problem = receive(ann)
            assert problem["type"] == "problem"
            assert reason in problem["reason"]
        ann.send("no JSON")
        assert "malformed" in receive(ann)["reason"]
        tell(ann, type="join", nick="ann")
        assert receive(ann)["type"] == "joined"
        with build_opener(ProxyHandler({})).open(f"{address}/readyz", timeout=PATIENCE) as answer:
            assert answer.read() == b"ready\n"


def test_its_description_names_its_messages() -> None:
    command = [sys.executable, "-m", "wsframe", "asyncapi", str(EXAMPLES / "typed_chat.py")]
    made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout)
    assert list(made["channels"]) == ["rooms_room"]
    assert list(made["channels"]["rooms_room"]["messages"]) == ["Join", "Say", "Joined", "Said", "Problem"]
    assert {name: len(operation["messages"]) for name, operation in made["operations"].items()} == {
        "receive-rooms_room": 2,
        "send-rooms_room": 3,
    }
