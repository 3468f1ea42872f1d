"""A fake GitLab.

`OPERATIONS` has the parameters of each operation; other ones are violations. Paths, methods, parameters and
statuses were compared by hand with GitLab's OpenAPI description (version 19.5), and the fields of pipelines as
well. That description has no body for the creation of a commit, and gives its status as 200; it has no fields of
files, and no `verification_status` of signatures. These follow GitLab's documentation (version 18) and an older
description (15.0), as do what job tokens may do and the fields of commits and merge requests. The wording of
errors was not compared with anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from fake_forge import ForgeServer, PullRequest, Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fake_forge import Request, Run

__all__ = ["GitLabServer"]

PAGES = {"page", "per_page"}
OPERATIONS: tuple[tuple[str, str, set[str], set[str]], ...] = (
    # method, path, required parameters, other parameters
    ("GET", "/repository/branches/{}", set(), set()),
    (
        "POST",
        "/repository/commits",
        {"branch", "commit_message", "actions"},
        {"start_branch", "start_sha", "start_project", "author_email", "author_name", "stats", "force"},
    ),
    ("GET", "/repository/commits/{}", set(), {"stats"}),
    ("GET", "/repository/commits/{}/diff", set(), {"unidiff"} | PAGES),
    ("GET", "/repository/commits/{}/signature", set(), set()),
    ("GET", "/repository/files/{}", {"ref"}, set()),
    (
        "GET",
        "/merge_requests",
        set(),
        {"source_branch", "target_branch", "state", "order_by", "sort", "labels", "search"} | PAGES,
    ),
    (
        "POST",
        "/merge_requests",
        {"source_branch", "target_branch", "title"},
        {"description", "labels", "remove_source_branch", "squash", "target_project_id"},
    ),
    ("GET", "/merge_requests/{}", set(), {"include_rebase_in_progress"}),
    ("PUT", "/merge_requests/{}", set(), {"title", "description", "state_event", "target_branch", "labels"}),
    ("POST", "/pipeline", {"ref"}, {"variables", "inputs"}),
    (
        "GET",
        "/pipelines",
        set(),
        {"ref", "sha", "source", "status", "updated_after", "updated_before", "order_by", "sort"} | PAGES,
    ),
    ("GET", "/pipelines/{}", set(), set()),
)
ACTIONS = {
    "create": {"file_path", "content", "encoding"},
    "update": {"file_path", "content", "encoding"},
    "delete": {"file_path"},
    "chmod": {"file_path", "execute_filemode"},
}


class GitLabServer(ForgeServer):
    """A repository of GitLab."""

    first_status = "created"
    started_by_api = "api"

    def __init__(self, bare: Path, path: str = "acme/tools/demo", **options: Any) -> None:
        super().__init__(bare, path, **options)
        self.of_job = False
        """Whether the token is that of a job, which may only read."""
        self.is_read_only = False

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GITLAB_CI": "true",
            "CI_SERVER_URL": "https://git.example.org",
            "CI_API_V4_URL": f"{self.url}/api/v4",
            "CI_JOB_TOKEN" if self.of_job else "GITLAB_TOKEN": self.token,
        }

    @property
    def remote(self) -> str:
        return f"git@git.example.org:{self.path}.git"

    def prefix(self) -> str:
        return f"/api/v4/projects/{quote(self.path, safe='')}"

    def is_authorized(self, request: Request) -> bool | None:
        of_job, bearer = request.headers.get("JOB-TOKEN"), request.headers.get("Authorization")
        if of_job is None and bearer is None:
            return None
        return of_job == self.token if self.of_job else bearer == f"Bearer {self.token}"

    def check(self, request: Request, reply: Reply) -> None:
        parameters = request.query.keys() | (request.body or {}).keys()
        for method, path, required, optional in OPERATIONS:
            if method == request.method and re.fullmatch(path.replace("{}", "[^/]+"), request.encoded):
                missing, unknown = required - parameters, parameters - required - optional
                self.violations += [f"{request.name}: lacks {name}" for name in missing]
                self.violations += [f"{request.name}: unknown {name}" for name in unknown]
                break
        else:
            self.violations.append(f"no such operation: {request.name} {reply.status}")
        for action in (request.body or {}).get("actions", []):
            unknown = action.keys() - {"action"} - ACTIONS[action["action"]]
            self.violations += [f"{action['action']}: unknown {name}" for name in unknown]

    # --- routes

    def answer(self, request: Request) -> Reply:
        authorized = self.is_authorized(request)
        if authorized is False:
            return error(401, "401 Unauthorized")
        routes: tuple[tuple[str, str, Callable[..., Reply]], ...] = (
            (r"/repository/branches/([^/]+)", "GET", self.get_branch),
            (r"/repository/commits", "POST", self.create_commit),
            (r"/repository/commits/([^/]+)", "GET", self.get_commit),
            (r"/repository/commits/([^/]+)/diff", "GET", self.get_diff),
            (r"/repository/commits/([^/]+)/signature", "GET", self.get_signature),
            (r"/repository/files/([^/]+)", "GET", self.get_file),
            (r"/merge_requests", "GET", self.list_merge_requests),
            (r"/merge_requests", "POST", self.create_merge_request),
            (r"/merge_requests/(\d+)", "GET", self.get_merge_request),
            (r"/merge_requests/(\d+)", "PUT", self.update_merge_request),
            (r"/pipeline", "POST", self.create_pipeline),
            (r"/pipelines", "GET", self.list_pipelines),
            (r"/pipelines/(\d+)", "GET", self.get_pipeline),
        )
        for pattern, method, handler in routes:
            if method == request.method and (match := re.fullmatch(pattern, request.encoded)):
                if method != "GET" and authorized is None:
                    return error(401, "401 Unauthorized")
                if method != "GET" and (self.of_job or self.is_read_only):
                    return error(403, "403 Forbidden")
                return handler(request, *map(unquote, match.groups()))
        return Reply(404, {"error": "404 Not Found"})

    # --- git

    def get_branch(self, _request: Request, name: str) -> Reply:
        target = self.repository.ref(f"refs/heads/{name}")
        if target is None:
            return error(404, "404 Branch Not Found")
        return Reply(200, {"name": name, "commit": self._commit(target)})

    def create_commit(self, request: Request) -> Reply:
        body = request.body
        ref = f"refs/heads/{body['branch']}"
        head = self.repository.ref(ref)
        start = body.get("start_sha")
        if start and head and not body.get("force"):
            text = f"A branch called '{body['branch']}' already exists. Switch to that branch"
            return error(400, text)
        parent = start or head
        if parent is None:
            return error(400, "You can only create or edit files when you are on a branch")
        entries: dict[str, tuple[str, str, str | None]] = {}
        for action in body["actions"]:
            path = action["file_path"]
            mode = self.repository.mode(parent, path)
            match action["action"]:
                case "create" if mode:
                    return error(400, "A file with this name already exists")
                case "update" | "delete" if not mode:
                    return error(400, "A file with this name doesn't exist")
                case "create" | "update":
                    blob = self.repository.blob(base64.b64decode(action["content"]))
                    entries[path] = (mode or "100644", path, blob)
                case "delete":
                    entries[path] = (mode, path, None)
                case _:
                    new_mode = "100755" if action["execute_filemode"] else "100644"
                    entries[path] = (new_mode, path, entries[path][2])
        tree = self.repository.tree(parent, list(entries.values()))
        commit = self.repository.commit(tree, [parent], body["commit_message"])
        self.repository.set_ref(ref, commit, head or "0" * 40)
        return Reply(201, self._commit(commit))

    def get_commit(self, _request: Request, name: str) -> Reply:
        commit = self.repository.commit_of(name)
        if commit is None or self.repository.kind(commit) is None:
            return error(404, "404 Commit Not Found")
        return Reply(200, self._commit(commit))

    def get_diff(self, request: Request, commit: str) -> Reply:
        names = self.repository.git("diff", "--name-only", f"{commit}^", commit).split("\n")
        return self.paged(request, [{"old_path": name, "new_path": name, "diff": ""} for name in names])

    def get_signature(self, _request: Request, _commit: str) -> Reply:
        if not self.signs:
            return error(404, "404 Signature Not Found")
        return Reply(200, {"signature_type": "SSH", "verification_status": "verified"})

    def get_file(self, request: Request, path: str) -> Reply:
        commit = request.query["ref"]
        content = self.repository.file(commit, path)
        if content is None:
            return error(404, "404 File Not Found")
        return Reply(
            200,
            {
                "file_path": path,
                "size": len(content),
                "encoding": "base64",
                "content": base64.b64encode(content).decode(),
                "content_sha256": hashlib.sha256(content).hexdigest(),
                "execute_filemode": self.repository.mode(commit, path) == "100755",
            },
        )

    def _commit(self, commit: str) -> Any:
        return {
            "id": commit,
            "message": self.repository.message(commit),
            "parent_ids": self.repository.parents(commit),
            "web_url": self._page(f"commit/{commit}"),
        }

    # --- merge requests

    def list_merge_requests(self, request: Request) -> Reply:
        query = request.query
        states = {"opened": "open", "merged": "merged", "closed": "closed", "all": None}
        state = states[query.get("state", "all")]
        return self.paged(
            request,
            [
                self._merge_request(pull)
                for pull in reversed(self.pull_requests)
                if query.get("source_branch") in (None, pull.head) and state in (None, pull.state)
            ],
        )

    def create_merge_request(self, request: Request) -> Reply:
        body = request.body
        head, base = body["source_branch"], body["target_branch"]
        for name, branch in (("Source", head), ("Target", base)):
            if self.repository.ref(f"refs/heads/{branch}") is None:
                return Reply(400, {"message": {"base": [f'{name} branch "{branch}" does not exist']}})
        for pull in self.pull_requests:
            if (pull.head, pull.base, pull.state) == (head, base, "open"):
                text = f"Another open merge request already exists for this source branch: !{pull.number}"
                return Reply(409, {"message": [text]})
        pull = PullRequest(len(self.pull_requests) + 1, head, base, body["title"], body.get("description"))
        self.pull_requests.append(pull)
        return Reply(201, self._merge_request(pull))

    def get_merge_request(self, _request: Request, number: str) -> Reply:
        pull = self.numbered(number)
        if pull is None:
            return error(404, "404 Not found")
        document = self._merge_request(pull)
        pull.unchecked = max(0, pull.unchecked - 1)
        return Reply(200, document)

    def update_merge_request(self, request: Request, number: str) -> Reply:
        pull = self.numbered(number)
        if pull is None:
            return error(404, "404 Not found")
        pull.title = request.body.get("title", pull.title)
        pull.body = request.body.get("description", pull.body)
        event = request.body.get("state_event")
        pull.state = {"close": "closed", "reopen": "open", None: pull.state}[event]
        return Reply(200, self._merge_request(pull))

    def _merge_request(self, pull: PullRequest) -> Any:
        conflicts = self.conflicts(pull)
        is_open = pull.state == "open"
        status = "unchecked" if conflicts is None else "conflict" if conflicts else "mergeable"
        return {
            "iid": pull.number,
            "web_url": self._page(f"merge_requests/{pull.number}"),
            "title": pull.title,
            "description": pull.body,
            "state": {"open": "opened"}.get(pull.state, pull.state),
            "source_branch": pull.head,
            "target_branch": pull.base,
            "source_project_id": 8 if pull.fork else 7,
            "target_project_id": 7,
            "sha": self.repository.ref(f"refs/heads/{pull.head}") or pull.head_commit,
            "has_conflicts": bool(conflicts),
            "detailed_merge_status": status if is_open else "not_open",
            "merge_commit_sha": None if pull.is_squashed else pull.merge_commit,
            "squash_commit_sha": pull.merge_commit if pull.is_squashed else None,
        }

    # --- pipelines

    def create_pipeline(self, request: Request) -> Reply:
        ref = request.body["ref"]
        for full in (f"refs/heads/{ref}", f"refs/tags/{ref}"):
            commit = self.repository.commit_of(full)
            if commit is not None:
                break
        else:
            return Reply(400, {"message": {"base": ["Reference not found"]}})
        run = self.add_run(full, commit)
        return Reply(201, self._pipeline(run))

    def list_pipelines(self, request: Request) -> Reply:
        query = request.query
        return self.paged(
            request,
            [
                self._pipeline(run)
                for run in self.listed_runs()
                if query.get("ref") in (None, run.ref)
                and query.get("source") in (None, run.event)
                and query.get("sha") in (None, run.commit)
                and run.created > query.get("updated_after", "")
            ],
        )

    def get_pipeline(self, _request: Request, number: str) -> Reply:
        run = next((run for run in self.runs if run.id == int(number)), None)
        return error(404, "404 Not found") if run is None else Reply(200, self._pipeline(run))

    def _pipeline(self, run: Run) -> Any:
        return {
            "id": run.id,
            "web_url": self._page(f"pipelines/{run.id}"),
            "ref": run.ref,
            "sha": run.commit,
            "source": run.event,
            "status": run.status,
            "created_at": run.created.replace("Z", ".000Z"),
        }

    def _page(self, path: str) -> str:
        return f"https://git.example.org/{self.path}/-/{path}"


def error(status: int, message: str) -> Reply:
    return Reply(status, {"message": message})
