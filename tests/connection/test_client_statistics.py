"""The statistics of one client."""

from __future__ import annotations

from tests.links import Links, running_in
from tests.protocol.peer import TEXT, frame
from wsframe.connection.client_statistics import statistics_of
from wsframe.protocol.frames import data_frame


async def test_statistics_count_messages_and_bytes_either_way() -> None:
    with running_in("python"):
        links = Links("python")
        peer = links.open()
        peer.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
        peer.link.outbox.put(data_frame(TEXT, b"reply"))
        before = statistics_of(peer.link)
        assert (before.messages_received, before.messages_waiting, before.messages_sent) == (2, 2, 1)
        assert before.bytes_received == 2 * len(frame(TEXT, b"one"))
        assert (before.bytes_sent, before.messages_dropped, before.latency) == (0, 0, None)
        assert before.bytes_waiting > 7
        peer.take_all()
        after = statistics_of(peer.link)
        assert (after.messages_received, after.messages_waiting) == (2, 0)
        assert (after.bytes_sent, after.bytes_waiting) == (7, 0)
        links.close()
