"""Places: refusals, and that every place comes back."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.responses import Reject
from wsframe.limits import Capacity
from wsframe.server.capacity import Places, network_of


@pytest.fixture
def places() -> Places:
    return Places(Capacity(max_clients=100))


def refused(places: Places, address: str, place: str, most: int | None = None) -> Reject:
    with pytest.raises(Reject) as info:
        places.reserve(address, place, most)
    assert ("Retry-After", "5") in info.value.headers
    return info.value


def test_a_full_server_refuses_with_503() -> None:
    places: Places = Places(Capacity(max_clients=2))
    first = places.reserve("10.0.0.1", "room", None)
    places.reserve("10.0.0.2", "other", None)
    full = refused(places, "10.0.0.3", "room")
    assert (full.status, full.body) == (503, "server full")
    first.release()
    places.reserve("10.0.0.3", "room", None)
    assert places.reserved == 2


def test_without_a_limit_no_server_is_full() -> None:
    places = Places(Capacity(max_clients=None))
    for number in range(1500):
        places.reserve(f"10.0.{number // 250}.{number % 250}", "room", None)
    assert (places.reserved, places.full) == (1500, False)
    assert refused(places, "10.1.0.1", "room", 1500).body == "resource full"


def test_900_can_wait_for_one_worker_and_the_last_places_are_for_others() -> None:
    places = Places(Capacity())
    for _ in range(900):
        places.reserve("", "parked", None)
    assert (places.reserved, places.scarce) == (900, False)
    for _ in range(38):
        places.reserve("", "parked", None)
    assert (places.reserved, places.scarce) == (1000 - 62, True)
    places.reserve("10.0.0.1", "room", None)
    assert Places(Capacity(max_clients=None)).scarce is False


def test_a_full_resource_refuses_with_503_and_only_there(places: Places) -> None:
    first = places.reserve("10.0.0.1", "room", 1)
    full = refused(places, "10.0.0.2", "room", 1)
    assert (full.status, full.body) == (503, "resource full")
    places.reserve("10.0.0.2", "other", 1)
    first.release()
    places.reserve("10.0.0.2", "room", 1)


def test_too_many_from_one_address_are_refused_with_429() -> None:
    places: Places = Places(Capacity(max_clients_per_address=2))
    first = places.reserve("10.0.0.1", "room", None)
    places.reserve("10.0.0.1", "other", None)
    assert refused(places, "10.0.0.1", "room").status == 429
    places.reserve("10.0.0.2", "room", None)
    first.release()
    places.reserve("10.0.0.1", "room", None)


def test_unix_peers_are_not_counted_by_address() -> None:
    places: Places = Places(Capacity(max_clients_per_address=1))
    held = [places.reserve("", "room", None) for _ in range(3)]
    assert places.reserved == len(held)


def test_a_refusal_takes_no_place() -> None:
    places: Places = Places(Capacity(max_clients=3, max_clients_per_address=1))
    places.reserve("10.0.0.1", "room", None)
    for _ in range(5):
        refused(places, "10.0.0.1", "room")
        refused(places, "10.0.0.2", "room", 1)
    assert places.reserved == 1
    places.reserve("10.0.0.2", "room", 2)


def test_releasing_twice_does_no_harm(places: Places) -> None:
    first, second = places.reserve("10.0.0.1", "room", 2), places.reserve("10.0.0.1", "room", 2)
    first.release()
    first.release()
    assert places.reserved == 1
    places.reserve("10.0.0.1", "room", 2)
    refused(places, "10.0.0.1", "room", 2)
    second.release()
    assert places.reserved == 1


@given(st.lists(st.tuples(st.sampled_from(["10.0.0.1", "::1", ""]), st.sampled_from("ab")), max_size=12), st.randoms())
def test_all_counts_return_to_zero(newcomers: list[tuple[str, str]], random: Random) -> None:
    """Whatever the order of leaving, nothing is remembered of an address or a resource without clients."""
    places: Places = Places(Capacity())
    held = [places.reserve(address, place, None) for address, place in newcomers]
    assert places.reserved == len(held)
    random.shuffle(held)
    for reservation in held:
        reservation.release()
    count = places._headcount
    assert (count.total, count.by_network, count.by_place) == (0, {}, {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("2001:db8::1", "2001:DB8:0:0:dead:beef::1"),
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_addresses_of_one_household_count_as_one(one: str, other: str) -> None:
    """IPv6 by its /64; IPv4 the same whether it came to an IPv4 or a dual-stack socket."""
    assert network_of(one) == network_of(other)
    places: Places = Places(Capacity(max_clients_per_address=1))
    places.reserve(one, "room", None)
    assert refused(places, other, "room").status == 429


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8:0:1::1"), ("192.0.2.7", "192.0.2.8"), ("::ffff:192.0.2.7", "::ffff:192.0.2.8")],
)
def test_other_addresses_count_apart(one: str, other: str) -> None:
    assert network_of(one) != network_of(other)
