"""A fake GitHub, held against the published description of its API (`forge_contracts/github.json`)."""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from fake_forge import ForgeServer, PullRequest, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_forge import Request, Run

__all__ = ["GitHubServer"]

CONTRACT = Path(__file__).parent.parent / "forge_contracts" / "github.json"
PERMISSIONS = ("contents", "pull-requests", "actions")


class GitHubServer(ForgeServer):
    """A repository of GitHub."""

    def __init__(self, bare: Path, **options: Any) -> None:
        super().__init__(bare, **options)
        self.permissions = dict.fromkeys(PERMISSIONS, "write")
        self.may_create_pull_requests = True
        self.may_change_workflows = True
        self.returns_run = True
        """Whether it answers a dispatch with the run; Enterprise servers do not."""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_API_URL": self.url,
            "GITHUB_TOKEN": self.token,
        }

    @property
    def remote(self) -> str:
        return f"https://github.com/{self.path}.git"

    def prefix(self) -> str:
        return f"/repos/{self.path}"

    def is_authorized(self, request: Request) -> bool | None:
        value = request.headers.get("Authorization")
        return None if value is None else value == f"Bearer {self.token}"

    def check(self, request: Request, reply: Reply) -> None:
        operation = contract(request)
        if operation is None:
            self.violations.append(f"no such operation: {request.name}")
            return
        unknown = request.query.keys() - operation["query"]
        self.violations += [f"{request.name}: unknown {name}" for name in unknown]
        expected = operation["request"]
        if expected is not None:
            unknown = request.body.keys() - expected["properties"].keys()
            self.violations += [f"{request.name}: unknown {name}" for name in unknown]
            self.violations += validated(request.name, expected, request.body)
        if reply.status in (401, 403, 404, 422):  # errors that each operation may have
            return
        if str(reply.status) not in operation["responses"]:
            self.violations.append(f"{request.name}: answered with {reply.status}")
        elif (schema := operation["responses"][str(reply.status)]) is not None:
            self.violations += validated(f"answer to {request.name}", schema, reply.document)

    # --- routes

    def answer(self, request: Request) -> Reply:
        authorized = self.is_authorized(request)
        if authorized is False:
            return error(401, "Bad credentials")
        for pattern, method, permission, handler in self._routes():
            if method == request.method and (match := re.fullmatch(pattern, request.path)):
                if request.method != "GET" and (authorized is None or self.permissions.get(permission) != "write"):
                    return error(403, "Resource not accessible by integration")
                return handler(request, *match.groups())
        return error(404, "Not Found")

    def _routes(self) -> tuple[tuple[str, str, str, Callable[..., Reply]], ...]:
        return (
            (r"/git/ref/(.+)", "GET", "contents", self.get_ref),
            (r"/git/refs", "POST", "contents", self.create_ref),
            (r"/git/refs/(.+)", "PATCH", "contents", self.update_ref),
            (r"/git/blobs", "POST", "contents", self.create_blob),
            (r"/git/trees", "POST", "contents", self.create_tree),
            (r"/git/commits", "POST", "contents", self.create_commit),
            (r"/git/commits/(\w+)", "GET", "contents", self.get_commit),
            (r"/pulls", "GET", "pull-requests", self.list_pulls),
            (r"/pulls", "POST", "pull-requests", self.create_pull),
            (r"/pulls/(\d+)", "GET", "pull-requests", self.get_pull),
            (r"/pulls/(\d+)", "PATCH", "pull-requests", self.update_pull),
            (r"/actions/workflows/([^/]+)/dispatches", "POST", "actions", self.dispatch),
            (r"/actions/workflows/([^/]+)/runs", "GET", "actions", self.list_runs),
            (r"/actions/runs", "GET", "actions", self.list_runs),
            (r"/actions/runs/(\d+)", "GET", "actions", self.get_run),
        )

    # --- git

    def get_ref(self, _request: Request, name: str) -> Reply:
        target = self.repository.ref(f"refs/{name}")
        return error(404, "Not Found") if target is None else Reply(200, self._ref(f"refs/{name}", target))

    def create_ref(self, request: Request) -> Reply:
        name, target = request.body["ref"], request.body["sha"]
        if self.repository.kind(target) is None:
            return error(422, "Object does not exist")
        if self.repository.ref(name) is not None:
            return error(422, "Reference already exists")
        if self._changes_workflows(target):
            return error(403, "Resource not accessible by integration")
        self.repository.set_ref(name, target, "0" * 40)
        return Reply(201, self._ref(name, target))

    def update_ref(self, request: Request, name: str) -> Reply:
        old, new = self.repository.ref(f"refs/{name}"), request.body["sha"]
        if old is None:
            return error(422, "Reference does not exist")
        if not request.body.get("force") and not self.repository.contains(new, old):
            return error(422, "Update is not a fast forward")
        if self._changes_workflows(new):
            return error(403, "Resource not accessible by integration")
        self.repository.set_ref(f"refs/{name}", new, old)
        self.close_empty()
        return Reply(200, self._ref(f"refs/{name}", new))

    def create_blob(self, request: Request) -> Reply:
        content = request.body["content"]
        encoded = request.body["encoding"] == "base64"
        blob = self.repository.blob(base64.b64decode(content) if encoded else content.encode())
        return Reply(201, {"sha": blob})

    def create_tree(self, request: Request) -> Reply:
        entries = []
        for entry in request.body["tree"]:
            blob = self.repository.blob(entry["content"].encode()) if "content" in entry else entry["sha"]
            entries.append((entry["mode"], entry["path"], blob))
        tree = self.repository.tree(request.body["base_tree"], entries)
        return Reply(201, {"sha": tree, "tree": []})

    def create_commit(self, request: Request) -> Reply:
        body = request.body
        if self.repository.kind(body["tree"]) != "tree":
            return error(422, "Tree SHA does not exist")
        commit = self.repository.commit(body["tree"], body["parents"], body["message"])
        return Reply(201, self._commit(commit, signed=self.signs and "author" not in body))

    def get_commit(self, _request: Request, commit: str) -> Reply:
        if self.repository.kind(commit) != "commit":
            return error(404, "Not Found")
        return Reply(200, self._commit(commit, signed=self.signs))

    def _ref(self, name: str, target: str) -> Any:
        return {"ref": name, "object": {"type": self.repository.kind(target), "sha": target}}

    def _commit(self, commit: str, *, signed: bool) -> Any:
        return {
            "sha": commit,
            "html_url": self._page(f"commit/{commit}"),
            "message": self.repository.message(commit),
            "tree": {"sha": self.repository.tree_of(commit)},
            "parents": [
                {"sha": parent, "html_url": self._page(f"commit/{parent}")}
                for parent in self.repository.parents(commit)
            ],
            "verification": {"verified": signed},
        }

    def _changes_workflows(self, commit: str) -> bool:
        if self.may_change_workflows:
            return False
        return not self.repository.succeeds("diff", "--quiet", "main", f"{commit}^0", "--", ".github/workflows")

    # --- pull requests

    def list_pulls(self, request: Request) -> Reply:
        owner, _, head = request.query.get("head", ":").partition(":")
        state = request.query.get("state", "open")
        return self.paged(
            request,
            [
                self._pull(pull, detailed=False)
                for pull in reversed(self.pull_requests)
                if (not head or (pull.head == head and (pull.fork or self.path).split("/")[0] == owner))
                and (state == "all" or (pull.state == "open") == (state == "open"))
            ],
        )

    def create_pull(self, request: Request) -> Reply:
        body = request.body
        if not self.may_create_pull_requests:
            return error(403, "GitHub Actions is not permitted to create or approve pull requests.")
        head, base = (self.repository.ref(f"refs/heads/{body[name]}") for name in ("head", "base"))
        for name, commit in (("head", head), ("base", base)):
            if commit is None:
                invalid = {"resource": "PullRequest", "field": name, "code": "invalid"}
                return Reply(422, {"message": "Validation Failed", "errors": [invalid]})
        if self.repository.contains(str(base), str(head)):
            text = f"No commits between {body['base']} and {body['head']}"
        elif any(
            (pull.head, pull.base, pull.state) == (body["head"], body["base"], "open")
            for pull in self.pull_requests
        ):
            text = f"A pull request already exists for {self.path.split('/')[0]}:{body['head']}."
        else:
            number = len(self.pull_requests) + 1
            pull = PullRequest(number, body["head"], body["base"], body["title"], body.get("body"))
            self.pull_requests.append(pull)
            return Reply(201, self._pull(pull))
        custom = {"resource": "PullRequest", "code": "custom", "message": text}
        return Reply(422, {"message": "Validation Failed", "errors": [custom]})

    def get_pull(self, _request: Request, number: str) -> Reply:
        pull = self.numbered(number)
        if pull is None:
            return error(404, "Not Found")
        document = self._pull(pull)
        pull.unchecked = max(0, pull.unchecked - 1)
        return Reply(200, document)

    def update_pull(self, request: Request, number: str) -> Reply:
        pull = self.numbered(number)
        if pull is None:
            return error(404, "Not Found")
        for name, value in request.body.items():
            setattr(pull, name, value)
        return Reply(200, self._pull(pull))

    def _pull(self, pull: PullRequest, *, detailed: bool = True) -> Any:
        head, base = (
            self.repository.ref(f"refs/heads/{name}") or pull.head_commit for name in (pull.head, pull.base)
        )
        merged = pull.state == "merged"
        document = {
            "id": 1000 + pull.number,
            "number": pull.number,
            "html_url": self._page(f"pull/{pull.number}"),
            "title": pull.title,
            "body": pull.body,
            "state": "open" if pull.state == "open" else "closed",
            "created_at": "2026-11-22T10:00:00Z",
            "merged_at": "2026-11-22T11:00:00Z" if merged else None,
            "merge_commit_sha": pull.merge_commit or head,
            "head": {"ref": pull.head, "sha": head, "repo": self._repo(pull.fork or self.path)},
            "base": {"ref": pull.base, "sha": base, "repo": self._repo(self.path)},
        }
        if detailed:
            conflicts = self.conflicts(pull)
            document["mergeable"] = None if conflicts is None else not conflicts
        return document

    def _repo(self, path: str) -> Any:
        return {"id": 1, "full_name": path, "html_url": f"https://github.com/{path}", "created_at": None}

    # --- runs

    def dispatch(self, request: Request, workflow: str) -> Reply:
        ref = request.body["ref"]
        names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        commit = next(filter(None, map(self.repository.commit_of, names)), None)
        if workflow not in self.workflows:
            return error(404, "Not Found")
        if commit is None:
            return error(422, f"No ref found for: {ref}")
        if workflow not in self.startable:
            return error(422, "Workflow does not have 'workflow_dispatch' trigger")
        if workflow in self.required_inputs:
            return error(422, f"Required input '{self.required_inputs[workflow]}' not provided")
        full = next(name for name in names if self.repository.commit_of(name))
        run = self.add_run(full, commit, workflow)
        if not (self.returns_run and request.body.get("return_run_details")):
            return Reply(204)
        api = f"{self.url}{self.prefix()}/actions/runs/{run.id}"
        page = self._page(f"actions/runs/{run.id}")
        return Reply(200, {"workflow_run_id": run.id, "html_url": page, "run_url": api})

    def list_runs(self, request: Request, workflow: str = "") -> Reply:
        if workflow and workflow not in self.workflows:
            return error(404, "Not Found")
        query = request.query
        selected = [
            self._run(run)
            for run in self.listed_runs()
            if workflow in ("", run.workflow)
            and query.get("branch") in (None, run.ref)
            and query.get("event") in (None, run.event)
            and query.get("head_sha") in (None, run.commit)
            and run.created >= query.get("created", "").removeprefix(">=")
        ]
        reply = self.paged(request, selected)
        reply.document = {"total_count": len(selected), "workflow_runs": reply.document}
        return reply

    def get_run(self, _request: Request, number: str) -> Reply:
        run = next((run for run in self.runs if run.id == int(number)), None)
        return error(404, "Not Found") if run is None else Reply(200, self._run(run))

    def _run(self, run: Run) -> Any:
        return {
            "id": run.id,
            "html_url": self._page(f"actions/runs/{run.id}"),
            "head_branch": run.ref,
            "head_sha": run.commit,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "created_at": run.created,
        }

    # --- answers

    def _page(self, path: str) -> str:
        return f"https://github.com/{self.path}/{path}"


def error(status: int, message: str) -> Reply:
    return Reply(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})


@cache
def operations() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(CONTRACT.read_text(encoding="utf-8"))["operations"]
    return document


def contract(request: Request) -> Any:
    """The operation of the description that a request is."""
    for name, operation in operations().items():
        method, _, path = name.partition(" ")
        pattern = re.escape(path).replace(r"\{ref\}", ".+")
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", pattern)
        if method == request.method and re.fullmatch(pattern, request.path):
            return operation
    return None


def validated(what: str, schema: Any, document: Any) -> list[str]:
    problems = Draft202012Validator(schema).iter_errors(document)
    return [f"{what}: {problem.json_path}: {problem.message}" for problem in problems]
