"""GitLab: gitlab.com and self-managed servers. Merge requests are used as pull requests."""

from __future__ import annotations

import base64
import hashlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from relnox.forges.api_responses import commit_id, entries, flag, number, text, url
from relnox.forges.branches import Commit
from relnox.forges.forge import Forge
from relnox.forges.pull_requests import PullRequest, PullRequestState
from relnox.forges.requests import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relnox.errors import RelnoxError
    from relnox.forges.api_responses import ApiResponse
    from relnox.forges.branches import FileChange
    from relnox.forges.remotes import Location
    from relnox.system.secrets import Secret

_JOB_TOKEN = "CI_JOB_TOKEN"  # noqa: S105 - the name of a variable
_PAGE_SIZE = "50"
_UNDECIDED = ("unchecked", "checking", "preparing", "approvals_syncing")
_STATES = {
    "opened": PullRequestState.OPEN,
    "locked": PullRequestState.OPEN,  # while it is merged
    "merged": PullRequestState.MERGED,
    "closed": PullRequestState.CLOSED_UNMERGED,
}

# Wording of GitLab.
_NO_BRANCH = re.compile(r"(branch|project).{0,80} does not exist", re.IGNORECASE)


class GitLab(Forge):
    """A repository on GitLab.

    Args:
        location: The location of the repository.
        token: The token, or None to only read, without authentication.
    """

    name = "GitLab"
    request_kind = "merge request"
    requests_path = "/merge_requests"
    fields: ClassVar[Mapping[str, str]] = {
        "head": "source_branch",
        "base": "target_branch",
        "body": "description",
    }
    change_method = "PUT"
    commit_path = "/repository/commits/{}?stats=false"

    def __init__(self, location: Location, token: Secret | None) -> None:
        self._of_job = location.token_variable == _JOB_TOKEN
        header = ("JOB-TOKEN", "") if self._of_job else ("Authorization", "Bearer ")
        root = f"projects/{quote(location.path, safe='')}"
        super().__init__(Api(self.name, location, token, header, {"Accept": "application/json"}, root))

    # --- refs and commits

    def branch_head(self, branch: str) -> str | None:
        """Return the commit that a branch points to; see `Branches.branch_head`."""
        response = self._api.get(f"/repository/branches/{quote(branch, safe='')}")
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        document = self._document(response, f"cannot read branch {branch} of {self.repository}", "")
        if self._field(document, "name", text) != branch:
            raise self._api.invalid(f"another branch than {branch}")
        return self._field(document, "commit.id", commit_id)

    def commit(
        self, branch: str, parent: str, message: str, changes: Sequence[FileChange], *, replaces: str | None = None
    ) -> Commit:
        """Create a commit on a branch; see `Branches.commit`."""
        failure = f"cannot commit to branch {branch} of {self.repository}"

        def equal(head: str) -> Commit | None:
            is_equal = head != parent and self._is_equal(head, parent, message, changes, failure)
            return self._verified_commit(head) if is_equal else None

        def prepare() -> tuple[Callable[[], ApiResponse], Callable[[Any], Commit]]:
            self._read_commit(parent, failure)
            body: dict[str, Any] = {"branch": branch, "commit_message": message}
            body["actions"] = [
                action for change in changes for action in self._file_actions(change, parent, failure)
            ]
            if replaces != parent:
                body |= {"start_sha": parent, **({"force": True} if replaces else {})}
            return lambda: self._api.send("POST", "/repository/commits", body), accept

        def accept(document: Any) -> Commit:
            new = self._field(document, "id", commit_id)
            if self._field(document, "parent_ids", entries) != [parent]:
                # The branch moved between the look and the request: the API has no condition for that.
                raise self._branch_moved_error(branch, new, replaces)
            return self._verified_commit(new)

        return self._commit_once(branch, replaces, equal, prepare)

    def _file_actions(self, change: FileChange, parent: str, failure: str) -> list[dict[str, Any]]:
        """Return the actions of GitLab's commit API that turn a file of the parent into the changed file."""
        before = self._read_file(change.path, parent, failure)
        if change.content is None:
            return [] if before is None else [{"action": "delete", "file_path": change.path}]
        content = {"content": base64.b64encode(change.content).decode(), "encoding": "base64"}
        actions = [{"action": "create" if before is None else "update", "file_path": change.path, **content}]
        if change.executable != (before is not None and before[1]):
            chmod = {"action": "chmod", "file_path": change.path, "execute_filemode": change.executable}
            return [*actions, chmod]
        return actions

    def _read_file(self, path: str, commit: str, failure: str) -> tuple[str, bool] | None:
        """Return the SHA-256 of a file and whether it is executable, or None if the file does not exist."""
        response = self._api.get(f"/repository/files/{quote(path, safe='')}", {"ref": commit})
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        document = self._document(response, failure, "")
        return self._field(document, "content_sha256", text), self._field(document, "execute_filemode", flag)

    def _is_equal(
        self, commit: str, parent: str, message: str, changes: Sequence[FileChange], failure: str
    ) -> bool:
        """Return whether a commit has this parent and message, and makes exactly these changes."""
        document = self._read_commit(commit, failure)
        parents = self._field(document, "parent_ids", entries)
        if parents != [parent] or self._field(document, "message", text).strip() != message.strip():
            return False
        paths = {change.path for change in changes}
        for page in self._api.pages(f"/repository/commits/{commit}/diff", {"per_page": _PAGE_SIZE}):
            for file in self._list(self._document(page, failure, "")):
                if not {self._field(file, name, text) for name in ("old_path", "new_path")} <= paths:
                    return False
        return all(self._read_file(change.path, commit, failure) == _expected_file(change) for change in changes)

    def _verified_commit(self, commit: str) -> Commit:
        """Return a commit; request from GitLab whether its signature is verified."""
        document = self._api.get(f"/repository/commits/{commit}/signature").document
        is_verified = isinstance(document, dict) and document.get("verification_status") == "verified"
        return Commit(id=commit, verified=is_verified)

    # --- merge requests

    def _requests_query(self, head: str, *, only_open: bool) -> Mapping[str, str]:
        return {
            "source_branch": head,
            "state": "opened" if only_open else "all",
            "order_by": "created_at",
            "sort": "desc",
            "per_page": _PAGE_SIZE,
        }

    def _is_own(self, document: Any) -> bool:
        target = self._field(document, "target_project_id", number)
        return bool(document.get("source_project_id") == target)

    def _request_rejection(self, response: ApiResponse, failure: str, head: str, base: str) -> RelnoxError | None:
        if response.is_rejection and _NO_BRANCH.search(response.text):
            return self._branches_missing_error(failure, head, base)
        return None

    def _pull_request(self, document: Any) -> PullRequest:
        status = self._field(document, "state", text)
        if status not in _STATES:
            raise self._api.invalid("a response without a valid state")
        is_undecided = document.get("detailed_merge_status") in _UNDECIDED
        return PullRequest(
            number=self._field(document, "iid", number),
            url=self._field(document, "web_url", url),
            title=self._field(document, "title", text),
            body=self._optional_text(document, "description"),
            state=_STATES[status],
            head=self._field(document, "source_branch", text),
            base=self._field(document, "target_branch", text),
            conflicts=None if is_undecided else self._field(document, "has_conflicts", flag),
        )

    # --- pipelines

    def permission_fix(self, permission: str) -> str:  # noqa: ARG002 - tokens of GitLab have one scope for all
        """Return how to grant a missing permission, which is the same for every permission."""
        if self._of_job:
            return (
                "set GITLAB_TOKEN to a project access token with the scope api: the token of a job may only read"
            )
        return "give the token the scope api, and its user the role Developer (Maintainer for what is protected)"


def _expected_file(change: FileChange) -> tuple[str, bool] | None:
    """Return what `GitLab._file` returns for a file after a change."""
    if change.content is None:
        return None
    return hashlib.sha256(change.content).hexdigest(), change.executable
