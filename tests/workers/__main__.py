"""Kill, stop and count the workers of a service: ``python -m tests.workers``; writes the results into the docs.

With words it runs only the scenarios whose names contain one of them, and writes nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import trio

from tests.chaos.with_workers import run_round
from tests.cli.workers import Service, children_of, lives, service
from tests.wire import TEXT, Peer, upgrade
from wsframe.workers.partitions import partition_of

RECORD = Path(__file__).parents[2] / "docs/explanation/workers-record.inc"
PATIENCE = 120.0
WORKERS, CLIENTS, NEWCOMERS, MESSAGES, SUBSCRIBERS, CROWD = 4, 2000, 200, 10_000, 100, 2000

PROGRAM = """
import os
from contextlib import asynccontextmanager
import trio
import wsframe


class Who(wsframe.Resource):
    scope = "shared"

    async def client_connected(self, client):
        client.send_text(str(os.getpid()))


class Listeners(Who):
    async def client_connected(self, client):
        self.subscribe(client, "numbers")
        client.send_text(str(os.getpid()))


class Numbers(wsframe.Resource):
    @asynccontextmanager
    async def running(self):
        self.start_soon(self.publish)
        yield

    async def publish(self):
        with open("publisher", "w") as file:
            file.write(str(os.getpid()))
        while not os.path.exists("go"):
            await trio.sleep(0.05)
        for number in range(MESSAGES):
            self.publish_text("numbers", str(number))
            if number % 10 == 9:
                await trio.sleep(0.005)


class Slow(wsframe.Resource):
    scope = "path"

    async def accept_client(self, request):
        await trio.sleep(5)


class Ending(wsframe.Resource):
    scope = "path"

    @asynccontextmanager
    async def running(self):
        yield
        with trio.CancelScope(shield=True):
            await trio.sleep(5)


wsframe.register_global_resource("/who", Who(), wsframe.any_origin)
wsframe.register_global_resource("/slow", Slow(), wsframe.any_origin)
wsframe.register_global_resource("/ending", Ending(), wsframe.any_origin)
wsframe.register_global_resource("/numbers", Listeners(), wsframe.any_origin)
wsframe.register_global_resource("/publisher", Numbers(), wsframe.any_origin)
""".replace("MESSAGES", str(MESSAGES))


async def opened(port: int, path: str, count: int) -> list[tuple[Peer, int, float]]:
    """Open clients, a hundred at a time; return each with its worker's process and the seconds that it took."""
    places, found = trio.CapacityLimiter(100), []

    async def open_one() -> None:
        async with places:
            begun = trio.current_time()
            peer = Peer(await trio.open_tcp_stream("127.0.0.1", port))
            await peer.open(upgrade(path))
            found.append((peer, int(await peer.message()), trio.current_time() - begun))

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(open_one)
    return found


async def closed(peers: Iterable[tuple[Peer, int, float]]) -> None:
    """Close clients."""
    for peer, _, _ in peers:
        peer.hang_up()


async def until(holds: Callable[[], bool]) -> float:
    """Wait until something holds; return the seconds that it took."""
    begun = time.monotonic()
    with trio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.02)
    return time.monotonic() - begun


async def balance(running: Service, port: int) -> str:
    """Share a storm of newcomers."""
    peers = await opened(port, "/who", CLIENTS)
    counts = sorted(Counter(pid for _, pid, _ in peers).values())
    await closed(peers)
    assert max(counts) <= 1.05 * CLIENTS / WORKERS, counts
    return f"each worker has {counts[0]} to {counts[-1]} of {CLIENTS} clients"


async def kill_one(running: Service, port: int) -> str:
    """Kill a worker while the others have numbered messages to deliver."""
    peers = await opened(port, "/numbers", SUBSCRIBERS)
    publisher = running.started_in / "publisher"
    await until(lambda: publisher.exists() and publisher.read_text() != "")
    first = int(publisher.read_text())
    victim = max({pid for _, pid, _ in peers} - {first})
    heard: list[list[str]] = [[] for _ in peers]

    async def listen(at: int, peer: Peer) -> None:
        with suppress(trio.BrokenResourceError):
            while len(heard[at]) < MESSAGES and (one := await peer.receive()) and one.opcode == TEXT:
                heard[at].append(one.payload.decode())

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for at, (peer, _, _) in enumerate(peers):
                nursery.start_soon(listen, at, peer)
            (running.started_in / "go").touch()
            await until(lambda: min(map(len, heard)) > MESSAGES // 10)
            os.kill(victim, signal.SIGKILL)
            seconds = await until(
                lambda: any(f"process {victim}" not in line and "is ready" in line for line in running.printed)
            )
    whole = [str(number) for number in range(MESSAGES)]
    others = [one for one, (_, pid, _) in zip(heard, peers, strict=True) if pid != victim]
    assert all(one == whole for one in others)
    await closed(peers)
    return (
        f"the {len(others)} clients of the others have each of {MESSAGES} messages, in order; "
        f"its successor is ready after {seconds:.1f} s"
    )


async def kill_idle(running: Service, port: int) -> str:
    """Kill a worker while nobody asks for anything."""
    await until(lambda: len(running.workers()) == WORKERS + 2)  # with the relay, and the process that waits
    before = sum("is ready" in line for line in running.printed)
    peers = await opened(port, "/who", 20)
    victim = max(pid for _, pid, _ in peers)
    await closed(peers)
    await trio.sleep(11)  # its end is not one in a row
    os.kill(victim, signal.SIGKILL)
    seconds = await until(lambda: sum("is ready" in line for line in running.printed) > before)
    return f"its successor is ready after {seconds:.1f} s"


ANSWERED = {"asked", "101", "408", "503"}
"""The answers that a newcomer of a crowd can get; none stays without one."""


async def crowd(port: int, path: str, counts: Counter[str], *, others: int = 200) -> float:
    """Have newcomers crowd a path; return the time in which 99 of 100 of others get in."""
    async with trio.open_nursery() as nursery:
        for _ in range(CROWD):
            nursery.start_soon(ask, port, path, counts)
        await until(lambda: counts["asked"] == CROWD)
        found = [await opened(port, "/who", 1) for _ in range(others)]
        for one in found:
            await closed(one)
        await until(lambda: counts.total() == 2 * CROWD)
    return sorted(seconds for ((_, _, seconds),) in found)[others * 99 // 100 - 1]


async def ask(port: int, path: str, counts: Counter[str]) -> None:
    """Ask for a WebSocket, and count the answer."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(upgrade(path))
        counts["asked"] += 1
        try:
            counts[(await stream.receive_some(4096)).decode()[9:12] or "nothing"] += 1
        except trio.BrokenResourceError:
            counts["nothing"] += 1


def answers(counts: Counter[str]) -> str:
    return ", ".join(f"{count} get {name}" for name, count in sorted(counts.items()) if name != "asked")


async def crowd_slow(running: Service, port: int) -> str:
    """Crowd a path that decides slowly."""
    counts: Counter[str] = Counter()
    seconds = await crowd(port, "/slow", counts)
    assert set(counts) <= ANSWERED, counts
    return f"99 of 100 newcomers of another path are in after {seconds * 1000:.0f} ms; of the crowd {answers(counts)}"


async def crowd_ending(running: Service, port: int) -> str:
    """Crowd a path that ends slowly in a restart."""
    home, counts = 1 + int(ending_slot()), Counter[str]()
    before = sum("is ready" in line for line in running.printed)
    running.process.send_signal(signal.SIGHUP)
    await until(lambda: sum("is ready" in line for line in running.printed) >= before + home)
    seconds = await crowd(port, "/ending", counts)
    await until(lambda: any("have been restarted" in line for line in running.printed))
    assert set(counts) <= ANSWERED, counts
    return f"99 of 100 newcomers of another path are in after {seconds * 1000:.0f} ms; of the crowd {answers(counts)}"


def ending_slot() -> int:
    return partition_of("/ending", "path") % WORKERS


def chaos(seeds: int = 3, clients: int = 300) -> str:
    """Have random clients, half of them hostile, while workers die at random."""
    outcomes = [run_round(seed, clients) for seed in range(1, seeds + 1)]
    assert not any(one.faults for one in outcomes), [one.faults for one in outcomes]
    killed, lost = sum(one.killed for one in outcomes), sum(one.excused for one in outcomes)
    return f"{killed} workers are killed, {lost} clients lose their connection with them, and nobody else notices"


async def stop_one(running: Service, port: int) -> str:
    """Stop a worker: newcomers go to the others, and the supervisor kills it."""
    peers = await opened(port, "/who", 20)
    victim = max(pid for _, pid, _ in peers)
    os.kill(victim, signal.SIGSTOP)
    newcomers = await opened(port, "/who", NEWCOMERS)
    slowest = max(seconds for _, _, seconds in newcomers)
    assert victim not in {pid for _, pid, _ in newcomers}
    seconds = await until(lambda: not lives(victim))
    await closed([*peers, *newcomers])
    return f"all {NEWCOMERS} newcomers are in, the slowest after {slowest:.2f} s; it is killed after {seconds:.0f} s"


async def stop_supervisor(running: Service, port: int) -> str:
    """Stop the supervisor for a minute: nobody is killed."""
    await until(lambda: len(running.workers()) == WORKERS + 2)  # with the relay, and the process that waits
    before = running.workers()
    os.kill(running.process.pid, signal.SIGSTOP)
    await trio.sleep(60)
    os.kill(running.process.pid, signal.SIGCONT)
    await trio.sleep(10)
    assert running.workers() == before
    return "nobody is killed in the 10 s after it goes on"


async def kill_supervisor(running: Service, port: int) -> str:
    """Kill the supervisor: its workers drain and leave nothing."""
    peers, workers = await opened(port, "/who", 20), children_of(running.process.pid)
    running.process.kill()
    seconds = await until(lambda: not any(map(lives, workers)))
    assert running.runtime() == []
    await closed(peers)
    return f"no process and no file is left after {seconds:.1f} s"


SCENARIOS = {
    f"{CLIENTS} newcomers of a shared path": balance,
    "SIGKILL to one worker that delivers messages": kill_one,
    "SIGKILL to one worker that has nothing to do": kill_idle,
    f"{CROWD} newcomers of a path whose ``accept_client`` takes 5 s": crowd_slow,
    f"{CROWD} newcomers of a path whose ``running()`` takes 5 s to leave, in a restart": crowd_ending,
    "SIGSTOP to one worker": stop_one,
    "SIGSTOP to the supervisor for 60 s": stop_supervisor,
    "SIGKILL to the supervisor": kill_supervisor,
}

HEAD = """.. Written by nox -s workers.

``nox -s workers`` runs a service of {workers} workers with
``--worker-timeout 5`` and does these things to it. The figures are of one run{machine}; the run fails where a rule does
not hold.

.. list-table::
   :header-rows: 1
   :widths: 30 70

   * - Event
     - Result
"""


async def run(running: Service, port: int, words: list[str]) -> list[tuple[str, str]]:
    """Run scenarios."""
    results = []
    chosen = [(name, one) for name, one in SCENARIOS.items() if not words or any(word in name for word in words)]
    for name, scenario in chosen:
        results.append((name, await scenario(running, port)))
        print(": ".join(results[-1]), flush=True)
    return results


def main(words: list[str]) -> None:
    """Run all scenarios and write the record, or some of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "numbers_program.py").write_text(PROGRAM)
        command = ("-m", "wsframe", "serve", "numbers_program.py", "--port", "0", "--workers", str(WORKERS))
        options = ("--worker-timeout", "5", "--max-clients", "5000", "--max-pending-handshakes", "1000")
        # Of a program that is installed Python has kept the bytecode.
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}
        with service(folder, *command, *options, **compiled) as running:
            port = int(running.until("Serving at").split()[2].rpartition(":")[2])
            results = trio.run(run, running, port, words)
    if words:
        return
    results.append(("900 random clients, and SIGKILL to random workers", chaos()))
    machine = f" on {os.cpu_count()} processors with Python {sys.version.split()[0]}"
    rows = "".join(f"   * - {name}\n     - {result}\n" for name, result in results)
    RECORD.write_text(HEAD.format(workers=WORKERS, machine=machine) + rows)


if __name__ == "__main__":
    main(sys.argv[1:])
