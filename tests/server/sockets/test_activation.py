"""The descriptors that systemd passes, by the variables of sd_listen_fds(3)."""

from __future__ import annotations

import os

import pytest

from wsframe.server.sockets.activation import is_activated, is_child_of_activated, passed_descriptors


def of_systemd(pid: int | str | None = None, **variables: str) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid() if pid is None else pid), **variables}


@pytest.fixture
def two() -> tuple[int, int]:
    """Two neighbouring descriptors that are open: the standard streams."""
    return 1, 2


def test_descriptors_come_with_their_names_and_the_variables_go(two: tuple[int, int]) -> None:
    environment = of_systemd(LISTEN_FDS="2", LISTEN_FDNAMES="web:admin", LISTEN_PIDFDID="7", HOME="/")
    assert is_activated(environment)
    assert passed_descriptors(environment, two[0]) == {1: "web", 2: "admin"}
    assert environment == {"HOME": "/"}, "programs that this one starts are not meant"
    assert passed_descriptors(environment, two[0]) == {}


def test_without_names_each_is_called_unknown(two: tuple[int, int]) -> None:
    assert passed_descriptors(of_systemd(LISTEN_FDS="2"), two[0]) == {1: "unknown", 2: "unknown"}


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_FDS": "1"}, of_systemd(1, LISTEN_FDS="1"), of_systemd("x", LISTEN_FDS="1"), of_systemd()],
)
def test_those_for_another_process_are_left_alone(environment: dict[str, str]) -> None:
    before = dict(environment)
    assert not is_activated(environment)
    assert passed_descriptors(environment) == {}
    assert environment == before


def test_those_for_the_process_that_started_this_one_are_told() -> None:
    assert is_child_of_activated(of_systemd(os.getppid(), LISTEN_FDS="1"))
    assert not is_child_of_activated(of_systemd(os.getppid()))
    assert not is_child_of_activated(of_systemd(LISTEN_FDS="1"))
    assert not is_child_of_activated(of_systemd(1 if os.getppid() != 1 else 2, LISTEN_FDS="1"))
    assert not is_child_of_activated({"LISTEN_FDS": "1"})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"LISTEN_FDS": "0"}, "LISTEN_FDS must be the number of sockets, at least 1, not '?0"),
        ({"LISTEN_FDS": "-1"}, "at least 1"),
        ({"LISTEN_FDS": "one"}, "at least 1, not '?one"),
        ({"LISTEN_FDS": ""}, "at least 1"),
        ({"LISTEN_FDS": "\u0662"}, "at least 1"),
        ({"LISTEN_FDS": "99999999999999"}, "at least 1"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "web"}, "says 2, and LISTEN_FDNAMES names 1: '?web"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": ""}, ""),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b:c"}, "names 3"),
        ({"LISTEN_FDS": "5000"}, r"says 5000, and descriptor \d+ is not open: are there fewer sockets\?"),
    ],
)
def test_variables_that_cannot_be_true_are_an_error(variables: dict[str, str], words: str) -> None:
    environment = of_systemd(**variables)
    if not words:
        assert passed_descriptors(environment, 1) == {1: ""}
        return
    with pytest.raises(OSError, match=words):
        passed_descriptors(environment, 1)
