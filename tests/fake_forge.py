"""GitHub and GitLab on loopback over a bare git repository, with failures that tests switch on.

Requests to the fake GitHub, and its answers, are held against the published description of its API
(`forge_contracts/github.json`). For GitLab, whose license does not allow a copy, `GITLAB_OPERATIONS` has the
parameters of each operation, compared by hand with its OpenAPI description (version 19.5). The wording of errors
was not compared with anything.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

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
    requests_path: str
    change_method: str
    names: Mapping[str, str]
    """The forge's names of the fields head, base, title and body."""
    duplicate: int
    """The status that refuses a second open pull request of a branch."""

    def __init__(self, bare: Path) -> None:
        self.repository = Repository(bare)
        self.url = ""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        """Requests and answers that are not what the published description of the API says."""
        self.pull_requests: list[PullRequest] = []
        self.may_write = True
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

    # --- the server

    def answer(self, request: Request) -> Reply:
        """Carry out a request."""
        authorized = request.headers.get("Authorization")
        if authorized not in (None, f"Bearer {self.token}"):
            return error(401, "Bad credentials")
        if request.method != "GET" and not (authorized and self.may_write):
            return error(403, "Resource not accessible by integration")
        if request.name == f"GET {self.requests_path}":
            pulls = [pull for pull in reversed(self.pull_requests) if self.is_listed(request.query, pull)]
            return Reply(200, list(map(self.document, pulls)))
        if request.name == f"POST {self.requests_path}":
            return self.create(request.body)
        number = re.fullmatch(rf"{self.requests_path}/(\d+)", request.path)
        pull = next((pull for pull in self.pull_requests if number and pull.number == int(number[1])), None)
        if pull is None or request.method not in ("GET", self.change_method):
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
        if fault is not None and fault.delay:
            self._over.wait(fault.delay)
        return reply

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
                if parts.path.startswith(forge.prefix):
                    path, body = parts.path.removeprefix(forge.prefix), json.loads(content) if content else None
                    query = dict(parse_qsl(parts.query))
                    reply = forge.handle(Request(self.command, path, query, body, dict(self.headers.items())))
                if reply is DROP:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                document = reply.document
                answer = document if isinstance(document, bytes) else json.dumps(document).encode()
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
    requests_path = "/pulls"
    change_method = "PATCH"
    names = {name: name for name in ("head", "base", "title", "body")}  # noqa: RUF012 - not changed
    duplicate = 422

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_API_URL": self.url,
            "GITHUB_TOKEN": self.token,
        }

    def check(self, request: Request, reply: Reply) -> None:
        operation = github_operations().get(
            f"{request.method} {re.sub(r'/[0-9]+$', '/{pull_number}', request.path)}"
        )
        if operation is None:
            self.violations.append(f"no such operation: {request.name}")
            return
        names = request.query.keys() - operation["query"]
        if (expected := operation["request"]) is not None:
            names |= request.body.keys() - expected["properties"].keys()
            self.violations += validated(request.name, expected, request.body)
        self.violations += [f"{request.name}: unknown {name}" for name in names]
        if reply.status not in (401, 403, 404, 422):  # errors that each operation may have
            schema = operation["responses"][str(reply.status)]
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
    requests_path = "/merge_requests"
    change_method = "PUT"
    names = {  # noqa: RUF012 - not changed
        "head": "source_branch",
        "base": "target_branch",
        "title": "title",
        "body": "description",
    }
    duplicate = 409

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
        parameters = request.query.keys() | (request.body or {}).keys()
        operation = GITLAB_OPERATIONS.get(re.sub("/[0-9]+$", "/{}", request.name))
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


@cache
def github_operations() -> dict[str, Any]:
    operations: dict[str, Any] = json.loads(CONTRACT.read_text(encoding="utf-8"))["operations"]
    return operations


def validated(what: str, schema: Any, document: Any) -> list[str]:
    problems = Draft202012Validator(schema).iter_errors(document)
    return [f"{what}: {problem.json_path}: {problem.message}" for problem in problems]
