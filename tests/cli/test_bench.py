"""``wsframe bench``: its counts, and its output."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

import pytest

from tests.cli.server import serving_in_thread
from tests.patience import PATIENCE, watched
from wsframe import cli
from wsframe.cli import bench
from wsframe.cli.histogram import LatencyHistogram


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving_in_thread() as address:
        yield address


def measure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["bench", *arguments]) == 0
    return capsys.readouterr().out


def test_every_message_is_counted(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--clients", "3", "--messages", "7", "--size", "20", "--inflight", "3"]
    found = json.loads(measure(capsys, f"{address}/", *options, "--json"))
    assert [found[name] for name in ("clients", "inflight", "size", "messages")] == [3, 3, 20, 21]
    assert found["messages_per_second"] == pytest.approx(21 / found["seconds"])
    assert found["bytes_per_second"] == pytest.approx(20 * 21 / found["seconds"])
    latency = found["latency"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"] < found["seconds"]


def test_it_sends_for_as_long_as_told(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(measure(capsys, f"{address}/", "--clients", "2", "--seconds", "0.1", "--binary", "--json"))
    assert found["messages"] > 2
    assert found["seconds"] >= 0.1


def test_a_report_for_people(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = measure(capsys, f"{address}/", "--clients", "1", "--messages", "50").splitlines()
    assert lines[0] == "1 clients, 1 messages of 64 bytes in flight for each"
    assert lines[1].startswith("50 messages in ")
    assert lines[3].startswith("latency p50 ")
    bars = [line.split() for line in lines[4:]]
    assert sum(int(bar[3]) for bar in bars) == 50
    assert max(len(bar[4]) for bar in bars if len(bar) > 4) == bench.BAR


def test_a_terminal_has_a_bar_that_goes_away(address: str) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "wsframe", "bench", f"{address}/", "--clients", "1", "--seconds", "0.5"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=environment) as process,
        watched(process),
    ):
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # how a terminal ends
            while data := os.read(controller, 4096):
                shown += data
        assert process.stdout is not None
        assert b"messages in " in process.stdout.read()
        assert process.wait(PATIENCE) == 0
    os.close(controller)
    assert b"bench" in shown


def test_without_rich_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with bench.progress(shown=True) as tell:
        tell(0.5)


MISTAKES = {
    "bench": (2, "the following arguments are required: URL; see wsframe bench --help"),
    "bench ADDRESS/ --clients 0": (2, "--clients must be at least 1, not 0"),
    "bench ADDRESS/ --messages 1 --seconds 1": (2, "give --messages or --seconds, not both"),
    "bench ADDRESS/ --inflight 2 --size 1M": (
        2, "--inflight times --size must be at most 1M: with more, both sides could wait for each other",
    ),
    "bench ADDRESS/closed": (1, "the server answered 403: members only\N{REPLACEMENT CHARACTER}"),
    "bench ADDRESS/mute --messages 1": (1, "the server does not echo every message: bench needs an echo server"),
    "bench ADDRESS/late --messages 1 --binary": (1, "the connection has ended: the peer closed with code 1003"),
}  # fmt: skip


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    if "mute" in command:
        monkeypatch.setattr(bench, "PATIENCE", 0.05)
    code, line = MISTAKES[command]
    with pytest.raises(SystemExit, match=f"^{code}$"):
        raise SystemExit(cli.main(command.replace("ADDRESS", address).split()))
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert errors.removeprefix("wsframe bench: ").removeprefix("wsframe: ").startswith(line)


def test_quantiles_are_exact_to_a_percent() -> None:
    histogram = LatencyHistogram()
    for number in range(1, 1001):
        histogram.note(number / 1000)
    assert len(histogram) == 1000
    for share in (0.001, 0.5, 0.9, 0.99):
        assert histogram.quantile(share) == pytest.approx(share, rel=0.011)
    assert histogram.quantile(1) == histogram.longest == 1.0


def test_an_empty_histogram() -> None:
    assert LatencyHistogram().quantile(0.5) == 0.0
    assert LatencyHistogram().doublings() == []


def test_doublings_have_no_gap_and_count_everything() -> None:
    histogram = LatencyHistogram()
    for seconds in (0.0, 1e-6, 0.001, 0.0011, 0.1):
        histogram.note(seconds)
    bounds, counts = zip(*histogram.doublings(), strict=True)
    assert sum(counts) == 5
    assert all(later == 2 * earlier for earlier, later in pairwise(bounds))
    assert bounds[0] == 2e-6
    assert bounds[-1] >= 0.1
