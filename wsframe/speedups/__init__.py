"""Which code does the hot work: C where it was built, else Python.

The extension ``wsframe.speedups.native`` is built when the package is installed and a C compiler
is there; nothing is lost but speed without it. ``WSFRAME_SPEEDUPS=0`` in the environment
leaves it out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Literal, TypeVar

__all__ = ["IN_USE", "accelerated"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

FROM_C: dict[str, object] = {}
if os.environ.get("WSFRAME_SPEEDUPS") != "0":
    with suppress(ImportError):
        FROM_C = vars(import_module("wsframe.speedups.native"))

IN_USE: Literal["c", "python"] = "c" if FROM_C else "python"
"""Whether the C extension is in use."""


IN_PYTHON: dict[str, Callable[..., object]] = {}
"""The functions that have a counterpart in C, as they are in Python."""


def accelerated(function: FunctionT) -> FunctionT:
    """Put the function of the same name in C in the place of one in Python, where it was built.

    Both do the same; the one in Python says what.
    """
    IN_PYTHON[function.__name__] = function
    return FROM_C.get(function.__name__, function)  # type: ignore[return-value]
