"""GitLab: gitlab.com and own servers. Merge requests are its pull requests, and pipelines its runs."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relnox.core.records import replace
from relnox.forges import problems
from relnox.forges.problems import described, poll, short_name
from relnox.forges.requests import Api, commit_id, field, number, time, url
from relnox.forges.values import Commit, PullRequest, PullRequestState, Run, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from relnox.forges.remotes import Location
    from relnox.forges.requests import Answer
    from relnox.forges.values import FileChange
    from relnox.system.secrets import Secret

__all__ = ["GitLab"]

_JOB_TOKEN = "CI_JOB_TOKEN"  # noqa: S105 - the name of a variable
_PAGE_SIZE = "50"
_STARTED_BY_API = "api"
_CLIENT_ERRORS = range(400, 500)
_UNDECIDED = ("unchecked", "checking", "preparing", "approvals_syncing")
_STATES = {
    "opened": PullRequestState.OPEN,
    "locked": PullRequestState.OPEN,  # while it is merged
    "merged": PullRequestState.MERGED,
    "closed": PullRequestState.CLOSED_UNMERGED,
}
_QUERIES = {
    PullRequestState.OPEN: "opened",
    PullRequestState.MERGED: "merged",
    PullRequestState.CLOSED_UNMERGED: "closed",
}
_STATUSES = {
    "running": RunStatus.RUNNING,
    "canceling": RunStatus.RUNNING,
    "success": RunStatus.SUCCESS,
    "failed": RunStatus.FAILURE,
    "canceled": RunStatus.CANCELED,
    "skipped": RunStatus.SKIPPED,
    "manual": RunStatus.WAITING,
    "scheduled": RunStatus.WAITING,
}
"""All others (`created`, `preparing`, `pending`, `waiting_for_resource`, `waiting_for_callback`) are queued."""

# Wording of GitLab.
_INVALID_TARGET = re.compile(r"(target|reference|ref|sha).{0,80} (is )?invalid|invalid reference", re.IGNORECASE)
_NO_REF = re.compile(r"reference not found", re.IGNORECASE)
_NO_BRANCH = re.compile(r"(branch|project).{0,80} does not exist", re.IGNORECASE)


class GitLab:
    """A repository on GitLab.

    Args:
        location: Where it is.
        token: The token; None to send only requests that read, without one.
    """

    def __init__(self, location: Location, token: Secret | None) -> None:
        of_job = location.token_variable == _JOB_TOKEN
        header = ("JOB-TOKEN", "") if of_job else ("Authorization", "Bearer ")
        self._permission = (
            "set GITLAB_TOKEN to a project access token with the scope api: the token of a job may only read"
            if of_job
            else "give the token the scope api, and its user the role Developer (Maintainer for what is protected)"
        )
        root = f"projects/{quote(location.path, safe='')}"
        self._api = Api(self.name, location, token, header, {"Accept": "application/json"}, root)

    @property
    def name(self) -> str:
        """See `Forge`."""
        return "GitLab"

    @property
    def repository(self) -> str:
        """See `Forge`."""
        return self._api.location.path

    def check_token(self) -> None:
        """See `Forge`."""
        self._api.require_token()

    # --- refs and commits

    def commit_of(self, ref: str) -> str | None:
        """See `Forge`."""
        answer = self._api.get(f"/repository/{_collection(ref)}/{quote(short_name(ref), safe='')}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        document = self._document(answer, f"cannot read {described(ref)} of {self.repository}")
        if field(self._api, document, "name", kind=str) != short_name(ref):
            raise self._api.invalid(f"another ref than {ref}")
        return commit_id(self._api, document, "commit", "id")

    def create_ref(self, ref: str, commit: str, message: str = "") -> bool:
        """See `Forge`."""
        doing = f"cannot create {described(ref)} on {self.repository}"
        if _collection(ref) == "branches":
            body = {"branch": short_name(ref), "ref": commit}
        else:
            body = {"tag_name": short_name(ref), "ref": commit, **({"message": message} if message else {})}

        def change() -> bool:
            answer = self._api.send("POST", f"/repository/{_collection(ref)}", body)
            if _is_rejected(answer) and (present := self.commit_of(ref)) is not None:
                if present == commit:
                    return False
                raise problems.ref_exists(ref, self.repository, present)
            if _INVALID_TARGET.search(answer.text):
                raise problems.commit_missing(doing, commit)
            document = self._document(answer, doing)
            if commit_id(self._api, document, "commit", "id") != commit:
                raise self._api.invalid(f"another ref than {ref}")
            return True

        return self._api.until_confirmed(change, lambda: self.commit_of(ref) == commit or None)

    def commit(
        self, branch: str, parent: str, message: str, changes: Sequence[FileChange], *, replaces: str | None = None
    ) -> Commit:
        """See `Forge`."""
        doing = f"cannot commit to branch {branch} of {self.repository}"

        def present() -> Commit | None:
            """Return the branch's commit if it equals the planned one; None if it is the commit to replace."""
            head = self.commit_of(f"refs/heads/{branch}")
            if head is not None and head != parent and self._is_equal(head, parent, message, changes, doing):
                return self._commit(head)
            if head != replaces:
                raise problems.branch_moved(branch, self.repository, head, replaces)
            return None

        if (equal := present()) is not None:
            return equal
        self._require_commit(parent, doing)
        body: dict[str, Any] = {"branch": branch, "commit_message": message}
        body["actions"] = [action for change in changes for action in self._actions(change, parent, doing)]
        if replaces != parent:
            body |= {"start_sha": parent, **({"force": True} if replaces else {})}

        def change() -> Commit:
            answer = self._api.send("POST", "/repository/commits", body)
            if _is_rejected(answer) and (equal := present()) is not None:
                return equal
            document = self._document(answer, doing)
            new = commit_id(self._api, document, "id")
            if field(self._api, document, "parent_ids", kind=list) != [parent]:
                # The branch moved between the look and the request: the API has no condition for that.
                raise problems.branch_moved(branch, self.repository, new, replaces)
            return self._commit(new)

        return self._api.until_confirmed(change, present)

    def _require_commit(self, commit: str, doing: str) -> None:
        answer = self._api.get(f"/repository/commits/{quote(commit)}", {"stats": "false"})
        if answer.status == HTTPStatus.NOT_FOUND:
            raise problems.commit_missing(doing, commit)
        self._document(answer, doing)

    def _actions(self, change: FileChange, parent: str, doing: str) -> list[dict[str, Any]]:
        """Return the actions that change a file of the parent."""
        before = self._file(change.path, parent, doing)
        if change.content is None:
            return [] if before is None else [{"action": "delete", "file_path": change.path}]
        content = {"content": base64.b64encode(change.content).decode(), "encoding": "base64"}
        actions = [{"action": "create" if before is None else "update", "file_path": change.path, **content}]
        if change.executable != (before is not None and before[1]):
            chmod = {"action": "chmod", "file_path": change.path, "execute_filemode": change.executable}
            return [*actions, chmod]
        return actions

    def _file(self, path: str, commit: str, doing: str) -> tuple[str, bool] | None:
        """Return the SHA-256 of a file, and whether it is executable; None if there is no such file."""
        answer = self._api.get(f"/repository/files/{quote(path, safe='')}", {"ref": commit})
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        document = self._document(answer, doing)
        return (
            field(self._api, document, "content_sha256", kind=str),
            field(self._api, document, "execute_filemode", kind=bool),
        )

    def _is_equal(self, commit: str, parent: str, message: str, changes: Sequence[FileChange], doing: str) -> bool:
        """Return whether a commit has this parent and message, and changes these files, and no others."""
        answer = self._api.get(f"/repository/commits/{commit}", {"stats": "false"})
        document = self._document(answer, doing)
        parents = field(self._api, document, "parent_ids", kind=list)
        if parents != [parent] or field(self._api, document, "message", kind=str).strip() != message.strip():
            return False
        paths = {change.path for change in changes}
        for page in self._api.pages(f"/repository/commits/{commit}/diff", {"per_page": _PAGE_SIZE}):
            for entry in self._list(self._document(page, doing)):
                names = {field(self._api, entry, name, kind=str) for name in ("old_path", "new_path")}
                if not names <= paths:
                    return False
        return all(self._file(change.path, commit, doing) == _expected(change) for change in changes)

    def _commit(self, commit: str) -> Commit:
        """Return a commit with what GitLab says of its signature."""
        answer = self._api.get(f"/repository/commits/{commit}/signature")
        document = answer.document
        verified = isinstance(document, dict) and document.get("verification_status") == "verified"
        return Commit(id=commit, verified=verified)

    # --- merge requests

    def pull_requests(
        self, head: str, *, state: PullRequestState | None = PullRequestState.OPEN, marker: str = ""
    ) -> tuple[PullRequest, ...]:
        """See `Forge`."""
        query = {
            "source_branch": head,
            "state": "all" if state is None else _QUERIES[state],
            "order_by": "created_at",
            "sort": "desc",
            "per_page": _PAGE_SIZE,
        }
        requests: list[PullRequest] = []
        for answer in self._api.pages("/merge_requests", query):
            document = self._document(answer, f"cannot list merge requests of {self.repository}")
            requests += [
                self._merge_request(entry) for entry in self._list(document) if self._is_of_repository(entry)
            ]
        return tuple(
            request
            for request in requests
            if request.head == head and marker in request.body and state in (None, request.state)
        )

    def pull_request(self, number: int) -> PullRequest:
        """See `Forge`."""

        def read() -> PullRequest:
            answer = self._api.get(f"/merge_requests/{number}")
            if answer.status == HTTPStatus.NOT_FOUND:
                raise problems.pull_request_missing(self.repository, number, self._permission)
            return self._merge_request(self._document(answer, f"cannot read merge request {number}"))

        def checked() -> PullRequest | None:
            request = read()
            undecided = request.state is PullRequestState.OPEN and request.conflicts is None
            return None if undecided else request

        return poll(checked, f"GitLab looks for merge conflicts of merge request {number}") or read()

    def create_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """See `Forge`."""
        doing = f"cannot create a merge request from {head} to {base} on {self.repository}"

        def present() -> PullRequest | None:
            return next((request for request in self.pull_requests(head) if request.base == base), None)

        def change() -> PullRequest:
            request = {"source_branch": head, "target_branch": base, "title": title, "description": body}
            answer = self._api.send("POST", "/merge_requests", request)
            if _is_rejected(answer):
                if (existing := present()) is not None:
                    return existing
                if _NO_BRANCH.search(answer.text):
                    raise problems.branches_missing(doing, head, base)
            return self._merge_request(self._document(answer, doing))

        return self._api.until_confirmed(change, present)

    def update_pull_request(
        self, number: int, *, title: str | None = None, body: str | None = None, is_open: bool | None = None
    ) -> PullRequest:
        """See `Forge`."""
        event = None if is_open is None else "reopen" if is_open else "close"
        changes = {"title": title, "description": body, "state_event": event}
        answer = self._api.repeat(
            "PUT",
            f"/merge_requests/{number}",
            {name: value for name, value in changes.items() if value is not None},
        )
        return self._merge_request(self._document(answer, f"cannot change merge request {number}"))

    def _is_of_repository(self, document: Any) -> bool:
        """Return whether the branch of a merge request is in its repository, not in a fork."""
        target = number(self._api, document, "target_project_id")
        return bool(document.get("source_project_id") == target)

    def _merge_request(self, document: Any) -> PullRequest:
        api = self._api
        status = field(api, document, "state", kind=str)
        if status not in _STATES:
            raise api.invalid("an answer without a valid state")
        state, body = _STATES[status], document.get("description")
        undecided = document.get("detailed_merge_status") in _UNDECIDED
        request = PullRequest(
            number=number(api, document, "iid"),
            url=url(api, document, "web_url"),
            title=field(api, document, "title", kind=str),
            body="" if body is None else field(api, document, "description", kind=str),
            state=state,
            head=field(api, document, "source_branch", kind=str),
            head_commit=commit_id(api, document, "sha"),
            base=field(api, document, "target_branch", kind=str),
            conflicts=None if undecided else field(api, document, "has_conflicts", kind=bool),
            merge_commit=None,
        )
        if state is not PullRequestState.MERGED:
            return request
        # Of a merge commit, of a squash without one, and else of a fast-forward.
        names = ("merge_commit_sha", "squash_commit_sha", "sha")
        name = next(name for name in names if document.get(name) is not None)
        return replace(request, merge_commit=commit_id(api, document, name))

    # --- pipelines

    def start_run(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> Run:  # noqa: ARG002 - one pipeline
        """See `Forge`."""
        doing = f"cannot start a pipeline on {described(ref)} of {self.repository}"
        # Pipeline numbers increase; the clocks of two machines may differ.
        last = max((run.id for run in self._first_runs(ref)), default=0)

        def new_run() -> Run | None:
            return min(
                (run for run in self._first_runs(ref) if run.id > last), key=lambda run: run.id, default=None
            )

        def present() -> Run | None:
            return poll(new_run, f"GitLab does not list a pipeline on {described(ref)} yet")

        def change() -> Run:
            body = {"ref": short_name(ref), **({"inputs": dict(inputs)} if inputs else {})}
            answer = self._api.send("POST", "/pipeline", body)
            if _NO_REF.search(answer.text):
                raise problems.ref_missing(doing, ref)
            return self._run(self._document(answer, doing))

        return self._api.until_confirmed(change, present)

    def run(self, number: int) -> Run:
        """See `Forge`."""
        answer = self._api.get(f"/pipelines/{number}")
        if answer.status == HTTPStatus.NOT_FOUND:
            raise problems.run_missing(self.repository, number, self._permission)
        return self._run(self._document(answer, f"cannot read pipeline {number}"))

    def runs(
        self,
        *,
        workflow: str = "",  # noqa: ARG002 - there is one pipeline
        ref: str = "",
        commit: str = "",
        event: str = "",
        since: datetime | None = None,
    ) -> tuple[Run, ...]:
        """See `Forge`."""
        query = _run_query(ref, event)
        if commit:
            query["sha"] = commit
        if since is not None:  # nothing is updated before it is created; "after" excludes the very second
            earlier = since.astimezone(UTC) - timedelta(seconds=1)
            query["updated_after"] = f"{earlier:%Y-%m-%dT%H:%M:%SZ}"
        return tuple(
            run
            for page in self._run_pages(query)
            for run in page
            if (not ref or run.ref == short_name(ref))
            and commit in ("", run.commit)
            and event in ("", run.event)
            and (since is None or run.created >= since.replace(microsecond=0))
        )

    def _first_runs(self, ref: str) -> list[Run]:
        """Return the latest pipelines that were started like this."""
        page = next(self._run_pages(_run_query(ref, _STARTED_BY_API)))
        return [run for run in page if run.ref == short_name(ref) and run.event == _STARTED_BY_API]

    def _run_pages(self, query: Mapping[str, str]) -> Iterator[list[Run]]:
        for answer in self._api.pages("/pipelines", query):
            document = self._document(answer, f"cannot list the pipelines of {self.repository}")
            yield [self._run(entry) for entry in self._list(document)]

    def _run(self, document: Any) -> Run:
        api = self._api
        return Run(
            id=number(api, document, "id"),
            url=url(api, document, "web_url"),
            ref=field(api, document, "ref", kind=str),
            commit=commit_id(api, document, "sha"),
            event=field(api, document, "source", kind=str),
            status=_STATUSES.get(field(api, document, "status", kind=str), RunStatus.QUEUED),
            created=time(api, document, "created_at"),
        )

    # --- answers

    def _list(self, document: Any) -> list[Any]:
        if not isinstance(document, list):
            raise self._api.invalid("a listing that is not a list")
        return document

    def _document(self, answer: Answer, doing: str) -> Any:
        """Return the document of a successful answer.

        Raises:
            RelnoxError: It is not successful.
        """
        if answer.is_success:
            return answer.document
        raise self._api.access_error(doing, answer, self._permission) or self._api.rejection(doing, answer)


def _collection(ref: str) -> str:
    return "tags" if ref.startswith("refs/tags/") else "branches"


def _is_rejected(answer: Answer) -> bool:
    """Return whether a request was rejected for another reason than the token, which has many statuses."""
    access_errors = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
    return answer.status in _CLIENT_ERRORS and answer.status not in access_errors


def _expected(change: FileChange) -> tuple[str, bool] | None:
    if change.content is None:
        return None
    return hashlib.sha256(change.content).hexdigest(), change.executable


def _run_query(ref: str, event: str) -> dict[str, str]:
    query = {"ref": short_name(ref) if ref else "", "source": event, "per_page": _PAGE_SIZE}
    return {name: value for name, value in query.items() if value}
