"""``wsframe asyncapi``: the document of a target."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE

TARGET = """
import wsframe

class Echo(wsframe.Resource):
    async def received_text(self, client, message): ...

class Typed(wsframe.JSONResource):
    async def received_json(self, client, message: dict[str, int]): ...

wsframe.register_global_resource("/global", Echo())
registry = wsframe.Registry()
registry.register("/own", Typed())
alone = wsframe.Registry(alone=True)
alone.register("/own", Typed())
"""


def run_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wsframe", "asyncapi", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize(
    ("arguments", "title", "version", "operations"),
    [
        (["described.py"], "described", "1.0.0", ["receive-global"]),
        (["described:registry"], "described", "1.0.0", ["receive-own", "receive-global"]),
        (["described:alone"], "described", "1.0.0", ["receive-own"]),
        (["described", "--title", "My chat", "--api-version", "2"], "My chat", "2", ["receive-global"]),
    ],
)
def test_the_command_prints_the_document_of_a_target(
    tmp_path: Path, arguments: list[str], title: str, version: str, operations: list[str]
) -> None:
    (tmp_path / "described.py").write_text(TARGET)
    done = run_command(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    made = json.loads(done.stdout)
    assert made["info"] == {"title": title, "version": version}
    assert list(made["operations"]) == operations


def test_a_mistake_of_the_command_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "described.py").write_text(TARGET)
    (tmp_path / "msgspec.py").write_text("raise ModuleNotFoundError('it is not installed')")
    done = run_command(tmp_path, "described.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("wsframe: cannot import described.py: ImportError: JSONResource needs msgspec: ")
    assert done.stderr.count("\n") == 1
    assert run_command(tmp_path, "nowhere").stderr == "wsframe: no module named 'nowhere'\n"
