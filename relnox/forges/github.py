"""GitHub: github.com, GitHub Enterprise Cloud and GitHub Enterprise Server.

Only the REST API is used. Commits are created from Git trees (docs/decisions/0031-forge-client.md).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relnox.errors import Blocked
from relnox.forges.api_responses import commit_id, flag, number, text, url
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

_VERSION = "2022-11-28"
"""The version of the REST API, which GitHub Enterprise Server supports, too."""

# Wording of GitHub.
_NO_COMMITS_BETWEEN = re.compile(r"no commits between", re.IGNORECASE)
_INVALID_BRANCH = re.compile(r"(^|\W)(head|base)\W+(field )?invalid|field.{0,5}(head|base)", re.IGNORECASE)
_NOT_PERMITTED_TO_CREATE = re.compile(r"not permitted to create or approve pull requests", re.IGNORECASE)


class GitHub(Forge):
    """A repository on GitHub.

    Args:
        location: The location of the repository.
        token: The token, or None to only read, without authentication.
    """

    name = "GitHub"
    request_kind = "pull request"
    requests_path = "/pulls"
    commit_path = "/git/commits/{}"
    ref_restriction = (
        "; GITHUB_TOKEN cannot create refs to commits whose .github/workflows differ from the default branch "
        "either"
    )

    def __init__(self, location: Location, token: Secret | None) -> None:
        owner, _, name = location.path.partition("/")
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION}
        root = f"repos/{quote(owner)}/{quote(name, safe='')}"
        super().__init__(Api(self.name, location, token, ("Authorization", "Bearer "), headers, root))
        self._owner = owner

    def branch_head(self, branch: str) -> str | None:
        """Return the commit that a branch points to; see `Branches.branch_head`."""
        ref = f"refs/heads/{branch}"
        response = self._api.get(f"/git/ref/heads/{quote(branch)}")
        if response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):  # 409 from an empty repository
            return None
        document = self._document(response, f"cannot read branch {branch} of {self.repository}", "contents: read")
        if self._field(document, "ref", text) != ref:
            raise self._api.invalid(f"another ref than {ref}")
        return self._field(document, "object.sha", commit_id)

    def commit(
        self, branch: str, parent: str, message: str, changes: Sequence[FileChange], *, replaces: str | None = None
    ) -> Commit:
        """Create a commit on a branch; see `Branches.commit`."""
        failure = f"cannot commit to branch {branch} of {self.repository}"
        ref = f"refs/heads/{branch}"
        tree = self._create_tree(parent, changes, failure)

        def equal(head: str) -> Commit | None:
            document = self._read_commit(head, failure)
            return self._parse_commit(document) if _is_equal(document, tree, parent, message) else None

        def prepare() -> tuple[Callable[[], ApiResponse], Callable[[Any], Commit]]:
            # Without author and committer, for which GitHub does not sign it.
            body = {"message": message, "tree": tree, "parents": [parent]}
            response = self._api.repeat("POST", "/git/commits", body)
            new = self._parse_commit(self._document(response, failure, "contents: write"))

            def send() -> ApiResponse:
                if replaces is None:
                    return self._api.send("POST", "/git/refs", {"ref": ref, "sha": new.id})
                path = f"/git/refs/heads/{quote(branch)}"
                return self._api.send("PATCH", path, {"sha": new.id, "force": parent != replaces})

            def accept(document: Any) -> Commit:
                target = self._field(document, "object.sha", commit_id)
                if (self._field(document, "ref", text), target) != (ref, new.id):
                    raise self._api.invalid(f"another ref than {ref}")
                return new

            return send, accept

        return self._commit_once(branch, replaces, equal, prepare)

    def _create_tree(self, parent: str, changes: Sequence[FileChange], failure: str) -> str:
        """Create the tree of a commit and return its hash; creating it again returns the same hash."""

        def post(path: str, body: Mapping[str, Any]) -> str:
            document = self._document(self._api.repeat("POST", path, body), failure, "contents: write")
            return self._field(document, "sha", commit_id)

        base = self._field(self._read_commit(parent, failure), "tree.sha", commit_id)
        files: list[dict[str, Any]] = []
        for change in changes:
            mode = "100755" if change.executable else "100644"
            file: dict[str, Any] = {"path": change.path, "mode": mode, "type": "blob"}
            if change.content is None:
                file["sha"] = None
            elif (content := _decode_text(change.content)) is not None:
                file["content"] = content
            else:
                import base64

                blob = {"content": base64.b64encode(change.content).decode(), "encoding": "base64"}
                file["sha"] = post("/git/blobs", blob)
            files.append(file)
        return post("/git/trees", {"base_tree": base, "tree": files})

    def _parse_commit(self, document: Any) -> Commit:
        return Commit(
            id=self._field(document, "sha", commit_id),
            verified=self._field(document, "verification.verified", flag),
        )

    def _requests_query(self, head: str, *, only_open: bool) -> Mapping[str, str]:
        return {
            "state": "open" if only_open else "all",
            "head": f"{self._owner}:{head}",
            "sort": "created",
            "direction": "desc",
            "per_page": "30",  # each is about 20 kB
        }

    def _is_own(self, document: Any) -> bool:
        match document:
            case {"head": {"repo": {"full_name": str(head)}}, "base": {"repo": {"full_name": str(base)}}}:
                return head == base
            case _:
                return False

    def _request_rejection(self, response: ApiResponse, failure: str, head: str, base: str) -> RelnoxError | None:
        if _NOT_PERMITTED_TO_CREATE.search(response.text):
            return Blocked(
                "forge-rejected",
                f"{failure} (GitHub: {response.text})",
                fix='enable "Allow GitHub Actions to create and approve pull requests" in Settings > Actions '
                "> General of the repository or organization, or set RELNOX_FORGE_TOKEN to an app's token",
            )
        if response.is_rejection and _NO_COMMITS_BETWEEN.search(response.text):
            return Blocked(
                "pull-request-changed",
                f"{failure} ({head} has no commits that {base} lacks)",
                fix=f"commit to {head} and push it, then rerun the command",
            )
        if response.is_rejection and _INVALID_BRANCH.search(response.text):
            return self._branches_missing_error(failure, head, base)
        return None

    def _pull_request(self, document: Any) -> PullRequest:
        mergeable = document.get("mergeable") if isinstance(document, dict) else None
        is_open = self._field(document, "state", text) == "open"
        closed_state = PullRequestState.MERGED if document.get("merged_at") else PullRequestState.CLOSED_UNMERGED
        return PullRequest(
            number=self._field(document, "number", number),
            url=self._field(document, "html_url", url),
            title=self._field(document, "title", text),
            body=self._optional_text(document, "body"),
            state=PullRequestState.OPEN if is_open else closed_state,
            head=self._field(document, "head.ref", text),
            base=self._field(document, "base.ref", text),
            conflicts=not mergeable if isinstance(mergeable, bool) else None,
        )

    def permission_fix(self, permission: str) -> str:
        """Return the fix for a missing permission, for the token of a CI job and for a personal access token."""
        scope, _, access = permission.partition(": ")
        return (
            f'grant "{permission}": under "permissions:" of the CI job, or as '
            f"{scope.replace('-', ' ').capitalize()} ({access}) of the personal access token"
        )


def _decode_text(content: bytes) -> str | None:
    """Return content as text, or None if it is not text that JSON and GitHub leave unchanged."""
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None


def _is_equal(document: Any, tree: str, parent: str, message: str) -> bool:
    """Return whether a commit in a response has this tree, this single parent and this message."""
    match document:
        case {"tree": {"sha": str(tree_id)}, "parents": [{"sha": str(parent_id)}], "message": str(content)}:
            return (tree_id, parent_id, content.strip()) == (tree, parent, message.strip())
        case _:
            return False
