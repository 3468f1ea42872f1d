"""Uploads by the Upload 2.0 API of PEP 694 (its draft of July 2026): a session is opened, filled and published.

Nothing of it can be seen by others before it is published, and then all of it can.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from relnox import network
from relnox.core.secrets import masked
from relnox.errors import Conflict, Failed, Refused
from relnox.indexes import uploader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    import requests

    from relnox.core.manifest import Distribution
    from relnox.indexes.credentials import Credentials
    from relnox.indexes.targets import Target

__all__ = ["StagedSession"]

_JSON = "application/vnd.pypi.upload.v2+json"
_META = {"api-version": "2.0"}
_MAJOR = "2"
_MECHANISM = "http-post-bytes"
"""The one mechanism that every server has."""
_MEND = "mend what the index names; if that is in an archive, build again"
_MALFORMED = (KeyError, TypeError, AttributeError)
"""What it raises to read from a document what is not in it."""
_CREATED = 201
_CONFLICT = 409
_PAUSE = 2.0
_PROCESSING = 1800.0
"""Seconds that an index may take to look into a file or a release."""


class StagedSession:
    """A release on its way to an index; several threads may send its files.

    Args:
        target: The index; its upload address is the root endpoint.
        credentials: Who sends it.
    """

    def __init__(self, target: Target, credentials: Credentials) -> None:
        self._target = target
        self._credentials = credentials
        self._opening = threading.Lock()
        self._links: dict[str, str] | None = None

    def upload(self, path: Path, file: Distribution, attestations: Sequence[Path] = ()) -> str:
        """Send a file into the session, once, and return what became of it there.

        What an earlier try or run left of it there is thrown away first: a session tells no hashes, and the
        index compares those that it is given with the bytes.

        Args:
            path: Where the file is.
            file: What it is.
            attestations: Files with what attests it (PEP 740).

        Raises:
            RelnoxError: As `uploader.send`.
        """
        with self._in_words():
            return self._upload(path, file, attestations)

    def _upload(self, path: Path, file: Distribution, attestations: Sequence[Path]) -> str:
        session = self._opened(file)
        left = self._asked("GET", session["session"], file)["files"].get(file.filename)
        if left is not None:
            self._judged(self._ask("DELETE", left["link"], file), file)
        request = {
            "filename": file.filename,
            "size": file.size,
            "hashes": {"sha256": file.sha256},
            "mechanism": _MECHANISM,
        }
        created = self._ask("POST", session["upload"], file, request)
        said = self._judged(created, file)
        if created.status_code == _CONFLICT:  # it is public already: its hash will tell
            raise uploader.Taken(said)
        sending = self._document(created)
        with path.open("rb") as content:
            self._judged(self._ask("POST", sending["mechanism"]["file_url"], file, content), file)
        if attestations:
            self._attest(sending["mechanism"].get("attestations_url"), file, attestations)
        completed = self._ask("POST", sending["links"]["complete"], file, {})
        self._judged(completed, file)
        if completed.status_code != _CREATED:
            self._await(sending["links"]["file-upload-session"], "completed", file, file.filename)
        return "staged"

    def publish(
        self,
        files: Sequence[Distribution],
        public: Collection[str] = (),
        sending: Callable[[], None] | None = None,
    ) -> str:
        """Make the files of the session public, all or none, and return what the index said.

        Args:
            files: Those that the release consists of.
            public: Names of those of them that are public already.
            sending: Called right before the index is asked to make them public.

        Raises:
            Conflict: The session holds files that are none of the release.
            PassingTrouble: It lacks some, which the index took before, but does not show yet.
            RelnoxError: As `uploader.send`.
        """
        with self._in_words():
            return self._publish(files, public, sending)

    def _publish(
        self, files: Sequence[Distribution], public: Collection[str], sending: Callable[[], None] | None
    ) -> str:
        first = files[0]
        release = f"{first.package} {first.version}"
        session = self._opened(first)
        document = self._asked("GET", session["session"], first)
        if foreign := sorted(set(document["files"]) - {file.filename for file in files}):
            raise Conflict(
                f"the session for {release} on {self._target.name} holds {', '.join(foreign)}, "
                "which is not in the manifest",
                hint="who else publishes this version? cancel the session there, then type the command again",
            )
        if document["status"] not in ("processing", "published"):
            held = {*document["files"], *public}
            if missing := [file.filename for file in files if file.filename not in held]:
                raise network.PassingTrouble(
                    f"{self._target.name} shows no {', '.join(missing)}, and the session for {release} lacks it"
                )
            if sending is not None:
                sending()
            answer = self._ask("POST", session["publish"], first, {})
            said = self._judged(answer, first)
            if answer.status_code == _CONFLICT:
                raise _rejection(f"{self._target.name} did not publish {release}: {said}")
        elif sending is not None:
            sending()  # an earlier run has asked for it
        self._await(session["session"], "published", first, release)
        return "published"

    def _attest(self, url: str | None, file: Distribution, attestations: Sequence[Path]) -> None:
        if url is None:
            raise uploader.AttestationsRefused(
                f"{self._target.name} takes no attestations into its sessions, and so none of {file.filename}"
            )
        listed = ", ".join(each.read_text(encoding="utf-8") for each in attestations)
        self._judged(self._ask("POST", url, file, BytesIO(f"[{listed}]".encode()), "application/json"), file)

    def _opened(self, file: Distribution) -> dict[str, str]:
        """The session's addresses: of a new one, or of the one that an earlier run left."""
        with self._opening:
            if self._links is None:
                request = {"name": file.package, "version": str(file.version)}
                answer = self._ask("POST", self._target.upload_url, file, request)
                if answer.status_code == _CONFLICT and "Location" in answer.headers:
                    answer = self._ask("GET", answer.headers["Location"], file)
                self._judged(answer, file)
                self._links = self._document(answer)["links"]
            return self._links

    def _await(self, url: str, wanted: str, file: Distribution, what: str) -> None:
        """Wait while the index looks into a file or a session.

        Raises:
            Failed: It comes to another end than the wanted one.
        """
        patience = network.Patience(_PROCESSING)
        while (document := self._asked("GET", url, file))["status"] != wanted:
            if document["status"] != "processing" or not patience.left():
                told = "; ".join([document["status"], *map(str, document.get("notices", ()))])
                error = _rejection(f"{self._target.name} refused {what}: {masked(told)}")
                error.rejected = document["status"] != "processing"
                raise error
            patience.wait(_PAUSE, f"{self._target.name} looks into {what}")

    def _asked(self, method: str, url: str, file: Distribution) -> Any:
        answer = self._ask(method, url, file)
        self._judged(answer, file)
        return self._document(answer)

    def _ask(
        self, method: str, url: str, file: Distribution, body: Any = None, kind: str = "application/octet-stream"
    ) -> requests.Response:
        """One request; an object goes as JSON, a file as it is. Credentials stay at the origin of the index."""
        if not network.same_origin(url, self._target.upload_url):
            raise Refused(
                f"{self._target.name} sends uploads to another address: {masked(url)}",
                hint=f"correct upload in [tool.relnox.indexes.{self._target.name}]; credentials are not sent "
                "elsewhere",
            )
        headers = {"Accept": _JSON, "Content-Type": kind}
        if isinstance(body, dict):
            headers["Content-Type"] = _JSON
            body = json.dumps({"meta": _META, **body}).encode()
        login = self._credentials.login(file.package)
        return network.once(method, url, headers=headers, body=body, auth=login, quiet=uploader.ANSWER_LIMIT)

    def _judged(self, answer: requests.Response, file: Distribution) -> str:
        return uploader.judged(answer, file, self._target.name)

    def _document(self, answer: requests.Response) -> Any:
        """What an answer says.

        Raises:
            Failed: It is no document of this API.
        """
        try:
            document = network.json_document(answer)
            spoken = document["meta"]["api-version"].partition(".")[0]
        except (ValueError, *_MALFORMED):
            document, spoken = None, None
        if spoken != _MAJOR:
            raise self._another_protocol()
        return document

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Report an answer that lacks what this API has in it."""
        try:
            yield
        except _MALFORMED as error:
            raise self._another_protocol() from error

    def _another_protocol(self) -> Failed:
        return Failed(
            f"{self._target.name} does not speak the Upload 2.0 API",
            hint=f"take staged = true out of [tool.relnox.indexes.{self._target.name}]",
        )


def _rejection(message: str) -> Failed:
    """The error for what the index looked into and did not take."""
    error = Failed(message, hint=_MEND)
    error.rejected = True
    return error
