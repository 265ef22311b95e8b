"""A certificate and its private key, in files."""

from __future__ import annotations

import errno
import os
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path

from wsframe.net.x509 import CertificateFacts, facts_of

__all__ = ["Certificate", "check_readable"]

# Reasons that OpenSSL gives in so many words.
MISMATCH = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"})


class NoPassword(Exception):
    """OpenSSL has asked for a password, which it would otherwise read from the terminal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """A certificate with its private key, of a server or of a client.

    Raises:
        TypeError: For a field of another type.
    """

    certfile: str | PathLike[str]
    """File with the certificate and those of the authorities between it and the root, in PEM."""

    keyfile: str | PathLike[str] | None = None
    """File with the private key, in PEM; default None: it is in ``certfile``."""

    password: str | bytes | None = field(default=None, repr=False)
    """Password of an encrypted key; default None. wsframe never asks for it at a terminal."""

    def __post_init__(self) -> None:
        for name, kinds in (("certfile", str | PathLike), ("keyfile", str | PathLike | None)):
            if not isinstance(getattr(self, name), kinds):
                raise TypeError(f"Certificate.{name} is the path of a PEM file, not {getattr(self, name)!r}")
        if not isinstance(self.password, str | bytes | None):
            raise TypeError(f"Certificate.password is a str or bytes, not a {type(self.password).__name__}")

    def absolute(self) -> Certificate:
        """Return the same with absolute paths, which stay right when the program changes its folder."""
        keyfile = None if self.keyfile is None else os.path.abspath(self.keyfile)
        return replace(self, certfile=os.path.abspath(self.certfile), keyfile=keyfile)

    def __str__(self) -> str:
        certfile = fspath(self.certfile)
        return certfile if self.keyfile is None else f"{certfile} with {fspath(self.keyfile)}"

    def files(self) -> Iterator[str]:
        """Yield the paths of the files."""
        yield fspath(self.certfile)
        if self.keyfile is not None:
            yield fspath(self.keyfile)

    def load_into(self, context: ssl.SSLContext) -> CertificateFacts:
        """Load both into a context, and return the names and dates of the certificate.

        Raises:
            OSError: If a file cannot be read; the text names it.
            ValueError: If they are not a certificate and its key.
        """
        for path in self.files():
            check_readable(path)
        try:
            context.load_cert_chain(self.certfile, self.keyfile, self.ask)
            return facts_of(Path(self.certfile).read_text("latin-1"))
        except NoPassword:
            reason = "the key is encrypted, and no password is given"
        except ssl.SSLError as error:
            reason = self.reason_of(error)
        except (ValueError, OSError) as error:  # such as a password beyond OpenSSL's 1024 bytes
            reason = str(error)
        raise ValueError(f"{self}: expected a PEM certificate and its private key ({reason})") from None

    def reason_of(self, error: ssl.SSLError) -> str:
        """Return why the files are refused: OpenSSL says "PEM lib" for nearly everything."""
        certfile, *_, keyfile = paths = [*self.files(), *self.files()]
        texts = {path: Path(path).read_text("latin-1") for path in paths}
        if error.reason in MISMATCH:
            return "the key does not belong to the certificate"
        if "-----BEGIN CERTIFICATE-----" not in texts[certfile]:
            return f"{certfile} has no certificate"
        if "PRIVATE KEY-----" not in texts[keyfile]:
            return f"{keyfile} has no private key"
        if self.password is not None:
            return "the password of the key is wrong, or a part is malformed"
        return f"a part is malformed: {error.reason or error}"

    def ask(self) -> bytes:
        """Answer OpenSSL, which asks for the password: a str from a file or the environment can be of any bytes."""
        if self.password is None:
            raise NoPassword
        if isinstance(self.password, bytes):
            return self.password
        try:
            return self.password.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # whose text would show a part of it
            raise ValueError("the password has a lone surrogate") from None


def check_readable(path: str) -> None:
    """Check that a file can be read, more than once: a pipe would give its bytes once, and hold up the second reader.

    Raises:
        OSError: If it cannot; the text names it.
    """
    try:
        kind = os.stat(path).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise OSError(errno.EINVAL, "it is not a regular file, and is read more than once")
        Path(path).read_bytes()
    except OSError as error:
        raise type(error)(error.errno, f"cannot read {path}: {error.strerror}") from None
