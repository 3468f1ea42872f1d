"""GitHub: github.com, GitHub Enterprise Cloud and GitHub Enterprise Server.

REST only. Commits are made of trees (docs/decisions/0031-forge-client.md).
"""

from __future__ import annotations

import re
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from relnox.errors import Blocked
from relnox.forges import problems
from relnox.forges.problems import described, poll, short_name
from relnox.forges.requests import Api, commit_id, field, number, time, url
from relnox.forges.values import Commit, PullRequest, PullRequestState, Run, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from relnox.errors import RelnoxError
    from relnox.forges.remotes import Location
    from relnox.forges.requests import Answer
    from relnox.forges.values import FileChange
    from relnox.system.secrets import Secret

__all__ = ["GitHub"]

_VERSION = "2022-11-28"
"""Enterprise servers have it, too. In 2026-03-10 pull requests have no `merge_commit_sha`."""
_PULL_REQUESTS_A_PAGE = "30"
"""Each is about 20 kB."""
_RUNS_A_PAGE = "50"
_MAX_TAG_CHAIN = 5
_DISPATCH = "workflow_dispatch"

# Wording of GitHub.
_NO_COMMIT = re.compile(r"object does not exist|no commit found", re.IGNORECASE)
_NO_COMMITS_BETWEEN = re.compile(r"no commits between", re.IGNORECASE)
_INVALID_BRANCH = re.compile(r"(^|\W)(head|base)\W+(field )?invalid|field.{0,5}(head|base)", re.IGNORECASE)
_NO_REF = re.compile(r"no ref found", re.IGNORECASE)
_NO_TRIGGER = re.compile(r"does not have '?workflow_dispatch", re.IGNORECASE)
_INPUTS = re.compile(r"inputs?\b", re.IGNORECASE)
_NOT_PERMITTED_TO_CREATE = re.compile(r"not permitted to create or approve pull requests", re.IGNORECASE)

_WORKFLOW_FILES = (
    "; GITHUB_TOKEN cannot create refs to commits whose .github/workflows differ from the default branch either"
)
_CONCLUSIONS = {
    "success": RunStatus.SUCCESS,
    "neutral": RunStatus.SUCCESS,
    "skipped": RunStatus.SKIPPED,
    "cancelled": RunStatus.CANCELED,
    "action_required": RunStatus.WAITING,
}
"""All others (`failure`, `timed_out`, `startup_failure`, `stale`) are failures."""
_STATUSES = {"in_progress": RunStatus.RUNNING, "waiting": RunStatus.WAITING}
"""All others but `completed` (`queued`, `requested`, `pending`) are queued."""


class GitHub:
    """A repository on GitHub.

    Args:
        location: Where it is.
        token: The token; None to send only requests that read, without one.
    """

    def __init__(self, location: Location, token: Secret | None) -> None:
        owner, _, name = location.path.partition("/")
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION}
        root = f"repos/{quote(owner)}/{quote(name, safe='')}"
        self._owner = owner
        self._api = Api(self.name, location, token, ("Authorization", "Bearer "), headers, root)

    @property
    def name(self) -> str:
        """See `Forge`."""
        return "GitHub"

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
        short_name(ref)
        answer = self._api.get(f"/git/ref/{quote(ref.removeprefix('refs/'))}")
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):  # 409 from an empty repository
            return None
        document = self._document(answer, f"cannot read {ref} of {self.repository}", "contents: read")
        if field(self._api, document, "ref", kind=str) != ref:
            raise self._api.invalid(f"another ref than {ref}")
        for _ in range(_MAX_TAG_CHAIN):
            target = commit_id(self._api, document, "object", "sha")
            kind = field(self._api, document, "object", "type", kind=str)
            if kind == "commit":
                return target
            if kind != "tag":
                break
            answer = self._api.get(f"/git/tags/{target}")
            document = self._document(answer, f"cannot read {ref} of {self.repository}", "contents: read")
        raise self._api.invalid(f"a ref that is not of a commit: {ref}")

    def create_ref(self, ref: str, commit: str, message: str = "") -> bool:
        """See `Forge`."""
        doing = f"cannot create {described(ref)} on {self.repository}"
        target = commit
        if message:
            tag = {"tag": short_name(ref), "message": message, "object": commit, "type": "commit"}
            answer = self._api.repeat("POST", "/git/tags", tag)
            document = self._document(answer, doing, "contents: write", commit=commit)
            target = commit_id(self._api, document, "sha")

        def change() -> bool:
            answer = self._api.send("POST", "/git/refs", {"ref": ref, "sha": target})
            if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and (present := self.commit_of(ref)) is not None:
                if present == commit:
                    return False
                raise problems.ref_exists(ref, self.repository, present)
            document = self._document(answer, doing, "contents: write", commit=commit, more=_WORKFLOW_FILES)
            self._check_ref(document, ref, target)
            return True

        return self._api.until_confirmed(change, lambda: self.commit_of(ref) == commit or None)

    def commit(
        self, branch: str, parent: str, message: str, changes: Sequence[FileChange], *, replaces: str | None = None
    ) -> Commit:
        """See `Forge`."""
        doing = f"cannot commit to branch {branch} of {self.repository}"
        ref = f"refs/heads/{branch}"
        tree = self._create_tree(parent, changes, doing)

        def present() -> Commit | None:
            """Return the branch's commit if it equals the planned one; None if it is the commit to replace."""
            head = self.commit_of(ref)
            if head is not None:
                document = self._git_commit(head, doing)
                if _is_equal(document, tree, parent, message):
                    return self._commit(document)
            if head != replaces:
                raise problems.branch_moved(branch, self.repository, head, replaces)
            return None

        if (equal := present()) is not None:
            return equal
        # Without author and committer, for which GitHub does not sign it.
        body = {"message": message, "tree": tree, "parents": [parent]}
        document = self._document(self._api.repeat("POST", "/git/commits", body), doing, "contents: write")
        new = self._commit(document)

        def change() -> Commit:
            if replaces is None:
                answer = self._api.send("POST", "/git/refs", {"ref": ref, "sha": new.id})
            else:
                path = f"/git/refs/heads/{quote(branch)}"
                answer = self._api.send("PATCH", path, {"sha": new.id, "force": parent != replaces})
            if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and (equal := present()) is not None:
                return equal
            document = self._document(answer, doing, "contents: write", more=_WORKFLOW_FILES)
            self._check_ref(document, ref, new.id)
            return new

        return self._api.until_confirmed(change, present)

    def _check_ref(self, document: Any, ref: str, target: str) -> None:
        """Check that an answer is that of a ref which points to an object."""
        name = field(self._api, document, "ref", kind=str)
        if (name, commit_id(self._api, document, "object", "sha")) != (ref, target):
            raise self._api.invalid(f"another ref than {ref}")

    def _create_tree(self, parent: str, changes: Sequence[FileChange], doing: str) -> str:
        """Create the tree of a commit; creating it again gives the same tree."""
        base = commit_id(self._api, self._git_commit(parent, doing), "tree", "sha")
        entries: list[dict[str, Any]] = []
        for change in changes:
            mode = "100755" if change.executable else "100644"
            entry: dict[str, Any] = {"path": change.path, "mode": mode, "type": "blob"}
            if change.content is None:
                entries.append({**entry, "sha": None})
            elif (text := _text(change.content)) is not None:
                entries.append({**entry, "content": text})
            else:
                import base64

                blob = {"content": base64.b64encode(change.content).decode(), "encoding": "base64"}
                document = self._document(self._api.repeat("POST", "/git/blobs", blob), doing, "contents: write")
                entries.append({**entry, "sha": commit_id(self._api, document, "sha")})
        answer = self._api.repeat("POST", "/git/trees", {"base_tree": base, "tree": entries})
        return commit_id(self._api, self._document(answer, doing, "contents: write"), "sha")

    def _git_commit(self, commit: str, doing: str) -> Any:
        answer = self._api.get(f"/git/commits/{quote(commit)}")
        if answer.status == HTTPStatus.NOT_FOUND:
            raise problems.commit_missing(doing, commit)
        return self._document(answer, doing, "contents: read")

    def _commit(self, document: Any) -> Commit:
        return Commit(
            id=commit_id(self._api, document, "sha"),
            verified=field(self._api, document, "verification", "verified", kind=bool),
        )

    # --- pull requests

    def pull_requests(
        self, head: str, *, state: PullRequestState | None = PullRequestState.OPEN, marker: str = ""
    ) -> tuple[PullRequest, ...]:
        """See `Forge`."""
        query = {
            "state": "all" if state is None else "open" if state is PullRequestState.OPEN else "closed",
            "head": f"{self._owner}:{head}",
            "sort": "created",
            "direction": "desc",
            "per_page": _PULL_REQUESTS_A_PAGE,
        }
        requests: list[PullRequest] = []
        for answer in self._api.pages("/pulls", query):
            doing = f"cannot list pull requests of {self.repository}"
            document = self._document(answer, doing, "pull-requests: read")
            if not isinstance(document, list):
                raise self._api.invalid("a listing of pull requests that is not a list")
            requests += [self._pull_request(entry) for entry in document if _is_of_repository(entry)]
        return tuple(
            request
            for request in requests
            if request.head == head and marker in request.body and state in (None, request.state)
        )

    def pull_request(self, number: int) -> PullRequest:
        """See `Forge`."""

        def read() -> PullRequest:
            answer = self._api.get(f"/pulls/{number}")
            if answer.status == HTTPStatus.NOT_FOUND:
                raise problems.pull_request_missing(self.repository, number, _grant("pull-requests: read"))
            document = self._document(answer, f"cannot read pull request {number}", "pull-requests: read")
            return self._pull_request(document)

        def checked() -> PullRequest | None:
            request = read()
            undecided = request.state is PullRequestState.OPEN and request.conflicts is None
            return None if undecided else request

        return poll(checked, f"GitHub looks for merge conflicts of pull request {number}") or read()

    def create_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """See `Forge`."""
        doing = f"cannot create a pull request from {head} to {base} on {self.repository}"

        def present() -> PullRequest | None:
            return next((request for request in self.pull_requests(head) if request.base == base), None)

        def change() -> PullRequest:
            request = {"head": head, "base": base, "title": title, "body": body}
            answer = self._api.send("POST", "/pulls", request)
            if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                if (existing := present()) is not None:
                    return existing
                raise self._pull_request_rejection(answer, doing, head, base)
            if _NOT_PERMITTED_TO_CREATE.search(answer.text):
                raise Blocked(
                    "pull-requests-not-permitted",
                    f"{doing} (GitHub: {answer.text})",
                    fix='enable "Allow GitHub Actions to create and approve pull requests" in Settings > Actions '
                    "> General of the repository or organization, or set RELNOX_FORGE_TOKEN to an app's token",
                )
            return self._pull_request(self._document(answer, doing, "pull-requests: write"))

        return self._api.until_confirmed(change, present)

    def update_pull_request(
        self, number: int, *, title: str | None = None, body: str | None = None, is_open: bool | None = None
    ) -> PullRequest:
        """See `Forge`."""
        state = None if is_open is None else "open" if is_open else "closed"
        changes = {"title": title, "body": body, "state": state}
        answer = self._api.repeat(
            "PATCH", f"/pulls/{number}", {name: value for name, value in changes.items() if value is not None}
        )
        document = self._document(answer, f"cannot change pull request {number}", "pull-requests: write")
        return self._pull_request(document)

    def _pull_request_rejection(self, answer: Answer, doing: str, head: str, base: str) -> RelnoxError:
        if _NO_COMMITS_BETWEEN.search(answer.text):
            return Blocked(
                "pull-request-empty",
                f"{doing} ({head} has no commits that {base} lacks)",
                fix=f"commit to {head} first",
            )
        if _INVALID_BRANCH.search(answer.text):
            return problems.branches_missing(doing, head, base)
        return self._api.rejection(doing, answer)

    def _pull_request(self, document: Any) -> PullRequest:
        api = self._api
        mergeable = document.get("mergeable") if isinstance(document, dict) else None
        is_open = field(api, document, "state", kind=str) == "open"
        merged = document.get("merged_at") is not None
        body = document.get("body")
        return PullRequest(
            number=number(api, document, "number"),
            url=url(api, document, "html_url"),
            title=field(api, document, "title", kind=str),
            body="" if body is None else field(api, document, "body", kind=str),
            state=PullRequestState.OPEN
            if is_open
            else (PullRequestState.MERGED if merged else PullRequestState.CLOSED_UNMERGED),
            head=field(api, document, "head", "ref", kind=str),
            head_commit=commit_id(api, document, "head", "sha"),
            base=field(api, document, "base", "ref", kind=str),
            conflicts=not mergeable if isinstance(mergeable, bool) else None,
            # Before the merge it is a commit that GitHub made to look for conflicts.
            merge_commit=commit_id(api, document, "merge_commit_sha") if merged else None,
        )

    # --- runs

    def start_run(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> Run:
        """See `Forge`."""
        doing = f"cannot start {workflow} on {described(ref)} of {self.repository}"
        # Run numbers increase; the clocks of two machines may differ.
        last = max((run.id for run in self._first_runs(workflow, ref)), default=0)

        def new_run() -> Run | None:
            return min(
                (run for run in self._first_runs(workflow, ref) if run.id > last),
                key=lambda run: run.id,
                default=None,
            )

        def present() -> Run | None:
            return poll(new_run, f"GitHub does not list a run of {workflow} on {described(ref)} yet")

        def change() -> Run:
            body = {"ref": ref, "inputs": dict(inputs), "return_run_details": True}
            answer = self._api.send("POST", f"/actions/workflows/{quote(workflow, safe='')}/dispatches", body)
            if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                raise self._start_rejection(answer, doing, workflow, ref)
            if answer.status == HTTPStatus.NOT_FOUND:
                raise _workflow_missing(doing, workflow, answer)
            document = self._document(answer, doing, "actions: write")
            if document is None:  # from an Enterprise server
                run = present()
            else:
                run_id = number(self._api, document, "workflow_run_id")
                run = poll(lambda: self._run_or_none(run_id), f"GitHub does not list run {run_id} yet")
            if run is None:
                raise problems.run_not_listed(self.repository, ref)
            return run

        return self._api.until_confirmed(change, present)

    def run(self, number: int) -> Run:
        """See `Forge`."""
        run = self._run_or_none(number)
        if run is None:
            raise problems.run_missing(self.repository, number, _grant("actions: read"))
        return run

    def runs(
        self,
        *,
        workflow: str = "",
        ref: str = "",
        commit: str = "",
        event: str = "",
        since: datetime | None = None,
    ) -> tuple[Run, ...]:
        """See `Forge`."""
        query = _run_query(ref, event)
        if commit:
            query["head_sha"] = commit
        if since is not None:
            query["created"] = f">={since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return tuple(
            run
            for page in self._run_pages(workflow, query)
            for run in page
            if (not ref or run.ref == short_name(ref))
            and commit in ("", run.commit)
            and event in ("", run.event)
            and (since is None or run.created >= since.replace(microsecond=0))
        )

    def _first_runs(self, workflow: str, ref: str) -> list[Run]:
        """Return the latest runs that were started like this."""
        page = next(self._run_pages(workflow, _run_query(ref, _DISPATCH)))
        return [run for run in page if run.ref == short_name(ref) and run.event == _DISPATCH]

    def _run_pages(self, workflow: str, query: Mapping[str, str]) -> Iterator[list[Run]]:
        path = f"/actions/workflows/{quote(workflow, safe='')}/runs" if workflow else "/actions/runs"
        doing = f"cannot list the runs of {workflow or self.repository}"
        for answer in self._api.pages(path, query):
            if answer.status == HTTPStatus.NOT_FOUND and workflow:
                raise _workflow_missing(doing, workflow, answer)
            document = self._document(answer, doing, "actions: read")
            yield [self._run(entry) for entry in field(self._api, document, "workflow_runs", kind=list)]

    def _run_or_none(self, number: int) -> Run | None:
        answer = self._api.get(f"/actions/runs/{number}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        return self._run(self._document(answer, f"cannot read run {number}", "actions: read"))

    def _start_rejection(self, answer: Answer, doing: str, workflow: str, ref: str) -> RelnoxError:
        if _NO_REF.search(answer.text):
            return problems.ref_missing(doing, ref)
        if _NO_TRIGGER.search(answer.text):
            return Blocked(
                "workflow-not-startable",
                f"{doing} (its file on that ref has no trigger workflow_dispatch)",
                fix=f'add "workflow_dispatch:" to "on:" in .github/workflows/{workflow}',
            )
        if _INPUTS.search(answer.text):
            return Blocked(
                "workflow-inputs-invalid",
                f"{doing} (GitHub: {answer.text})",
                fix=f"declare the inputs under workflow_dispatch in .github/workflows/{workflow}",
            )
        return self._api.rejection(doing, answer)

    def _run(self, document: Any) -> Run:
        api = self._api
        status = field(api, document, "status", kind=str)
        if status == "completed":
            conclusion = document.get("conclusion")
            state = _CONCLUSIONS.get(conclusion if isinstance(conclusion, str) else "", RunStatus.FAILURE)
        else:
            state = _STATUSES.get(status, RunStatus.QUEUED)
        branch = document.get("head_branch")
        return Run(
            id=number(api, document, "id"),
            url=url(api, document, "html_url"),
            ref=branch if isinstance(branch, str) else "",
            commit=commit_id(api, document, "head_sha"),
            event=field(api, document, "event", kind=str),
            status=state,
            created=time(api, document, "created_at"),
        )

    # --- answers

    def _document(self, answer: Answer, doing: str, permission: str, *, commit: str = "", more: str = "") -> Any:
        """Return the document of a successful answer.

        Raises:
            RelnoxError: It is not successful.
        """
        if answer.is_success:
            return answer.document
        if commit and _NO_COMMIT.search(answer.text):
            raise problems.commit_missing(doing, commit)
        raise self._api.access_error(
            doing, answer, _grant(permission), more if permission.endswith("write") else ""
        ) or self._api.rejection(doing, answer)


def _grant(permission: str) -> str:
    """Return the fix for a missing permission, in the two forms that tokens have."""
    scope, _, access = permission.partition(": ")
    return (
        f'grant "{permission}": under "permissions:" of the CI job, or as {scope.replace("-", " ").capitalize()} '
        f"({access}) of the personal access token"
    )


def _text(content: bytes) -> str | None:
    """Return text that JSON and GitHub carry unchanged; None for other content."""
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None


def _is_equal(document: Any, tree: str, parent: str, message: str) -> bool:
    match document:
        case {"tree": {"sha": str(tree_id)}, "parents": [{"sha": str(parent_id)}], "message": str(text)}:
            return (tree_id, parent_id, text.strip()) == (tree, parent, message.strip())
        case _:
            return False


def _is_of_repository(document: Any) -> bool:
    """Return whether the branch of a pull request is in its repository, not in a fork."""
    match document:
        case {"head": {"repo": {"full_name": str(head)}}, "base": {"repo": {"full_name": str(base)}}}:
            return head == base
        case _:
            return False


def _run_query(ref: str, event: str) -> dict[str, str]:
    query = {"branch": short_name(ref) if ref else "", "event": event, "per_page": _RUNS_A_PAGE}
    return {name: value for name, value in query.items() if value}


def _workflow_missing(doing: str, workflow: str, answer: Answer) -> Blocked:
    return Blocked(
        "workflow-missing",
        f"{doing} (the default branch has no .github/workflows/{workflow}, or the token may not read it: "
        f"{answer.status}{f' {answer.text}' if answer.text else ''})",
        fix=f"commit .github/workflows/{workflow} to the default branch; {_grant('actions: write')}",
    )
