"""The Containerfile: it copies files that are there, builds them, and runs without root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from tests.deploy.files import ROOT, container, free_port, kubernetes, options_of
from tests.examples.running import program_running
from tests.patience import PATIENCE

INSTRUCTIONS = {
    "FROM", "RUN", "COPY", "WORKDIR", "USER", "ENV", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD",
}  # fmt: skip


def last(instruction: str) -> str:
    """Return the arguments of the last instruction of a kind, which counts for the image."""
    return [arguments for name, arguments in container() if name == instruction][-1]


def health_command() -> list[str]:
    command: list[str] = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    return command


def test_it_has_instructions_that_there_are() -> None:
    assert {name for name, _ in container()} <= INSTRUCTIONS
    assert json.loads(last("ENTRYPOINT")) == ["/venv/bin/wsframe", "serve"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_image_does_not_run_as_root() -> None:
    number = int(last("USER").partition(":")[0])
    assert number > 0
    pod = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == number


def test_it_copies_files_of_this_repository_and_no_compiler_into_the_image() -> None:
    stages = [at for at, (name, _) in enumerate(container()) if name == "FROM"]
    for name, arguments in container():
        if name == "COPY" and not arguments.startswith("--from="):
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists(), source
    assert all(name != "RUN" for name, _ in container()[stages[-1] :])


def test_the_files_that_it_copies_make_a_wheel(tmp_path: Path) -> None:
    """Without a compiler here, which takes its time and which other tests have."""
    source = tmp_path / "src"
    source.mkdir()
    for name, arguments in container():
        *files, target = arguments.split()
        if name == "COPY" and target.startswith("/src/"):
            for file in files:
                to = tmp_path / target.lstrip("/") / (Path(file).name if target.endswith("/") else "")
                if (ROOT / file).is_dir():
                    shutil.copytree(ROOT / file, to, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
                else:
                    shutil.copy(ROOT / file, to)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source],
        check=True, capture_output=True, timeout=PATIENCE, env={**os.environ, "CC": "false"},
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as packed:
        assert {"wsframe/cli/serve.py", "wsframe/browser/wsframe.js", "_wsframe_pytest.py"} <= set(packed.namelist())


def test_its_command_serves_and_its_health_check_tells(tmp_path: Path) -> None:
    arguments: list[str] = json.loads(last("CMD"))
    options = options_of(arguments)
    assert (options.args.host, options.args.metrics_port, options.args.metrics_host) == ("*", 9100, "*")
    port = str(free_port())
    python, *check = health_command()
    assert python == "/venv/bin/python"
    check = [sys.executable, *(word.replace("9100", port) for word in check)]
    here = [{"*": "127.0.0.1", "9100": port}.get(word, word) for word in arguments]
    command = [sys.executable, "-m", "wsframe", "serve", str(ROOT / "examples" / here[0]), *here[1:], "--port", "0"]
    with program_running(*command):
        assert subprocess.run(check, timeout=PATIENCE, check=False).returncode == 0
    assert subprocess.run(check, timeout=PATIENCE, check=False, capture_output=True).returncode != 0
