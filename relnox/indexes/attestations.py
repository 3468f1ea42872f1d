"""Attestations (PEP 740): the job that publishes signs each file, and an index serves that as provenance.

Signing and verifying are pypi-attestations' and sigstore's: every name of theirs that is relied on stands here.
What relnox adds is how they ask: each request is one try of `network`, with its time-outs and words for trouble.
Both open hundreds of modules, two or three seconds and more: only where there is something to sign or to verify.
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

from relnox import network
from relnox.core import fixes, publishers
from relnox.errors import Conflict, Failed
from relnox.network import TransientError
from relnox.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cryptography.x509 import Certificate
    from pypi_attestations import Attestation
    from requests import Response
    from sigstore.models import ClientTrustConfig
    from sigstore.sign import Signer

    from relnox.core.manifest import Distribution
    from relnox.core.publishers import Publisher
    from relnox.indexes.trusted_publishing import Identity

__all__ = [
    "AUDIENCE",
    "INSTALL",
    "Signatory",
    "Unverified",
    "is_installed",
    "prove_provenance",
    "verify",
]

INSTALL = fixes.install("relnox[attest]")
AUDIENCE = "sigstore"
"""Whom identity tokens are made out to that the signing service takes."""

_REKOR = 1
"""The transparency log's version whose entries tell the time of the signature: PEP 740 keeps it nowhere else."""
_SHOWN = 300


class Unverified(Conflict):
    """An attestation that proves nothing about a file: somebody has to look."""


class Signatory:
    """Signs files as the job that is running.

    A certificate lasts ten minutes and serves all files that are signed meanwhile, from any thread.

    Args:
        identify: Gives an identity token, made out to `AUDIENCE`; each time another one where the engine does.
    """

    def __init__(self, identify: Callable[[], Identity]) -> None:
        self._identify = identify
        self._signer: Signer | None = None
        self._trust: ClientTrustConfig | None = None
        self._opening = threading.Lock()

    def sign(self, file: Distribution) -> bytes:
        """Attest once that this job publishes a file; returns the attestation as it is stored.

        Raises:
            TransientError: Another try may go better.
            Blocked: The job has no identity, or one that no index takes.
            Failed: The service does not sign.
        """
        from pypi_attestations import Attestation, AttestationError
        from sigstore._internal.fulcio import ExpiredCertificate
        from sigstore.oidc import ExpiredIdentity

        with _in_words():
            try:
                return Attestation.sign(self._ready(), _subject(file)).model_dump_json().encode()
            except AttestationError as error:
                if not isinstance(error.__context__, ExpiredCertificate | ExpiredIdentity):
                    raise
                with self._opening:
                    self._signer = None
                raise TransientError("todo", "the certificate to sign with has run out") from error

    def _ready(self) -> Signer:
        with self._opening:
            if self._signer is None:
                self._signer = self._certified()
            return self._signer

    def _certified(self) -> Signer:
        """Who signs, with a new key and a certificate for it."""
        from sigstore.oidc import IdentityToken
        from sigstore.sign import Signer, SigningContext

        self._trust = self._trust or _renewed_trust()
        self._trust.force_tlog_version = _REKOR
        settings = self._trust.signing_config
        authority, log = settings.get_fulcio(), settings.get_tlogs()[0]
        authority.session = _Asking()  # type: ignore[assignment]
        log._thread_local = SimpleNamespace(session=_Asking())  # type: ignore[attr-defined]  # noqa: SLF001
        context = SigningContext(fulcio=authority, rekor=log, trusted_root=self._trust.trusted_root)
        return Signer(IdentityToken(self._identify().token.reveal()), context)


def is_installed() -> bool:
    """Whether the extra is."""
    return find_spec("pypi_attestations") is not None


def verify(content: bytes, file: Distribution, publisher: Publisher | None) -> str:
    """Verify an attestation without asking anybody; returns who signed, in words.

    Args:
        content: The attestation.
        file: What it must be about: its name and its SHA-256.
        publisher: Who must have signed; None where that is not known, and anybody may have.

    Raises:
        Unverified: It is none, it is about another file, somebody else signed it, or the signature is not good.
    """
    from pydantic import ValidationError
    from pypi_attestations import Attestation

    try:
        attestation = Attestation.model_validate_json(content)
    except ValidationError as error:
        raise Unverified(
            "todo",
            f"what should attest {file.filename} is no attestation of PEP 740 ({_first(error)})",
            fix="remove it and sign again: type the same command again",
        ) from error
    _verify(attestation, file, publisher)
    return publisher.told if publisher is not None else _signed_by(attestation)


def prove_provenance(content: bytes, file: Distribution, publisher: Publisher | None, index: str) -> str:
    """Verify what an index serves as a file's provenance; returns who published it, in words.

    Every attestation in it must be good and be by the publisher that the index names for it.

    Args:
        content: The provenance object of PEP 740.
        file: What it must be about.
        publisher: Who published the file; None where that is not known, and the index's word is taken.
        index: What users call the index.

    Raises:
        Unverified: It is none, names another publisher, or holds an attestation that proves nothing.
    """
    from pydantic import ValidationError
    from pypi_attestations import Attestation

    fix = f"look at the file on {index}: if nobody here published it, yank it and change who may publish there"
    try:
        bundles = json.loads(content)["attestation_bundles"]
        read = [
            (bundle["publisher"], [Attestation.model_validate(each) for each in bundle["attestations"]])
            for bundle in bundles
        ]
    except (ValueError, LookupError, TypeError) as error:
        what = _first(error) if isinstance(error, ValidationError) else type(error).__name__
        raise Unverified(
            "todo", f"what {index} serves as provenance of {file.filename} is none ({what})", fix=fix
        ) from error
    if not any(attestations for _, attestations in read):
        raise Unverified("todo", f"the provenance that {index} serves of {file.filename} is empty", fix=fix)
    told = []
    for document, attestations in read:
        by = _publisher(document, file, publisher, index, fix)
        for each in attestations:
            _verify(each, file, by)
            told.append(by.told if by is not None else _signed_by(each))
    return ", ".join(dict.fromkeys(told))


def _publisher(
    document: Mapping[str, Any], file: Distribution, publisher: Publisher | None, index: str, fix: str
) -> Publisher | None:
    """Who must have signed: the publisher that this run is, unless the index names another one."""
    there = publishers.named(document)
    if there is None or publisher is None:  # an index of one's own may name nobody that can be compared
        return publisher or there
    if not publisher.fits(there):
        raise Unverified(
            "todo",
            f"{index} says that {file.filename} was published by another publisher:\n"
            f"  there  {there.told}\n  here   {publisher.told}",
            fix=fix,
        )
    return publisher


def _verify(attestation: Attestation, file: Distribution, publisher: Publisher | None) -> None:
    from pydantic import TypeAdapter
    from pypi_attestations import Publisher as Known

    _silence()
    by: Any = _Anybody() if publisher is None else TypeAdapter(Known).validate_python(publisher.document)
    try:
        attestation.verify(by, _subject(file), offline=True)
    except Exception as error:  # others' bytes in others' code: whatever it raises, nothing is proven
        said = masked(" ".join((str(error) or type(error).__name__).split()))[:_SHOWN]
        who = f" by {publisher.told}" if publisher is not None else ""
        raise Unverified(
            "todo",
            f"the attestation of {file.filename} does not prove that it was published{who}: {said}",
            fix="sign again where it is to be published; if it is public, find out who published it",
        ) from error


class _Anybody:
    """Whose certificate it is does not matter, as long as it is a good one."""

    def verify(self, certificate: Certificate) -> None:
        """Every certificate will do."""


def _signed_by(attestation: Attestation) -> str:
    """Whom the certificate names: the workflow that asked for it, or what else it is about."""
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(attestation.verification_material.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return ", ".join(str(name.value) for name in names)


def _subject(file: Distribution) -> Any:
    from pypi_attestations import Distribution as Subject

    return Subject(name=file.filename, digest=file.sha256)


class _Asking:
    """The session that sigstore's clients ask with: one try each, watched as every request of relnox is."""

    def post(self, url: str, *, headers: Mapping[str, str] | None = None, **sent: Any) -> Response:
        """Send a document, given as `data` or as `json`, and get one."""
        usual = {"Content-Type": "application/json", "Accept": "application/json"}
        body: str = sent["data"] if "data" in sent else json.dumps(sent["json"])
        return network.send_once("POST", url, headers={**usual, **(headers or {})}, body=body.encode())

    def close(self) -> None:
        """The connections are everybody's."""


@contextmanager
def _in_words() -> Iterator[None]:
    """What the signing service's clients raise, in relnox's words; passing trouble is passing trouble."""
    from pypi_attestations import AttestationError
    from sigstore._internal.fulcio.client import FulcioClientError
    from sigstore._internal.rekor import RekorClientError
    from sigstore.errors import Error
    from sigstore.oidc import IdentityError

    _silence()
    try:
        yield
    except (FulcioClientError, RekorClientError) as error:
        raise _refusal(error) from error
    except IdentityError as error:
        raise Failed(
            "todo",
            f"this job's identity is none that can be signed with: {masked(str(error))}",
            fix="is this machine's clock right?",
        ) from error
    except (AttestationError, Error) as error:
        raise Failed(
            "todo",
            f"what the signing service answered cannot be trusted: {masked(str(error))[:_SHOWN]}",
            fix=f"newer keys may help: {fixes.install('sigstore', upgrade=True)}",
        ) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:  # half an answer, or no JSON at all
        raise TransientError(
            "todo", f"the signing service's answer cannot be read ({type(error).__name__})"
        ) from error


def _refusal(error: Exception) -> Failed:
    """The service's own words, where it has some."""
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error.__cause__
    response = getattr(cause, "response", None)
    if response is None:
        return Failed("todo", f"the signing service does not sign ({masked(str(error))[:_SHOWN]})", fix=_without())
    said = masked(" ".join(response.text.split()))[:_SHOWN]
    return Failed(
        "todo",
        f"the signing service does not sign: {response.status_code} {response.reason or ''} {said}".strip(),
        fix="is the job one that it knows, and this machine's clock right? " + _without()
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        else _without(),
    )


def _without() -> str:
    return "without attestations it goes on: --attestations off (they cannot be added later)"


def _renewed_trust() -> ClientTrustConfig:
    """The keys and addresses of the signing service: asked for anew, or those that are here already."""
    from sigstore.errors import TUFError
    from sigstore.models import ClientTrustConfig

    try:
        return ClientTrustConfig.production()
    except TUFError:  # what is signed is verified with these keys at once: old ones would show
        return ClientTrustConfig.production(offline=True)


def _silence() -> None:
    """Libraries that log a warning print it where nobody listens."""
    for name in ("sigstore", "tuf"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _first(error: Any) -> str:
    """The first thing that is wrong with a document, without the document."""
    found = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return ": ".join([".".join(str(part) for part in found["loc"]), found["msg"]]).removeprefix(": ")
