"""``python -m tests.chaos [SEEDS [CLIENTS [FIRST]]]``: many seeds, a table, and 1 as exit status if anything failed."""

import sys

import trio

from tests.certificates import make_contexts
from tests.chaos.one_round import Outcome, run_round

# Between the second round, when every pool of memory is warm, and the last.
MAY_GROW = 32 * 1024 * 1024


async def run_seeds(seeds: int, clients: int, first: int) -> int:
    contexts = make_contexts()
    outcomes: list[Outcome] = []
    print(
        f"{'seed':>6} {'clients':>8} {'connected':>10} {'events':>9} {'seconds':>8}"
        f" {'late':>5} {'grown KiB':>10} {'faults':>7}"
    )
    for seed in range(first, first + seeds):
        outcome = await run_round(seed, clients, contexts)
        outcomes.append(outcome)
        print(
            f"{seed:>6} {clients:>8} {outcome.lives:>10} {outcome.events:>9} {outcome.seconds:>8.1f}"
            f" {outcome.late:>5.2f} {outcome.grown // 1024:>10} {len(outcome.faults):>7}",
            flush=True,
        )
        for fault in outcome.faults:
            print(f"       {fault}", flush=True)
    faults = sum(len(outcome.faults) for outcome in outcomes)
    grown = sum(outcome.grown for outcome in outcomes[2:])
    lives, events = sum(outcome.lives for outcome in outcomes), sum(outcome.events for outcome in outcomes)
    print(
        f"{seeds} seeds, {seeds * clients} clients, {lives} connected, {events} events,"
        f" {grown // 1024} KiB grown after the second round, {faults} faults"
    )
    return 1 if faults or grown > MAY_GROW else 0


def main(arguments: list[str]) -> int:
    seeds, clients, first = (int(given) for given in (*arguments, *("10", "300", "1")[len(arguments) :]))
    return trio.run(run_seeds, seeds, clients, first)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
