"""GitHub and GitLab on loopback over a bare git repository, with failures that tests switch on.

Requests to the fake GitHub, and its answers, are held against the published description of its API
(`forge_contracts/github.json`). For GitLab, the license of whose description does not allow a copy,
`GITLAB_OPERATIONS` has the parameters of each operation, compared by hand with those that versions of its source
declare or python-gitlab sends. Answers about releases have the properties of the examples of its documentation;
those about protected environments and merge requests were not compared with it.
The wording of errors was not compared with anything.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types
from projects import git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CONTRACT = Path(__file__).parent / "forge_contracts" / "github.json"
GITLAB_OPERATIONS = {
    # method and path: required parameters, other parameters
    "GET /merge_requests": ("", "source_branch target_branch state order_by sort page per_page"),
    "POST /merge_requests": (
        "source_branch target_branch title",
        "description labels remove_source_branch squash",
    ),
    "GET /merge_requests/{}": ("", "include_rebase_in_progress"),
    "PUT /merge_requests/{}": ("", "title description state_event target_branch labels"),
    "GET ": ("", "license statistics"),
    "GET /pipelines": ("", "sha ref status scope source page per_page"),
    "GET /protected_environments/{}": ("", ""),
    "GET /packages": ("", "package_type package_name package_version order_by sort status page per_page"),
    "GET /packages/{}/package_files": ("", "page per_page"),
    "GET /packages/generic/{}/{}/{}": ("", ""),
    "PUT /packages/generic/{}/{}/{}": ("", "status select"),
    "GET /releases/{}": ("", "include_html_description"),
    "POST /releases": ("tag_name", "tag_message name description ref assets milestones released_at"),
    "PUT /releases/{}": ("", "name description milestones released_at"),
    "POST /releases/{}/assets/links": ("name url", "direct_asset_path link_type"),
    "GET /repository/changelog": ("version", "from to date trailer config_file config_file_ref"),
}
_KILLED_WITHIN = 5.0
"""Seconds until the forge answers a request at which relnox is killed."""


@dataclass
class Request:
    """A request as it came in; its path is below the repository."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Reply:
    """An answer: a JSON document, or bytes that are sent as they are."""

    status: int
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)


DROP = Reply(0)
"""The connection is closed without an answer."""


@dataclass
class PullRequest:
    """A pull request or merge request on the server."""

    number: int
    head: str
    base: str
    title: str
    body: str | None
    state: str = "open"
    """`open`, `closed` or `merged`."""
    fork: str = ""
    """Repository of the head; empty for this one."""


@dataclass
class Asset:
    """A file on the server."""

    id: int
    name: str
    content: bytes
    state: str = "uploaded"
    place: str = ""
    """Name and version of the generic package that has it, on GitLab."""


@dataclass
class Release:
    """A release on the server."""

    id: int
    tag: str
    name: str
    body: str
    draft: bool = False
    prerelease: bool = False
    immutable: bool = False
    assets: list[Asset] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """A failure of the next requests of one kind.

    Attributes:
        request: A regular expression for the beginning of method and path.
        reply: What is answered instead.
        stored: Whether the request has its effect all the same.
        times: How many requests fail.
        delay: Seconds until the answer.
        skip: How many requests of the kind succeed before.
    """

    request: str
    reply: Reply
    stored: bool = False
    times: int = 1
    delay: float = 0.0
    skip: int = 0


class Repository:
    """The bare repository of a forge."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ref(self, name: str) -> str | None:
        """The object that a ref points to, which may be a tag; None if there is no such ref."""
        return git(self.path, "for-each-ref", "--format=%(objectname)", name) or None

    def commit_of(self, revision: str) -> str:
        return git(self.path, "rev-parse", f"{revision}^{{commit}}")

    def tree_of(self, revision: str) -> str:
        return git(self.path, "rev-parse", f"{revision}^{{tree}}")

    def set_ref(self, name: str, target: str) -> None:
        git(self.path, "update-ref", name, target)

    def commit(self, tree: str, parents: list[str], message: str) -> str:
        identity = ("-c", "user.name=forge[bot]", "-c", "user.email=bot@forge.invalid")
        words = [word for parent in parents for word in ("-p", parent)]
        return git(self.path, *identity, "commit-tree", tree, *words, "-m", message)

    def merged_tree(self, base: str, head: str) -> str | None:
        """The tree of a merge; None if there are conflicts."""
        try:
            return git(self.path, "merge-tree", "--write-tree", base, head).split("\n")[0]
        except subprocess.CalledProcessError:
            return None


class ForgeServer:
    """What both forges have in common.

    Args:
        bare: The bare repository.
    """

    path: str
    """Path of the repository on the forge."""
    remote: str
    """The URL of the git remote."""
    prefix: str
    """The encoded path of the repository in the API."""
    token = "token-of-a-fake-forge"
    pull_requests_path: str
    update_method: str
    names: Mapping[str, str]
    """The forge's names of the fields head, base, title and body."""
    duplicate: int
    """The status that refuses a second open pull request of a branch."""
    max_body: int

    def __init__(self, bare: Path) -> None:
        self.repository = Repository(bare)
        self.url = ""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        """Requests and answers that are not what the published description of the API says."""
        self.pull_requests: list[PullRequest] = []
        self.releases: list[Release] = []
        self.latest = 0
        """The id of the latest release."""
        self.is_immutable = False
        """Whether releases are immutable once they are public."""
        self.reserved_tags: set[str] = set()
        """Tags of immutable releases, also of deleted ones."""
        self.broken_uploads = 0
        """How many of the next uploads break off."""
        self.unlisted = 0
        """How many listings miss the newest release."""
        self.changes = 0
        """How many requests changed something."""
        self.meanwhile: dict[str, Callable[[], object]] = {}
        """What others do right before a request that a regular expression matches, once."""
        self._numbers = count(1)
        self.may_write = True
        self.checks: dict[str, str] = {}
        """The conclusion of each check run, or the status of each pipeline, by name; empty for a running one."""
        self.prevents_self_review: bool | None = False
        """None if the forge does not say it."""
        self.environments: dict[str, tuple[int, bool]] = {}
        """How many reviewers an environment has, and whether they may not approve their own runs."""
        self._over = threading.Event()
        self._lock = threading.RLock()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a CI job on this forge."""
        raise NotImplementedError

    def check(self, request: Request, reply: Reply) -> None:
        """Compare a request and its answer with the description of the API."""
        raise NotImplementedError

    def document(self, pull: PullRequest) -> dict[str, Any]:
        """A pull request as the API has it."""
        raise NotImplementedError

    def is_listed(self, query: Mapping[str, str], pull: PullRequest) -> bool:
        """Whether a pull request is in a listing."""
        raise NotImplementedError

    # --- what people do

    def fail(self, request: str, reply: Reply, **options: Any) -> None:
        """Have the next request of a kind fail."""
        self.faults.append(Fault(request, reply, **options))

    def kill_at_request(self, number: int, words: Sequence[str], *, stored: bool) -> None:
        """Run relnox, and kill it while it waits for the answer to a request; wait for its end if there are fewer.

        Args:
            number: The number of the request, counted from 0.
            words: The arguments of relnox.
            stored: Whether the forge carries the request out.
        """
        self.fail("", Reply(502), stored=stored, skip=number, delay=_KILLED_WITHIN)
        command = [sys.executable, "-m", "relnox", *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while len(self.requests) <= number and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            process.kill()
        self.faults.clear()
        assert process.returncode == (-signal.SIGKILL if len(self.requests) > number else 0)

    def sent(self, *methods: str) -> list[str]:
        """Method and path of all requests, or of those with these methods."""
        return [request.name for request in self.requests if not methods or request.method in methods]

    def merge(self, number: int, *, squash: bool = False) -> str:
        """Merge a pull request; return the commit."""
        pull = self.pull_requests[number - 1]
        base, head = (self.repository.commit_of(f"refs/heads/{name}") for name in (pull.base, pull.head))
        tree = self.repository.merged_tree(base, head)
        assert tree is not None, "conflicts"
        commit = self.repository.commit(tree, [base] if squash else [base, head], pull.title)
        self.repository.set_ref(f"refs/heads/{pull.base}", commit)
        pull.state = "merged"
        return commit

    def release(self, tag: str, body: str = "", *, draft: bool = False, **more: Any) -> Release:
        """Make a release, as a person does on the web page."""
        release = Release(next(self._numbers), tag, tag, body, draft=draft, **more)
        self.releases.append(release)
        return release

    # --- the server

    def answer_release(self, request: Request, *, may_write: bool) -> Reply | None:
        """Carry out a request about releases; None if it is another one."""
        raise NotImplementedError

    def answer_check(self, request: Request) -> Reply | None:
        """Answer a request about CI or environments; None if it is another one."""
        raise NotImplementedError

    def answer(self, request: Request) -> Reply:
        """Carry out a request."""
        authorized = request.headers.get("Authorization")
        if request.headers.get("JOB-TOKEN") == self.token:
            authorized = f"Bearer {self.token}"
        if authorized not in (None, f"Bearer {self.token}"):
            return error(401, "Bad credentials")
        if request.method != "GET" and not (authorized and self.may_write):
            return error(403, "Resource not accessible by integration")
        if (reply := self.answer_check(request)) is not None:
            return reply
        if (reply := self.answer_release(request, may_write=bool(authorized) and self.may_write)) is not None:
            return reply
        if request.name == f"GET {self.pull_requests_path}":
            pulls = [pull for pull in reversed(self.pull_requests) if self.is_listed(request.query, pull)]
            return Reply(200, list(map(self.document, pulls)))
        if request.name == f"POST {self.pull_requests_path}":
            return self.create(request.body)
        number = re.fullmatch(rf"{self.pull_requests_path}/(\d+)", request.path)
        pull = next((pull for pull in self.pull_requests if number and pull.number == int(number[1])), None)
        if pull is None or request.method not in ("GET", self.update_method):
            return error(404, "Not Found")
        if request.method != "GET":
            pull.title = request.body[self.names["title"]]
            pull.body = request.body[self.names["body"]]
        return Reply(200, self.document(pull))

    def create(self, body: Mapping[str, str]) -> Reply:
        head, base, title, text = (body[self.names[name]] for name in ("head", "base", "title", "body"))
        if any(self.repository.ref(f"refs/heads/{branch}") is None for branch in (head, base)):
            return error(422, "Validation Failed")
        if any((pull.head, pull.base, pull.state) == (head, base, "open") for pull in self.pull_requests):
            return error(self.duplicate, "A pull request already exists")
        pull = PullRequest(len(self.pull_requests) + 1, head, base, title, text)
        self.pull_requests.append(pull)
        return Reply(201, self.document(pull))

    def handle(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            for pattern in [pattern for pattern in self.meanwhile if re.match(pattern, request.name)]:
                self.meanwhile.pop(pattern)()
            fault = next((fault for fault in self.faults if re.match(fault.request, request.name)), None)
            if fault is not None and fault.skip:
                fault.skip -= 1
                fault = None
            if fault is not None:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
            reply = fault.reply if fault is not None else DROP
            if fault is None or fault.stored:
                answer = self.answer(request)
                self.check(request, answer)
                reply = fault.reply if fault is not None else answer
            if reply.status < 400 and request.method != "GET" and "generate-notes" not in request.path:
                self.changes += 1
        if fault is not None and fault.delay:
            self._over.wait(fault.delay)
        return reply

    @property
    def assets(self) -> list[Asset]:
        """All files."""
        return [asset for release in self.releases for asset in release.assets]

    @contextmanager
    def running(self) -> Iterator[None]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _handle(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                reply = error(404, "Not Found")
                if parts.path.startswith("/storage/"):
                    forge.violations += ["a token was sent elsewhere"] if "Authorization" in self.headers else []
                    number = int(parts.path.removeprefix("/storage/"))
                    for asset in forge.assets:  # it may have been deleted since it was listed
                        reply = Reply(200, asset.content) if asset.id == number else reply
                elif parts.path.startswith(forge.prefix):
                    path, body = parts.path.removeprefix(forge.prefix), None
                    if self.headers.get("Content-Type") == "application/octet-stream":
                        body = content
                    elif content:
                        body = json.loads(content)
                    query = dict(parse_qsl(parts.query))
                    reply = forge.handle(Request(self.command, path, query, body, dict(self.headers.items())))
                if reply is DROP:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                document = reply.document
                answer = document if isinstance(document, bytes) else json.dumps(document).encode()
                answer = b"" if reply.status == 204 else answer
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                with suppress(ConnectionError):  # a killed client
                    self.wfile.write(answer)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815

        return Handler


class GitHubServer(ForgeServer):
    """A repository of GitHub."""

    path = "acme/demo"
    remote = "https://github.com/acme/demo.git"
    prefix = "/repos/acme/demo"
    pull_requests_path = "/pulls"
    update_method = "PATCH"
    names = {name: name for name in ("head", "base", "title", "body")}  # noqa: RUF012 - not changed
    duplicate = 422
    max_body = 125_000

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_API_URL": self.url,
            "GITHUB_TOKEN": self.token,
        }

    def check(self, request: Request, reply: Reply) -> None:
        operation = operation_of(request, github_operations())
        if operation is None:
            self.violations.append(f"no such operation: {request.name}")
            return
        names = request.query.keys() - operation["query"]
        if (expected := operation["request"]) is not None:
            names |= request.body.keys() - expected["properties"].keys()
            self.violations += validated(request.name, expected, request.body)
        self.violations += [f"{request.name}: unknown {name}" for name in names]
        if reply.status not in (401, 403, 404, 422, 502):  # errors that each operation may have
            schema = operation["responses"][str(reply.status)]
            if schema is not None and not isinstance(reply.document, bytes):
                self.violations += validated(f"answer to {request.name}", schema, reply.document)

    def document(self, pull: PullRequest) -> dict[str, Any]:
        return {
            "number": pull.number,
            "html_url": f"https://github.com/{self.path}/pull/{pull.number}",
            "title": pull.title,
            "body": pull.body,
            "state": "open" if pull.state == "open" else "closed",
            "head": {"ref": pull.head, "repo": self._repository(pull.fork or self.path)},
            "base": {"ref": pull.base, "repo": self._repository(self.path)},
        }

    def answer_check(self, request: Request) -> Reply | None:
        if re.fullmatch(r"/commits/\w+/check-runs", request.path):
            runs = [
                {
                    "name": name,
                    "status": "completed" if conclusion else "in_progress",
                    "conclusion": conclusion or None,
                    "details_url": f"https://github.com/{self.path}/actions/runs/{number}/job/1",
                    "html_url": None,
                }
                for number, (name, conclusion) in enumerate(self.checks.items(), 1)
                if "/" not in name
            ]
            return Reply(200, {"check_runs": runs if request.query["page"] == "1" else []})
        if re.fullmatch(r"/commits/\w+/status", request.path):
            statuses = [
                {"context": name, "state": state or "pending", "target_url": None}
                for name, state in self.checks.items()
                if "/" in name
            ]
            return Reply(200, {"state": "success", "statuses": statuses})
        if request.name == "GET /environments":
            return Reply(200, {"environments": [self._environment(name) for name in self.environments]})
        return None

    def _environment(self, name: str) -> dict[str, Any]:
        reviewers, prevented = self.environments[name]
        rule = {
            "type": "required_reviewers",
            "prevent_self_review": prevented,
            "reviewers": [{"type": "User"}] * reviewers,
        }
        return {"name": name, "protection_rules": [{"type": "branch_policy"}, *([rule] if reviewers else [])]}

    def answer_release(self, request: Request, *, may_write: bool) -> Reply | None:  # noqa: C901, PLR0912
        parts = request.path.strip("/").split("/")
        if parts[0] != "releases":
            return None
        number = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
        release = next((release for release in self.releases if release.id == number), None)
        match request.method, parts[1:]:
            case "GET", []:
                listed = sorted(self.releases, key=lambda release: -release.id)
                if self.unlisted:
                    self.unlisted -= 1
                    listed = listed[1:]
                listed = [release for release in listed if may_write or not release.draft]
                return Reply(200, [self._release(release) for release in page_of(listed, request.query)])
            case "GET", ["latest"]:
                latest = next((release for release in self.releases if release.id == self.latest), None)
                return error(404, "Not Found") if latest is None else Reply(200, self._release(latest))
            case "POST", []:
                release = Release(
                    next(self._numbers), request.body["tag_name"], request.body["name"], "", draft=True
                )
                if (reply := self._change(release, request.body)) is not None:
                    return reply
                self.releases.append(release)
                return Reply(201, self._release(release))
            case "POST", ["generate-notes"]:
                text = f"## What's Changed\n* a change by @someone in {request.body.get('previous_tag_name')}"
                return Reply(200, {"name": request.body["tag_name"], "body": text})
            case "GET", ["assets", asset_id]:
                location = self.url.replace("127.0.0.1", "localhost")
                return Reply(302, headers={"Location": f"{location}/storage/{asset_id}"})
            case "DELETE", ["assets", asset_id]:
                for other in self.releases:
                    if other.immutable:
                        return error(422, "Cannot delete asset from an immutable release")
                    other.assets = [asset for asset in other.assets if asset.id != int(asset_id)]
                return Reply(204)
            case _:
                pass
        if release is None:
            return error(404, "Not Found")
        match request.method, parts[2:]:
            case "PATCH", []:
                reply = self._change(release, request.body)
                return Reply(200, self._release(release)) if reply is None else reply
            case "DELETE", []:
                self.releases.remove(release)
                return Reply(204)
            case "GET", ["assets"]:
                return Reply(200, list(map(self._asset, page_of(release.assets, request.query))))
            case "POST", ["assets"]:
                return self._upload(release, request.query["name"], request.body or b"")
            case _:
                return error(404, "Not Found")

    def _change(self, release: Release, values: Mapping[str, Any]) -> Reply | None:
        """Change a release; the reply if that is refused."""
        if len(values.get("body", "")) > self.max_body:
            return invalid("body", "is too long (maximum is 125000 characters)")
        if release.tag in self.reserved_tags and not release.immutable:
            return invalid("tag_name", "tag_name was used by an immutable release")
        is_published = values.get("draft") is False and release.draft
        if is_published and any(other.tag == release.tag and not other.draft for other in self.releases):
            return invalid("tag_name", code="already_exists")
        if is_published and self.repository.ref(f"refs/tags/{release.tag}") is None:
            self.violations.append(f"{release.tag} is published without its tag")
        for name in ("body", "draft", "prerelease", "name"):
            setattr(release, name, values.get(name, getattr(release, name)))
        if not release.draft and "draft" in values:
            if not release.prerelease and values.get("make_latest", "true") == "true":
                self.latest = release.id
            if self.is_immutable:
                release.immutable = True
                self.reserved_tags.add(release.tag)
        return None

    def _upload(self, release: Release, name: str, content: bytes) -> Reply:
        if release.immutable:
            return invalid("", "Cannot upload assets to an immutable release.")
        if not content:
            return error(400, "Bad Content-Length")
        if any(asset.name == name for asset in release.assets):
            return invalid("name", code="already_exists")
        asset = Asset(next(self._numbers), name, content)
        release.assets.append(asset)
        if self.broken_uploads:
            self.broken_uploads -= 1
            asset.state, asset.content = "starter", b""
            return Reply(502, {"message": "Server Error"})
        return Reply(201, self._asset(asset))

    def _release(self, release: Release) -> dict[str, Any]:
        return {
            "id": release.id,
            "tag_name": release.tag,
            "name": release.name,
            "body": release.body or None,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "immutable": release.immutable,
            "html_url": f"https://github.com/{self.path}/releases/{release.id}",
            "upload_url": f"{self.url}{self.prefix}/releases/{release.id}/assets{{?name,label}}",
        }

    def _asset(self, asset: Asset) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(asset.content).hexdigest()}" if asset.state == "uploaded" else None
        return {"id": asset.id, "name": asset.name, "digest": digest, "state": asset.state}

    def _repository(self, path: str) -> dict[str, str]:
        return {"full_name": path, "html_url": f"https://github.com/{path}"}

    def is_listed(self, query: Mapping[str, str], pull: PullRequest) -> bool:
        owner = (pull.fork or self.path).split("/")[0]
        return (query["head"], query["base"]) == (f"{owner}:{pull.head}", pull.base) and pull.state == query[
            "state"
        ]


class GitLabServer(ForgeServer):
    """A repository of GitLab."""

    path = "acme/tools/demo"
    remote = "git@git.example.org:acme/tools/demo.git"
    prefix = "/api/v4/projects/acme%2Ftools%2Fdemo"
    pull_requests_path = "/merge_requests"
    update_method = "PUT"
    names = {  # noqa: RUF012 - not changed
        "head": "source_branch",
        "base": "target_branch",
        "title": "title",
        "body": "description",
    }
    duplicate = 409
    max_body = 1_000_000

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GITLAB_CI": "true",
            "CI_SERVER_URL": "https://git.example.org",
            "CI_API_V4_URL": f"{self.url}/api/v4",
            "GITLAB_TOKEN": self.token,
        }

    def check(self, request: Request, reply: Reply) -> None:
        del reply
        fields = request.body if isinstance(request.body, dict) else {}
        parameters = request.query.keys() | fields.keys()
        operation = operation_of(request, GITLAB_OPERATIONS)
        if operation is None:
            self.violations.append(f"no such operation: {request.name}")
            return
        required, optional = (set(names.split()) for names in operation)
        if not required <= parameters <= required | optional:
            self.violations.append(f"{request.name}: parameters {sorted(parameters)}")

    def document(self, pull: PullRequest) -> dict[str, Any]:
        return {
            "iid": pull.number,
            "web_url": f"https://git.example.org/{self.path}/-/merge_requests/{pull.number}",
            "title": pull.title,
            "description": pull.body,
            "state": {"open": "opened"}.get(pull.state, pull.state),
            "source_branch": pull.head,
            "target_branch": pull.base,
            "source_project_id": 8 if pull.fork else 7,
            "target_project_id": 7,
        }

    def __init__(self, bare: Path) -> None:
        super().__init__(bare)
        self.packages: list[Asset] = []
        self.states_role = True
        """Whether the role of a user is stated, unlike that of an administrator."""

    @property
    def assets(self) -> list[Asset]:
        return self.packages

    def answer_check(self, request: Request) -> Reply | None:
        if request.name == "GET /pipelines":
            pipelines = [
                {
                    "id": number,
                    "status": status or "running",
                    "ref": "main",
                    "source": name,
                    "web_url": f"https://git.example.org/{self.path}/-/pipelines/{number}",
                }
                for number, (name, status) in enumerate(self.checks.items(), 1)
            ]
            return Reply(200, pipelines[::-1])
        if request.path.startswith("/protected_environments/"):
            reviewers, _ = self.environments.get(request.path.rpartition("/")[2], (None, False))
            if reviewers is None:
                return error(404, "404 Not found")
            return Reply(
                200, {"name": "x", "required_approval_count": 0, "approval_rules": self._rules(reviewers)}
            )
        return None

    def _rules(self, reviewers: int) -> list[dict[str, int]]:
        return [{"id": 1, "required_approvals": reviewers}] if reviewers else []

    def answer_release(self, request: Request, *, may_write: bool) -> Reply | None:  # noqa: C901, PLR0912
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        match request.method, parts:
            case "GET", []:
                access = {"access_level": 40 if self.may_write else 20} if self.states_role else None
                prevented = self.prevents_self_review
                may_review = (
                    {} if prevented is None else {"allow_pipeline_trigger_approve_deployment": not prevented}
                )
                permissions = {"project_access": access, "group_access": None}
                return Reply(200, {"permissions": permissions, **may_review})
            case "GET", ["packages"]:
                name, version = request.query["package_name"], request.query["package_version"]
                places = [asset.place for asset in self.packages]
                number = places.index(f"{name}/{version}") if f"{name}/{version}" in places else None
                found = [] if number is None else [{"id": number, "name": name, "version": version}]
                others = [{"id": 999, "name": f"{name}-more", "version": version}] * 100
                return Reply(200, page_of([*others, *found], request.query))
            case "GET", ["packages", number, "package_files"]:
                place = self.packages[int(number)].place
                files = [asset for asset in self.packages if asset.place == place]
                return Reply(200, [self._file(asset) for asset in page_of(files, request.query)])
            case "PUT", ["packages", "generic", name, version, file]:
                self.packages.append(
                    Asset(next(self._numbers), file, request.body or b"", "", f"{name}/{version}")
                )
                return Reply(201, {"message": "201 Created"})
            case "GET", ["packages", "generic", name, version, file]:
                place = f"{name}/{version}"
                own = [asset for asset in self.packages if (asset.name, asset.place) == (file, place)]
                return Reply(200, own[-1].content) if own else error(404, "404 Not Found")
            case "GET", ["repository", "changelog"]:
                if not re.search(r"\d+\.\d+\.\d+", request.query["version"]):
                    return error(400, "version is invalid")
                text = f"## {request.query['version']} (2026-11-25)\n\n### from {request.query['from']}"
                return Reply(200, {"notes": text})
            case "POST", ["releases"]:
                return self._create_release(request.body)
            case "GET" | "PUT" | "POST", ["releases", tag, *more]:
                release = next((release for release in self.releases if release.tag == tag), None)
                if release is None:
                    return error(404, "404 Not Found")
                if more and request.body["name"] in release.links:
                    return error(400, "Name has already been taken")
                if more:
                    release.links[request.body["name"]] = request.body["url"]
                    return Reply(201, {"id": 1})
                release.body = (request.body or {}).get("description", release.body)
                return Reply(200, self._release(release))
            case _:
                return None

    def _create_release(self, body: Mapping[str, Any]) -> Reply:
        if len(body["description"]) > self.max_body:
            return error(400, "Description is too long")
        if self.repository.ref(f"refs/tags/{body['tag_name']}") is None:
            return error(422, "Ref is not specified")
        if any(release.tag == body["tag_name"] for release in self.releases):
            return error(409, "Release already exists")
        links = {link["name"]: link["url"] for link in body["assets"]["links"]}
        release = Release(next(self._numbers), body["tag_name"], body["name"], body["description"], links=links)
        self.releases.append(release)
        self.latest = release.id
        return Reply(201, self._release(release))

    def _file(self, asset: Asset) -> dict[str, Any]:
        return {
            "id": asset.id,
            "file_name": asset.name,
            "file_sha256": hashlib.sha256(asset.content).hexdigest(),
        }

    def _release(self, release: Release) -> dict[str, Any]:
        return {
            "tag_name": release.tag,
            "description": release.body,
            "_links": {"self": f"https://git.example.org/{self.path}/-/releases/{release.tag}"},
            "assets": {"links": [{"name": name, "url": url} for name, url in release.links.items()]},
        }

    def is_listed(self, query: Mapping[str, str], pull: PullRequest) -> bool:
        branches = (query["source_branch"], query["target_branch"])
        return branches == (pull.head, pull.base) and (pull.state, query["state"]) == ("open", "opened")


@contextmanager
def forge_server(forge: ForgeServer) -> Iterator[None]:
    """Run a fake forge for the block, and fail if it was not talked to as its API is described."""
    with forge.running():
        yield
    assert not forge.violations, forge.violations


@contextmanager
def remote_on_forge(forge: ForgeServer, root: Path, set_variable: Callable[[str, str], None]) -> Iterator[None]:
    """Run a fake forge that is the remote of a checkout; git itself reaches it in its directory."""
    with forge_server(forge):
        for name, value in forge.environment.items():
            set_variable(name, value)
        git(root, "config", f"url.{forge.repository.path}.insteadOf", forge.remote)
        git(root, "remote", "set-url", "origin", forge.remote)
        yield


def error(status: int, message: str) -> Reply:
    return Reply(status, {"message": message})


def invalid(name: str, message: str = "", code: str = "custom") -> Reply:
    """GitHub's answer to a field that is not valid."""
    detail = {"resource": "Release", "field": name, "code": code, **({"message": message} if message else {})}
    return Reply(422, {"message": "Validation Failed", "errors": [detail]})


def page_of(items: Sequence[Any], query: Mapping[str, str]) -> Sequence[Any]:
    """The items on a page of a list."""
    size, number = int(query.get("per_page", "30")), int(query.get("page", "1"))
    return items[size * (number - 1) : size * number]


def operation_of(request: Request, operations: Mapping[str, Any]) -> Any:
    """The description of the operation that a request is for; the one with the fewest placeholders; or None."""
    fitting = [
        name for name in operations if re.fullmatch(re.sub(r"\\{\w*\\}", "[^/]+", re.escape(name)), request.name)
    ]
    return operations[min(fitting, key=lambda name: name.count("{"))] if fitting else None


@cache
def github_operations() -> dict[str, Any]:
    operations: dict[str, Any] = json.loads(CONTRACT.read_text(encoding="utf-8"))["operations"]
    return operations


def validated(what: str, schema: Any, document: Any) -> list[str]:
    problems = Draft202012Validator(schema).iter_errors(document)
    return [f"{what}: {problem.json_path}: {problem.message}" for problem in problems]
