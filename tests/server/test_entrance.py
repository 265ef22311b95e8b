"""Each newcomer has a task of its own, and its end lets those that wait accept again."""

from __future__ import annotations

import socket
from typing import cast

import trio
from trio.testing import wait_all_tasks_blocked

from tests.patience import PATIENCE
from wsframe.net.sockets import notify_closing
from wsframe.server.admission import Admission
from wsframe.server.entrance import Entrance
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.newcomers.pending import Pending
from wsframe.server.sockets.listen import Bound
from wsframe.user_code.protected_nursery import ProtectedNursery


class Asked(Pending):
    """Counts the questions for room."""

    asked = 0

    def make_room(self) -> None:
        self.asked += 1


class Two:
    """An admission that takes on two newcomers, until they may go."""

    passage = None
    splices = None

    def __init__(self) -> None:
        self.pending = Asked(2)
        self.hosts: list[object] = []
        self.gate = trio.Event()

    def admit_at_once(self, newcomer: Newcomer) -> bool:
        return False

    async def admit(self, newcomer: Newcomer) -> None:
        self.hosts.append(newcomer.place.hosts)
        await self.gate.wait()
        self.pending.decided(newcomer)
        notify_closing(newcomer.sock)
        newcomer.sock.close()


async def test_newcomers_are_admitted_while_there_is_room() -> None:
    two = Two()
    with socket.create_server(("127.0.0.1", 0)) as listening, trio.fail_after(PATIENCE):
        listening.setblocking(False)
        peers = [socket.create_connection(listening.getsockname()) for _ in range(3)]
        async with ProtectedNursery() as newcomers, ProtectedNursery() as accepting:
            place = Bound(sock=listening, hosts={"a.example"})
            Entrance(cast(Admission, two), newcomers, 10).open([place], accepting)
            while not two.pending.asked or len(two.hosts) < 2:  # noqa: ASYNC110
                await trio.sleep(0.001)
            assert two.hosts == [{"a.example"}] * 2
            two.gate.set()
            while len(two.hosts) < 3:  # noqa: ASYNC110
                await trio.sleep(0.001)
            await wait_all_tasks_blocked()
            assert two.pending.all() == []
            accepting.cancel()
        for peer in peers:
            peer.close()
