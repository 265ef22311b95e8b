"""npm's ``centrifuge``, unchanged, in Node: the rules are in the files ``*.test.cjs``."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.examples.running import program_running
from tests.requirements import NODE, require_node

HERE = Path(__file__).parent


def test_the_sdk_for_javascript_connects_unchanged() -> None:
    node = require_node()
    with program_running(sys.executable, str(HERE / "served.py"), "--port", "0") as address:
        environment = {
            **os.environ,
            "NODE_PATH": str(NODE / "node_modules"),
            "WSFRAME_URL": f"ws{address.removeprefix('http')}/connection/websocket",
        }
        files = sorted(str(path) for path in HERE.glob("*.test.cjs"))
        command = [node, "--test", "--test-reporter", "tap", *files]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, re.findall(r"^ *not ok .*\n(?:.*\n){0,12}", done.stdout, re.MULTILINE)
    ran = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert ran is not None, done.stdout
    assert int(ran[1]) >= 61, done.stdout
