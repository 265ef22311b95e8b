"""The sockets and settings that workers inherit."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.descriptors import none_stays_open
from wsframe.workers.inherited import equipment, listening_at
from wsframe.workers.runtime import runtime_of
from wsframe.workers.worker import VARIABLE

TRAITS = ("chat.example", True, False)


def test_each_worker_inherits_all_sending_ends_and_the_receiving_end_of_its_own_door(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        runtime_of(str(tmp_path / "run")) as runtime,
        equipment(3, runtime, [listening], [TRAITS]) as made,
    ):
        told = [json.loads(made.variable(slot, 7, 99, 98, -1)[VARIABLE]) for slot in range(3)]
        assert all(one["sockets"] == [listening.fileno()] and one["traits"] == [list(TRAITS)] for one in told)
        assert [one["slot"] for one in told] == [0, 1, 2]
        assert len({tuple(one["doors"]) for one in told}) == 1
        assert len({one["door"] for one in told} | set(told[0]["doors"])) == 6
        for slot, one in enumerate(told):
            named = {*one["sockets"], *one["doors"], one["door"], one["board"], one["lock"], 99}
            assert set(made.descriptors(slot, 99, 98, -1)) == named | {98}
            assert not one["follows"]
        follower = json.loads(made.variable(0, 8, 99, 98, 97)[VARIABLE])
        assert (follower["follows"], follower["giving"], follower["taking"]) == (True, 98, 97)
        assert {97, 98} < set(made.descriptors(0, 99, 98, 97))
        with socket.socket(socket.AF_UNIX) as relay:
            relay.connect(runtime.path("relay"))


def test_a_relay_that_cannot_listen_names_the_path(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "relay")
    with none_stays_open(), pytest.raises(FileNotFoundError) as raised:
        listening_at(path, 1)
    assert raised.value.filename == path


def test_what_the_service_manager_says_is_for_the_supervisor_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MINE", "2")
    with runtime_of(str(tmp_path / "run")) as runtime, equipment(1, runtime, [], []) as made:
        environment = made.variable(0, 0, 9, 8, -1)
    assert environment["MINE"] == "2"
    assert set(os.environ) - set(environment) == {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"}
