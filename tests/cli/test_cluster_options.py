"""The flags for servers that share resources."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from wsframe import Cluster
from wsframe.cli.cluster_options import add_cluster_options, made_cluster
from wsframe.cli.errors import Mistake


def parsed(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_cluster_options(parser)
    return parser.parse_args(flags)


def test_without_flags_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSFRAME_PEER_SECRET", raising=False)
    assert made_cluster(parsed()) == Cluster()


def test_each_field_has_its_flag() -> None:
    flags = ["--lease", "8", "--peer-bind", "10.0.0.7:9000", "--peer-advertise", "node7:9000", "--peer-secret", "s"]
    assert made_cluster(parsed(*flags)) == Cluster(
        lease_seconds=8, peer_bind="10.0.0.7:9000", peer_advertise="node7:9000", peer_secret="s"
    )


def test_the_secret_comes_from_the_environment_or_the_first_line_of_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WSFRAME_PEER_SECRET", "environment")
    assert made_cluster(parsed()).peer_secret == "environment"
    (tmp_path / "secret").write_text("file\nrest\n")
    assert made_cluster(parsed("--peer-secret-file", str(tmp_path / "secret"))).peer_secret == "file"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--lease", "1"], "--lease is at least 2, not 1"),
        (["--peer-bind", "10.0.0.7:9000"], "give all servers one --peer-secret"),
        (["--peer-bind", "nowhere"], "--peer-bind: .* needs a port"),
        (["--peer-secret-file", "/no/such/file"], "--peer-secret-file /no/such/file: No such file or directory"),
    ],
)
def test_a_mistake_is_told_with_the_flag(monkeypatch: pytest.MonkeyPatch, flags: list[str], told: str) -> None:
    monkeypatch.delenv("WSFRAME_PEER_SECRET", raising=False)
    with pytest.raises(Mistake, match=told):
        made_cluster(parsed(*flags))
