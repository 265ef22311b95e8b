"""How the C extension is built: without a warning, hardened, and from an sdist with all the files it needs."""

from __future__ import annotations

import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.links import Links, running_in
from tests.requirements import require
from tests.wire import BINARY, TEXT, frame
from wsframe.speedups import FROM_C

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "wsframe/speedups").glob("*.c"))

DYNAMIC, RELRO, STACK = 2, 0x6474E552, 0x6474E551
FLAGS, FLAGS_1 = 30, 0x6FFFFFFB


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
def test_the_compiler_has_nothing_to_say(source: Path, optimize: str, tmp_path: Path) -> None:
    compiler = require("cc", "gcc", "clang")
    include = sysconfig.get_paths()["include"]
    if not Path(include, "Python.h").exists():
        require("python3-dev")
    strict = ["-Wall", "-Wextra", "-Werror", optimize, "-fPIC"]
    command = [compiler, *strict, f"-I{include}", "-c", str(source), "-o", str(tmp_path / "out.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def segments(elf: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield type, flags, offset and size of each segment of a 64-bit file."""
    start, size, count = (
        struct.unpack_from("<Q", elf, 32)[0],
        *struct.unpack_from("<HH", elf, 54),
    )
    for at in range(start, start + size * count, size):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, at)
        yield kind, flags, offset, length


@pytest.mark.usefixtures("in_c")
@pytest.mark.skipif(sys.platform != "linux", reason="other files look otherwise")
def test_the_extension_is_hardened() -> None:
    file = FROM_C["__file__"]
    assert isinstance(file, str)
    elf = Path(file).read_bytes()
    assert elf[:6] == b"\x7fELF\x02\x01", "64 bits, little end first"
    assert b"__stack_chk_fail" in elf
    found = {kind: (flags, elf[offset : offset + length]) for kind, flags, offset, length in segments(elf)}
    assert RELRO in found
    assert not found[STACK][0] & 1, "the stack may be executed"
    entries = dict(struct.iter_unpack("<QQ", found[DYNAMIC][1]))
    assert entries.get(FLAGS, 0) & 8 or entries.get(FLAGS_1, 0) & 1, "not bound at the start"


@pytest.mark.usefixtures("in_c")
@pytest.mark.parametrize("beyond", [1, 4000, 100_000])
async def test_a_size_below_nothing_does_not_reach_the_kernel(beyond: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever bug makes more be held than a message has: its link is given up, and nothing is written beyond."""
    with running_in("c"):
        links = Links("c", buffer=64)
        peer, other = links.open(), links.open()
        try:
            peer.send(frame(BINARY, b"x" * 4000)[:400])
            peer.connection._payload = bytes(4000 + beyond)
            peer.sock.send(b"y" * 4000)
            links.settle()
            assert peer.link.transport.sock is None
            assert [record.levelname for record in caplog.records if record.levelno >= 40] == ["ERROR"]
            other.send(frame(TEXT, b"fine"))
            assert other.inbox.received == 1
        finally:
            links.close()
