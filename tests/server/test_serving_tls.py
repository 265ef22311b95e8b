"""The default context of outgoing connections."""

import ssl
from pathlib import Path

import pytest
import trustme

from wsframe.net.tls import default_context


def test_the_default_context_is_made_once_for_each_place_of_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = default_context()
    assert default_context() is before
    assert before.verify_mode is ssl.CERT_REQUIRED
    assert before.check_hostname
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert default_context() is not before
    assert len(default_context().get_ca_certs()) == 1
