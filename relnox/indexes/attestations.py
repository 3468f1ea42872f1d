"""Attestations (PEP 740): signatures of files by the job that publishes them, served by indexes as provenance.

Signing and verification are done by pypi-attestations and sigstore; all their names that relnox relies on are used
here. Their requests are sent by `relnox.system.network`, with its timeouts and errors. Importing them takes
seconds, and is done only where there is something to sign or to verify.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from http import HTTPStatus
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from relnox.core.planning import fixes
from relnox.core.release import publishers
from relnox.errors import Conflict, Failed
from relnox.system import network
from relnox.system.network import TransientError
from relnox.system.secrets import masked_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cryptography.x509 import Certificate
    from pypi_attestations import Attestation
    from requests import Response
    from sigstore.models import ClientTrustConfig
    from sigstore.sign import Signer

    from relnox.core.release.manifest import Distribution
    from relnox.core.release.publishers import Publisher
    from relnox.indexes.identities import Identity

__all__ = [
    "AUDIENCE",
    "INSTALL",
    "Signatory",
    "Unverified",
    "is_installed",
    "verify",
    "verify_provenance",
]

INSTALL = fixes.install("relnox[attest]")
AUDIENCE = "sigstore"
"""Audience of identity tokens for the signing service."""

_REKOR_VERSION = 1
"""Version of the transparency log whose entries have the time of the signature (PEP 740 does not store it)."""


class Unverified(Conflict):
    """An attestation that is not valid for a file."""


class Signatory:
    """Signs files with the identity of the current job.

    A certificate lasts ten minutes and is used for all files that are signed meanwhile, in any thread.

    Args:
        identify: Returns an identity token for `AUDIENCE`, a new one each time if the CI provider allows.
    """

    def __init__(self, identify: Callable[[], Identity]) -> None:
        self._identify = identify
        self._signer: Signer | None = None
        self._trust: ClientTrustConfig | None = None
        self._opening = threading.Lock()

    def sign(self, file: Distribution) -> bytes:
        """Sign a file without retries, and return the attestation in its stored form.

        Raises:
            TransientError: A retry may succeed.
            Blocked: The job has no identity, or one that indexes reject.
            Failed: The service rejected the request.
        """
        from pypi_attestations import Attestation, AttestationError
        from sigstore._internal.fulcio import ExpiredCertificate  # noqa: PLC2701 - it has no public name
        from sigstore.oidc import ExpiredIdentity

        with _translate_errors():
            try:
                return Attestation.sign(self._get_signer(), _subject(file)).model_dump_json().encode()
            except AttestationError as error:
                if not isinstance(error.__context__, ExpiredCertificate | ExpiredIdentity):
                    raise
                with self._opening:
                    self._signer = None
                raise TransientError(
                    "signing-certificate-expired", "the signing certificate has expired"
                ) from error

    def _get_signer(self) -> Signer:
        with self._opening:
            if self._signer is None:
                self._signer = self._new_signer()
            return self._signer

    def _new_signer(self) -> Signer:
        """Create a signer with a new key and a certificate for it."""
        from sigstore.oidc import IdentityToken
        from sigstore.sign import Signer, SigningContext

        self._trust = self._trust or _trust_config()
        self._trust.force_tlog_version = _REKOR_VERSION
        settings = self._trust.signing_config
        authority, log = settings.get_fulcio(), settings.get_tlogs()[0]
        authority.session = _Session()  # type: ignore[assignment]
        log._thread_local = SimpleNamespace(session=_Session())  # type: ignore[attr-defined]  # noqa: SLF001
        context = SigningContext(fulcio=authority, rekor=log, trusted_root=self._trust.trusted_root)
        return Signer(IdentityToken(self._identify().token.reveal()), context)


def is_installed() -> bool:
    """Return whether the extra `attest` is installed."""
    return find_spec("pypi_attestations") is not None


def verify(content: bytes, file: Distribution, publisher: Publisher | None) -> str:
    """Verify an attestation offline, and return a description of the signer.

    Args:
        content: The attestation.
        file: The file that it must be for, by name and SHA-256.
        publisher: Who must have signed; None for any publisher.

    Raises:
        Unverified: It is not an attestation, is for another file or of another publisher, or is not valid.
    """
    from pydantic import ValidationError
    from pypi_attestations import Attestation

    try:
        attestation = Attestation.model_validate_json(content)
    except ValidationError as error:
        raise Unverified(
            "attestation-invalid",
            f"the attestation of {file.filename} is not valid (PEP 740: {_first_error(error)})",
            fix="remove the attestation, and rerun the command to sign again",
        ) from error
    _verify(attestation, file, publisher)
    return publisher.description if publisher is not None else _certificate_subject(attestation)


def verify_provenance(content: bytes, file: Distribution, publisher: Publisher | None, index: str) -> str:
    """Verify the provenance of a file, and return a description of its publishers.

    Each attestation in it must be valid and be signed by the publisher that the index names for it.

    Args:
        content: The provenance object of PEP 740.
        file: The file that it must be for.
        publisher: Who published the file; None where that is unknown, and the index is trusted to name the
            publisher.
        index: Name of the index, for messages.

    Raises:
        Unverified: It is not valid, or names another publisher.
    """
    from pydantic import ValidationError
    from pypi_attestations import Attestation

    fix = f"check the file on {index}; if it was not published by this project, yank it and change the publishers"
    try:
        bundles = [
            (bundle["publisher"], [Attestation.model_validate(document) for document in bundle["attestations"]])
            for bundle in json.loads(content)["attestation_bundles"]
        ]
    except (ValueError, LookupError, TypeError) as error:
        what = _first_error(error) if isinstance(error, ValidationError) else type(error).__name__
        raise Unverified(
            "provenance-invalid",
            f"the provenance of {file.filename} on {index} is not valid (PEP 740: {what})",
            fix=fix,
        ) from error
    if not any(attestations for _, attestations in bundles):
        raise Unverified(
            "provenance-invalid",
            f"the provenance of {file.filename} on {index} is not valid (it has no attestations)",
            fix=fix,
        )
    signers = []
    for document, attestations in bundles:
        signer = _signer(document, file, publisher, index, fix)
        for attestation in attestations:
            _verify(attestation, file, signer)
            signers.append(signer.description if signer is not None else _certificate_subject(attestation))
    return ", ".join(dict.fromkeys(signers))


def _signer(
    document: Mapping[str, Any], file: Distribution, publisher: Publisher | None, index: str, fix: str
) -> Publisher | None:
    """Return who must have signed: the publisher of this run, if the index does not name another one."""
    index_publisher = publishers.from_document(document)
    if index_publisher is None or publisher is None:  # private indexes may name other kinds of publishers
        return publisher or index_publisher
    if not publisher.matches(index_publisher):
        raise Unverified(
            "publisher-differs",
            f"{file.filename} has another publisher on {index}:\n"
            f"  index     {index_publisher.description}\n  this job  {publisher.description}",
            fix=fix,
        )
    return publisher


def _verify(attestation: Attestation, file: Distribution, publisher: Publisher | None) -> None:
    from pydantic import TypeAdapter
    from pypi_attestations import Publisher as PublisherModel

    _silence_loggers()
    policy: Any = (
        _AnyPublisher() if publisher is None else TypeAdapter(PublisherModel).validate_python(publisher.document)
    )
    try:
        attestation.verify(policy, _subject(file), offline=True)
    except Exception as error:  # third-party code on untrusted input may raise anything
        reason = masked_line(str(error) or type(error).__name__)
        by = f" by {publisher.description}" if publisher is not None else ""
        raise Unverified(
            "attestation-invalid",
            f"the attestation of {file.filename} does not prove its publication{by}: {reason}",
            fix="sign it again in the job that publishes; if the file is public, find out who published it",
        ) from error


class _AnyPublisher:
    """A policy that accepts any valid certificate."""

    def verify(self, certificate: Certificate) -> None:
        """Accept it."""


def _certificate_subject(attestation: Attestation) -> str:
    """Return the subject of the certificate, such as the workflow that requested it."""
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(attestation.verification_material.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return ", ".join(str(name.value) for name in names)


def _subject(file: Distribution) -> Any:
    from pypi_attestations import Distribution as Subject

    return Subject(name=file.filename, digest=file.sha256)


class _Session:
    """The session of sigstore's clients, which sends requests by `relnox.system.network`."""

    def post(self, url: str, *, headers: Mapping[str, str] | None = None, **document: Any) -> Response:
        """Send a JSON document, as the argument `data` or `json`."""
        default = {"Content-Type": "application/json", "Accept": "application/json"}
        body: str = document["data"] if "data" in document else json.dumps(document["json"])
        return network.send_once("POST", url, headers={**default, **(headers or {})}, body=body.encode())

    def close(self) -> None:
        """Do nothing: connections are shared."""


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Convert errors of the signing service's clients."""
    from pypi_attestations import AttestationError
    from sigstore._internal.fulcio.client import FulcioClientError  # noqa: PLC2701 - as above
    from sigstore._internal.rekor import RekorClientError  # noqa: PLC2701 - as above
    from sigstore.errors import Error
    from sigstore.oidc import IdentityError

    _silence_loggers()
    try:
        yield
    except (FulcioClientError, RekorClientError) as error:
        raise _signing_rejected(error) from error
    except IdentityError as error:
        raise Failed(
            "identity-invalid",
            f"the identity token of this job cannot be used for signing: {masked_line(str(error))}",
            fix="check the clock of this machine",
        ) from error
    except (AttestationError, Error) as error:
        raise Failed(
            "signature-invalid",
            f"the response of the signing service is not valid: {masked_line(str(error))}",
            fix=f"update the keys: {fixes.install('sigstore', upgrade=True)}",
        ) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:  # an incomplete response, or not JSON
        raise TransientError(
            "request-failed", f"the response of the signing service cannot be parsed ({type(error).__name__})"
        ) from error


def _signing_rejected(error: Exception) -> Failed:
    """Return the error for a rejection, with the text of the response if there is one."""
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error.__cause__
    response = getattr(cause, "response", None)
    without = "publish without attestations: --attestations off (they cannot be added later)"
    if response is None:
        reason, fix = masked_line(str(error)), without
    else:
        text = masked_line(response.text)
        reason, fix = f"{response.status_code} {response.reason or ''} {text}".strip(), without
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            fix = f"check that the CI provider is supported, and the clock of this machine; or {without}"
    return Failed("signing-rejected", f"the signing service rejected the request: {reason}", fix=fix)


def _trust_config() -> ClientTrustConfig:
    """Return the keys and URLs of the signing service, updated if possible."""
    from sigstore.errors import TUFError
    from sigstore.models import ClientTrustConfig

    try:
        return ClientTrustConfig.production()
    except TUFError:  # with outdated keys, verification after signing would fail
        return ClientTrustConfig.production(offline=True)


def _silence_loggers() -> None:
    """Add handlers, since Python prints warnings of loggers without one."""
    for name in ("sigstore", "tuf"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _first_error(error: Any) -> str:
    """Return the first validation error, without the input."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return ": ".join([".".join(map(str, first["loc"])), first["msg"]]).removeprefix(": ")
