"""A container without a container: a folder in the place of its root, where the Containerfile is carried out."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.deploy.files import ROOT, container

__all__ = ["Image"]

TIMEOUT = 300
# Other tests build the C extension.
HERE = {"CC": "false", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def others() -> list[str]:
    """Return the folders of this environment's packages."""
    return [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_path("purelib")]


class Image:
    """A folder in which the paths of an image stand.

    Packages of the distribution are not installed, and other bases than Python's are not there: it is this one's.

    Args:
        root: The folder, empty.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root
        """The last WORKDIR."""
        self.settings: dict[str, str] = {}
        """The last arguments of each instruction."""
        self.environment: dict[str, str] = {**os.environ, **HERE}

    def here(self, text: str) -> str:
        """Return a text with paths of the image as they are here."""
        return re.sub(r"(?<![\w./])/(?=venv|src|srv)", f"{self.root}/", text)

    def build(self) -> None:
        """Carry out all instructions; the stages share the folder, so nothing is to be copied between them."""
        for name, arguments in container():
            self.settings[name] = arguments
            if name == "RUN" and not arguments.startswith("apt-get"):
                self._run(arguments)
            elif name == "COPY" and not arguments.startswith("--from="):
                self._copy(*arguments.split())
            elif name == "WORKDIR":
                self.folder = Path(self.here(arguments))
            elif name == "ENV":
                self.environment |= dict([arguments.split("=", 1)])

    def _run(self, command: str) -> None:
        words = [{"python": sys.executable}.get(word, word) for word in shlex.split(self.here(command))]
        environment = {**self.environment, "PYTHONPATH": os.pathsep.join(others())}  # so it downloads less
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, timeout=TIMEOUT, env=environment, cwd=self.folder
        )
        assert done.returncode == 0, done.stderr
        for packages in self.root.glob("venv/lib/*/site-packages"):
            (packages / "others.pth").write_text("\n".join(others()))

    def _copy(self, *words: str) -> None:
        *sources, target = words
        for source in sources:
            to = Path(self.here(target)) / (Path(source).name if target.endswith("/") else "")
            to.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            else:
                shutil.copy(ROOT / source, to)
