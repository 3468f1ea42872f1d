"""A forge on loopback over a bare git repository, with failures that tests switch on for single requests.

Branches, tags and commits that are created through the API are real: git reads them. What the forge knows besides
(pull requests, runs) is in lists that tests may change.
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from fake_forge.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["DROP", "Fault", "ForgeServer", "PullRequest", "Reply", "Request", "Run", "forge_server"]

_KILLED_WITHIN = 5.0
"""Seconds until the forge answers a request at which relnox is killed."""


@dataclass
class Request:
    """A request as it came in.

    Attributes:
        method: GET, POST and so on.
        path: Path below the repository, decoded.
        encoded: The same, as it was sent.
        query: The query.
        body: The JSON document; None without one.
        headers: Its headers.
    """

    method: str
    path: str
    encoded: str
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
    merge_commit: str | None = None
    head_commit: str = ""
    """The last commit of its branch when it was merged: the branch may be gone."""
    is_squashed: bool = False
    fork: str = ""
    """Repository of the head; empty for this one."""
    unchecked: int = 1
    """How many requests it takes until the forge knows whether there are conflicts."""


@dataclass
class Run:
    """A run or pipeline on the server; status and conclusion in GitHub's words, or the status in GitLab's."""

    id: int
    ref: str
    commit: str
    workflow: str
    event: str
    created: str
    status: str
    conclusion: str | None = None


DROP = Reply(0)
"""The connection is closed without an answer."""


@dataclass
class Fault:
    """A failure of the next requests of one kind.

    Attributes:
        request: A regular expression for the beginning of method and path.
        reply: What is answered instead.
        stored: Whether the request has its effect all the same.
        times: How many requests fail.
        change: Changes the answer instead of replacing it.
        delay: Seconds until the answer.
        skip: How many requests of the kind succeed before.
    """

    request: str
    reply: Reply | None = None
    stored: bool = False
    times: int = 1
    change: Callable[[Reply], Reply] | None = None
    delay: float = 0.0
    skip: int = 0


class ForgeServer:
    """What all fake forges have in common; a subclass answers requests.

    Args:
        bare: The bare repository.
        path: Path of the repository on the forge.
        token: The only token that is accepted.
    """

    first_status = "queued"
    """The status of a new run."""
    started_by_api = "workflow_dispatch"
    """The event of runs that are started through the API."""

    def __init__(self, bare: Path, path: str = "acme/demo", token: str = "token-of-a-fake-forge") -> None:
        self.repository = Repository(bare)
        self.path = path
        self.token = token
        self.url = ""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        """Requests and answers that are not what the published description of the API says."""
        self.pull_requests: list[PullRequest] = []
        self.runs: list[Run] = []
        self.workflows = {"release.yml"}
        self.startable = {"release.yml", "strict.yml"}
        """The workflows that can be started through the API."""
        self.required_inputs: dict[str, str] = {}
        """Names of inputs that have to be given, by workflow."""
        self.signs = True
        self.unlisted = 0
        """How many listings it takes until a new run is in them."""
        self._over = threading.Event()
        self._lock = threading.RLock()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a CI job on this forge."""
        raise NotImplementedError

    @property
    def remote(self) -> str:
        """The URL of the git remote."""
        raise NotImplementedError

    def answer(self, request: Request) -> Reply:
        """Carry out a request."""
        raise NotImplementedError

    def is_authorized(self, request: Request) -> bool | None:
        """Whether the token is the right one; None without a token."""
        raise NotImplementedError

    def check(self, request: Request, reply: Reply) -> None:
        """Compare a request and its answer with the description of the API."""

    def prefix(self) -> str:
        """The encoded path of the repository in the API."""
        raise NotImplementedError

    def fail(self, request: str, reply: Reply | None = None, **options: Any) -> None:
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

    def names(self, *methods: str) -> list[str]:
        """Method and path of all requests, or of those with these methods."""
        return [request.name for request in self.requests if not methods or request.method in methods]

    # --- what people do on the forge

    def merge(self, number: int, *, squash: bool = False) -> str:
        """Merge a pull request; return the commit."""
        pull = self.pull_requests[number - 1]
        base, head = (str(self.repository.ref(f"refs/heads/{name}")) for name in (pull.base, pull.head))
        tree = self.repository.merged_tree(base, head)
        assert tree is not None, "conflicts"
        commit = self.repository.commit(tree, [base] if squash else [base, head], pull.title)
        self.repository.set_ref(f"refs/heads/{pull.base}", commit)
        pull.state, pull.merge_commit, pull.is_squashed = "merged", commit, squash
        pull.head_commit = head
        return commit

    def add_run(self, ref: str, commit: str, workflow: str = "release.yml", **values: Any) -> Run:
        """Add a run to the list.

        Args:
            ref: Full name of its branch or tag.
            commit: Its commit.
            workflow: Its workflow.
            **values: Other fields.
        """
        fields = {"status": self.first_status, "event": self.started_by_api, **values}
        number = len(self.runs)
        created = f"2026-11-22T10:00:{number % 60:02}Z"
        run = Run(30433642 + number, ref.split("/", 2)[2], commit, workflow, created=created, **fields)
        self.runs.append(run)
        return run

    def listed_runs(self) -> list[Run]:
        """The runs that are in a listing, the newest first."""
        if self.unlisted and self.runs:
            self.unlisted -= 1
            return self.runs[-2::-1]
        return self.runs[::-1]

    def numbered(self, number: str) -> PullRequest | None:
        return next((pull for pull in self.pull_requests if pull.number == int(number)), None)

    def conflicts(self, pull: PullRequest) -> bool | None:
        """Whether a pull request has conflicts; None as long as that is not known."""
        if pull.unchecked or pull.state != "open":
            return None
        base, head = (str(self.repository.ref(f"refs/heads/{name}")) for name in (pull.base, pull.head))
        return self.repository.merged_tree(base, head) is None

    def close_empty(self) -> None:
        """Close pull requests whose branch has nothing left to merge, as GitHub does."""
        for pull in self.pull_requests:
            head, base = (self.repository.ref(f"refs/heads/{name}") for name in (pull.head, pull.base))
            if pull.state == "open" and head and base and self.repository.contains(base, head):
                pull.state = "closed"

    def paged(self, request: Request, entries: list[Any], most: int = 100) -> Reply:
        """A page of a listing, with a link to the next one."""
        size = min(int(request.query.get("per_page", 20)), most)
        page = int(request.query.get("page", 1))
        headers = {}
        if page * size < len(entries):
            query = urlencode({**request.query, "page": page + 1})
            headers["Link"] = f'<{self.url}{self.prefix()}{request.path}?{query}>; rel="next"'
        return Reply(200, entries[(page - 1) * size : page * size], headers)

    # --- the server

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
            if fault is not None and fault.reply is not None and not fault.stored:
                reply = fault.reply
            else:
                reply = self.answer(request)
                self.check(request, reply)
                if fault is not None and fault.reply is not None:
                    reply = fault.reply
                if fault is not None and fault.change is not None:
                    reply = fault.change(reply)
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
                prefix = forge.prefix()
                if not parts.path.startswith(prefix):
                    reply = Reply(404, {"message": "Not Found"})
                else:
                    reply = forge.handle(
                        Request(
                            method=self.command,
                            path=unquote(parts.path.removeprefix(prefix)),
                            encoded=parts.path.removeprefix(prefix),
                            query=dict(parse_qsl(parts.query)),
                            body=json.loads(content) if content else None,
                            headers=dict(self.headers.items()),
                        )
                    )
                if reply is DROP:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                body = b""
                if reply.status != 204:
                    document = reply.document
                    body = document if isinstance(document, bytes) else json.dumps(document).encode()
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    with suppress(ConnectionError):  # a killed client
                        self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815

        return Handler


@contextmanager
def forge_server(forge: ForgeServer) -> Iterator[None]:
    """Run a fake forge for the block, and fail if it was not talked to as its API is described."""
    with forge.running():
        yield
    assert not forge.violations, forge.violations
