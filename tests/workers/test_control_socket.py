"""The two ends of the link between the supervisor and a worker."""

from __future__ import annotations

import trio
import trio.testing

from wsframe.workers.control_socket import ControlSocket, make_control_sockets
from wsframe.workers.orders import ControlMessage


async def test_messages_come_in_order_and_then_the_end() -> None:
    one, other = map(ControlSocket, make_control_sockets())
    one.say("hurry")
    one.say("begin", partitions=[3])
    assert [await other.hear(), await other.hear()] == [
        ControlMessage("hurry", {}),
        ControlMessage("begin", {"partitions": [3]}),
    ]
    one.close()
    assert await other.hear() is None
    other.say("ready")  # nobody hears it, and nothing is raised
    other.close()


async def test_all_that_is_said_to_an_end_that_does_not_hear_waits_for_it() -> None:
    one, other = map(ControlSocket, make_control_sockets())
    partitions = [[number] * 200 for number in range(1000)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.send_waiting)
        for numbers in partitions:
            one.say("over", partitions=numbers)  # far more than a socket holds
        await trio.testing.wait_all_tasks_blocked()
        heard = [await other.hear() for _ in partitions]
        nursery.cancel_scope.cancel()
    assert [None if message is None else message.fields["partitions"] for message in heard] == partitions
    one.close()
    other.close()
