"""Runs an example as it is, with several workers: ``python -m tests.examples.as_workers N EXAMPLE ARGUMENTS``."""

from __future__ import annotations

import runpy
import sys
from typing import Any, cast

import wsframe


def main(workers: str, example: str, *arguments: str) -> None:
    """Run the example as its reader would, but for the number of processes."""
    run: Any = wsframe.run

    def run_workers(*given: Any, **options: Any) -> None:
        run(*given, **options | {"workers": int(workers)})

    cast(Any, wsframe).run = run_workers
    sys.path[0] = example.rpartition("/")[0]
    sys.argv = [example, *arguments]
    runpy.run_path(example, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
