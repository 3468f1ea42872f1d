"""Attestations of uploads (PEP 740), and the provenance that is served.

Only the subjects of attestations are checked; signatures are not verified.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["provenance"]

_SELF = {"kind": "relnox embedded index"}


def provenance(text: str, filename: str, sha256: str, publisher: Mapping[str, str] | None) -> bytes:
    """Return the provenance object of a file.

    Args:
        text: The form field `attestations`, a JSON list.
        filename: The file's name.
        sha256: Hex digest of its content.
        publisher: The trusted publisher that uploads it; None if the index has no accounts.

    Raises:
        Blocked: The list is empty, or an attestation is malformed or for another file.
    """
    try:
        attestations = json.loads(text)
        subjects = [_subject(attestation) for attestation in attestations]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _rejected(f"Malformed attestations: {error}") from error
    if not subjects:
        raise _rejected("Malformed attestations: an empty attestation set is not permitted")
    for subject in subjects:
        if subject != (filename, sha256):
            raise _rejected(
                "Could not verify the uploaded artifact using the included attestation: "
                f"it is for {subject[0]} with sha256 {subject[1]}, not for {filename} with {sha256}"
            )
    bundle = {"publisher": {"claims": None, **(publisher or _SELF)}, "attestations": attestations}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


def _subject(attestation: Any) -> tuple[str, str]:
    """Return name and SHA-256 of the subject of an attestation."""
    if attestation["version"] != 1:
        raise ValueError(f"version {attestation['version']!r}")
    attestation["verification_material"]["certificate"]
    attestation["envelope"]["signature"]
    statement = json.loads(base64.b64decode(attestation["envelope"]["statement"], validate=True))
    (subject,) = statement["subject"]
    return subject["name"], subject["digest"]["sha256"]


def _rejected(reason: str) -> Blocked:
    return Blocked("attestation-invalid", f"Invalid attestations supplied during upload: {reason}")
