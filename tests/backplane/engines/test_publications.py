"""Messages wait in order, within bounds; those that may be lost are marked."""

from __future__ import annotations

import trio
import trio.testing

from tests.patience import PATIENCE
from wsframe.backplane.engines.envelope import EVERY_TOPIC, KEPT, MARK, PLAIN, body_of
from wsframe.backplane.engines.numbering import MOST_TOPICS
from wsframe.backplane.engines.publications import BATCH, BATCH_BYTES, LARGEST, MOST, Publications
from wsframe.backplane.interface import History


def test_messages_are_taken_in_order_and_in_batches() -> None:
    publications = Publications()
    for number in range(BATCH + 1):
        assert publications.put("n", "t", str(number).encode(), None)
    first, second = publications.take(), publications.take()
    payloads = [body_of(one.body)[2] for one in (*first, *second)]
    assert payloads == [str(number).encode() for number in range(BATCH + 1)]
    assert len(first) == BATCH
    assert publications.take() == []


def test_a_batch_ends_once_it_has_its_bytes() -> None:
    publications = Publications(limit=10 * BATCH_BYTES)
    for _ in range(4):
        publications.put("n", "t", bytes(BATCH_BYTES // 2 + 1), None)
    assert len(publications.take()) == 2


def test_heads_say_which_messages_are_kept() -> None:
    publications = Publications()
    publications.put("n", "t", b"", None)
    publications.put("n", "t", b"", History())
    assert [one.head for one in publications.take()] == [PLAIN, KEPT]


def test_bytes_that_wait_are_bounded_and_one_message_always_fits() -> None:
    publications = Publications(limit=1_000)
    assert publications.put("n", "t", bytes(5_000), None)
    assert not publications.put("n", "t", b"x", None)
    publications.take()
    assert publications.put("n", "t", b"x", None)


def test_a_message_that_is_too_large_for_an_engine_is_refused_and_marked() -> None:
    publications = Publications()
    assert publications.put("n", "t", bytes(LARGEST), None)
    publications.take()
    publications.done()
    assert not publications.put("n", "t", bytes(LARGEST + 1), None)
    publications.mark("n")
    (mark,) = publications.take()
    assert (mark.head, mark.topic, body_of(mark.body)[0]) == (MARK, "t", 2)


def test_messages_that_wait_are_bounded_in_number() -> None:
    publications = Publications(limit=1 << 40)
    assert sum(publications.put("n", "t", b"", None) for _ in range(MOST + 5)) == MOST


def test_a_message_that_was_refused_is_marked_once_there_is_room() -> None:
    publications = Publications(limit=1_000)
    publications.put("n", "t", bytes(1_000), None)
    publications.put("n", "t", b"refused", None)
    publications.mark("n")
    assert [one.head for one in publications.take()] == [PLAIN]
    publications.done()
    publications.mark("n")
    (mark,) = publications.take()
    assert (mark.head, mark.topic, body_of(mark.body)) == (MARK, "t", (2, "n", b""))
    publications.done()
    publications.mark("n")
    assert publications.take() == []


def test_a_batch_whose_connection_broke_is_not_sent_again_but_marked() -> None:
    publications = Publications()
    publications.put("n", "t", b"in doubt", None)
    publications.take()
    publications.put("n", "u", b"waits", None)
    publications.refuse("v")
    publications.renew("n")
    assert [(one.topic, one.head, body_of(one.body)[0]) for one in publications.take()] == [
        ("t", MARK, 1),
        ("u", PLAIN, 1),
        ("v", MARK, 1),
    ]
    publications.done()
    publications.renew("n")
    assert publications.take() == []


def test_a_mark_goes_before_the_next_message_of_its_topic() -> None:
    publications = Publications()
    publications.refuse("t")
    publications.put("n", "t", b"after", None)
    publications.renew("n")
    assert [(one.head, body_of(one.body)[0]) for one in publications.take()] == [(MARK, 1), (PLAIN, 2)]


def test_each_topic_of_a_refused_message_is_marked() -> None:
    publications = Publications()
    topics = [str(number) for number in range(2_500)]
    for topic in topics:
        publications.refuse(topic)
    publications.renew("n")
    marked = []
    while batch := publications.take():
        marked += [one.topic for one in batch if one.head == MARK]
        publications.done()
        publications.mark("n")
    assert marked == topics


def test_topics_in_doubt_are_bounded_and_beyond_that_all_topics_are() -> None:
    publications = Publications()
    for number in range(MOST_TOPICS):
        publications.refuse(str(number))
    assert len(publications._in_doubt) == MOST_TOPICS
    publications.refuse("one more")
    publications.refuse("another")
    assert not publications._in_doubt
    publications.put("n", "t", b"after", None)
    assert [(one.topic, one.head) for one in publications.take()] == [(EVERY_TOPIC, MARK), ("t", PLAIN)]


def test_all_topics_in_doubt_are_marked_once_before_the_next_message_or_alone() -> None:
    publications = Publications()
    publications.refuse("t")
    publications.refuse(None)
    publications.mark("n")
    assert [(one.topic, one.head) for one in publications.take()] == [(EVERY_TOPIC, MARK)]
    publications.renew("n")  # the connection has broken in the meantime
    assert [(one.topic, one.head) for one in publications.take()] == [(EVERY_TOPIC, MARK)]
    publications.done()
    publications.renew("n")
    assert publications.take() == []


def test_marks_of_connections_that_are_never_used_are_bounded() -> None:
    publications = Publications()
    for _ in range(5):
        for number in range(MOST // 3):
            publications.refuse(str(number))
        publications.renew("n")
        publications.mark("n")
    assert len(publications._waiting) <= MOST
    marked: dict[str, int] = {}
    while batch := publications.take():
        marked |= {one.topic: body_of(one.body)[0] for one in batch}
        publications.done()
        publications.mark("n")
    assert marked == {str(number): 5 for number in range(MOST // 3)}


async def test_all_that_wait_for_the_end_of_a_batch_go_on() -> None:
    publications = Publications()
    publications.put("n", "t", b"", None)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(publications.sent)
                await trio.testing.wait_all_tasks_blocked()
            publications.take()
            publications.done()
        await publications.sent()


def test_half_of_the_room_is_a_crowd() -> None:
    publications, crowded = Publications(limit=10_000), list[bool]()
    for size in (4_000, 1_000):
        publications.put("n", "t", bytes(size), None)
        crowded.append(publications.is_crowded)
    publications.take()
    assert [*crowded, publications.is_crowded] == [False, True, False]
