"""Attestations (PEP 740): signatures of files by the job that publishes them, served by indexes as provenance.

pypi-attestations and sigstore sign and verify. They are the extra `attest` of relnox, and importing them takes
seconds, so that they are imported only if there is something to sign or verify.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from relnox.core import fixes
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import Publisher
from relnox.errors import Conflict, Failed, Problem
from relnox.indexes.trusted_publishing import JobIdentity
from relnox.system import http, retries
from relnox.system.secrets import mask_to_one_line

if TYPE_CHECKING:
    from requests import Response

INSTALL_COMMAND = fixes.install_command("relnox[attest]")
WITHOUT_ATTESTATIONS = "publish without attestations: --attestations off (they cannot be added later)"
_REKOR_VERSION = 1
"""The version of the transparency log whose entries have the signing time, which PEP 740 does not store."""
_START_TIMEOUT = 60.0
_TIMEOUT_PER_FILE = 10.0

for _name in ("sigstore", "tuf"):  # Python prints the warnings of loggers without handlers
    logging.getLogger(_name).addHandler(logging.NullHandler())


class InvalidAttestation(Conflict):
    """The error for an attestation or provenance that is not valid for a file."""


def is_attest_installed() -> bool:
    """Return whether the extra `attest` is installed, which is needed to sign and to verify."""
    return find_spec("pypi_attestations") is not None


def sign_files(
    files: Sequence[Distribution], identity: JobIdentity, store: Callable[[Distribution, bytes], None]
) -> None:
    """Sign files with an identity token of the CI job, without retries.

    `store` is called in another thread with each file and its attestation, as JSON, once that is signed. The time
    limit is one minute, and ten more seconds for each file.

    Raises:
        TransientError: The service failed or was too slow. A retry may succeed; what was stored need not be signed
            again.
        Failed: The signing service rejected the token or the request.
    """
    from sigstore.oidc import IdentityError

    timeout = _START_TIMEOUT + _TIMEOUT_PER_FILE * len(files)
    try:
        # sigstore has no timeouts.
        http.call_with_timeout(lambda: _sign_with_sigstore(files, identity, store), timeout, "the signing service")
    except Problem:
        raise
    except IdentityError as error:
        raise Failed(
            "identity-missing",
            f"the identity token of this job cannot be used for signing: {mask_to_one_line(str(error))}",
            fix="rerun the command (a token expires after minutes); if it fails again, check the clock: date -u",
        ) from error
    except Exception as error:  # sigstore raises private classes, and those of requests and pydantic
        response = _response_of_error(error)
        if response is None or response.status_code >= 500 or response.status_code == 429:  # noqa: PLR2004 - HTTP
            reason = mask_to_one_line(str(error) or type(error).__name__)
            raise retries.TransientError(
                "signing-unavailable",
                f"the signing service failed: {reason}",
                fix=f"rerun the command later, or {WITHOUT_ATTESTATIONS}",
            ) from error
        reason = mask_to_one_line(f"{response.status_code} {response.reason or ''} {response.text}")
        raise Failed(
            "signing-unavailable",
            f"the signing service rejected the request: {reason}",
            fix="sign in a job of GitHub Actions or GitLab CI/CD, on a machine whose clock is correct; or "
            + WITHOUT_ATTESTATIONS,
        ) from error


def _sign_with_sigstore(
    files: Sequence[Distribution], identity: JobIdentity, store: Callable[[Distribution, bytes], None]
) -> None:
    """Sign and store files as `sign_files` does, but without a time limit, and with the exceptions of sigstore."""
    from pypi_attestations import Attestation
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext

    trust = ClientTrustConfig.production()
    trust.force_tlog_version = _REKOR_VERSION
    token = IdentityToken(identity.token.reveal())
    # One certificate, which is valid for ten minutes, signs all files.
    with SigningContext.from_trust_config(trust).signer(token, cache=True) as signer:
        for file in files:
            store(file, Attestation.sign(signer, _to_subject(file)).model_dump_json().encode())


def verify_attestation(content: bytes, file: Distribution, publisher: Publisher) -> None:
    """Verify offline that an attestation is for a file, and was signed by a publisher.

    `content` is the attestation as JSON (PEP 740).

    Raises:
        InvalidAttestation: It is not a valid attestation, or it is for another file or by another publisher.
    """
    from pydantic import TypeAdapter  # of the extra `attest`, like the next ones
    from pypi_attestations import Attestation
    from pypi_attestations import Publisher as PublisherModel

    def verify() -> None:
        attestation = Attestation.model_validate_json(content)
        model: Any = TypeAdapter(PublisherModel).validate_python(publisher.as_document)
        attestation.verify(model, _to_subject(file), offline=True)

    _call_verifier(verify, f"the attestation of {file.filename} by {publisher.description}")


def verify_provenance(content: bytes, file: Distribution, index: str) -> str:
    """Verify offline that a file was signed by the publishers in its provenance; return their names as text.

    `content` is the provenance as JSON (PEP 740); `index` is the name of the index that serves it, for messages.

    Raises:
        InvalidAttestation: The provenance is not valid, empty, or not for this file.
    """
    from pypi_attestations import Provenance

    publishers: dict[str, None] = {}

    def verify() -> None:
        for bundle in Provenance.model_validate_json(content).attestation_bundles:
            for attestation in bundle.attestations:
                attestation.verify(bundle.publisher, _to_subject(file), offline=True)
                fields = bundle.publisher.model_dump(exclude={"kind", "claims"}).items()
                set_fields = tuple((name, value) for name, value in fields if value)
                publisher = Publisher(kind=bundle.publisher.kind, fields=set_fields)
                publishers[publisher.description] = None
        if not publishers:
            raise ValueError("it has no attestations")

    _call_verifier(verify, f"the provenance of {file.filename} on {index}")
    return ", ".join(publishers)


def _call_verifier(verify: Callable[[], None], what: str) -> None:
    """Call a function; any error becomes `InvalidAttestation`, whose message names `what` was verified."""
    from pydantic import ValidationError  # of an extra, as above

    try:
        verify()
    except Exception as error:  # third-party code on untrusted input may raise anything
        reason = str(error) or type(error).__name__
        if isinstance(error, ValidationError):  # whose text quotes the input
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
        raise InvalidAttestation(
            "attestation-invalid",
            f"{what} is not valid (PEP 740: {mask_to_one_line(reason)})",
            fix="sign it again in the job that publishes; if the file is public, find out who published it",
        ) from error


def _to_subject(file: Distribution) -> Any:
    """Return the name and SHA-256 of a file as the `Distribution` of pypi-attestations."""
    from pypi_attestations import Distribution as Subject

    return Subject(name=file.filename, digest=file.sha256)


def _response_of_error(error: Exception) -> Response | None:
    """Return the HTTP response of an error, of its cause or of its context; None if none of them has one."""
    errors = (error, error.__cause__, error.__context__)
    responses = (getattr(cause, "response", None) for cause in errors)
    return next((response for response in responses if response is not None), None)
