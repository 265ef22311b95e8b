"""Limits, timeouts and capacity: refused values, and inherited ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from math import inf, nan
from typing import Any

import pytest

from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, INHERIT, Capacity, Limits, Timeouts, filled

Options = Callable[..., Any]
COUNTS = [(kind, field.name) for kind in (Limits, Capacity) for field in fields(kind)]


@pytest.mark.parametrize(("kind", "field"), COUNTS)
def test_a_size_or_count_below_one_is_refused(kind: Options, field: str) -> None:
    with pytest.raises(ValueError, match=rf"\.{field} must be at least 1, not 0"):
        kind(**{field: 0})
    with pytest.raises(ValueError, match=rf"\.{field} must be at least 1, not -2"):
        kind(**{field: -2})
    assert getattr(kind(**{field: 1}), field) == 1


@pytest.mark.parametrize("field", [field.name for field in fields(Capacity)])
def test_a_capacity_of_minus_one_is_refused(field: str) -> None:
    """A capacity inherits from nothing, so INHERIT there is a number below one."""
    with pytest.raises(ValueError, match=rf"Capacity\.{field} must be at least 1, not -1"):
        Capacity(**{field: -1})


@pytest.mark.parametrize("field", [field.name for field in fields(Timeouts)])
def test_a_negative_time_is_refused_and_none_at_all_passes(field: str) -> None:
    with pytest.raises(ValueError, match=rf"Timeouts\.{field} must be at least 0, not -0.5"):
        Timeouts(**{field: -0.5})
    assert getattr(Timeouts(**{field: 0}), field) == 0


@pytest.mark.parametrize("value", ["9", True, [], 1j])
@pytest.mark.parametrize(("kind", "field"), [*COUNTS, *((Timeouts, field.name) for field in fields(Timeouts))])
def test_what_is_no_number_is_a_type_error_that_names_the_field(kind: Options, field: str, value: object) -> None:
    name = f"{kind.__name__}.{field}"
    with pytest.raises(TypeError, match=rf"^{name} must be an? (int|number)( or None)?, not {type(value).__name__}$"):
        kind(**{field: value})


def test_none_is_no_number_where_there_is_no_other_meaning() -> None:
    cases: list[tuple[Options, str]] = [(Limits, "max_message"), (Timeouts, "close"), (Capacity, "backlog")]
    for kind, field in cases:
        with pytest.raises(TypeError, match=f"{field} must be an? (int|number), not NoneType"):
            kind(**{field: None})


def test_a_part_of_an_byte_is_no_count_and_not_a_number_no_time() -> None:
    with pytest.raises(TypeError, match=r"Limits\.max_message must be an int, not float"):
        Limits(max_message=1e6)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Timeouts\.close must be at least 0, not nan"):
        Timeouts(close=nan)
    assert Timeouts(close=inf).close == inf


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (Limits, "max_frame"),
        (Timeouts, "ping_interval"),
        (Capacity, "max_clients_per_address"),
        (Capacity, "max_clients"),
    ],
)
def test_none_is_no_limit_where_it_is_allowed(kind: Options, field: str) -> None:
    assert getattr(kind(**{field: None}), field) is None


def test_a_frame_limit_that_could_never_act_is_refused() -> None:
    with pytest.raises(ValueError, match="max_frame 11 is above max_message 10"):
        Limits(max_frame=11, max_message=10)
    assert Limits(max_frame=10, max_message=10).max_frame == 10
    assert Limits(max_frame=11).max_message == INHERIT


def test_a_frame_limit_that_could_never_act_is_refused_when_it_is_inherited() -> None:
    with pytest.raises(ValueError, match="max_frame 11 is above max_message 10"):
        filled(Limits(max_frame=11), Limits(max_message=10))


@pytest.mark.parametrize(("kind", "defaults"), [(Limits, DEFAULT_LIMITS), (Timeouts, DEFAULT_TIMEOUTS)])
def test_the_defaults_have_a_value_for_every_field(kind: Options, defaults: Limits | Timeouts) -> None:
    assert all(getattr(kind(), field.name) == INHERIT for field in fields(defaults))
    assert filled(kind(), defaults) == defaults
    assert all(getattr(defaults, field.name) != INHERIT for field in fields(defaults))


def test_what_is_set_stays_and_the_rest_is_inherited() -> None:
    limits = filled(Limits(max_message=5, max_frame=None), Limits(max_message=7, max_fragments=3, max_frame=6))
    assert (limits.max_message, limits.max_frame, limits.max_fragments) == (5, None, 3)
    timeouts = filled(Timeouts(ping_interval=None), filled(Timeouts(close=1), DEFAULT_TIMEOUTS))
    assert (timeouts.ping_interval, timeouts.close, timeouts.drain) == (None, 1, 8)


def test_the_defaults_are_those_documented() -> None:
    """Named in the fields' descriptions, the README and the reference."""
    assert (DEFAULT_LIMITS.max_message, DEFAULT_LIMITS.max_frame, DEFAULT_LIMITS.max_fragments) == (2**20, None, 4096)
    assert (DEFAULT_LIMITS.max_queued_messages, DEFAULT_LIMITS.max_queued_bytes) == (256, 2**20)
    assert (DEFAULT_LIMITS.max_outbox, DEFAULT_LIMITS.unsent_low_water) == (2**20, None)
    assert (DEFAULT_TIMEOUTS.handshake, DEFAULT_TIMEOUTS.ping_interval, DEFAULT_TIMEOUTS.ping_timeout) == (10, 20, 20)
    assert (DEFAULT_TIMEOUTS.write_stall, DEFAULT_TIMEOUTS.close, DEFAULT_TIMEOUTS.drain) == (30, 5, 8)
    capacity = Capacity()
    assert (capacity.max_clients, capacity.max_clients_per_address) == (1000, None)
    assert (capacity.max_pending_handshakes, capacity.max_head, capacity.backlog) == (200, 16384, 1024)


@pytest.mark.parametrize("kind", [Limits, Timeouts, Capacity])
def test_options_are_named(kind: Options) -> None:
    """A number without a name says nothing, and fields may be added between."""
    with pytest.raises(TypeError, match="positional"):
        kind(1)


@pytest.mark.parametrize("options", [Limits(), Timeouts(), Capacity()])
def test_options_cannot_be_changed(options: Limits | Timeouts | Capacity) -> None:
    """They are shared by all clients."""
    with pytest.raises(FrozenInstanceError):
        setattr(options, fields(options)[0].name, 1)


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        (Limits(), 128 * 1024),
        (Limits(max_outbox=1), 128 * 1024),
        (Limits(max_outbox=4 * 2**20), 512 * 1024),
        (Limits(max_outbox=2**30), 2**20),
        (Limits(max_outbox=2**30, unsent_low_water=4096), 4096),
    ],
)
def test_the_kernel_holds_an_eighth_of_the_outbox(limits: Limits, size: int) -> None:
    assert filled(limits, DEFAULT_LIMITS).unsent_in_kernel == size


def test_a_repr_has_the_fields_that_are_set() -> None:
    assert repr(Limits()) == "Limits()"
    assert repr(Limits(max_message=4096, max_frame=None)) == "Limits(max_message=4096, max_frame=None)"
    assert repr(Timeouts(hook=2.5)) == "Timeouts(hook=2.5)"
    assert str(-1) not in repr(DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("kind", "defaults", "field"), [(Limits, DEFAULT_LIMITS, "max_message"), (Timeouts, DEFAULT_TIMEOUTS, "close")]
)
def test_options_without_a_field_of_their_own_are_the_defaults_themselves(
    kind: Options, defaults: Any, field: str
) -> None:
    """Each room would hold a copy."""
    assert filled(kind(), defaults) is defaults
    changed = filled(kind(**{field: 7}), defaults)
    assert getattr(changed, field) == 7
    assert filled(changed, defaults) == changed
