"""Numbers in text: never an error of Python's, whatever the text."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

import pytest

import wsframe
from wsframe.backplane.redis.address import redis_address
from wsframe.cli import arguments
from wsframe.cli.errors import Mistake
from wsframe.cli.input_lines import said_typed
from wsframe.digits import whole_number
from wsframe.server.check_options import check_metrics_host
from wsframe.server.notify import watchdog_interval
from wsframe.server.peers.keys import peer_address
from wsframe.server.sockets.activation import passed_descriptors
from wsframe.server.sockets.addresses import InheritedAddress, parse_address
from wsframe.server.sockets.bind import read_owner

HUGE = "9" * 5_000  # Python's int reads 4 300
NOT_DIGITS = ["", " 1", "1 ", "+1", "-1", "1_0", "0x1", "1.0", "1e3", "\N{FULLWIDTH DIGIT ONE}", "\N{SUPERSCRIPT TWO}"]


@pytest.mark.parametrize("text", [*NOT_DIGITS, "8", "10", HUGE])
def test_text_that_is_not_a_number_within_the_bound_is_none(text: str) -> None:
    assert whole_number(text, 7) is None


def test_zeros_before_a_number_do_not_count() -> None:
    assert [whole_number(text, 65535) for text in ("0", "7", "0" * 5_000, "0" * 5_000 + "65535")] == [0, 7, 0, 65535]


def activation(text: str) -> object:
    return passed_descriptors({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": text}, 1)


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (activation, OSError),
        (lambda text: parse_address(f"localhost:{text}"), ValueError),
        (lambda text: parse_address(f"fd:{text}"), ValueError),
        (read_owner, ValueError),
        (lambda text: read_owner(f":{text}"), ValueError),
        (lambda text: wsframe.origin_exact(f"https://chat.example:{text}"), ValueError),
        (lambda text: wsframe.origin_prefix(f"https://chat.example:{text}"), ValueError),
        (lambda text: check_metrics_host(f"localhost:{text}"), ValueError),
        (lambda text: redis_address(f"redis://localhost/{text}"), ValueError),
        (lambda text: said_typed(f"/close {text}"), Mistake),
        (arguments.port_number, argparse.ArgumentTypeError),
        (arguments.workers, argparse.ArgumentTypeError),
        (arguments.count, argparse.ArgumentTypeError),
        (arguments.integer, argparse.ArgumentTypeError),
        (lambda text: arguments.integer(f"-{text}"), argparse.ArgumentTypeError),
        (arguments.number, argparse.ArgumentTypeError),
        (arguments.size, argparse.ArgumentTypeError),
        (lambda text: arguments.size(f"{text}G"), argparse.ArgumentTypeError),
    ],
)
def test_a_number_of_five_thousand_digits_is_one_clear_error(
    read: Callable[[str], object], error: type[Exception]
) -> None:
    with pytest.raises(error) as info:
        read(HUGE)
    assert "4300" not in str(info.value), "nor is it the error of int"


def test_a_number_of_five_thousand_digits_from_others_counts_as_none() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": HUGE}) is None
    assert peer_address(f"chat.example:{HUGE}/0/x") is None


def test_the_largest_numbers_are_those_of_the_system() -> None:
    assert parse_address("fd:2147483647") == InheritedAddress(2**31 - 1)
    assert read_owner("4294967294:0") == (2**32 - 2, 0)
    assert watchdog_interval({"WATCHDOG_USEC": str(2**64 - 1)}) == (2**64 - 1) / 2_000_000
    assert arguments.count(str(2**63 - 1)) == 2**63 - 1
    assert arguments.size("8388607G") == 8388607 << 30
