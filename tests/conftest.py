"""Settings of the whole test run."""

import signal

import pytest
from hypothesis import settings

from tests.outside import require_c
from tests.rooms import Rooms
from wsframe import Registry

# The same examples in every run, whatever the speed of the machine: a red run can be repeated.
settings.register_profile("wsframe", derandomize=True, deadline=None, database=None)
settings.load_profile("wsframe")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every program they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_proxy_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a proxy of this machine's environment out of connections to the tests' own servers."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(scope="session")
def in_c() -> None:
    """Skip what needs the C extension, where that is not in use."""
    require_c()


@pytest.fixture
def rooms() -> Rooms:
    """Give a factory that notes what it made."""
    return Rooms()


@pytest.fixture
def registry(rooms: Rooms) -> Registry:
    """Give a registry where the factory makes ``/rooms/{room}``."""
    registry = Registry()
    registry.register_factory("/rooms/{room}", rooms.make)
    return registry
