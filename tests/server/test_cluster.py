"""The settings of servers that share resources: checked where they are made."""

from __future__ import annotations

from typing import Any

import pytest

from wsframe import Cluster, ServeOptions


def test_the_defaults_serve_several_servers_on_one_machine() -> None:
    assert Cluster() == Cluster(lease_seconds=5.0, peer_bind="127.0.0.1:0", peer_advertise=None, peer_secret=None)
    assert ServeOptions().cluster == Cluster()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.9.9.9:9000", "[::1]:9000", "localhost:1", "LocalHost:1"])
def test_loopback_needs_no_secret(address: str) -> None:
    assert Cluster(peer_bind=address).peer_bind == address


@pytest.mark.parametrize("address", ["10.0.0.7:9000", "*:9000", "[::]:9000", "0.0.0.0:0", "[fe80::1%eth0]:1", "db:1"])
def test_an_address_that_others_reach_needs_a_secret(address: str) -> None:
    with pytest.raises(ValueError, match="can be reached by other machines: give all servers one peer_secret"):
        Cluster(peer_bind=address)
    made = Cluster(peer_bind=address, peer_secret="between us", peer_advertise="10.0.0.7:9000")
    assert made.peer_bind == address


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "0", "0.0", "[::]", "[::0]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]"])
def test_all_addresses_are_not_one_that_others_can_reach(host: str) -> None:
    with pytest.raises(ValueError, match="names no host at which others reach this server: set peer_advertise"):
        Cluster(peer_bind=f"{host}:9000", peer_secret="between us")
    with pytest.raises(ValueError, match="peer_advertise names one host and its port"):
        Cluster(peer_advertise=f"{host}:9000")
    Cluster(peer_bind=f"{host}:9000", peer_secret="between us", peer_advertise="db:9000")


def test_the_secret_is_never_shown() -> None:
    assert "between us" not in repr(ServeOptions(cluster=Cluster(peer_secret="between us")))


@pytest.mark.parametrize(
    ("field", "value", "error", "told"),
    [
        ("lease_seconds", 1.9, ValueError, "lease_seconds is at least 2, not 1.9"),
        ("lease_seconds", float("nan"), ValueError, "lease_seconds is at least 2, not nan"),
        ("lease_seconds", float("inf"), ValueError, "lease_seconds is at least 2, not inf"),
        ("lease_seconds", "5", TypeError, "lease_seconds is a number, not str"),
        ("lease_seconds", True, TypeError, "lease_seconds is a number, not bool"),
        ("peer_bind", "unix:peer.socket", ValueError, "peer_bind is HOST:PORT"),
        ("peer_bind", "127.0.0.1", ValueError, "peer_bind: .* needs a port"),
        ("peer_bind", None, TypeError, "peer_bind is an address as a str"),
        ("peer_advertise", "*:9000", ValueError, "peer_advertise names one host and its port"),
        ("peer_advertise", "node1:0", ValueError, "peer_advertise names one host and its port"),
        ("peer_secret", "", ValueError, "peer_secret is empty"),
        ("peer_secret", b"bytes", TypeError, "peer_secret is a str or None, not bytes"),
    ],
)
def test_a_value_that_can_never_serve_is_refused(field: str, value: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Cluster(**{field: value})


def test_the_option_takes_a_cluster_alone() -> None:
    with pytest.raises(TypeError, match=r"cluster is a wsframe\.Cluster, such as Cluster\(lease_seconds=10\)"):
        ServeOptions(cluster=5)  # type: ignore[arg-type]
