"""Upload a file to an index."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from relnox.indexes.credentials import Login
from relnox.indexes.upload_responses import FileExists, parse_response
from relnox.system import http

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from relnox.core.release.manifest import Distribution
    from relnox.indexes.credentials import Credentials
    from relnox.indexes.targets import Target

RESPONSE_TIMEOUT = 300.0
"""The maximum seconds that an index may take to process an uploaded file."""


def upload_file(  # noqa: PLR0913 - an upload
    path: Path,
    file: Distribution,
    target: Target,
    credentials: Credentials,
    attestations: Sequence[Path] = (),
    *,
    before_sending: Callable[[], None] | None = None,
) -> str:
    """Upload a file without retries, and return a summary of the response.

    The caller has to check the listing, since a response does not prove what was stored.

    Args:
        path: The path of the file.
        file: The entry of the file in the manifest.
        target: The index.
        credentials: The credentials for the index.
        attestations: The paths of the file's attestations (PEP 740).
        before_sending: Called right before the first byte is sent.

    Raises:
        TransientError: A retry may succeed.
        FileExists: The index already has a file with this name; its content is unknown.
        TryLater: The index does not accept uploads currently.
        Blocked: The credentials were rejected, or the index redirects uploads.
        Conflict: The file name cannot be used again, the release accepts no more files, or the index has a file
            with this name and different content.
        Failed: The index rejected the file.
    """
    from relnox.indexes import twine_compat

    fields = twine_compat.form_fields(path, attestations)
    login = Login(credentials.user, credentials.secret(file.package))
    with path.open("rb") as content:
        form = twine_compat.upload_form(fields, path.name, content)
        if before_sending is not None:
            before_sending()
        # Redirects are not followed: credentials are sent to the configured URL only.
        response = http.send_once(
            "POST",
            target.upload_url,
            headers={"Content-Type": form.content_type},
            body=form,
            auth=login,
            read_timeout=RESPONSE_TIMEOUT,
            limit=http.UPLOAD_RESPONSE,
        )
    summary = parse_response(response, file, target.name)
    if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        raise FileExists("file-exists", summary)
    return summary
