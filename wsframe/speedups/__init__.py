"""Which code does the hot work: C where it was built, else Python.

The extension ``wsframe.speedups.native`` is built when the package is installed and a C compiler
is there; nothing is lost but speed without it. ``WSFRAME_SPEEDUPS=0`` in the environment
leaves it out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Literal, TypeVar

__all__ = ["IN_USE", "accelerated", "check_attributes", "shortcut"]

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
    """Replace a Python function by the C function of the same name, where that was built.

    Both do the same; the Python one documents it.
    """
    return shortcut(function.__name__, function)


def shortcut(name: str, nothing_done: FunctionT) -> FunctionT:
    """Return the C function ``name``, where it was built, else a Python function that leaves all the work to others.

    Unlike the pairs of :func:`accelerated` these do not do the same: the C function does the common
    case without Python and returns the rest; the Python one returns everything.
    """
    IN_PYTHON[name] = nothing_done
    return FROM_C.get(name, nothing_done)  # type: ignore[return-value]


def check_attributes(read_by_c: Mapping[type, str]) -> None:
    """Check that each attribute that the C code reads or writes by name is there.

    After a rename the extension would find nothing to do, and be slow without an error.

    Args:
        read_by_c: The names of the attributes, with spaces between, for each class.

    Raises:
        ImportError: If a class lacks one, or the C code names others.
    """
    if not FROM_C:
        return
    missing = [
        f"{cls.__name__}.{name}" for cls, names in read_by_c.items() for name in names.split() if not hasattr(cls, name)
    ]
    if missing:
        raise ImportError(f"wsframe.speedups.native reads {', '.join(missing)}, which the class does not have")
    declared = {name for names in read_by_c.values() for name in names.split()}
    differing = declared.symmetric_difference(FROM_C["ATTRIBUTES"])  # type: ignore[arg-type]
    if differing:
        raise ImportError(f"the attributes in module.c and in READ_BY_C differ in {', '.join(sorted(differing))}")
