"""The units of systemd."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

from websockets.sync.client import unix_connect

from tests.deploy.files import DEPLOY, ROOT, served_by_unit, unit
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.requirements import require


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    command = require("systemd-analyze")
    for name in ("chat.service", "chat.socket"):
        text = (DEPLOY / name).read_text().replace("/srv/chat/.venv/bin/wsframe", sys.executable)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [command, "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "chat." in line or str(tmp_path) in line]
    assert (done.returncode, ours) == (0, [])


def test_the_service_has_time_to_drain_before_it_is_killed() -> None:
    timeouts = served_by_unit().timeouts
    assert int(unit("chat.service")["TimeoutStopSec"]) >= timeouts.lame_duck + timeouts.drain + 5


def test_the_service_has_a_descriptor_for_each_client() -> None:
    capacity = served_by_unit().capacity
    assert capacity.max_clients is not None
    assert int(unit("chat.service")["LimitNOFILE"]) > capacity.max_clients + capacity.max_pending_handshakes + 100


def test_the_memory_of_the_service_holds_what_its_options_allow() -> None:
    assert unit("chat.service")["MemoryMax"] == "1G"
    assert 2 * served_by_unit().capacity.max_queued_bytes <= 1024**3 // 2


def test_the_service_serves_the_socket_that_systemd_passes(tmp_path: Path) -> None:
    assert unit("chat.service")["Requires"] == "chat.socket"
    assert unit("chat.socket")["ListenStream"] == "/run/chat.sock"
    words = shlex.split(unit("chat.service")["ExecStart"])
    assert words[2] == "chat.py"
    place = tmp_path / "chat.sock"
    arguments = [str(free_port()) if word == "9100" else word for word in words[3:]]
    command = [sys.executable, "-m", "wsframe", "serve", str(ROOT / "examples" / "chat.py"), *arguments]
    with subprocess.Popen([require("systemd-socket-activate"), "-l", str(place), *command]) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not place.exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            with unix_connect(str(place), "ws://chat.example/chat", open_timeout=PATIENCE) as client:
                assert client.recv(PATIENCE) == '{"nickname": "user-1"}'
        finally:
            process.terminate()
        assert process.wait(PATIENCE) == 0
