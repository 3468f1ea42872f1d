"""Upload a file to an index, and find out from its response what happened."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relnox.core import fixes
from relnox.core.release.manifest import Distribution
from relnox.core.text import format_count
from relnox.errors import Blocked, Conflict, Failed, Problem, TryLater
from relnox.indexes import twine_compat, upload_fixes
from relnox.indexes.credentials import Credentials, Login
from relnox.indexes.targets import Target
from relnox.system import http
from relnox.system.secrets import mask_secrets

if TYPE_CHECKING:
    import requests

RESPONSE_TIMEOUT = 300.0
"""The maximum seconds that an index may take to process an uploaded file."""
_MAX_QUOTED = 500
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class FileExists(Failed):
    """The error if an index already has a file with this name; its listing shows if the content is the same."""


class _Problem(NamedTuple):
    """What a response stands for, if its status and text match; messages and fixes are templates."""

    statuses: Container[int]
    pattern: str
    error: type[Problem]
    code: str
    message: str
    fix: str


_NOT_STORED = range(300, 500)
"""The statuses that mean that a file was not stored; after other errors, it may have been stored."""
_REJECTED = (400, 403, 409)
# Wording of PyPI (`warehouse/forklift/legacy.py`), pypiserver, devpi, Nexus and Artifactory.
_PROBLEMS = (
    _Problem(
        range(300, 400),
        "",
        Blocked,
        "listing-invalid",
        "{index} redirects uploads to {location}",
        "if the index has moved, set upload in [tool.relnox.indexes.{index}] to that URL",
    ),
    _Problem(
        _REJECTED,
        "previously (been )?used|already been used",
        Conflict,
        "archive-invalid",
        "{filename} was deleted from {index}, and its name cannot be reused: {text}",
        "{next_version}",
    ),
    _Problem(
        _REJECTED,
        r"older than \d+ days",
        Conflict,
        "release-too-old",
        "{release} is too old for more files on {index} (its first file is more than "
        f"{upload_fixes.UPLOAD_WINDOW.days} days old): {{text}}",
        "{post_release}",
    ),
    _Problem(
        _REJECTED,
        "only one sdist",
        Conflict,
        "archive-unexpected",
        "{index} has another sdist of {release}, and accepts only one for each release: {text}",
        "{post_release}",
    ),
    _Problem(
        _REJECTED,
        "non-user identit",
        Blocked,
        "project-missing",
        "project {project} does not exist on {index}, and the credentials cannot create it "
        "(upload of {filename}): {text}",
        "{first_release}; or publish the first release with a token",
    ),
    _Problem(
        _REJECTED,
        "(isn't|not) allowed to upload to project",
        Blocked,
        "project-not-allowed",
        "these credentials may not upload to project {project} on {index}: {text}",
        "ask its owner to add you; if the project belongs to another account, choose another name, or "
        f"test on relnox's own test index: {fixes.task_command('publish-test', '--index', 'embedded')}",
    ),
    _Problem(
        _REJECTED,
        "not valid for project",
        Blocked,
        "credentials-rejected",
        "the token for {index} is for a project other than {project}: {text}",
        "use a token for {project}, or for the whole account if this is its first release",
    ),
    _Problem(
        _REJECTED,
        "invalid attestations",
        Failed,
        "attestation-invalid",
        "{index} rejected the attestations of {filename}: {text}",
        "sign in the CI job that uploads, which has the identity of the trusted publisher; or publish "
        "without attestations: --attestations off (they cannot be added later)",
    ),
    _Problem(
        _REJECTED,
        "read-only|temporarily disabled|maintenance",
        TryLater,
        "file-rejected",
        "{index} does not accept uploads at the moment: {text}",
        "rerun the command later (the credentials were not the cause)",
    ),
    _Problem(
        _REJECTED,
        "^409|already exist|does not allow updating|cannot be updated|overwrit",
        FileExists,
        "file-exists",
        "{text} (to be compared by hash)",
        "",
    ),
    _Problem(
        (401, 403),
        "",
        Blocked,
        "credentials-rejected",
        "{index} rejected the credentials for {filename}: {text}",
        "check that the token or password is valid for this index and this project",
    ),
    _Problem(
        (507,),
        "",
        Failed,
        "archive-too-large",
        "{index} cannot store {filename} ({size}): {text}",
        "free space on the index, or allow it to write to its storage; then rerun the command",
    ),
    _Problem(
        range(400, 600),
        "^413|too large|size limit",
        Failed,
        "archive-too-large",
        "{index} rejected {filename}: file too large ({size}): {text}",
        "make the archive smaller, or request a higher limit from the index",
    ),
    _Problem(
        range(1000),
        "",
        Failed,
        "file-rejected",
        "{index} rejected {filename}: {text}",
        f"fix what the index reports, then rebuild: {fixes.task_command('build-all')}",
    ),
)


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
    return parse_response(response, file, target.name)


def parse_response(response: requests.Response, file: Distribution, index: str) -> str:
    """Return a summary of a successful response to an upload, or raise the error that it stands for.

    The attribute `rejected` of the error is set to whether the index certainly did not store the file.
    """
    status = response.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return mask_secrets(f"{status} {response.reason or ''}".strip())
    text = f"{status} {_quoted_text(response)}".strip()
    problem = next(
        problem
        for problem in _PROBLEMS
        if status in problem.statuses and re.search(problem.pattern, text, re.IGNORECASE)
    )
    details = {
        "index": index,
        "project": file.package,
        "release": f"{file.package} {file.version}",
        "filename": file.filename,
        "size": format_count(file.size, "byte"),
        "text": text,
        "location": mask_secrets(response.headers.get("Location", "an unknown URL")),
        "next_version": upload_fixes.next_version_hint(file),
        "post_release": upload_fixes.post_release_hint(file),
        "first_release": upload_fixes.first_release_hint(file.package),
    }
    error = problem.error(problem.code, problem.message.format(**details), fix=problem.fix.format(**details))
    digests = _DIGEST.findall(text.lower())
    if problem.error is FileExists and digests and not {file.sha256, file.blake2b_256}.intersection(digests):
        error = Conflict(
            "index-file-differs",
            f"{index} has a different {file.filename}:\n  index  {digests[0]}\n"
            f"  built  sha256 {file.sha256}, blake2b-256 {file.blake2b_256}",
            fix=upload_fixes.conflict_hint(file),
        )
    error.rejected = status in _NOT_STORED
    raise error


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
        page = _TextPage()
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


class _TextPage(HTMLParser):
    """A parser that collects the words of an HTML page, except those in its head."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._in_head = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Recognize the head of the page."""
        del attrs
        self._in_head = self._in_head or tag == "head"

    def handle_endtag(self, tag: str) -> None:
        """Recognize the end of the head."""
        self._in_head = self._in_head and tag != "head"

    def handle_data(self, data: str) -> None:
        """Collect the words outside the head."""
        if not self._in_head:
            self.words += data.split()
