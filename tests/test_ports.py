"""Ports that a test passes to a program are of nobody else's."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from tests.ports import BLOCK, FIRST, LAST, free_port

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_each_port_is_given_once_before_all_others_were() -> None:
    ports = [free_port() for _ in range(BLOCK // 2)]
    assert len(set(ports)) == len(ports)
    assert all(FIRST <= port < LAST for port in ports)


def test_a_port_in_use_is_left_out_with_those_that_would_need_it() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as used:
        taken = used.getsockname()[1]
        assert not any(port <= taken < port + 3 for port in (free_port(3) for _ in range(BLOCK)))


def test_processes_that_run_at_once_have_ports_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = set()
    for pid in range(70_000, 70_100):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        blocks.add((free_port() - FIRST) // BLOCK)
    assert len(blocks) == 100


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the range is not told in /proc")
def test_the_kernel_gives_none_of_them_to_those_who_take_any() -> None:
    assert int(RANGE.read_text().split()[0]) >= LAST
