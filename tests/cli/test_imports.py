"""Modules that a start does without: a worker that replaces a killed one imports what it uses, and no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.workers import service

UNUSED = [
    # Rooms, and parts of others, that a program enters by a public name or an option.
    "wsframe.browser", "wsframe.centrifuge", "wsframe.hixie76", "wsframe.outgoing", "wsframe.pages", "wsframe.testing",
    "wsframe.backplane.postgres.backplane", "wsframe.backplane.redis.backplane", "wsframe.backplane.engines.supervised",
    "wsframe.backplane.relay_process", "wsframe.resources.asyncapi", "wsframe.resources.functions",
    "wsframe.resources.json_resource", "wsframe.resources.topics.publisher", "wsframe.server.monitoring.prometheus",
    # The supervisor's side.
    "wsframe.cli.reload", "wsframe.workers.child", "wsframe.workers.inherited", "wsframe.workers.relay_keeper",
    "wsframe.workers.rolling_restart", "wsframe.workers.supervisor",
    # Other commands.
    "wsframe.cli.asyncapi", "wsframe.cli.bench", "wsframe.cli.connect", "wsframe.cli.new", "wsframe.cli.routes",
    "wsframe.cli.terminal", "wsframe.cli.top",
    # Packages, and modules of Python's library that import many.
    "coredis", "email", "glide", "http.client", "importlib.metadata", "msgspec", "opentelemetry", "pdb",
    "prometheus_client", "psycopg", "rich", "shtab", "urllib.request", "uuid", "watchfiles",
]  # fmt: skip

PROGRAM = """
import json
import sys
from contextlib import asynccontextmanager
from wsframe import Resource, any_origin, register_global_resource


class Idle(Resource):
    scope = "shared"

    @asynccontextmanager
    async def running(self):
        print("modules " + json.dumps(sorted(sys.modules)) + "\\n", end="", flush=True)
        yield


register_global_resource("/", Idle(), any_origin)
"""


def test_the_package_alone_imports_nothing() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import wsframe, sys, json; print(json.dumps(sorted(sys.modules)))"],
        check=True,
        stdout=subprocess.PIPE,
    )
    modules = json.loads(told.stdout)
    assert [name for name in modules if name.startswith("wsframe")] == ["wsframe"]
    assert "trio" not in modules


@pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")
def test_a_worker_imports_what_it_uses(tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text(PROGRAM)
    with service(tmp_path, "-m", "wsframe", "serve", "idle.py", "--port", "0", "--workers", "1") as running:
        modules = json.loads(running.until("modules ").removeprefix("modules "))
    assert set(UNUSED) & set(modules) == set()
    assert {"wsframe.cli.serve", "wsframe.server.local_server", "wsframe.backplane.relay.backplane"} <= set(modules)
