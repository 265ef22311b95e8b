"""Places over all workers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.workers.services import Service
from wsframe import Capacity, Reject
from wsframe.server.capacity import Places, Reservation
from wsframe.workers.ledger import Ledger
from wsframe.workers.worker import Worker

WORKERS = 3


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    service = Service(WORKERS, lambda registry, slot: None)
    yield [service.worker(slot) for slot in range(WORKERS)]
    service.close()


def reserve(places: Places, address: str = "192.0.2.1") -> Reservation:
    return places.reserve(address, "resource", None)


def test_13_the_limit_of_clients_holds_for_all_workers_together(workers: list[Worker]) -> None:
    servers = [Places(Capacity(max_clients=7), worker) for worker in workers]
    taken = [reserve(servers[number % WORKERS]) for number in range(7)]
    for server in servers:
        assert server.full
        with pytest.raises(Reject, match="server full"):
            reserve(server)
    assert workers[0].board.reserved() == 7
    taken.pop().release()
    assert not any(server.full for server in servers)
    reserve(servers[2])


def test_13_the_limit_of_an_address_holds_for_all_workers_together(workers: list[Worker]) -> None:
    servers = [Places(Capacity(max_clients_per_address=4), worker) for worker in workers]
    taken = [reserve(servers[number % WORKERS]) for number in range(4)]
    for server in servers:
        with pytest.raises(Reject, match="too many connections"):
            reserve(server)
    for number in count():
        other = f"198.51.100.{number}"
        if all(Ledger(worker)._bucket(other) != Ledger(workers[0])._bucket("192.0.2.1") for worker in workers):
            reserve(servers[0], other)
            break
    taken[0].release()
    reserve(servers[1])


def test_13_at_rest_the_board_counts_what_the_servers_count(workers: list[Worker]) -> None:
    servers = [Places(Capacity(), worker) for worker in workers]
    held = [reserve(servers[number % WORKERS], f"192.0.2.{number % 5}") for number in range(50)]
    held += [reserve(servers[0], "")]
    assert workers[0].board.reserved() == sum(server.reserved for server in servers) == 51
    assert sum(sum(worker.row.buckets) for worker in workers) == 50
    for one in held:
        one.release()
        one.release()  # a second time does nothing
    assert workers[0].board.reserved() == 0
    assert not any(any(worker.row.buckets) for worker in workers)


def test_13_a_dead_worker_counts_nothing(workers: list[Worker]) -> None:
    servers = [Places(Capacity(max_clients=5), worker) for worker in workers]
    for _ in range(5):
        reserve(servers[1])
    assert servers[0].full
    workers[1].row.clear()
    assert not servers[0].full


def test_12_a_bucket_tells_no_more_than_it_can_hold(workers: list[Worker]) -> None:
    ledger, worker = Ledger(workers[0]), workers[0]
    for _ in range(0x10000 + 5):
        ledger.take("192.0.2.1")
    assert max(worker.row.buckets) == 0xFFFF
    for _ in range(0x10000):
        ledger.leave("192.0.2.1")
    assert max(worker.row.buckets) == 5


def test_all_workers_count_an_address_in_the_same_bucket(workers: list[Worker]) -> None:
    assert len({Ledger(worker)._bucket("2001:db8::/64") for worker in workers}) == 1


def test_one_process_counts_alone() -> None:
    places = Places(Capacity(max_clients=1))
    reserve(places)
    assert places.full
    assert not Places(Capacity(max_clients=1)).full
