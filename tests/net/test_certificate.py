"""Certificates and keys in files: an error names the file and its fault."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.certificates import write_certificate
from tests.requirements import require
from wsframe import Certificate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the certificate ``a``."""
    monkeypatch.chdir(tmp_path)
    write_certificate(trustme.CA(), tmp_path, "a", "a.example")
    return tmp_path


def load(**fields: Any) -> None:
    Certificate(**fields).load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_a_key_can_stand_in_the_file_of_its_certificate(folder: Path) -> None:
    (folder / "both.pem").write_bytes((folder / "a.key").read_bytes() + (folder / "a.pem").read_bytes())
    load(certfile="both.pem")
    load(certfile=folder / "both.pem")


def encrypt(password: str) -> None:
    command = [require("openssl"), "pkey", "-in", "a.key", "-aes256", "-passout", f"pass:{password}", "-out", "enc.key"]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("password", ["secret", "pässwort", " with spaces "])
def test_an_encrypted_key_needs_its_password(folder: Path, password: str) -> None:
    encrypt(password)
    load(certfile="a.pem", keyfile="enc.key", password=password)
    load(certfile="a.pem", keyfile="enc.key", password=password.encode())
    load(certfile="a.pem", keyfile="a.key", password="of no use")
    with pytest.raises(ValueError, match=r"^a.pem with enc.key: .*\(the key is encrypted, and no password is given\)$"):
        load(certfile="a.pem", keyfile="enc.key")
    for wrong in ("wrong", ""):
        with pytest.raises(ValueError, match="the password of the key is wrong, or a part is malformed"):
            load(certfile="a.pem", keyfile="enc.key", password=wrong)


def test_a_password_can_be_of_any_bytes_as_a_file_or_the_environment_has_them(folder: Path) -> None:
    password = "pässwort".encode("latin-1")
    (folder / "password").write_bytes(password)
    command = [require("openssl"), "pkey", "-in", "a.key", "-aes256", "-passout", "file:password", "-out", "enc.key"]
    subprocess.run(command, check=True)
    load(certfile="a.pem", keyfile="enc.key", password=password)
    load(certfile="a.pem", keyfile="enc.key", password=password.decode("utf-8", "surrogateescape"))


def test_a_password_that_is_no_text_is_refused_without_a_part_of_it(folder: Path) -> None:
    encrypt("secret")
    with pytest.raises(ValueError, match=r"\(the password has a lone surrogate\)$"):
        load(certfile="a.pem", keyfile="enc.key", password="\ud800")


def test_a_password_is_in_no_repr() -> None:
    assert "secret" not in repr(Certificate(certfile="a.pem", password="secret"))


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"certfile": "a.pem"}, ValueError, "a.pem has no private key"),
        ({"certfile": "a.key"}, ValueError, "a.key has no certificate"),
        ({"certfile": "a.pem", "keyfile": "a.pem"}, ValueError, "a.pem has no private key"),
        ({"certfile": "empty", "keyfile": "a.key"}, ValueError, "empty has no certificate"),
        ({"certfile": "half", "keyfile": "a.key"}, ValueError, "a part is malformed"),
        ({"certfile": "a.pem", "keyfile": "b.key"}, ValueError, "the key does not belong to the certificate"),
        ({"certfile": "nowhere", "keyfile": "a.key"}, FileNotFoundError, "cannot read nowhere: No such file"),
        ({"certfile": "a.pem", "keyfile": "."}, IsADirectoryError, r"cannot read .: Is a directory"),
        ({"certfile": "a.pem", "keyfile": "a.key", "password": "x" * 2000}, None, ""),
    ],
)
def test_an_error_names_the_file(
    folder: Path, fields: dict[str, Any], error: type[Exception] | None, words: str
) -> None:
    write_certificate(trustme.CA(), folder, "b", "a.example")
    (folder / "empty").touch()
    (folder / "half").write_bytes((folder / "a.pem").read_bytes()[:300])
    if error is None:
        load(**fields)
        return
    with pytest.raises(error, match=words):
        load(**fields)


@pytest.mark.parametrize(
    "fields", [{"certfile": 1}, {"certfile": "a", "keyfile": b"b"}, {"certfile": "a", "password": 7}]
)
def test_fields_of_another_type_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Certificate\."):
        Certificate(**fields)
