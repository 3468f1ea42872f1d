"""Attestations (PEP 740): signatures of files by the job that publishes them, served by indexes as provenance.

pypi-attestations and sigstore verify them; only this module and `signing` import these packages. Since importing
them takes seconds, they are imported only if there is something to sign or verify.
"""

from __future__ import annotations

import json
import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from relnox.core import fixes
from relnox.core.release import publishers
from relnox.errors import Conflict
from relnox.system.secrets import mask_to_one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate
    from pypi_attestations import Attestation

    from relnox.core.release.manifest import Distribution
    from relnox.core.release.publishers import Publisher

INSTALL = fixes.install_command("relnox[attest]")


class Unverified(Conflict):
    """The error for an attestation or provenance that is not valid for a file."""


def is_installed() -> bool:
    """Return whether the extra `attest` is installed."""
    return find_spec("pypi_attestations") is not None


def verify_attestation(content: bytes, file: Distribution, publisher: Publisher | None) -> str:
    """Verify an attestation offline, and return a description of the signer.

    Args:
        content: The content of the attestation file.
        file: The file that was signed; its name and SHA-256 must be those in the attestation.
        publisher: The publisher that must have signed the file, or None for any publisher.

    Raises:
        Unverified: It is not a valid attestation, or it is for another file or by another publisher.
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
    """Verify the provenance of a file, and return a description of its signers.

    Each attestation in the provenance must be valid, and signed by the publisher that the index names for it.

    Args:
        content: The provenance object (PEP 740) as JSON.
        file: The file that was signed.
        publisher: The publisher of the file. If None, the publisher is unknown, and the one that the index names
            is trusted.
        index: The name of the index, for messages.

    Raises:
        Unverified: The provenance is not valid, or names another publisher.
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
            "attestation-invalid",
            f"the provenance of {file.filename} on {index} is not valid (PEP 740: {what})",
            fix=fix,
        ) from error
    if not any(attestations for _, attestations in bundles):
        raise Unverified(
            "attestation-invalid",
            f"the provenance of {file.filename} on {index} is not valid (it has no attestations)",
            fix=fix,
        )
    signers = []
    for document, attestations in bundles:
        signer = _verify_signer(document, file, publisher, index, fix)
        for attestation in attestations:
            _verify(attestation, file, signer)
            signers.append(signer.description if signer is not None else _certificate_subject(attestation))
    return ", ".join(dict.fromkeys(signers))


def _verify_signer(
    document: Mapping[str, Any], file: Distribution, publisher: Publisher | None, index: str, fix: str
) -> Publisher | None:
    """Return the publisher that must have signed an attestation, or None for any publisher.

    Args:
        document: The publisher of the attestation that the index names.
        file: The file that was signed.
        publisher: The publisher that is expected, or None if it is unknown.
        index: The name of the index, for messages.
        fix: The fix for errors.

    Raises:
        Unverified: The index names another publisher than the expected one.
    """
    index_publisher = publishers.publisher_from_document(document)
    if index_publisher is None or publisher is None:  # private indexes may name other kinds of publishers
        return publisher or index_publisher
    if not publisher.matches(index_publisher):
        raise Unverified(
            "attestation-invalid",
            f"{file.filename} has another publisher on {index}:\n"
            f"  index     {index_publisher.description}\n  this job  {publisher.description}",
            fix=fix,
        )
    return publisher


def _verify(attestation: Attestation, file: Distribution, publisher: Publisher | None) -> None:
    """Verify an attestation of a file by a publisher, or by any publisher if None.

    Raises:
        Unverified: The attestation is not valid, or is for another file or by another publisher.
    """
    from pydantic import TypeAdapter
    from pypi_attestations import Publisher as PublisherModel

    silence_loggers()
    policy: Any = (
        _AnyPublisher()
        if publisher is None
        else TypeAdapter(PublisherModel).validate_python(publisher.as_document)
    )
    try:
        attestation.verify(policy, subject(file), offline=True)
    except Exception as error:  # third-party code on untrusted input may raise anything
        reason = mask_to_one_line(str(error) or type(error).__name__)
        by = f" by {publisher.description}" if publisher is not None else ""
        raise Unverified(
            "attestation-invalid",
            f"the attestation of {file.filename} does not prove its publication{by}: {reason}",
            fix="sign it again in the job that publishes; if the file is public, find out who published it",
        ) from error


class _AnyPublisher:
    """A verification policy of sigstore that accepts every signer with a valid certificate."""

    def verify(self, certificate: Certificate) -> None:
        """Accept the certificate."""


def _certificate_subject(attestation: Attestation) -> str:
    """Return the subject of the certificate in an attestation, such as the URL of the workflow that signed."""
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(attestation.verification_material.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return ", ".join(str(name.value) for name in names)


def subject(file: Distribution) -> Any:
    """Return the name and SHA-256 of a file as the `Distribution` of pypi-attestations."""
    from pypi_attestations import Distribution as Subject

    return Subject(name=file.filename, digest=file.sha256)


def silence_loggers() -> None:
    """Silence the loggers of sigstore and tuf: Python prints the warnings of loggers without handlers."""
    for name in ("sigstore", "tuf"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _first_error(error: Any) -> str:
    """Return the first problem in a validation error of pydantic, without the invalid input."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return ": ".join([".".join(map(str, first["loc"])), first["msg"]]).removeprefix(": ")
