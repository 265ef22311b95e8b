"""Options are checked when they are made, and have the effect that their names say."""

from __future__ import annotations

import pytest

from wsframe import Backoff, Limits, Opening
from wsframe.outgoing import options
from wsframe.outgoing.options import filled_limits


@pytest.mark.parametrize("name", ["connect", "tunnel", "tls", "handshake", "max_head", "max_body", "max_redirects"])
def test_nothing_of_opening_is_negative(name: str) -> None:
    with pytest.raises(ValueError, match=f"Opening.{name} must be at least 0"):
        Opening(**{name: -1})


@pytest.mark.parametrize("given", [{"first": -1}, {"factor": 0.5}, {"most": -1}, {"steady": -1}])
def test_a_backoff_does_not_go_backwards(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"Backoff.{next(iter(given))}"):
        Backoff(**given)


def test_the_waits_grow_up_to_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "random", lambda: 1.0)
    backoff = Backoff(first=1, factor=3, most=20)
    assert [backoff.delay(failures) for failures in (1, 2, 3, 4, 5, 10_000)] == [1, 3, 9, 20, 20, 20]


@pytest.mark.parametrize("factor", [1e5, 10**5, 1e300, 10**300])
def test_the_waits_have_a_most_whatever_the_factor(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "random", lambda: 1.0)
    backoff = Backoff(first=1, factor=factor, most=20)
    assert {backoff.delay(failures) for failures in range(2, 200)} == {20}
    assert {Backoff(first=0, factor=factor).delay(failures) for failures in range(1, 200)} == {0}


def test_the_waits_are_drawn_from_all_of_it() -> None:
    draws = [Backoff(first=8).delay(1) for _ in range(300)]
    assert 0 <= min(draws) < 1
    assert 7 < max(draws) <= 8


def test_rates_are_for_servers() -> None:
    with pytest.raises(ValueError, match="max_message_rate is for servers"):
        filled_limits(Limits(max_message_rate=1))
    assert filled_limits(Limits(max_byte_rate=None)).max_message == 1024 * 1024
