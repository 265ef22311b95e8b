"""Settings of the whole test run."""

import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from trio.testing import MockClock

from tests.order import mixed
from tests.pollers import POLLERS
from tests.requirements import require_c
from tests.rooms import Rooms
from wsframe import Registry
from wsframe.log import tell_left_out
from wsframe.net.poller import PollerName

# The same examples in every run, whatever the speed of the machine: a red run can be repeated.
settings.register_profile(
    "wsframe", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("wsframe")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every program they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent
SLOW = {
    # Rooms of tests that start other programs, or try many inputs.
    "autobahn", "benchmarks", "beside", "browser", "chaos", "deploy", "examples", "foreign", "fuzz", "hostile",
    "integration", "recovery", "soak",
    # Files of the same kind, or with several servers at once.
    "backplane/test_cancelling.py",
    "backplane/engines/test_clocks.py",
    "backplane/engines/test_with_tls.py",
    "backplane/test_faults.py",
    "backplane/postgres/test_libpq.py",
    "backplane/test_node_leases.py",
    "backplane/postgres/test_backplane.py",
    "backplane/redis/test_backplane.py",
    "backplane/redis/test_coredis.py",
    "backplane/redis/test_glide.py",
    "backplane/redis/test_link.py",
    "backplane/engines/test_refusing.py",
    "backplane/relay/test_backplane.py",
    "backplane/test_relay_process.py",
    "backplane/relay/test_worker.py",
    "backplane/engines/test_supervised.py",
    "backplane/relay/test_uplink.py",
    "backplane/relay/test_uplink_engines.py",
    "centrifuge/test_sdk_browser.py",
    "centrifuge/test_sdk_node.py",
    "centrifuge/test_sdk_python.py",
    "cli/test_asyncapi.py",
    "cli/test_bench.py",
    "cli/test_completion.py",
    "cli/test_connect.py",
    "cli/test_imports.py",
    "cli/test_listen_options.py",
    "cli/test_new.py",
    "cli/test_reload.py",
    "cli/test_reload_workers.py",
    "cli/test_restart.py",
    "cli/test_scopes.py",
    "cli/test_serve.py",
    "cli/test_serve_backplane.py",
    "cli/test_serve_json.py",
    "cli/test_serve_lame_duck.py",
    "cli/test_serve_metrics.py",
    "cli/test_serve_streams.py",
    "cli/test_top.py",
    "cli/test_two_nodes.py",
    "cli/test_workers.py",
    "cli/test_workers_tls.py",
    "connection/test_conflation_keys.py",
    "connection/test_cost_of_objects.py",
    "connection/test_memory_budget.py",
    "hooks/test_debugger_terminal.py",
    "net/test_forked.py",
    "net/test_malloc.py",
    "outgoing/test_chaos.py",
    "outgoing/test_coming_and_going.py",
    "outgoing/test_opening.py",
    "protocol/test_close.py",
    "protocol/test_decoder_client.py",
    "resources/test_asyncapi.py",
    "server/monitoring/test_service_statistics.py",
    "server/peers/test_dialing.py",
    "server/test_drain.py",
    "server/test_forks.py",
    "server/passing/test_forwarding.py",
    "server/service/test_generation.py",
    "server/ownership/test_giving.py",
    "server/ownership/test_giving_newcomers.py",
    "server/logs/test_json_stderr.py",
    "server/newcomers/test_disconnects.py",
    "server/passing/test_parked_newcomers.py",
    "server/passing/test_passage.py",
    "server/peers/test_peer_port.py",
    "server/newcomers/test_plain_http.py",
    "server/test_posting.py",
    "server/test_run.py",
    "server/test_signals.py",
    "server/test_slow_lives.py",
    "server/peers/test_splice.py",
    "server/logs/test_stderr_log.py",
    "server/handover/test_successor.py",
    "server/ownership/test_owned_partitions.py",
    "server/ownership/test_leases_of_dead.py",
    "server/peers/test_unknown_owner.py",
    "server/monitoring/test_watchdog.py",
    "speedups/test_build.py",
    "speedups/test_leaks.py",
    "speedups/test_links.py",
    "test_cells.py",
    "test_docs.py",
    "test_english.py",
    "test_packaging.py",
    "test_readme.py",
    "testing/test_cluster.py",
    "testing/test_cluster_owners.py",
    "testing/test_cluster_splices.py",
    "testing/test_fixtures.py",
    "user_code/test_cancelling.py",
    "user_code/test_cancelling_tasks.py",
    "user_code/test_errors.py",
    "user_code/test_exits.py",
    "user_code/test_finalizers.py",
    "user_code/test_scopes.py",
    "workers/test_relay_keeper.py",
    "workers/test_scopes.py",
    "workers/test_spare.py",
}  # fmt: skip
"""Tests left out by ``pytest -m "not slow"``, beside those that hypothesis drives, that use ``subprocess``, or that
run again with another poller."""
WAITING = {
    "backplane/relay/test_loop.py",
    "connection/test_large_binary.py",
    "connection/test_leaving.py",
    "connection/test_link.py",
    "hooks/test_remaining_clients.py",
    "hooks/test_hand_over.py",
    "hooks/test_hook_bounds.py",
    "net/test_poller.py",
    "net/test_pump_loop.py",
    "outgoing/test_refusals.py",
    "server/test_capacity_served.py",
    "server/monitoring/test_metric_values.py",
    "server/monitoring/test_health.py",
    "server/peers/test_hostile_peers.py",
    "server/test_kernel_timer.py",
    "server/monitoring/test_metrics_port.py",
    "server/service/test_orphan.py",
    "server/handover/test_predecessor.py",
    "server/monitoring/test_slow_hooks.py",
    "server/handover/test_unanswered.py",
    "server/test_under_pressure.py",
    "test_invariants.py",
    "test_invariants_bounds.py",
    "test_invariants_moving.py",
    "test_log_limits.py",
}
"""Slow tests that compute little: real sockets and timers have them wait, which was half the time of all others.
They are marked ``waiting`` too, so that a run without the other slow ones can have them."""
LEFT_OUT = {"not slow": SLOW | WAITING, "not slow or waiting": SLOW}
"""Files and rooms that a choice of tests leaves out whole."""
POLLING = {"poller", "plain", "secure", "place"}
"""Fixtures that have a test run with each poller."""


def is_among(places: set[str], path: Path) -> bool:
    """Return whether a file of tests, or its room, is among these."""
    inside = path.relative_to(HERE) if path.is_relative_to(HERE) else Path()
    return not places.isdisjoint((inside.parts[0] if inside.parts else "", inside.as_posix()))


def params_of(item: pytest.Item) -> dict[str, Any]:
    """Return the parameters of a test and of its fixtures."""
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


def runs_again(item: pytest.Item) -> bool:
    """Return whether a test also runs with another poller, before."""
    params = params_of(item)
    chosen = [params[name] for name in POLLING & params.keys()]
    return any((one[0] if isinstance(one, tuple) else one) != POLLERS[0] for one in chosen)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files out before they are imported, where none of their tests would run."""
    return True if is_among(LEFT_OUT.get(config.option.markexpr, set()), collection_path) else None


def pytest_configure(config: pytest.Config) -> None:
    """Have pytest-xdist keep our order: its own has the files with the fewest tests last, and those take longest."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the collector pass over all that is collected: it is never garbage, and takes most of a collection."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def is_chosen(item: pytest.Item) -> bool:
    """Return whether a test is of this run: some are of the C extension, or of peers of ``nox -s foreign``."""
    if os.environ.get("WSFRAME_SPEEDUPS") == "0" and "in_c" in getattr(item, "fixturenames", ()):
        return False
    return bool(os.environ.get("WSFRAME_FOREIGN")) or getattr(params_of(item).get("peer"), "usual", True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark slow tests, by their place and kind: a list of single tests would be wrong tomorrow."""
    left_out = [item for item in items if not is_chosen(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = filter(is_chosen, items)
    for item in items:
        function = getattr(item, "obj", None)
        driven = getattr(function, "is_hypothesis_test", False)
        starts_a_program = "subprocess" in getattr(getattr(function, "__code__", None), "co_names", ())
        if driven or starts_a_program or runs_again(item) or is_among(SLOW, item.path):
            item.add_marker(pytest.mark.slow)
        elif is_among(WAITING, item.path):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.waiting)
    if hasattr(config, "workerinput"):
        items[:] = mixed(items)


@pytest.fixture(autouse=True, scope="session")
def no_proxy_to_loopback() -> Iterator[None]:
    """Keep a proxy of this machine's environment out of connections to the tests' own servers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Let no test inherit the lines that were shown in the same second: on a fast machine they would be too many."""
    tell_left_out()


@pytest.fixture
def patient_clock() -> MockClock:
    """A clock that jumps once nothing has happened for a while: sockets have their say first."""
    return MockClock(autojump_threshold=0.05)


@pytest.fixture(params=POLLERS)
def poller(request: pytest.FixtureRequest) -> PollerName:
    """Each poller that this platform has."""
    chosen: PollerName = request.param
    return chosen


@pytest.fixture(scope="session")
def in_c() -> None:
    """Skip tests of the C extension where it is missing; where it is switched off, they are not chosen."""
    require_c()


@pytest.fixture
def rooms() -> Rooms:
    """Give a factory that notes the objects it made."""
    return Rooms()


@pytest.fixture
def registry(rooms: Rooms) -> Registry:
    """Give a registry where the factory makes ``/rooms/{room}``."""
    registry = Registry()
    registry.register_factory("/rooms/{room}", rooms.make)
    return registry
