"""Freed memory is kept for the next large message, where the C library would give it back."""

import platform
import subprocess
import sys

import pytest

# Allocate and free the memory of a message, a hundred times; each page given back is a fault the next time.
PROGRAM = """
import resource
from wsframe.net.malloc import keep_freed_memory
{}
for _ in range(100):
    message = bytearray(2**20)
    copy = bytes(message)
    del message, copy
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


# A process starts several reactors: one for each server, and clients have memory of their own.
AGAIN = """
import resource
from wsframe.net.malloc import keep_freed_memory
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    keep_freed_memory()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is made to keep memory")


def number_of(program: str) -> int:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return int(done.stdout)


def faults(call: str) -> int:
    return number_of(PROGRAM.format(call))


@glibc
def test_freed_memory_is_kept() -> None:
    given_back = 100 * 2**20 // 4096  # pages of a hundred messages
    assert faults("") - faults("keep_freed_memory()") > given_back


@glibc
def test_pages_of_the_block_are_never_touched_however_many_ask_for_it() -> None:
    pages = 16 * 2**20 // 4096
    assert number_of(AGAIN) < pages / 10
