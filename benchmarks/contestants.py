"""The servers to measure: wsframe, and the servers to compare it with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["CONTESTANTS", "REFERENCE", "Contestant", "find_installed"]

ROOT = Path(__file__).parents[1]
# This folder comes last, so that the installed packages are measured, not the checkout.
LAUNCH = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); "
    "runpy.run_module('benchmarks.servers.' + sys.argv.pop(1), run_name='__main__')"
)
REFERENCE = "wsframe"
"""The contestant to which the ratios of the others refer."""
PURE = "wsframe-pure"

# Run by a contestant's interpreter. An installed package can fail to import; a compiled
# part of wsframe counts if it is loaded, whatever its name.
PROBE = """
import importlib, importlib.metadata, json, platform, sys
found = {"python": platform.python_implementation() + " " + platform.python_version(), "versions": {}}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        found["versions"][name] = importlib.metadata.version(name.partition(".")[0])
    except Exception:
        pass
found["compiled"] = any(
    name.startswith("wsframe.") and not str(getattr(module, "__file__", ".py")).endswith(".py")
    for name, module in sys.modules.items()
)
print(json.dumps(found))
"""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One server: a program in ``servers/``, and how to run it."""

    name: str
    program: str
    needs: tuple[str, ...]
    """The modules that must be importable; the first gives the version to report."""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    deflate: bool = False
    """Whether it can compress messages."""
    python: str = sys.executable
    version: str = ""

    @property
    def is_wsframe(self) -> bool:
        """Whether it is wsframe, of this environment or of another."""
        return self.needs[0] == "wsframe"

    def command(self, port: int, certificate: Path | None, *, deflate: bool = False) -> list[str]:
        """Return the command that serves at a port, with TLS if there is a certificate, and with compression or not."""
        command = [self.python, "-P", "-c", LAUNCH, str(ROOT), self.program]
        command += ["--port", str(port), *self.arguments, *(["--deflate"] if deflate else [])]
        return command if certificate is None else [*command, "--certificate", str(certificate)]


CONTESTANTS = (
    Contestant(name=REFERENCE, program="serve_wsframe", needs=("wsframe",), tls=True, deflate=True),
    Contestant(
        name=PURE,
        program="serve_wsframe",
        needs=("wsframe",),
        environment={"WSFRAME_SPEEDUPS": "0"},
        tls=True,
        deflate=True,
    ),
    Contestant(
        name="wsframe-spinning",  # as by default on two CPUs: the one of its own would turn that off
        program="serve_wsframe",
        needs=("wsframe",),
        environment={"WSFRAME_SPIN": "1"},
        tls=True,
        deflate=True,
    ),
    Contestant(name="websockets", program="serve_websockets", needs=("websockets",), tls=True, deflate=True),
    Contestant(
        name="websockets-trio",
        program="serve_websockets_trio",
        needs=("websockets.trio", "trio"),
        tls=True,
        deflate=True,
    ),
    Contestant(name="aiohttp", program="serve_aiohttp", needs=("aiohttp",), tls=True, deflate=True),
    Contestant(name="picows", program="serve_picows", needs=("picows",), tls=True),
    Contestant(
        name="picows-uvloop",
        program="serve_picows",
        needs=("picows", "uvloop"),
        arguments=("--uvloop",),
        tls=True,
    ),
    Contestant(name="socketify", program="serve_socketify", needs=("socketify",), tls=True, deflate=True),
    Contestant(name="trio-websocket", program="serve_trio_websocket", needs=("trio_websocket", "trio"), tls=True),
    Contestant(name="tornado", program="serve_tornado", needs=("tornado",), tls=True),
    Contestant(
        name="uvicorn",
        program="serve_uvicorn",
        needs=("uvicorn", "uvloop", "websockets"),
        arguments=("--uvloop",),
        tls=True,
        deflate=True,
    ),
)


def probe(python: str, modules: Iterable[str]) -> tuple[str, dict[str, str], bool]:
    """Return an interpreter's version, the versions of the modules it can import, and whether wsframe is compiled."""
    command = [python, "-P", "-c", PROBE, *sorted(set(modules))]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    found = json.loads(told.splitlines()[-1])
    return found["python"], found["versions"], found["compiled"]


def find_installed(contestants: Iterable[Contestant], peers: str) -> tuple[list[Contestant], dict[str, str]]:
    """Find the contestants that can run.

    Args:
        contestants: The contestants to look for.
        peers: The interpreter for the servers other than wsframe.

    Returns:
        The contestants that can run, each with interpreter and version; for the others, the reason.
    """
    wanted = [contestant if contestant.is_wsframe else replace(contestant, python=peers) for contestant in contestants]
    probed = {
        python: probe(
            python, (name for contestant in wanted if contestant.python == python for name in contestant.needs)
        )
        for python in {contestant.python for contestant in wanted}
    }
    found, missing = [], {}
    for contestant in wanted:
        interpreter, versions, compiled = probed[contestant.python]
        absent = [name for name in contestant.needs if name not in versions]
        if absent:
            missing[contestant.name] = f"{' and '.join(absent)} cannot be imported by {contestant.python}"
        elif contestant.name == PURE and not compiled:
            missing[contestant.name] = "nothing of wsframe is compiled, so it is the same as wsframe"
        else:
            kind = " with its compiled part" if contestant.is_wsframe and compiled and contestant.name != PURE else ""
            found.append(replace(contestant, version=f"{versions[contestant.needs[0]]}{kind}, {interpreter}"))
    return found, missing
