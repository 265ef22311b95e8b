"""``python -m tests.fuzz [SECONDS [TARGET]]``: fuzz with atheris; inputs that crash are left in the current folder."""

import subprocess
import sys
import tempfile

import atheris

from tests.fuzz.corpus import FOLDER

with atheris.instrument_imports(include=["wsframe", "wsproto", "h11"]):
    from tests.fuzz.targets import TARGETS

LONGEST_INPUT = 4096


def fuzz(target: str, seconds: str) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as found:  # libFuzzer adds to the first folder
        options = [f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", "-timeout=20", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], found, str(FOLDER / target), *options], TARGETS[target])
        atheris.Fuzz()


def main(arguments: list[str]) -> int:
    seconds = arguments[0] if arguments else "60"
    if len(arguments) > 1:
        fuzz(arguments[1], seconds)
        return 0
    each = str(max(1, int(seconds) // len(TARGETS)))
    failed = 0
    for target in TARGETS:
        print(f"--- {target}, {each} s", flush=True)
        failed |= subprocess.run([sys.executable, "-m", "tests.fuzz", each, target], check=False).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
