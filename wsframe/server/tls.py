"""The server's TLS: its contexts, the choice between certificates by name, and reading them again.

Each successful reading makes new contexts, which newcomers get; connections that are open keep
theirs. After a failure everything stays as it was.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from wsframe.log import Log, log_for
from wsframe.net.certificate import Certificate, check_readable
from wsframe.net.client_hello import asked_name
from wsframe.net.x509 import CertificateFacts

__all__ = ["ClientCertificates", "ServerTLS", "read_certificates"]

logger: Log = log_for(__name__)

ClientCertificates = Literal["required", "optional"]

# One entry for each file: OpenSSL's inputs are the same as long as these are.
Signature = tuple[tuple[int, int, int] | None, ...]


class Contexts:
    """The contexts of several certificates, and the choice between them (RFC 6066 section 3).

    Args:
        contexts: The contexts, with the names in their certificates; of two for one name the first counts.
    """

    first: ssl.SSLContext

    def __init__(self, contexts: Sequence[tuple[ssl.SSLContext, CertificateFacts]]) -> None:
        self.first, _ = contexts[0]
        self._by_name = {name: context for context, facts in reversed(contexts) for name in facts.names}

    def choose(self, name: str) -> ssl.SSLContext:
        """Return the context for a name; the first one if no certificate has the name."""
        wildcard = f"*.{name.partition('.')[2]}"  # RFC 6125 section 6.4.3: it stands for one label
        return self._by_name.get(name) or self._by_name.get(wildcard) or self.first


class ServerTLS:
    """The TLS of one server.

    Args:
        certificates: The certificates; the first serves clients that name no server or an unknown one.
        client_ca: File of the authorities whose client certificates are trusted, in PEM; None asks for none.
        client_certificates: Whether a client without one is refused.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If one is not of its kind.
    """

    def __init__(
        self,
        certificates: Sequence[Certificate],
        client_ca: str | os.PathLike[str] | None = None,
        client_certificates: ClientCertificates = "required",
    ) -> None:
        self._certificates = [one.absolute() for one in certificates]
        self._client_ca = None if client_ca is None else os.path.abspath(client_ca)
        self._client_certificates = client_certificates
        self._read = self.signature()
        self._contexts = self._made()

    def context_for(self, received: bytes) -> ssl.SSLContext | None:
        """Return the context for a client that has sent these bytes; None while more are needed to choose one."""
        if len(self._certificates) == 1:
            return self._contexts.first
        name = asked_name(received)
        return None if name is None else self._contexts.choose(name)

    def signature(self) -> Signature:
        """Return the marks of a change of the files: time, size and number of each, links followed."""
        paths = [path for one in self._certificates for path in one.files()]
        return tuple(map(signature_of, [*paths, self._client_ca] if self._client_ca else paths))

    @property
    def changed(self) -> bool:
        """Whether the files differ from those read last."""
        return self.signature() != self._read

    def reload(self) -> bool:
        """Read the files again; return whether that succeeded. If not, the log says why."""
        self._read = self.signature()
        try:
            self._contexts = self._made()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            logger.error("the certificates are not reloaded, and the old ones stay: %s", reason)
            return False
        logger.info("certificates reloaded: %s", ", ".join(map(str, self._certificates)))
        return True

    def look_at_time(self) -> None:
        """Log, once for each reading, which certificates are not valid now: nobody may have renewed them in time."""
        for one, facts in tuple(self._unwarned.items()):
            if warn_of_time(one, facts):
                del self._unwarned[one]

    def _made(self) -> Contexts:
        contexts = read_certificates(self._certificates, self._client_ca, self._client_certificates)
        self._unwarned = dict(zip(self._certificates, (facts for _, facts in contexts), strict=True))
        self.look_at_time()
        return Contexts(contexts)


def read_certificates(
    certificates: Sequence[Certificate], client_ca: str | None, client_certificates: ClientCertificates
) -> list[tuple[ssl.SSLContext, CertificateFacts]]:
    """Return a context for each certificate, with its names and dates.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If one is not of its kind.
    """
    contexts = []
    for one in certificates:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        facts = one.load_into(context)
        if client_ca is not None:
            ask_clients(context, client_ca, client_certificates)
        contexts.append((context, facts))
    return contexts


def ask_clients(context: ssl.SSLContext, client_ca: str, client_certificates: ClientCertificates) -> None:
    """Ask clients for certificates."""
    check_readable(client_ca)
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError:
        raise ValueError(f"{client_ca}: expected certificates of authorities in PEM") from None
    context.verify_mode = ssl.CERT_REQUIRED if client_certificates == "required" else ssl.CERT_OPTIONAL


def signature_of(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def warn_of_time(certificate: Certificate, facts: CertificateFacts) -> bool:
    """Log that a certificate or one in its chain is expired or not valid yet; it is served: a clock can be wrong.

    Returns:
        Whether there was anything to log.
    """
    now = datetime.now(UTC)
    if facts.not_after < now:
        logger.warning("the certificate %s has expired on %s", certificate, facts.not_after.date())
    elif facts.not_before > now:
        logger.warning("the certificate %s is not valid before %s", certificate, facts.not_before.date())
    elif facts.chain_until is not None and facts.chain_until < now:
        until = facts.chain_until.date()
        logger.warning("an authority in the chain of the certificate %s has expired on %s", certificate, until)
    else:
        return False
    return True
