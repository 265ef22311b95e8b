"""Interest, history and leases, without input or output and with a clock that stands."""

from __future__ import annotations

from wsframe.backplane.hub import Hub, HubMember
from wsframe.backplane.interface import History, Kept, Position
from wsframe.backplane.queue import Gap, Message, Queue, Run, Wanted

KEEP = History(messages=3, seconds=10.0, bytes=100)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.wall = 5

    def hub(self, *, forgetful: bool = False) -> Hub:
        return Hub(lambda: self.now, lambda: self.wall, forgetful=forgetful)


def member(hub: Hub, node: str, *topics: str) -> HubMember:
    joined = hub.attach(node, Queue())
    hub.want(joined, topics)
    joined.queue.take()
    return joined


def payloads(one: HubMember) -> list[bytes]:
    return [report.payload for report in one.queue.take() if isinstance(report, Message)]


def test_a_message_goes_to_the_others_who_want_its_topic() -> None:
    hub = Clock().hub()
    a, b, c = member(hub, "a", "t"), member(hub, "b", "t"), member(hub, "c", "u")
    hub.publish(a, "t", b"x", None)
    assert (payloads(a), payloads(b), payloads(c)) == ([], [b"x"], [])


def test_one_object_goes_to_all() -> None:
    hub = Clock().hub()
    a, b, c = (member(hub, node, "t") for node in "abc")
    hub.publish(a, "t", b"x", None)
    assert b.queue.take()[0] is c.queue.take()[0]


def test_messages_are_passed_on_to_the_others_in_one_piece() -> None:
    hub = Clock().hub()
    a, b, c, d = member(hub, "a", "t"), member(hub, "b", "t"), member(hub, "c", "t"), member(hub, "d", "u")
    run = Run("t", b"a", b"frames")
    hub.pass_on(a, run)
    assert [one.queue.take() for one in (a, b, c, d)] == [[], [run], [run], []]


def test_a_kept_message_goes_to_its_publisher_too() -> None:
    hub = Clock().hub()
    a = member(hub, "a", "t")
    hub.publish(a, "t", b"x", KEEP)
    assert payloads(a) == [b"x"]


def test_a_member_that_left_or_wants_no_more_hears_nothing() -> None:
    hub = Clock().hub()
    a, b, c = (member(hub, node, "t") for node in "abc")
    hub.unwant(b, ["t", "never wanted"])
    hub.detach(c)
    hub.publish(a, "t", b"x", None)
    assert not b.queue
    assert not c.queue


def test_a_node_that_comes_again_takes_the_place_of_its_former_stream() -> None:
    hub = Clock().hub()
    former, a = member(hub, "b", "t"), member(hub, "a")
    again = member(hub, "b", "t")
    hub.detach(former)  # its end is noticed late
    hub.publish(a, "t", b"x", None)
    assert payloads(former) == []
    assert payloads(again) == [b"x"]


def test_a_gap_that_a_member_caused_is_reported_to_those_who_want_the_topic() -> None:
    hub = Clock().hub()
    a, b = member(hub, "a", "t"), member(hub, "b", "u")
    hub.report_gap("t")
    assert a.queue.take() == [Gap("t")]
    assert not b.queue
    hub.report_gap(None)
    assert a.queue.take() == b.queue.take() == [Gap(None)]


def test_wanting_tells_the_newest_position() -> None:
    hub = Clock().hub()
    a = member(hub, "a")
    hub.want(a, ["t"])
    assert a.queue.take() == [Wanted("t", None)]
    hub.publish(a, "t", b"x", KEEP)
    newest = hub.newest("t")
    assert newest.offset == 1
    b = hub.attach("b", Queue())
    hub.want(b, ["t"])
    assert b.queue.take() == [Wanted("t", newest)]


def kept(hub: Hub, offset: int, limit: int = 100) -> list[int] | None:
    newest = hub.newest("t")
    since = hub.since("t", Position(newest.epoch, offset), limit)
    return None if since is None else [one.offset for one in since]


def test_history_is_bounded_by_count_bytes_and_age() -> None:
    clock = Clock()
    hub = clock.hub()
    a = member(hub, "a")
    for _ in range(5):
        hub.publish(a, "t", b"x", KEEP)
    assert kept(hub, 2) == [3, 4, 5]
    assert kept(hub, 1) is None
    hub.publish(a, "t", b"x" * 98, KEEP)
    assert kept(hub, 4) == [5, 6] or kept(hub, 3) == [4, 5, 6]
    hub.publish(a, "t", b"x" * 101, KEEP)
    assert kept(hub, 6) is None
    assert kept(hub, 7) == []
    clock.now += 5
    hub.publish(a, "t", b"y", KEEP)
    clock.now += 5
    assert kept(hub, 7) == [8]
    clock.now += 5
    assert kept(hub, 7) is None
    assert kept(hub, 8) == []


def test_a_topic_has_a_position_as_soon_as_it_is_asked_for() -> None:
    clock = Clock()
    hub = clock.hub()
    first = hub.newest("t")
    a = member(hub, "a", "t")
    assert hub.kept("t") == (first, [])
    hub.publish(a, "t", b"x", KEEP)
    assert hub.newest("t") == first._replace(offset=1)
    assert hub.kept("t") == (hub.newest("t"), [Kept(1, "a", b"x")])
    clock.now += 20
    assert hub.kept("t") == (hub.newest("t"), [])


def test_a_history_that_nobody_wants_is_forgotten_when_it_is_too_old() -> None:
    clock = Clock()
    hub = clock.hub()
    a = member(hub, "a")
    hub.publish(a, "t", b"x", KEEP)
    hub.publish(a, "u", b"x", KEEP)
    hub.want(a, ["u"])
    before = hub.newest("t")
    hub.sweep()
    assert hub.newest("t") == before
    clock.now += 20
    hub.sweep()
    assert hub.newest("t").epoch != before.epoch
    assert hub.newest("t").offset == 0
    assert hub.newest("u") is not None
    hub.publish(a, "t", b"x", KEEP)
    after = hub.newest("t")
    assert before is not None
    assert after is not None
    assert after.epoch != before.epoch


def test_a_topic_without_history_has_no_position() -> None:
    assert Clock().hub().since("t", Position(1, 0), 10) is None


def test_a_lease_has_one_holder_until_it_ends() -> None:
    clock = Clock()
    hub = clock.hub()
    assert hub.acquire("a", ["k"], 5.0) == [5]
    assert hub.acquire("b", ["k", "l"], 5.0) == ["a", 6]
    clock.now += 4
    assert hub.renew([("k", 5), ("l", 5), ("m", 1)], 5.0) == [True, False, False]
    clock.now += 4.9
    assert hub.acquire("b", ["k"], 5.0) == ["a"]
    clock.now += 0.1
    assert hub.renew([("k", 5)], 5.0) == [False]
    assert hub.acquire("b", ["k"], 5.0) == [7]


def test_tokens_grow_though_the_wall_clock_goes_back() -> None:
    clock = Clock()
    hub = clock.hub()
    clock.wall = 100
    assert hub.acquire("a", ["k"], 5.0) == [100]
    hub.release([("k", 100), ("unknown", 1)])
    clock.wall = 50
    assert hub.acquire("b", ["k"], 5.0) == [101]
    hub.release([("k", 100)])
    assert hub.acquire("a", ["k"], 5.0) == ["b"]


def test_a_hub_that_lost_its_memory_grants_nothing_for_one_lease() -> None:
    clock = Clock()
    hub = clock.hub(forgetful=True)
    clock.now += 4.9
    assert hub.acquire("a", ["k", "l"], 5.0) == ["", ""]
    clock.now += 0.1
    assert hub.acquire("a", ["k"], 5.0) == [5]


def test_leases_that_have_ended_leave_nothing() -> None:
    clock = Clock()
    hub = clock.hub()
    hub.acquire("a", ["k"], 5.0)
    clock.now += 5
    hub.sweep()
    assert hub._held == {}
