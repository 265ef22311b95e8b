"""A process that knows itself as a worker."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from wsframe.net.sockets import NamedSocket, traits_of
from wsframe.workers import worker as module
from wsframe.workers.board import Board
from wsframe.workers.control_socket import make_control_sockets
from wsframe.workers.orders import FORMAT, decode_message
from wsframe.workers.worker import VARIABLE, known_worker, survive_hangup, this_worker, worker_variable


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process be none."""
    monkeypatch.setattr(module, "made", [])


def test_a_process_that_no_supervisor_started_is_not_a_worker() -> None:
    assert this_worker({}) is None


@pytest.mark.parametrize("other", [{"format": FORMAT + 1}, {"format": "1"}, {}])
def test_a_worker_of_another_version_than_its_supervisor_tells_it_and_does_not_start(other: dict[str, object]) -> None:
    kept, link = make_control_sockets()
    told = {"link": os.dup(link.fileno()), "sockets": "in another form"} | other
    with pytest.raises(SystemExit) as ended:
        this_worker({VARIABLE: json.dumps(told)})
    assert ended.value.code == 2
    message = decode_message(kept.recv(10_000))
    assert message.name == "failed"
    assert "another version of wsframe" in message.fields["reason"]
    assert known_worker() is None
    kept.close()
    link.close()


def test_a_worker_that_cannot_tell_its_supervisor_of_another_version_prints_it() -> None:
    with pytest.raises(SystemExit, match="stop the service, and start it again"):
        this_worker({VARIABLE: "{}"})


def inherited(*fds: int) -> list[int]:
    """Return copies that a child process inherits."""
    copies = [os.dup(fd) for fd in fds]
    for fd in copies:
        os.set_inheritable(fd, True)
    return copies


def test_a_worker_takes_over_what_the_variable_names_and_passes_nothing_on() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    board, (kept, link) = Board.make(2), make_control_sockets()
    all_of_it = [listening, link, *(giving for giving, _ in pairs), pairs[1][1]]
    fds = inherited(*(sock.fileno() for sock in all_of_it))
    memory, lock, *lineage = inherited(board.fd, board.fd, *(sock.fileno() for sock in pairs[0]))
    environment = {
        "OTHER": "1",
        VARIABLE: worker_variable(
            slot=1, count=2, generation=3, sockets=fds[:1], traits=[("chat.example", False, True)], metrics=[],
            doors=fds[2:4], door=fds[4], board=memory, link=fds[1], folder="/run/x", lock=lock, supervisor=7,
            follows=True, giving=lineage[0], taking=lineage[1],
        ),
    }  # fmt: skip
    made = this_worker(environment)
    assert made is not None
    assert this_worker(environment) is made
    assert environment == {"OTHER": "1"}
    assert not any(map(os.get_inheritable, (*fds, *lineage, memory, lock)))
    assert made.follows
    assert made.giving is not None
    assert made.taking is not None
    for sending, receiving in ((made.giving, made.taking), (made.doors[1], made.door), (kept, made.link)):
        sending.send(b"x")
        assert receiving.recv(10) == b"x"
    assert (made.slot, made.count, made.generation, made.relay) == (1, 2, 3, "/run/x/relay")
    (place,) = made.sockets
    assert isinstance(place, NamedSocket)
    assert (traits_of(place), place.getsockname()) == (("chat.example", False, True), listening.getsockname())
    made.row.clients = 4
    assert board.row(1, 3).clients == 4
    ours = (kept, link, listening, *pairs[0], *pairs[1])
    for sock in (*made.sockets, *made.doors, made.door, made.link, made.giving, made.taking, *ours):
        sock.close()
    os.close(lock)
    board.close()
    made.board.close()


def test_a_hangup_of_all_processes_of_a_service_leaves_a_worker_alone() -> None:
    """It is the supervisor's order to restart; systemctl kill and pkill send it to all."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        survive_hangup()
        signal.raise_signal(signal.SIGHUP)
        heard: list[int] = []
        signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
        survive_hangup()
        signal.raise_signal(signal.SIGHUP)
        assert heard == [signal.SIGHUP]  # of the program itself
    finally:
        signal.signal(signal.SIGHUP, before)
