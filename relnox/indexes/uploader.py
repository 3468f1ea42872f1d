"""Send one file to an index. twine is the wire format; whether the file arrived is seen by looking.

The names of twine that relnox relies on stand in this file and in `credentials.py` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.errors import Conflict, Failed, Refused, TryLater

if TYPE_CHECKING:
    from pathlib import Path

    import requests

    from relnox.indexes.credentials import Credentials
    from relnox.indexes.targets import Target

__all__ = ["send"]

_TIME_LIMIT = (10.0, 300.0)
_OK = range(200, 300)
_REDIRECTS = range(300, 400)
_NOT_ALLOWED = (401, 403)
_CONFLICT = 409
_BUSY = (408, 429)
_BROKEN = range(500, 600)
_ANSWER_SHOWN = 500


def send(path: Path, target: Target, credentials: Credentials) -> str:
    """Send a file once, and return what the index answered in a few words.

    An answer is no proof: the caller looks at the index afterwards, whatever came of this.

    Raises:
        Refused: The credentials were rejected, or the index redirects elsewhere.
        Conflict: The index holds another file of that name.
        TryLater: The index has a passing trouble.
        Failed: The index refused the file.
    """
    import requests
    from requests_toolbelt import MultipartEncoder
    from twine import utils
    from twine.exceptions import TwineException
    from twine.package import PackageFile
    from twine.repository import Repository

    try:
        package = PackageFile.from_filename(str(path), None)
        fields = Repository._convert_metadata_to_list_of_tuples(package.metadata_dictionary())  # noqa: SLF001
    except TwineException as error:
        raise Failed(f"{path.name} has metadata that no index takes: {error}", hint="nox -s build-all") from error
    with path.open("rb") as content, utils.make_requests_session() as session:
        session.auth = (credentials.user, credentials.secret.reveal())
        body = MultipartEncoder(
            [
                *fields,
                (":action", "file_upload"),
                ("protocol_version", "1"),
                ("content", (path.name, content, "application/octet-stream")),
            ]
        )
        headers = {"Content-Type": body.content_type}
        try:
            # A redirect is never followed: credentials go to the address that was resolved and nowhere else.
            response = session.post(
                target.upload_url, data=body, headers=headers, allow_redirects=False, timeout=_TIME_LIMIT
            )
        except requests.RequestException as error:
            raise TryLater(
                f"{target.name} did not take {path.name} ({type(error).__name__})",
                hint="type the same command again: it sends only what is missing",
            ) from error
    return _judged(response, path.name, target)


def _judged(response: requests.Response, filename: str, target: Target) -> str:
    status = response.status_code
    said = f"{status} {response.reason or ''}".strip()
    text = " ".join(response.text.split())[:_ANSWER_SHOWN]
    if status in _OK:
        return said
    if status in _REDIRECTS:
        raise Refused(
            f"{target.name} redirects uploads to {response.headers.get('Location')}",
            hint="correct the index's upload address; credentials are not sent elsewhere",
        )
    if status in _NOT_ALLOWED:
        raise Refused(
            f"{target.name} rejected the credentials for {filename}: {said}. {text}",
            hint="is the token for this index and this project?",
        )
    if status == _CONFLICT:
        raise Conflict(
            f"{target.name} says that {filename} is there already: {said}. {text}", hint="bump the version"
        )
    if status in _BUSY or status in _BROKEN:
        raise TryLater(f"{target.name} is in trouble: {said}", hint="type the same command again later")
    raise Failed(
        f"{target.name} refused {filename}: {said}. {text}",
        hint="mend what the index names, then build again",
    )
