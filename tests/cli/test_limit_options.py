"""The flags that fill Capacity, Limits, Timeouts and Deflate."""

from dataclasses import fields

import pytest

from wsframe import Capacity, Deflate, Limits, Timeouts, cli
from wsframe.cli.limit_options import FLAGS, made_capacity, made_deflate, made_limits, made_timeouts


def parse(*flags: str) -> tuple[Capacity, Limits, Timeouts, Deflate | None]:
    args = cli.make_parser().parse_args(["serve", "chat.py", *flags])
    return made_capacity(args), made_limits(args), made_timeouts(args), made_deflate(args)


def test_every_field_has_one_flag() -> None:
    expected = [(kind, field.name) for kind in (Capacity, Limits, Timeouts, Deflate) for field in fields(kind)]
    expected.remove((Deflate, "mode"))  # which --deflate names
    assert sorted(map(str, expected)) == sorted(str((flag.options, flag.field)) for flag in FLAGS)
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)


def test_without_flags_everything_is_left_to_the_defaults() -> None:
    assert parse() == (Capacity(), Limits(), Timeouts(), None)


def test_flags_fill_their_fields() -> None:
    assert parse(
        "--max-clients", "7", "--max-clients-per-address", "2", "--max-total-queued-bytes", "1G",
        "--max-message", "64K", "--max-frame", "512", "--max-message-rate", "20.5", "--max-byte-rate", "1M",
        "--ping-interval", "2.5", "--drain-timeout", "0",
        "--deflate", "dedicated", "--deflate-level", "-1",
    ) == (
        Capacity(max_clients=7, max_clients_per_address=2, max_queued_bytes=1024**3),
        Limits(max_message=64 * 1024, max_frame=512, max_message_rate=20.5, max_byte_rate=1024**2),
        Timeouts(ping_interval=2.5, drain=0),
        Deflate.dedicated(level=-1),
    )  # fmt: skip


def test_none_is_a_value_and_not_the_default() -> None:
    flags = ["--max-frame", "none", "--max-byte-rate", "none", "--ping-interval", "none", "--max-clients", "none"]
    capacity, limits, timeouts, _ = parse(*flags)
    assert capacity == Capacity(max_clients=None)
    assert limits == Limits(max_frame=None, max_byte_rate=None)
    assert timeouts == Timeouts(ping_interval=None)


MISTAKES = {
    "--max-message 0": "--max-message must be at least 1, not 0",
    "--max-message -1": "argument --max-message: '-1' is not a size such as 512, 64K or 1M; see wsframe serve --help",
    "--max-message 1T": "argument --max-message: '1T' is not a size such as 512, 64K or 1M; see wsframe serve --help",
    "--max-message \N{ARABIC-INDIC DIGIT ONE}": "argument --max-message: '\N{ARABIC-INDIC DIGIT ONE}' is not a size "
    "such as 512, 64K or 1M; see wsframe serve --help",
    "--max-clients many": "argument --max-clients: 'many' is not a whole number; see wsframe serve --help",
    "--close-timeout nan": "argument --close-timeout: 'nan' is not a number; see wsframe serve --help",
    "--max-clients 1 --max-clients-per-address 0": "--max-clients-per-address must be at least 1, not 0",
    "--max-message 10 --max-frame 20": "max_frame 20 is above max_message 10: it would never act",
    "--deflate-level 1": "--deflate-level needs --deflate",
    "--deflate shared --deflate-level 10": "--deflate-level must be from -1 to 9, not 10",
    "--deflate shared --deflate-level x": "argument --deflate-level: 'x' is not a whole number; "
    "see wsframe serve --help",
}


@pytest.mark.parametrize("flags", MISTAKES)
def test_a_wrong_value_is_one_line_that_names_the_flag(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        raise SystemExit(cli.main(["serve", "chat.py", *flags.split()]))
    line = capsys.readouterr().err.removeprefix("wsframe serve: ").removeprefix("wsframe: ")
    assert line == MISTAKES[flags] + "\n"
