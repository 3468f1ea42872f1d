"""Upload a file: the form, what the response of the index stands for, and fixes for rejected releases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from packaging.version import Version
from requests_toolbelt import MultipartEncoder
from twine.exceptions import TwineException
from twine.package import PackageFile

from relnox.core import fixes
from relnox.core.release import public_index
from relnox.core.release.manifest import Distribution
from relnox.core.text import format_count
from relnox.core.versions.versioning import Bump, next_version
from relnox.errors import ANY_STATUS, Blocked, Conflict, Failed, ProblemRule, TryLater, find_problem
from relnox.indexes.credentials import Credentials, Login
from relnox.indexes.targets import EMBEDDED, Target
from relnox.indexes.trusted_publishing import first_release_hint
from relnox.system import http
from relnox.system.secrets import mask_secrets

if TYPE_CHECKING:
    import requests

RESPONSE_TIMEOUT = 300.0
"""The maximum seconds that an index may take to process an uploaded file."""
_MAX_QUOTED = 500
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class FileExists(Failed):
    """The error for an upload of a file name that the index already has; its listing shows with which content."""


_NOT_STORED = range(300, 500)
"""The statuses that mean that a file was not stored; after other errors, it may have been stored."""
_REJECTED = (400, 403, 409, 422)
# Wording of PyPI (`warehouse/forklift/legacy.py`) and of the indexes that docs/publishing.md lists.
_RULES = (
    ProblemRule(
        range(300, 400),
        "",
        Blocked,
        "redirect-refused",
        "{index} redirects uploads to {location}",
        "if the index has moved, set upload in [tool.relnox.indexes.{index}] to that URL",
    ),
    ProblemRule(
        _REJECTED,
        "previously (been )?used|already been used",
        Conflict,
        "file-name-used",
        "{filename} was deleted from {index}, and its name cannot be reused: {text}",
        "{next_version}",
    ),
    ProblemRule(
        _REJECTED,
        r"older than \d+ days",
        Conflict,
        "release-too-old",
        "{release} is too old for more files on {index} (its first file is more than "
        f"{public_index.UPLOAD_WINDOW.days} days old): {{text}}",
        "{used_version}",
    ),
    ProblemRule(
        _REJECTED,
        "only one sdist",
        Conflict,
        "archive-unexpected",
        "{index} has another sdist of {release}, and accepts only one for each release: {text}",
        "{used_version}",
    ),
    ProblemRule(
        _REJECTED,
        "non-user identit",
        Blocked,
        "project-missing",
        "project {project} does not exist on {index}, and the credentials cannot create it "
        "(upload of {filename}): {text}",
        "{first_release}; or publish the first release with a token",
    ),
    ProblemRule(
        _REJECTED,
        "(isn't|not) allowed to upload to project",
        Blocked,
        "project-not-allowed",
        "these credentials may not upload to project {project} on {index}: {text}",
        "ask its owner to add you; if the project belongs to another account, choose another name, or "
        f"test on relnox's own test index: {fixes.task_command('publish-test', '--index', 'embedded')}",
    ),
    ProblemRule(
        _REJECTED,
        "not valid for project",
        Blocked,
        "credentials-rejected",
        "the token for {index} is for a project other than {project}: {text}",
        "use a token for {project}, or for the whole account if this is its first release",
    ),
    ProblemRule(
        _REJECTED,
        "invalid attestations",
        Failed,
        "attestation-invalid",
        "{index} rejected the attestations of {filename}: {text}",
        "sign in the CI job that uploads, which has the identity of the trusted publisher; or publish "
        "without attestations: --attestations off (they cannot be added later)",
    ),
    ProblemRule(
        _REJECTED,
        "read-only|temporarily disabled|maintenance",
        TryLater,
        "file-rejected",
        "{index} does not accept uploads at the moment: {text}",
        "rerun the command later (the credentials were not the cause)",
    ),
    ProblemRule(
        _REJECTED,
        "^409|already (exist|contain|been taken)|does not allow updating|cannot be updated|overwrit|duplicates",
        FileExists,
        "file-exists",
        "{text} (to be compared by hash)",
        "",
    ),
    ProblemRule(
        (401, 403),
        "",
        Blocked,
        "credentials-rejected",
        "{index} rejected the credentials for {filename}: {text}",
        "set a token or password that {index} accepts for project {project}",
    ),
    ProblemRule(
        (507,),
        "",
        Failed,
        "archive-too-large",
        "{index} cannot store {filename} ({size}): {text}",
        "free space on the index, or allow it to write to its storage; then rerun the command",
    ),
    ProblemRule(
        range(400, 600),
        "^413|too large|size limit",
        Failed,
        "archive-too-large",
        "{index} rejected {filename}: file too large ({size}): {text}",
        "make the archive smaller, or request a higher limit from the index",
    ),
    ProblemRule(
        (404, 405),
        "",
        Failed,
        "file-rejected",
        "{index} takes no uploads at {url}: {text}",
        "set upload in [tool.relnox.indexes.{index}] to the address for uploads, with its slash at the end if it "
        "has one (that of the simple API is another)",
    ),
    ProblemRule(
        ANY_STATUS,
        "",
        Failed,
        "file-rejected",
        "{index} rejected {filename}: {text}",
        f"fix what the index reports, then rebuild: {fixes.task_command('build-all')}",
    ),
)


def upload_file(  # noqa: PLR0913, PLR0917 - an upload
    path: Path,
    file: Distribution,
    target: Target,
    credentials: Credentials,
    attestations: Sequence[Path] = (),
    before_sending: Callable[[], None] | None = None,
) -> str:
    """Upload the file `path` with its attestations (PEP 740); return the status of the response, such as `200 OK`.

    `file` is its entry in the manifest. There are no retries, and the caller has to check the listing: a response
    does not prove what was stored. `before_sending` is called right before the first byte is sent.

    Raises:
        TransientError: A retry may succeed.
        Problem: The metadata or credentials cannot be used, or the index rejected them, the file or the release.
    """
    fields = form_fields(path, attestations)
    login = Login(credentials.user, credentials.secret(file.package))
    with path.open("rb") as content:
        form = upload_form(fields, path.name, content)
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
    return parse_upload_response(response, file, target)


def form_fields(path: Path, attestations: Sequence[Path] = ()) -> list[tuple[str, str]]:
    """Return the names and values of the form fields of an upload: metadata, digests and attestations of a file.

    `attestations` are paths. `upload_form` adds the field with the content.

    Raises:
        Failed: The metadata of the file is not valid.
    """
    try:
        package = PackageFile.from_filename(str(path), None)
        if attestations:
            package.add_attestations(list(map(str, attestations)))
        metadata = package.metadata_dictionary()
    except TwineException as error:
        raise Failed(
            "metadata-invalid",
            f"{path.name} has metadata that indexes do not accept: {error}",
            fix=f"correct [project] or the backend's settings, then rebuild: {fixes.task_command('build-all')}",
        ) from error
    return [*_metadata_fields(metadata), (":action", "file_upload"), ("protocol_version", "1")]


def _metadata_fields(metadata: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of the form fields for metadata, which twine returned by field name.

    A list or mapping results in one field for each of its values; keywords, which PyPI splits at commas, in one.
    Values of a mapping become `label, URL`.
    """
    for name, value in metadata.items():
        match value:
            case str():
                yield name, value
            case list() if name == "keywords":
                yield name, ", ".join(value)
            case list() | tuple():
                yield from ((name, str(element)) for element in value)
            case dict():
                yield from ((name, f"{label}, {url}") for label, url in value.items())
            case _:
                raise TypeError(f"twine returned {name} as {type(value).__name__}")


def upload_form(fields: list[tuple[str, str]], filename: str, content: BinaryIO) -> MultipartEncoder:
    """Return the form that uploads a file, with other fields; `content` is read while the form is sent."""
    return MultipartEncoder([*fields, ("content", (filename, content, "application/octet-stream"))])


def parse_upload_response(response: requests.Response, file: Distribution, index: Target) -> str:
    """Return the status of a successful response to an upload, such as `200 OK`.

    Raises:
        Problem: The index rejected the upload; its attribute `rejected` is true if the file certainly was not
            stored.
    """
    status = response.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return mask_secrets(f"{status} {response.reason or ''}".strip())
    text = f"{status} {_quoted_text(response)}".strip()
    error = find_problem(
        _RULES,
        text,
        status,
        index=index.name,
        project=file.package,
        release=f"{file.package} {file.version}",
        filename=file.filename,
        size=format_count(file.size, "byte"),
        url=mask_secrets(str(response.url)),
        location=mask_secrets(response.headers.get("Location", "an unknown URL")),
        next_version=next_release_hint(file.package, file.version, index),
        used_version=used_version_hint(file.package, file.version, index),
        first_release=first_release_hint(file.package),
    )
    digests = _DIGEST.findall(text.lower())
    if isinstance(error, FileExists) and digests and not {file.sha256, file.blake2b_256}.intersection(digests):
        error = Conflict(
            "index-file-differs",
            f"{index.name} has a different {file.filename}:\n  index  {digests[0]}\n"
            f"  built  sha256 {file.sha256}, blake2b-256 {file.blake2b_256}",
            fix=different_file_hint(file, index),
        )
    error.rejected = status in _NOT_STORED
    raise error


def _quoted_text(response: requests.Response) -> str:
    """Return the reason phrase and the body of a response in one line, for messages.

    The status and repeated text are left out; each part has 500 characters at most.
    """
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
        return unescape(re.sub(r"<[^<>]*>", " ", response.text.rpartition("</head>")[2]))
    if "json" not in kind:
        return response.text
    try:
        problem = http.parse_json(response)
        messages = [problem.get(key) for key in ("title", "detail", "details", "message")]
        messages += [error.get("message") for error in problem.get("errors", ())]
    except (ValueError, AttributeError, TypeError):
        return response.text
    return "; ".join(str(message) for message in messages if message) or response.text


# --- fixes for releases that an index does not accept


def different_file_hint(file: Distribution, index: Target) -> str:
    """Return the text of a fix for a file whose name exists on the index with other content."""
    hint = used_version_hint(file.package, file.version, index)
    return hint if index.name == EMBEDDED else f"{hint}; or publish the files of the build that was uploaded first"


def used_version_hint(package: str, version: Version, index: Target) -> str:
    """Return the text of a fix for a version that takes no more files, or has other files than were built.

    It proposes a new version, and says how to yank what is public (PEP 592). On the embedded index, it only
    proposes to empty the index.
    """
    if index.name == EMBEDDED:
        clear = fixes.task_command("publish-test", "--index", EMBEDDED, "--clear")
        return f"empty the index on this machine first: {clear}"
    following = next_release_hint(package, version, index)
    post = str(next_version(version, Bump(part="post", always_increment=True)))
    ways = [f"publish all files again as {post}: {index.rebuild_command(package, post)}", f"or {following}"]
    if version.is_devrelease:  # which has no post releases
        ways = [following]
    yank = index.yank_page_url(package, version)
    where = f": {yank}" if yank else f" on {index.name}"
    return "; ".join([*ways, f"if what is public is broken, yank {package} {version}{where}"])


def next_release_hint(package: str, version: Version, index: Target) -> str:
    """Return the text of a fix for a file name that cannot be used again: publish the next patch or prerelease."""
    following = str(next_version(version, Bump(part="patch" if version.pre is None else "pre")))
    return f"publish it as {following}: {index.rebuild_command(package, following)}"
