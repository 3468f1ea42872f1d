"""Responses to uploads: the statuses and texts of PyPI and other indexes, and the errors that they stand for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core import fixes
from relnox.core.text import format_count
from relnox.errors import Blocked, Conflict, Failed, RelnoxError, TryLater
from relnox.indexes.upload_fixes import (
    UPLOAD_WINDOW,
    conflict_hint,
    first_release_hint,
    next_version_hint,
    post_release_hint,
)
from relnox.system import http
from relnox.system.secrets import mask_secrets

if TYPE_CHECKING:
    import requests

    from relnox.core.release.manifest import Distribution

_OK = range(200, 300)
_REDIRECTS = range(300, 400)
_REJECTIONS = range(300, 500)
"""The statuses that mean that a file was not stored; after other errors, it may have been stored."""
_NOT_ALLOWED = (401, 403)
_REJECTED = (400, 403, 409)
_CONFLICT = 409
_TOO_LARGE = 413
_NO_SPACE = 507
_MAX_QUOTED = 500

# Wording of PyPI (`warehouse/forklift/legacy.py`), pypiserver, devpi, Nexus and Artifactory.
_NAME_RESERVED = re.compile(r"previously (been )?used|already been used", re.IGNORECASE)
_EXISTS = re.compile(r"already exist|does not allow updating|cannot be updated|overwrit", re.IGNORECASE)
_RELEASE_CLOSED = re.compile(r"older than \d+ days", re.IGNORECASE)
_READ_ONLY = re.compile(r"read-only|temporarily disabled|maintenance", re.IGNORECASE)
_CANNOT_CREATE = re.compile(r"non-user identit", re.IGNORECASE)
_NO_PERMISSION = re.compile(r"(isn't|not) allowed to upload to project", re.IGNORECASE)
_TOKEN_SCOPE = re.compile(r"not valid for project", re.IGNORECASE)
_ATTESTATIONS = re.compile(r"invalid attestations", re.IGNORECASE)
_SECOND_SDIST = re.compile(r"only one sdist", re.IGNORECASE)
_SIZE = re.compile(r"too large|size limit", re.IGNORECASE)
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class FileExists(RelnoxError):
    """The error if an index already has a file with this name; its listing shows if the content is the same."""


def parse_response(response: requests.Response, file: Distribution, index: str) -> str:
    """Return a summary of the response to an upload, or raise the error that it stands for.

    If the file exists already, a summary is returned, too. The attribute `rejected` of an error is set to whether
    the index certainly did not store the file.

    Args:
        response: The response.
        file: The entry of the uploaded file in the manifest.
        index: The name of the index, for messages.
    """
    try:
        return _parse_response(response, file, index)
    except RelnoxError as error:
        error.rejected = response.status_code in _REJECTIONS
        raise


def _parse_response(response: requests.Response, file: Distribution, index: str) -> str:
    """Do the work of `parse_response`, without setting `rejected` of errors."""
    status = response.status_code
    text = _quoted_text(response)
    summary = f"{status} {text}".strip()
    if status in _OK:
        return mask_secrets(f"{status} {response.reason or ''}".strip())
    if status in _REDIRECTS:
        raise Blocked(
            "listing-invalid",
            f"{index} redirects uploads to {mask_secrets(response.headers.get('Location', 'an unknown URL'))}",
            fix=f"if the index has moved, set upload in [tool.relnox.indexes.{index}] to that URL",
        )
    if status in _REJECTED:
        _raise_known_rejection(text, file, index)
        if status == _CONFLICT or _EXISTS.search(text):
            return _accept_existing_file(summary, text, file, index)
    if status in _NOT_ALLOWED:
        raise Blocked(
            "credentials-rejected",
            f"{index} rejected the credentials for {file.filename}: {summary}",
            fix="check that the token or password is valid for this index and this project",
        )
    if status == _NO_SPACE:
        raise Failed(
            "archive-too-large",
            f"{index} cannot store {file.filename} ({format_count(file.size, 'byte')}): {summary}",
            fix="free space on the index, or allow it to write to its storage; then rerun the command",
        )
    if status == _TOO_LARGE or _SIZE.search(text):
        raise Failed(
            "archive-too-large",
            f"{index} rejected {file.filename}: file too large ({format_count(file.size, 'byte')}): {summary}",
            fix="make the archive smaller, or request a higher limit from the index",
        )
    raise Failed(
        "file-rejected",
        f"{index} rejected {file.filename}: {summary}",
        fix=f"fix what the index reports, then rebuild: {fixes.task_command('build-all')}",
    )


def _quoted_text(response: requests.Response) -> str:
    """Return the reason and the body of a response on one line, without the status and repeated text."""
    status = re.compile(rf"^(error\b[\s:]*)?{response.status_code}\b[\s:.-]*", re.IGNORECASE)
    reason, body = (
        status.sub("", mask_secrets(" ".join(part.split())), count=1)[:_MAX_QUOTED]
        for part in (response.reason or "", _readable_body(response))
    )
    more = body.removeprefix(reason).removesuffix(reason).strip(" :")
    if body in reason or not more:
        return reason
    return body if reason in more else f"{reason} {more}".strip()


def _readable_body(response: requests.Response) -> str:
    """Return the readable text in the body of a response: HTML, JSON (RFC 9457 and others) or plain text."""
    kind = response.headers.get("Content-Type", "")
    if "html" in kind:
        from relnox.indexes.html_pages import TextPage

        page = TextPage()
        page.feed(response.text)
        return " ".join(page.words)
    if "json" not in kind:
        return response.text
    try:
        problem = http.json_document(response)
        messages = [problem.get(key) for key in ("title", "detail", "details", "message")]
        messages += [error.get("message") for error in problem.get("errors", ())]
    except (ValueError, AttributeError, TypeError):
        return response.text
    return "; ".join(str(message) for message in messages if message) or response.text


def _raise_known_rejection(text: str, file: Distribution, index: str) -> None:
    """Raise the error for a rejected upload if its reason is recognized by the text of the response."""
    if _NAME_RESERVED.search(text):
        raise Conflict(
            "archive-invalid",
            f"{file.filename} was deleted from {index}, and its name cannot be reused: {text}",
            fix=next_version_hint(file),
        )
    if _RELEASE_CLOSED.search(text):
        raise Conflict(
            "release-too-old",
            f"{file.package} {file.version} is too old for more files on {index} (its first file is more than "
            f"{UPLOAD_WINDOW.days} days old): {text}",
            fix=post_release_hint(file),
        )
    if _SECOND_SDIST.search(text):
        raise Conflict(
            "archive-unexpected",
            f"{index} has another sdist of {file.package} {file.version}, and accepts only one for each release: "
            f"{text}",
            fix=post_release_hint(file),
        )
    if _CANNOT_CREATE.search(text):
        raise Blocked(
            "project-missing",
            f"project {file.package} does not exist on {index}, and the credentials cannot create it "
            f"(upload of {file.filename}): {text}",
            fix=f"{first_release_hint(file.package)}; or publish the first release with a token",
        )
    if _NO_PERMISSION.search(text):
        raise Blocked(
            "project-not-allowed",
            f"these credentials may not upload to project {file.package} on {index}: {text}",
            fix="ask its owner to add you; if the project belongs to another account, choose another name, or "
            f"test on relnox's own test index: {fixes.task_command('publish-test', '--index', 'embedded')}",
        )
    if _TOKEN_SCOPE.search(text):
        raise Blocked(
            "credentials-rejected",
            f"the token for {index} is for a project other than {file.package}: {text}",
            fix=f"use a token for {file.package}, or for the whole account if this is its first release",
        )
    if _ATTESTATIONS.search(text):
        raise Failed(
            "attestation-invalid",
            f"{index} rejected the attestations of {file.filename}: {text}",
            fix="sign in the CI job that uploads, which has the identity of the trusted publisher; or publish "
            "without attestations: --attestations off (they cannot be added later)",
        )
    if _READ_ONLY.search(text):
        raise TryLater(
            "file-rejected",
            f"{index} does not accept uploads at the moment: {text}",
            fix="rerun the command later (the credentials were not the cause)",
        )


def _accept_existing_file(summary: str, text: str, file: Distribution, index: str) -> str:
    """Return a summary for a file that already exists on the index.

    Args:
        summary: The status and the text of the response.
        text: The text of the response.
        file: The entry of the uploaded file in the manifest.
        index: The name of the index, for messages.

    Raises:
        Conflict: The response contains the digest of a file with different content.
    """
    digests = _DIGEST.findall(text.lower())
    if digests and not {file.sha256, file.blake2b_256}.intersection(digests):
        raise Conflict(
            "index-file-differs",
            f"{index} has a different {file.filename}:\n  index  {digests[0]}\n"
            f"  built  sha256 {file.sha256}, blake2b-256 {file.blake2b_256}",
            fix=conflict_hint(file),
        )
    return f"{summary} (to be compared by hash)"
