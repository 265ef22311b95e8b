"""An example that knows nothing of workers behaves with several as with one."""

from __future__ import annotations

from contextlib import ExitStack

from tests.examples.running import example_served
from tests.examples.test_programs import open_at
from tests.patience import PATIENCE


def test_15_rooms_that_clients_move_between_are_one_program_with_workers() -> None:
    with example_served("rooms.py", "--port", "0", "--workers", "2") as address, ExitStack() as stack:
        bob = stack.enter_context(open_at(address, "/rooms/kitchen"))
        assert bob.recv(PATIENCE) == "kitchen: somebody came, 1 here"
        for number in range(4):
            tab = stack.enter_context(open_at(address, "/lobby"))
            assert str(tab.recv(PATIENCE)).startswith("Lobby")
            tab.send("kitchen")
            assert bob.recv(PATIENCE) == f"kitchen: somebody came, {number + 2} here"
