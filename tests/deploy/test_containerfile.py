"""The Containerfile: it copies files that are there, builds what it copies, and runs without root."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from pathlib import Path

from websockets.sync.client import connect

from tests.deploy.files import ROOT, container, kubernetes, options_of
from tests.deploy.image import Image
from tests.ports import free_port

TIMEOUT = 120

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


def test_its_steps_make_an_image_whose_command_serves_and_whose_health_check_tells(tmp_path: Path) -> None:
    """In a folder in the place of its root; ports are free ones here, and the compiler is left out."""
    image = Image(tmp_path)
    image.build()
    options = options_of(json.loads(image.settings["CMD"]))
    assert (options.args.host, options.args.metrics_port, options.args.metrics_host) == ("*", 9100, "*")
    port = str(free_port())
    changed = {"*": "127.0.0.1", "9100": port}
    command = [image.here(word) for word in json.loads(image.settings["ENTRYPOINT"])]
    command += [changed.get(word, word) for word in json.loads(image.settings["CMD"])] + ["--port", "0"]
    check = [image.here(word.replace("9100", port)) for word in health_command()]

    def healthy() -> bool:
        done = subprocess.run(check, timeout=TIMEOUT, check=False, env=image.environment, stderr=subprocess.DEVNULL)
        return done.returncode == 0

    with subprocess.Popen(
        command, cwd=image.folder, env=image.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            first = process.stdout.readline()  # at once: PYTHONUNBUFFERED
            assert "Serving at ws://127.0.0.1:" in first
            assert healthy()
            address = re.findall(r"ws://[\d.:]+", first)[0]
            with connect(f"{address}/chat", proxy=None, open_timeout=TIMEOUT) as client:
                assert client.recv(TIMEOUT) == '{"nickname": "user-1"}'
        finally:
            process.send_signal(getattr(signal, image.settings["STOPSIGNAL"]))
            told = process.communicate(timeout=TIMEOUT)[1]
            watchdog.cancel()
        assert process.returncode == 0, told
    assert not healthy()
    assert [json.loads(line)["level"] for line in told.splitlines()]
    package = Path(image.here("/venv")) / "lib"
    assert list(package.glob("*/site-packages/wsframe/cli/serve.py")), "it serves what the image has"
