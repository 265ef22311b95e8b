"""A tiny measurement of wsframe, from the server's start to the report."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import main, make_certificate
from benchmarks.contestants import CONTESTANTS, Contestant, find_installed
from benchmarks.counts import count_calls, describe
from benchmarks.generator import Generator
from benchmarks.results import Results
from benchmarks.rounds import Plan, run_rounds
from benchmarks.scenarios import Scenario
from benchmarks.serving import CPUs, ServingFailed, memory_kib, serving

WSFRAME = CONTESTANTS[0]
ANYWHERE = CPUs(None, None)
BRIEFLY = ["--servers", "wsframe", "--scenarios", "echo-1", "--seconds", "0.05"]
ECHO = Scenario(name="tiny-echo", about="", connections=2, text=True)


def plan_of(
    generator: Generator, folder: Path, *scenarios: Scenario, servers: Sequence[Contestant] = (WSFRAME,)
) -> Plan:
    return Plan(
        servers=servers, scenarios=scenarios, generator=generator, cpus=ANYWHERE, logs=folder,
        certificate=make_certificate(folder), rounds=1, seconds=0.05, warm_up=0.01,
    )  # fmt: skip


def test_each_mode_is_measured(generator: Generator, tmp_path: Path) -> None:
    scenarios = [
        ECHO,
        Scenario(name="tiny-binary", about="", connections=1, size=70_000),
        Scenario(name="tiny-broadcast", about="", mode="broadcast", connections=2, text=True),
        Scenario(name="tiny-connect", about="", mode="connect", connections=1),
        Scenario(name="tiny-idle", about="", mode="idle", connections=3),
        Scenario(name="tiny-tls", about="", connections=2, tls=True),
        Scenario(name="tiny-fragments", about="", connections=1, fragments=3),
        Scenario(name="tiny-deflate", about="", connections=1, size=1024, text=True, deflate=True),
        Scenario(name="tiny-pings", about="", connections=2, size=125, pings=True),
        Scenario(name="tiny-waiting", about="", connections=2, text=True, path="/waiting"),
        Scenario(name="tiny-theirs", about="", connections=2, text=True, programs=("serve_other",)),
    ]
    plan = plan_of(generator, tmp_path, *scenarios)
    runs = list(run_rounds(plan))
    assert [run.failure for run in runs] == [""] * len(runs)
    assert [run.scenario for run in runs] == [each.name for each in scenarios if plan.possible(WSFRAME, each)]
    for run in runs:
        assert run.figures is not None
        assert (run.figures.messages > 0) == (run.scenario != "tiny-idle")
        assert (run.figures.kib_per_client is None) == (run.scenario != "tiny-idle")
        assert run.figures.server_cpu >= 0


def test_every_installed_server_keeps_to_the_terms(generator: Generator, tmp_path: Path) -> None:
    servers, _ = find_installed(CONTESTANTS, sys.executable)
    assert {"wsframe", "websockets", "websockets-trio"} <= {who.name for who in servers}
    broadcast = Scenario(name="tiny-broadcast", about="", mode="broadcast", connections=2)
    fragments = Scenario(name="tiny-fragments", about="", connections=1, fragments=3)
    deflate = Scenario(name="tiny-deflate", about="", connections=1, size=1024, text=True, deflate=True)
    plan = plan_of(generator, tmp_path, ECHO, broadcast, fragments, deflate, servers=servers)
    runs = list(run_rounds(plan))
    assert len(runs) == sum(plan.possible(server, scenario) for server in servers for scenario in plan.scenarios)
    assert [run for run in runs if run.failure] == []


def test_rounds_are_interleaved_and_begin_with_another_server_each(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = [replace(WSFRAME, name=name) for name in "ab"]
    plan = replace(plan_of(generator, tmp_path, ECHO, replace(ECHO, name="other"), servers=servers), rounds=2)
    monkeypatch.setattr("benchmarks.rounds.measure_figures", lambda plan, contestant, scenario: None)
    order = [f"{run.round}{run.scenario[0]}{run.server}" for run in run_rounds(plan)]
    assert order == ["0ta", "0tb", "0oa", "0ob", "1tb", "1ta", "1ob", "1oa"]


def test_a_server_that_does_not_start_is_a_failure_with_a_log(generator: Generator, tmp_path: Path) -> None:
    broken = replace(WSFRAME, name="broken", arguments=("--nonsense",))
    (run,) = run_rounds(plan_of(generator, tmp_path, ECHO, servers=[broken]))
    assert (run.figures, run.failure) == (None, "the server exited with status 2")
    assert "--nonsense" in (tmp_path / "broken.log").read_text()


def test_a_server_that_never_listens_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.serving.START_PATIENCE", 0.05)
    monkeypatch.setattr(Contestant, "command", lambda *_, **named: [sys.executable, "-c", "input()"])
    with pytest.raises(ServingFailed, match="does not listen"), serving(WSFRAME, log=tmp_path / "log", cpus=ANYWHERE):
        pass


def test_calls_are_counted(generator: Generator, tmp_path: Path) -> None:
    idle = Scenario(name="tiny-idle", about="", mode="idle", connections=1)  # has no messages to count by
    (calls,) = count_calls(plan_of(generator, tmp_path, ECHO, idle), "python")
    assert calls.messages > 0
    hooks = [times for name, times in calls.calls.items() if name.endswith("Echo.received_text")]
    assert hooks == [calls.messages]
    assert f"calls for each of {calls.messages} messages" in describe(calls)


def test_system_calls_are_counted_while_strace_is_attached(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "% time     seconds  usecs/call     calls    errors syscall\\n"
    table += "100.00    0.001000           1       300        20 recvfrom\\n 50.00    0.0 0 7 futex\\n"
    table += "100.00    0.001000           1       307        20 total\\n"
    strace = tmp_path / "strace"
    strace.write_text(
        f"#!{sys.executable}\nimport signal, sys\n"
        f"signal.signal(signal.SIGINT, lambda *_: sys.exit({table!r}.replace('\\\\n', '\\n')))\n"
        "print('strace: Process 1 attached', file=sys.stderr, flush=True)\nsignal.pause()\n"
    )
    strace.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (calls,) = count_calls(plan_of(generator, tmp_path, ECHO), "system")
    assert calls.calls == {"recvfrom": 300, "futex": 7}


def test_a_strace_that_may_not_attach_is_an_error(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strace = tmp_path / "strace"
    strace.write_text("#!/bin/sh\necho 'strace: Operation not permitted' >&2\n")
    strace.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(OSError, match="not permitted"):
        list(count_calls(plan_of(generator, tmp_path, ECHO), "system"))


def test_who_is_not_installed_is_named() -> None:
    absent = replace(WSFRAME, name="absent", needs=("no_such_module", "trio"))
    found, missing = find_installed([WSFRAME, absent], sys.executable)
    assert [who.name for who in found] == ["wsframe"]
    assert found[0].version.startswith("0.")
    assert list(missing) == ["absent"]
    assert missing["absent"].startswith("no_such_module cannot be imported by ")


def test_wsframe_without_its_compiled_part_is_measured_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    probed = ("CPython 3.14.0", {"wsframe": "9.9"}, True)
    monkeypatch.setattr("benchmarks.contestants.probe", lambda python, modules: probed)
    found, missing = find_installed(CONTESTANTS[:2], sys.executable)
    assert [(who.name, who.version) for who in found] == [
        ("wsframe", "9.9 with its compiled part, CPython 3.14.0"),
        ("wsframe-pure", "9.9, CPython 3.14.0"),
    ]
    assert missing == {}
    monkeypatch.setattr("benchmarks.contestants.probe", lambda python, modules: (*probed[:2], False))
    found, missing = find_installed(CONTESTANTS[:2], sys.executable)
    assert [who.name for who in found] == ["wsframe"]
    assert missing == {"wsframe-pure": "nothing of wsframe is compiled, so it is the same as wsframe"}


def test_a_server_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = (
        "import signal, socket, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "sock = socket.create_server(('127.0.0.1', int(sys.argv[1]))); signal.pause()"
    )
    command = [sys.executable, "-c", stubborn]
    monkeypatch.setattr(Contestant, "command", lambda self, port, *_, **named: [*command, str(port)])
    monkeypatch.setattr("benchmarks.serving.STOP_PATIENCE", 0.01)
    with serving(WSFRAME, log=tmp_path / "log", cpus=CPUs.choose()) as server:
        assert server.process.poll() is None
    assert server.process.returncode == -signal.SIGKILL


@pytest.mark.usefixtures("generator")
def test_what_cannot_be_measured_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    words = ["--servers", "wsframe", "--scenarios", "echo-tls,echo-1", "--seconds", "0.05", "--rounds", "1"]
    cpu = min(os.sched_getaffinity(0))
    assert main([*words, "--cpus", f"{cpu},{cpu}", "--output", str(tmp_path)]) == 0
    told = capsys.readouterr().err
    assert "left out: echo-tls: TLS needs trustme" in told
    assert "no pictures: matplotlib is not installed" in told
    assert Results.read(tmp_path / "results.json").scenarios() == ["echo-1"]


@pytest.mark.usefixtures("generator")
def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*BRIEFLY, "--rounds", "1", "--warm-up", "0.01", "--also", f"wsframe-again={sys.executable}"]
    assert main([*words, "--output", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "echo-1: 1 client, 64 B of text" in told.out
    assert "round 1  echo-1" in told.err
    results = Results.read(tmp_path / "results.json")
    assert results.servers() == ["wsframe", "wsframe-again"]
    assert json.loads((tmp_path / "results.json").read_text())["versions"] == results.versions
    assert (tmp_path / "results.rst").read_text().startswith(".. table:: echo-1")
    assert "<h2>echo-1: 1 client" in (tmp_path / "index.html").read_text()
    assert main(["--show", str(tmp_path / "results.json"), "--output", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/results.rst").read_text() == (tmp_path / "results.rst").read_text()


@pytest.mark.usefixtures("generator")
def test_the_command_counts_calls(tmp_path: Path) -> None:
    assert main([*BRIEFLY, "--count", "python", "--output", str(tmp_path)]) == 0
    assert "wsframe, echo-1: " in (tmp_path / "python-calls.txt").read_text()


@pytest.mark.parametrize("words", [["--servers", "nobody"], ["--scenarios", "nothing"]])
@pytest.mark.usefixtures("generator")
def test_wrong_names_are_told(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"unknown {words[0][2:-1]}: {words[1]}"):
        main([*words, "--output", str(tmp_path)])


def test_the_list_has_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    words = capsys.readouterr().out.split()
    assert {who.name for who in CONTESTANTS} <= set(words)


def test_memory_is_told() -> None:
    assert memory_kib(1) > 0
