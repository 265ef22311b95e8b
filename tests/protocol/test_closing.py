"""The table of the end of a connection, by itself: no phase is a trap, and nothing comes after the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.protocol.closing import CLOSING_TABLE, Action, ClosingEvent, Phase

ORDER = [Phase.OPEN, Phase.PEER_ENDED, Phase.WE_CLOSED, Phase.BOTH_CLOSED, Phase.LINGERING, Phase.GONE]
ENDS = {Action.CLOSE_SOCKET, Action.RESET, Action.LET_GO}


class Closing:
    """The phase of one connection."""

    def __init__(self) -> None:
        self.phase = Phase.OPEN

    def on(self, event: ClosingEvent) -> tuple[Action, ...]:
        self.phase, actions = CLOSING_TABLE.get((self.phase, event), (self.phase, ()))
        return actions


def test_an_event_that_the_table_does_not_name_changes_nothing() -> None:
    closing = Closing()
    assert closing.on(ClosingEvent.TCP_ENDED) == ()
    assert closing.phase is Phase.OPEN


@given(st.lists(st.sampled_from(ClosingEvent)))
def test_no_phase_comes_back(events: list[ClosingEvent]) -> None:
    closing = Closing()
    before = 0
    for event in events:
        closing.on(event)
        now = ORDER.index(closing.phase)
        assert now >= before
        before = now


@given(st.lists(st.sampled_from(ClosingEvent)))
def test_the_socket_is_closed_once_and_then_only_the_end_is_delivered(events: list[ClosingEvent]) -> None:
    closing = Closing()
    done = [action for event in events for action in closing.on(event)]
    at = [place for place, action in enumerate(done) if action in ENDS]
    assert len(at) == (closing.phase is Phase.GONE)
    assert not at or set(done[at[0] + 1 :]) <= {Action.DELIVER}


@given(st.lists(st.sampled_from(ClosingEvent)))
def test_at_most_one_close_frame_is_queued(events: list[ClosingEvent]) -> None:
    closing = Closing()
    done = [action for event in events for action in closing.on(event)]
    assert sum(action in (Action.SEND_CLOSE, Action.ANSWER) for action in done) <= 1


@given(st.lists(st.sampled_from(sorted(set(ClosingEvent) - {ClosingEvent.PEER_END}, key=lambda event: event.name))))
def test_an_end_of_the_peer_is_delivered_whenever_it_comes(events: list[ClosingEvent]) -> None:
    closing = Closing()
    for event in events:
        closing.on(event)
    assert Action.DELIVER in closing.on(ClosingEvent.PEER_END)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.GONE])
def test_every_phase_ends_when_the_socket_is_lost(phase: Phase) -> None:
    assert CLOSING_TABLE[phase, ClosingEvent.LOST] == (Phase.GONE, (Action.CLOSE_SOCKET,))
    assert CLOSING_TABLE[phase, ClosingEvent.ABORT] == (Phase.GONE, (Action.RESET,))


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.OPEN, Phase.GONE)])
def test_every_phase_of_an_end_has_a_deadline_that_ends_it(phase: Phase) -> None:
    closing = Closing()
    closing.phase = phase
    for _ in range(len(Phase)):
        closing.on(ClosingEvent.OVERDUE)
        closing.on(ClosingEvent.ALL_SENT)
    assert closing.phase is Phase.GONE
