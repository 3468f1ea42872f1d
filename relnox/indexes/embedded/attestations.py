"""Attestations that come with an upload (PEP 740): what they must say, and the provenance that is served of them.

That they are about this very file is checked; whether they are genuine is for those who verify them.
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
    """The provenance object of a file.

    Args:
        text: The form's field `attestations`, a JSON list.
        filename: The file's name.
        sha256: Hex digest of its content.
        publisher: The trusted publisher that sent it; None where the index has no accounts.

    Raises:
        Blocked: There are none in the list, or one of them is malformed or about another file.
    """
    try:
        attestations = json.loads(text)
        subjects = [_subject(each) for each in attestations]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _refused(f"Malformed attestations: {error}") from error
    if not subjects:
        raise _refused("Malformed attestations: an empty attestation set is not permitted")
    for subject in subjects:
        if subject != (filename, sha256):
            raise _refused(
                "Could not verify the uploaded artifact using the included attestation: "
                f"it is about {subject[0]} with sha256 {subject[1]}, not about {filename} with {sha256}"
            )
    bundle = {"publisher": {"claims": None, **(publisher or _SELF)}, "attestations": attestations}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


def _subject(attestation: Any) -> tuple[str, str]:
    """Name and SHA-256 of the file that an attestation is about."""
    if attestation["version"] != 1:
        raise ValueError(f"version {attestation['version']!r}")
    attestation["verification_material"]["certificate"]
    attestation["envelope"]["signature"]
    statement = json.loads(base64.b64decode(attestation["envelope"]["statement"], validate=True))
    (subject,) = statement["subject"]
    return subject["name"], subject["digest"]["sha256"]


def _refused(why: str) -> Blocked:
    return Blocked("todo", f"Invalid attestations supplied during upload: {why}")
