"""Send one file to an index, once, and tell its answers apart: what was said is no proof of what was stored."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from relnox import network
from relnox.core import fixes
from relnox.core.versioning import Bump, next_version
from relnox.errors import Blocked, Conflict, Failed, RelnoxError, TryLater
from relnox.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import requests

    from relnox.core.manifest import Distribution
    from relnox.indexes.credentials import Credentials
    from relnox.indexes.targets import Target

__all__ = ["ANSWER_LIMIT", "WINDOW", "AttestationsRefused", "Taken", "judged", "publish_again", "send", "ways_out"]

WINDOW = timedelta(days=14)
"""How long after its first file the public index takes further files of a release (since July 2026)."""

ANSWER_LIMIT = 300.0
"""Seconds that an index may take over a file that has arrived."""
_OK = range(200, 300)
_REDIRECTS = range(300, 400)
_REJECTIONS = range(300, 500)
"""Answers that say that a file was not taken; after an error of the server's own it may have been."""
_NOT_ALLOWED = (401, 403)
_REFUSED = (400, 403, 409)
_CONFLICT = 409
_TOO_LARGE = 413
_NO_ROOM = 507
_ANSWER_SHOWN = 500

# What indexes say: the public one in `warehouse/forklift/legacy.py`, pypiserver, devpi and the two big proxies.
_BURNED = re.compile(r"previously (been )?used|already been used", re.IGNORECASE)
_EXISTS = re.compile(r"already exist|does not allow updating|cannot be updated|overwrit", re.IGNORECASE)
_OLD = re.compile(r"older than \d+ days", re.IGNORECASE)
_CLOSED = re.compile(r"read-only|temporarily disabled|maintenance", re.IGNORECASE)
_NOT_CREATED = re.compile(r"non-user identit", re.IGNORECASE)
_FOREIGN = re.compile(r"(isn't|not) allowed to upload to project", re.IGNORECASE)
_SCOPED = re.compile(r"not valid for project", re.IGNORECASE)
_ATTESTED = re.compile(r"invalid attestations", re.IGNORECASE)
_SECOND = re.compile(r"only one sdist", re.IGNORECASE)
_LARGE = re.compile(r"too large|size limit", re.IGNORECASE)
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class AttestationsRefused(Failed):
    """The index does not take the file with its attestations; without them it may."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "attestations-rejected",
            message,
            fix="is the job that signed the trusted publisher that uploads? Without attestations it goes on: "
            "--attestations off (they cannot be added later)",
        )


class Taken(RelnoxError):
    """The index has a file of that name, and did not take this one; the hash tells whether it is ours."""


def send(  # noqa: PLR0913 - an upload
    path: Path,
    file: Distribution,
    target: Target,
    credentials: Credentials,
    attestations: Sequence[Path] = (),
    *,
    sending: Callable[[], None] | None = None,
) -> str:
    """Send a file once, and return what the index answered in a few words.

    An answer is no proof: the caller looks at the index afterwards, whatever came of this.

    Args:
        path: Where the file is.
        file: What it is.
        target: The index.
        credentials: Who sends it.
        attestations: Files with what attests it (PEP 740).
        sending: Called right before the first byte goes.

    Raises:
        TransientError: Another try may go better.
        Taken: There is a file of that name; whose, the answer does not tell.
        TryLater: The index takes nothing from anybody at present.
        Blocked: The credentials were rejected, or the index redirects elsewhere.
        Conflict: The name is taken for good, or the release is closed.
        Failed: The index refused the file.
    """
    from relnox.indexes import twine_compat

    told = twine_compat.fields(path, attestations)
    login = credentials.login(file.package)
    with path.open("rb") as content:
        form = twine_compat.form(told, path.name, content)
        if sending is not None:
            sending()
        # A redirect is never followed: credentials go to the address that was resolved and nowhere else.
        response = network.send_once(
            "POST",
            target.upload_url,
            headers={"Content-Type": form.content_type},
            body=form,
            auth=login,
            read_timeout=ANSWER_LIMIT,
            limit=network.UPLOAD_RESPONSE,
        )
    said = judged(response, file, target.name)
    if response.status_code not in _OK:
        raise Taken("todo", said)
    return said


def ways_out(file: Distribution) -> str:
    """What can be done where a name is taken by other bytes."""
    return (
        f"a file name is never given twice: bump the version, publish the same again as {_post_release(file)}, "
        f"or find the build that was published; to bump: {_bump_to(_post_release(file))}"
    )


def publish_again(file: Distribution) -> str:
    """What can be done where a release takes no more files."""
    post = _post_release(file)
    return f"publish all of it as {post}: {_bump_to(post)}"


def _bump_to(version: str) -> str:
    return fixes.command("bump", "--to", version)


def judged(response: requests.Response, file: Distribution, index: str) -> str:
    """What an index answered to an upload, in a few words; see `send` for what is raised.

    That the index holds a file of that name already is an answer like any other. An error says whether it was told
    by the index that it did not take the file (`rejected`).
    """
    try:
        return _judged(response, file, index)
    except RelnoxError as error:
        error.rejected = response.status_code in _REJECTIONS
        raise


def _judged(response: requests.Response, file: Distribution, index: str) -> str:
    status = response.status_code
    text = _text(response)
    said = f"{status} {text}".strip()
    if status in _OK:
        return masked(f"{status} {response.reason or ''}".strip())
    if status in _REDIRECTS:
        raise Blocked(
            "todo",
            f"{index} redirects uploads to {masked(response.headers.get('Location', 'nowhere'))}",
            fix=f"if it has moved there: write that as upload into [tool.relnox.indexes.{index}]; credentials "
            "are not sent elsewhere",
        )
    if status in _REFUSED:
        _explain(text, file, index)
        if status == _CONFLICT or _EXISTS.search(text):
            return _taken(said, text, file, index)
    if status in _NOT_ALLOWED:
        raise Blocked(
            "todo",
            f"{index} rejected the credentials for {file.filename}: {said}",
            fix="is the token or password right, and is it for this index and this project?",
        )
    if status == _NO_ROOM:
        raise Failed(
            "todo",
            f"{index} cannot store {file.filename} ({file.size:,} bytes): {said}",
            fix="free space where the index keeps its files, or let it write there; then rerun the command",
        )
    if status == _TOO_LARGE or _LARGE.search(text):
        raise Failed(
            "todo",
            f"{index} finds {file.filename} too large ({file.size:,} bytes): {said}",
            fix="leave out what the archive does not need, or ask the index for a higher limit",
        )
    raise Failed(
        "todo", f"{index} refused {file.filename}: {said}", fix="mend what the index names, then build again"
    )


def _text(response: requests.Response) -> str:
    """What the index says, on one line, without the status: it is in the status line, in the body or in both."""
    status = re.compile(rf"^(error\b[\s:]*)?{response.status_code}\b[\s:.-]*", re.IGNORECASE)
    reason, body = (
        status.sub("", masked(" ".join(part.split())), count=1)[:_ANSWER_SHOWN]
        for part in (response.reason or "", _body(response))
    )
    more = body.removeprefix(reason).removesuffix(reason).strip(" :")
    if body in reason or not more:
        return reason
    return body if reason in more else f"{reason} {more}".strip()


def _body(response: requests.Response) -> str:
    """What an answer has for people to read: the words of a page, or of a problem as RFC 9457 describes it."""
    kind = response.headers.get("Content-Type", "")
    if "html" in kind:
        page = _Page()
        page.feed(response.text)
        return " ".join(page.words)
    if "json" not in kind:
        return response.text
    try:
        problem = network.json_document(response)
        told = [problem.get("title"), problem.get("detail"), problem.get("details"), problem.get("message")]
        told += [error.get("message") for error in problem.get("errors", ())]
    except (ValueError, AttributeError, TypeError):
        return response.text
    return "; ".join(str(each) for each in told if each) or response.text


class _Page(HTMLParser):
    """The words of a page's body."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._in_head = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self._in_head = self._in_head or tag == "head"

    def handle_endtag(self, tag: str) -> None:
        self._in_head = self._in_head and tag != "head"

    def handle_data(self, data: str) -> None:
        if not self._in_head:
            self.words += data.split()


def _explain(text: str, file: Distribution, index: str) -> None:
    """Raise the error for a refusal that is known by its words."""
    if _BURNED.search(text):
        following = _following(file)
        raise Conflict(
            "todo",
            f"{index} has had {file.filename} before; it was deleted, and its name is never given again: {text}",
            fix=f"publish it as {following}: {_bump_to(following)}",
        )
    if _OLD.search(text):
        raise Conflict(
            "todo",
            f"{index} takes no more files for {file.package} {file.version}: its first file is more than "
            f"{WINDOW.days} days old: {text}",
            fix=publish_again(file),
        )
    if _SECOND.search(text):
        post = _post_release(file)
        raise Conflict(
            "todo",
            f"{index} has another sdist of {file.package} {file.version}, and takes one of a release: {text}",
            fix=f"who published it? to publish all of it again as {post}: {_bump_to(post)}",
        )
    if _NOT_CREATED.search(text):
        from relnox.indexes.trusted_publishing import first_release_hint

        raise Blocked(
            "todo",
            f"{index} has no project {file.package}, and {file.filename} comes from an identity that may not "
            f"create it: {text}",
            fix=f"{first_release_hint(file.package)}; or publish the first release with a token",
        )
    if _FOREIGN.search(text):
        raise Blocked(
            "todo",
            f"{index} has a project {file.package} that these credentials may not upload to: {text}",
            fix="if it is yours, let its owner there add you; if it is a stranger's, the name is taken: choose "
            "another, or try the release where no name is: "
            f"{fixes.command('publish-test', '--index', 'embedded')}",
        )
    if _SCOPED.search(text):
        raise Blocked(
            "todo",
            f"the token for {index} is of another project than {file.package}: {text}",
            fix=f"take one of {file.package}, or for its first release one of the whole account",
        )
    if _ATTESTED.search(text):
        raise AttestationsRefused(f"{index} does not take the attestations of {file.filename}: {text}")
    if _CLOSED.search(text):
        raise TryLater(
            "todo",
            f"{index} takes no uploads at present: {text}",
            fix="this is not about your credentials; type the same command again later",
        )


def _taken(said: str, text: str, file: Distribution, index: str) -> str:
    """The name is taken; by other bytes where the index tells a digest that is not ours."""
    digests = _DIGEST.findall(text.lower())
    if digests and not {file.sha256, file.blake2b_256}.intersection(digests):
        raise Conflict(
            "todo",
            f"{index} holds another {file.filename}:\n  there  {digests[0]}\n"
            f"  built  sha256 {file.sha256}, blake2b-256 {file.blake2b_256}",
            fix=ways_out(file),
        )
    return f"{said} (its hash will tell)"


def _following(file: Distribution) -> str:
    """The version after this one: the next prerelease of a prerelease, else the next patch."""
    return str(next_version(file.version, Bump(part="patch" if file.version.pre is None else "pre")))


def _post_release(file: Distribution) -> str:
    """The version that says the same again: `.postN`; a dev release has none."""
    if file.version.is_devrelease:
        return _following(file)
    return str(next_version(file.version, Bump(part="post", exact=True)))
