"""Each module of wsframe has the tests of its own name, so that nobody has to search for them."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import SLOW, WAITING, is_among

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "wsframe"

ELSEWHERE = {
    # Programs, of two lines each: tests start them.
    "__main__": "cli/test_serve.py",
    "cli/reloaded": "cli/test_reload.py",
    # Types and values alone.
    "centrifuge/hooks": "centrifuge/test_command_handler.py",
    "backplane/engines/engine": "backplane/engines/test_supervised.py",
    "hooks/leased_partitions": "server/ownership/test_owned_partitions.py",
    "hooks/forced_end": "server/ownership/test_owned_partitions.py",
    "hooks/ownership_guard": "server/ownership/test_owned_partitions.py",
    "resources/ownership": "server/ownership/test_owned_partitions.py",
    "server/ownership/reports": "server/ownership/test_owned_partitions.py",
    "server/ownership/partition_owner": "server/ownership/test_owned_partitions.py",
    "backplane/postgres/link": "backplane/postgres/test_backplane.py",
    "backplane/postgres/schema": "backplane/postgres/test_backplane.py",
    "backplane/redis/scripts": "backplane/redis/test_link.py",
    "backplane/redis/connection": "backplane/redis/test_link.py",
    "connection/interfaces": "connection/test_reactor.py",
    "protocol/encoder": "protocol/test_deflate.py",
    "resources/life": "resources/topics/test_topics.py",
    # Methods that only call those of another module.
    "resources/topic_hooks": "resources/topics/test_topics.py",
}
"""Modules with nothing of their own to test."""


def own_test_of(module: str) -> Path:
    room, _, name = module.rpartition("/")
    return TESTS / room / f"test_{name.lstrip('_')}.py"


MODULES = [
    path.relative_to(PACKAGE).with_suffix("").as_posix()
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
]


def test_each_module_has_the_tests_of_its_name() -> None:
    assert MODULES
    to_write = [own_test_of(module) for module in MODULES if module not in ELSEWHERE]
    assert [path.relative_to(TESTS) for path in to_write if not path.exists()] == []


def test_what_is_tested_elsewhere_is_there() -> None:
    assert [tests for tests in ELSEWHERE.values() if not (TESTS / tests).exists()] == []


def test_each_slow_room_or_file_is_there() -> None:
    assert [name for name in SLOW | WAITING if not (TESTS / name).exists()] == []


def test_a_room_or_file_waits_or_is_slow_for_another_reason() -> None:
    assert SLOW.isdisjoint(WAITING)


def test_a_file_is_slow_by_its_name_or_its_room() -> None:
    assert is_among(SLOW, TESTS / "chaos")
    assert is_among(SLOW, TESTS / "chaos/test_chaos.py")
    assert is_among(SLOW, TESTS / "cli/test_serve.py")
    assert not is_among(SLOW, TESTS / "cli")
    assert not is_among(SLOW, TESTS / "cli/test_limit_options.py")
    assert not is_among(SLOW, TESTS)
    assert not is_among(SLOW, TESTS.parent / "chaos")
