"""The reports that wait for one member of a hub."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsframe.backplane.queue import MOST_HOLES, OVERHEAD, Gap, Message, Queue, Reach, Report, Run, Wanted, tell
from wsframe.testing.backplanes import Recording


def message(topic: str, payload: bytes = b"x") -> Message:
    return Message(topic, payload, "a", None)


def shown(reports: list[Report]) -> list[str]:
    return [f"{type(one).__name__} {one.up if isinstance(one, Reach) else one.topic}" for one in reports]


def test_reports_are_taken_in_order() -> None:
    queue = Queue()
    queue.put("t", Wanted("t", None), 1)
    queue.put("t", message("t"), 1)
    queue.put("u", message("u"), 1)
    assert queue
    assert queue.bytes == 2 * (1 + OVERHEAD)
    assert shown(queue.take()) == ["Wanted t", "Message t", "Message u"]
    assert not queue
    assert queue.bytes == 0


def test_a_hole_is_reported_before_the_next_message_of_its_topic() -> None:
    queue = Queue(1_000)
    queue.put("t", message("t"), 900)
    queue.put("u", message("u"), 900)
    queue.put("v", message("v"), 50 - OVERHEAD)
    queue.put("u", message("u"), 1)
    assert shown(queue.take()) == ["Message t", "Message v", "Gap u"]
    queue.put("u", message("u"), 1)
    assert shown(queue.take()) == ["Message u"]
    assert queue.dropped == 2


def test_a_message_above_the_limit_is_taken_alone() -> None:
    queue = Queue(1_000)
    queue.put("t", message("t"), 5_000)
    queue.put("t", message("t"), 5_000)
    assert shown(queue.take()) == ["Message t", "Gap t"]


def test_a_run_counts_with_all_its_bytes() -> None:
    queue = Queue(1_000)
    for _ in range(2):
        run = Run("t", b"a", bytes(700))
        queue.put("t", run, run.size)
    assert queue.bytes == 700 + OVERHEAD
    assert shown(queue.take()) == ["Run t", "Gap t"]


def test_each_report_rings() -> None:
    rung: list[None] = []
    queue = Queue(10, lambda: rung.append(None))
    queue.put("t", message("t"), 100)
    queue.put("t", message("t"), 100)
    queue.gap(None)
    queue.reach(True)
    assert len(rung) == 4
    assert not queue.doorbell.rung


def test_too_many_holes_are_one_of_all_topics() -> None:
    queue = Queue(10)
    queue.put("t", message("t"), 100)
    for number in range(MOST_HOLES + 1):
        queue.put(f"t{number}", message(f"t{number}"), 100)
    queue.put("new", message("new"), 1)
    assert shown(queue.take()) == ["Message t", "Gap None"]
    queue.put("new", message("new"), 1)
    assert shown(queue.take()) == ["Message new"]


def test_a_gap_that_others_report_has_its_place() -> None:
    queue = Queue()
    queue.put("t", message("t"), 1)
    queue.gap("t")
    queue.put("t", message("t"), 1)
    queue.gap(None)
    queue.put("t", message("t"), 1)
    assert shown(queue.take()) == ["Message t", "Gap t", "Message t", "Gap None", "Message t"]


def test_gaps_that_others_report_are_bounded() -> None:
    queue = Queue(10 * OVERHEAD)
    for number in range(2 * MOST_HOLES):
        queue.gap("t")
        queue.gap(str(number))
    queue.put("t", message("t"), 1)
    assert len(queue.take()) == 11
    for _ in range(2 * MOST_HOLES):
        queue.gap(None)
    queue.put("t", message("t"), 1)
    assert shown(queue.take()) == ["Gap None"] * 11


def test_the_last_report_of_the_reach_follows_all_others() -> None:
    queue = Queue()
    queue.reach(False)
    assert queue
    queue.gap(None)
    queue.reach(True)
    queue.put("t", Wanted("t", None), 1)
    assert shown(queue.take()) == ["Gap None", "Wanted t", "Reach True"]
    assert not queue
    assert queue.take() == []


def test_a_report_is_passed_on() -> None:
    told = Recording()
    for report in (message("t"), Wanted("t", None), Gap("t"), Gap(None), Reach(True)):
        tell(told, report)
    assert told.order == ["message t", "wanted t", "gap t", "gap None", "reach True"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400)) | st.none()))
def test_no_message_is_missing_without_a_gap(steps: list[tuple[str, int] | None]) -> None:
    """Messages are numbered for each topic; None takes."""
    queue, sent, seen = Queue(1_000), dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    gapped: set[str | None] = set()

    def check() -> None:
        for report in queue.take():
            if isinstance(report, Gap):
                gapped.add(report.topic)
            elif isinstance(report, Message):
                number = int(report.payload)
                assert number == seen[report.topic] + 1 or report.topic in gapped
                gapped.discard(report.topic)
                seen[report.topic] = number

    for step in steps:
        if step is None:
            check()
        else:
            topic, size = step
            sent[topic] += 1
            queue.put(topic, message(topic, str(sent[topic]).encode()), size)
    check()
    assert all(seen[topic] == sent[topic] or topic in gapped for topic in "abc")
