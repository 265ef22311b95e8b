"""PyPI's ``centrifuge-python``, unchanged, under asyncio: the flows are in ``sdk_flows.py``."""

import os
import subprocess
import sys
from pathlib import Path

from tests.examples.running import program_running
from tests.requirements import require_package

HERE = Path(__file__).parent


def test_the_sdk_for_python_connects_unchanged() -> None:
    require_package("centrifuge")
    with program_running(sys.executable, str(HERE / "served.py"), "--port", "0") as address:
        url = f"ws{address.removeprefix('http')}/connection/websocket"
        command = [sys.executable, str(HERE / "sdk_flows.py"), url]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok ") >= 18, done.stdout
