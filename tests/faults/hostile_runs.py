"""Publish to a hostile index, each time in a new process, and check what must hold for all such runs.

The oracle shares no code with relnox: a plain client reads the index without a cache, and what it sees decides
which exit codes are honest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from package_index import JSON_PAGE, PackageIndex
from projects import write
from releases import Package, SimulatedClock, release

from relnox.cli import main
from relnox.commands import publish as publish_task
from relnox.indexes import uploads
from relnox.indexes.index import Index
from relnox.steps import upload as upload_step
from relnox.system import http, retries

if TYPE_CHECKING:
    import signal

    from misbehaviors import Misbehavior

    from relnox.core.release.manifest import Manifest

SIZES = {
    2: [Package("demo")],
    6: [Package("core", wheels=2), Package("demo", ("core",), wheels=2)],
}
"""How many files, and how they are spread over packages, some of which need one another."""
PRELOADED = [
    *(
        "relnox.cli",
        "relnox.runner",
        "relnox.commands.publish",
        "relnox.project",
    ),
    *("relnox.steps.upload", "relnox.steps.publication", "relnox.executor.scheduling", "relnox.reporters.text"),
    *(
        "relnox.indexes.index",
        "relnox.indexes.uploads",
        "relnox.indexes.credentials",
    ),
    *("packaging.metadata", "multiprocessing.resource_sharer", "http.client", "html.parser", "uuid"),
]
"""What every run imports, so that it is imported once."""
WORDS = ("publish", "--index", "own", "--reporter", "plain")
TOKEN = "a-token-that-stays-here"
WALL_LIMIT = 60.0
"""Seconds of real time after which a run counts as one that hangs."""
SIMULATED_LIMIT = 4 * 3600.0
MEMORY_LIMIT = 300 << 10
"""KiB of a relnox process at its peak."""
SHARED = 48 << 10
"""KiB that a process shares with the one it was forked from, and that do not count as its own: measured."""
SIGNAL_LIMIT = 5.0
"""Seconds until a run ends that was sent a signal: two are promised, the rest is for a busy machine."""
START_LIMIT = 60.0
"""Seconds until a run meets the index."""
MOST_UPLOADS = 80
"""Of one file in one run: the first, and as many tries as twenty minutes hold."""
READ_LIMIT = 32 << 20
FETCH_LIMIT = 2.0
BUSIEST = 6.0
LOOKS = 6
"""How often the independent client looks at an index that changes its mind."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: Its exit code, or None where it had to be killed.
        text: What it said.
        peak: KiB of memory at its peak.
        seconds: How long it took.
        simulated: How long it took by its own clock.
    """

    code: int | None
    text: str
    peak: int
    seconds: float
    simulated: float = 0.0


# --- one run


def _busy() -> float:
    """How many times longer everything takes, since so many processes want each processor."""
    return min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), BUSIEST)


def prepare(root: Path, index: PackageIndex) -> None:
    write(
        root,
        {
            "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\n[tool.relnox.indexes.own]\n'
            f'upload = "{index.upload_url}"\nsimple = "{index.simple_url}"\nproduction = false\n'
        },
    )


def run(root: Path, *, slow: bool) -> Ended:
    """Publish in a process that has imported what it needs, by a clock on which waits take no time."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(PRELOADED)
    result = root / "result.json"
    result.unlink(missing_ok=True)
    running = forking.Process(target=_publish, args=(str(root), dict(os.environ), slow))
    running.start()
    began = time.monotonic()
    running.join(WALL_LIMIT * _busy())
    took = time.monotonic() - began
    if running.is_alive():
        peak = _peak_of(running.pid)
        running.kill()
        running.join()
        return Ended(None, _said(root), peak, took)
    text = _said(root)
    if not result.exists():
        return Ended(running.exitcode, text, 0, took)
    result_document = json.loads(result.read_text(encoding="utf-8"))
    return Ended(result_document["code"], text, result_document["peak"], took, result_document["simulated"])


def _publish(root: str, environment: dict[str, str], slow: bool) -> None:
    """What such a process does."""
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment, RELNOX_OWN_TOKEN=TOKEN)
    with Path("said.txt").open("wb") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    clock = SimulatedClock()
    retries.CLOCK = clock
    _hurry(slow=slow)
    code = main(list(WORDS))
    sys.stdout.flush()
    sys.stderr.flush()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + SHARED
    result_document = {"code": code, "peak": peak, "simulated": clock.monotonic()}
    Path("result.json").write_text(json.dumps(result_document), encoding="utf-8")


def _hurry(*, slow: bool) -> None:
    """Shorten what is waited for by the real clock; for a server that is slow for ever, the retry window too."""
    seconds = 0.6 if slow else 5.0
    whole = 2 * seconds

    def file_limit(size: int | None = None) -> http.ResponseLimit:
        return usual_limit(size)._replace(seconds=whole)

    usual_limit = http.file_limit
    limits = {name: getattr(http, name)._replace(seconds=whole) for name in ("LISTING", "DOCUMENT")}
    constants: dict[Any, dict[str, Any]] = {
        http: {"file_limit": file_limit, **limits},
        retries: {"READ_TIMEOUT": seconds},
        uploads: {"RESPONSE_TIMEOUT": seconds},
    }
    constants[http]["UPLOAD_RESPONSE"] = http.UPLOAD_RESPONSE._replace(seconds=whole)
    if slow:
        constants |= {upload_step: {"_RETRY_TIME": 30.0}, publish_task: {"_LISTING_TIMEOUT": 30}}
        assert Index.fetch_listings.__defaults__ == (1200.0,)
        Index.fetch_listings.__defaults__ = (30.0,)
    for module, values in constants.items():
        for name, value in values.items():
            assert hasattr(module, name), name
            setattr(module, name, value)


def _said(root: Path) -> str:
    return (root / "said.txt").read_bytes().decode("utf-8", "replace")


def _peak_of(pid: int | None) -> int:
    """KiB that a process had at its peak, while it goes on."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


# --- the independent client


def visible(index: PackageIndex, manifest: Manifest, seconds: float = 20.0) -> set[str]:
    """Names of the manifest's files that are listed without a contradiction and served with their bytes.

    Args:
        index: The index.
        manifest: What was built.
        seconds: How long to look again where not all of it is seen.
    """
    seen: set[str] = set()
    until = time.monotonic() + seconds
    for package in manifest.packages:
        wanted = {file.filename: file.sha256 for file in manifest.files_of(package)}
        best: set[str] = set()
        for _ in range(LOOKS):
            best = max(best, _visible_once(index, package, wanted), key=len)
            if len(best) == len(wanted) or time.monotonic() > until:
                break
        seen |= best
    return seen


UNREADABLE = (
    *(OSError, EOFError, zlib.error, HTTPException),
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError, AssertionError),  # the last: html.parser
)


def _visible_once(index: PackageIndex, project: str, wanted: dict[str, str]) -> set[str]:
    page = f"{index.simple_url}{project}/"
    try:
        status, kind, body, page = _fetch(page, JSON_PAGE, decoded=True)
        if status != 200:
            return set()
        links = _json_links(body) if "json" in kind else _html_links(body)
    except UNREADABLE:
        return set()
    seen = set()
    for name, sha256 in wanted.items():
        hashes = {digest for filename, _, digest in links if filename == name}
        urls = [url for filename, url, _ in links if filename == name]
        if urls and hashes <= {sha256, None} and _is_served(page, urls[-1], sha256):
            seen.add(name)
    return seen


def _is_served(page: str, url: str, sha256: str) -> bool:
    for _ in range(2):
        try:
            status, _, body, _ = _fetch(urljoin(page, url), "*/*", decoded=False)
        except UNREADABLE:
            continue
        if status == 200 and hashlib.sha256(body).hexdigest() == sha256:
            return True
    return False


def _fetch(url: str, accept: str, *, decoded: bool) -> tuple[int, str, bytes, str]:
    """Status, content type, body and final address of a document on loopback.

    A file is taken as it comes, as installers take it: they ask for no encoding, and hash what is sent.
    """
    for _ in range(5):
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname != "127.0.0.1" or not parts.port:
            raise ValueError(url)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection = HTTPConnection("127.0.0.1", parts.port, timeout=FETCH_LIMIT)
        with contextlib.closing(connection):
            headers = {
                "Accept": accept,
                "Accept-Encoding": "gzip" if decoded else "identity",
                "Connection": "close",
            }
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            body = _body(response)
        if response.status not in (301, 302, 303, 307, 308):
            if decoded and response.getheader("Content-Encoding", "") == "gzip":
                body = zlib.decompressobj(wbits=31).decompress(body, READ_LIMIT)
            return response.status, response.getheader("Content-Type", "").lower(), body, url
        url = urljoin(url, response.headers["Location"])
    raise ValueError(url)


def _body(response: HTTPResponse) -> bytes:
    """All that a server sends, within two seconds."""
    until, body = time.monotonic() + FETCH_LIMIT, bytearray()
    while piece := response.read1(1 << 20):
        body += piece
        if time.monotonic() > until or len(body) > READ_LIMIT:
            raise TimeoutError
    return bytes(body)


def _json_links(body: bytes) -> list[tuple[str, str, str | None]]:
    """Name, address and hash of what a page of PEP 691 lists; a page of another major version is not read."""
    document = json.loads(body, object_pairs_hook=_without_repetition)
    meta = document.get("meta") or {}
    if str(meta.get("api-version", "1.0")).partition(".")[0] != "1":
        raise ValueError(meta)
    links = []
    for file in document["files"]:
        digest = file.get("hashes", {}).get("sha256")
        links.append((file["filename"], file["url"], None if digest is None else str(digest).lower()))
    return links


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _html_links(body: bytes) -> list[tuple[str, str, str | None]]:
    """The same of a page of PEP 503."""
    reader = _Links()
    reader.feed(body.decode("utf-8", "replace"))
    return reader.links


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        url, _, fragment = (dict(attrs).get("href") or "").partition("#")
        if tag == "meta" and dict(attrs).get("name") == "pypi:repository-version":
            if (dict(attrs).get("content") or "").partition(".")[0] != "1":
                raise ValueError("another version of the API")
        elif tag == "a" and url:
            algorithm, _, digest = fragment.partition("=")
            name = unquote(url.partition("?")[0].rsplit("/", 1)[-1])
            self.links.append((name, url, digest.lower() if algorithm == "sha256" else None))


# --- what must hold


def honest_codes(seen: int, stored: int, accepted: int, total: int, *, legible: bool = True) -> set[int]:
    """Exit codes that say what is public.

    Args:
        seen: Files that an independent client can list and fetch.
        stored: Files that the index has, right to the last byte.
        accepted: Files that it took and said so.
        total: Files of the release.
        legible: Whether listings are well-formed. Where they are not, "try again later" tells of some files what
            relnox knows of them: an index took them, and then could not be read.
    """
    if seen == total:
        return {0, 3, 4, 5}
    if seen and legible:
        return {3, 4}
    if seen or accepted:
        return {3, 4, 5}
    return {1, 2, 3, 4, 5} if stored else {1, 2, 4, 5}


def publish_and_check(way: Misbehavior, size: int, root: Path) -> dict[str, Any]:
    """Publish to an index that misbehaves in this way, then to the same one when it is honest again.

    Returns:
        What was measured.
    """
    manifest = release(root, SIZES[size])
    with PackageIndex(way.rules) as index:
        prepare(root, index)
        first = run(root, slow=way.slow)
        seen = visible(index, manifest, 20.0 if first.code == 0 else 3.0) if first.code is not None else set()
        problems = [*_problems(way, first, seen, index, manifest)]
        index.misbehave()
        stored = _stored(index, manifest)
        before = len(index.uploads)
        second = run(root, slow=False)
        problems += _problems_of_rerun(way, second, index, manifest, stored, before)
    assert not problems, "\n".join([way.name, *problems, first.text[-3000:], "--- rerun", second.text[-2000:]])
    return {
        "seconds": max(first.seconds, second.seconds),
        "peak": max(first.peak, second.peak),
        "code": first.code,
    }


def _problems(way: Misbehavior, ran: Ended, seen: set[str], index: PackageIndex, manifest: Manifest) -> list[str]:
    """What is wrong with a run on an index that misbehaves."""
    total = len(manifest.distributions)
    stored = _stored(index, manifest)
    accepted = {upload.filename for upload in index.uploads if upload.accepted} & stored
    legible = not any("listing" in rule.on and rule.tries is None for rule in way.rules)
    honest = honest_codes(len(seen), len(stored), len(accepted), total, legible=legible)
    state = f"{len(seen)} seen, {len(accepted)} accepted, {len(stored)} stored of {total}"
    problems = _problems_of_any(ran)
    if ran.code is None:
        problems.append(f"hangs: killed after {ran.seconds:.0f} s")
    elif ran.code not in honest:
        problems.append(f"exit code {ran.code}, but {state}: {sorted(honest)} would be honest")
    elif ran.code not in way.codes:
        problems.append(f"exit code {ran.code}, expected one of {sorted(way.codes)} ({state})")
    if ran.simulated > SIMULATED_LIMIT:
        problems.append(f"took {ran.simulated:.0f} s by its clock")
    problems += [f"Authorization went elsewhere: {request.target}" for request in index.log if _leaks(request)]
    problems += [f"a cookie was sent: {request.target}" for request in index.log if "cookie" in request.headers]
    sent = Counter(upload.filename for upload in index.uploads)
    problems += [f"{name} was sent {times} times" for name, times in sent.items() if times > MOST_UPLOADS]
    taken: set[str] = set()
    for upload in index.uploads:
        if upload.filename in taken:
            problems.append(f"{upload.filename} was sent again after it had been taken")
        if upload.accepted:
            taken.add(upload.filename)
    return problems


def _leaks(request: Any) -> bool:
    return "authorization" in request.headers and (request.elsewhere or request.method != "POST")


def _problems_of_rerun(  # noqa: PLR0917 - two runs and an index
    way: Misbehavior, ran: Ended, index: PackageIndex, manifest: Manifest, before: set[str], uploads: int
) -> list[str]:
    """What is wrong with the same command on an index that is honest again."""
    problems = [f"rerun: {problem}" for problem in _problems_of_any(ran)]
    if not way.heals:
        if ran.code not in ({4} if before else {0, 4, 5}):  # without a file of this build it is an earlier release
            problems.append(f"rerun: exit code {ran.code}, although other bytes are there: 4 would be honest")
        return problems
    if ran.code != 0:
        problems.append(f"rerun: exit code {ran.code} instead of 0")
    if len(_stored(index, manifest)) < len(manifest.distributions):
        problems.append("rerun: the index does not hold the manifest's files")
    again = [upload.filename for upload in index.uploads[uploads:]]
    problems += [f"rerun: {name} was sent, which was there" for name in again if name in before]
    problems += [f"rerun: {name} was sent twice" for name, times in Counter(again).items() if times > 1]
    return problems


def _problems_of_any(ran: Ended) -> list[str]:
    problems = []
    if "Traceback" in ran.text:
        problems.append("a traceback")
    if TOKEN in ran.text:
        problems.append("the token is shown")
    if ran.peak > MEMORY_LIMIT:
        problems.append(f"{ran.peak >> 10} MB of memory")
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in ran.text):
        problems.append("control characters are shown")
    return problems


def _stored(index: PackageIndex, manifest: Manifest) -> set[str]:
    """Names of the manifest's files that an index holds to the last byte."""
    return {
        file.filename
        for file in manifest.distributions
        if hashlib.sha256(index.files.get(file.package, {}).get(file.filename, b"")).hexdigest() == file.sha256
    }


# --- signals


def signal_and_check(way: Misbehavior, number: signal.Signals, root: Path) -> dict[str, Any]:
    """Send a signal to `relnox publish` in the middle of this, by the real clock and with the real deadlines."""
    manifest = release(root, SIZES[6])
    with PackageIndex(way.rules) as index:
        prepare(root, index)
        environment = {**os.environ, "RELNOX_OWN_TOKEN": TOKEN}
        command = [sys.executable, "-m", "relnox", *WORDS]
        with (root / "said.txt").open("wb") as said:
            running = subprocess.Popen(command, cwd=root, env=environment, stdout=said, stderr=said)
            try:
                index.misbehaving.wait(START_LIMIT * _busy())
                time.sleep(0.4)
                was_over = running.poll() is not None
                running.send_signal(number)
                sent = time.monotonic()
                peak = 0
                while running.poll() is None and time.monotonic() - sent < WALL_LIMIT:
                    peak = max(peak, _peak_of(running.pid))
                    time.sleep(0.01)
                took = time.monotonic() - sent
            finally:
                running.kill()
                running.wait()
        ended = Ended(running.returncode, _said(root), peak, took)
        problems = _problems_of_any(ended)
        if not index.misbehaving.is_set():
            problems.append("it was over before the index misbehaved")
        if took > SIGNAL_LIMIT * _busy():
            problems.append(f"ended {took:.1f} s after {number.name}")
        if ended.code != 128 + number and not (was_over and ended.code in way.codes):
            problems.append(f"exit code {ended.code} instead of {128 + number}")
        index.misbehave()
        stored = _stored(index, manifest)
        before = len(index.uploads)
        second = run(root, slow=False)
        problems += _problems_of_rerun(way, second, index, manifest, stored, before)
    assert not problems, "\n".join([way.name, *problems, ended.text[-3000:], "--- rerun", second.text[-2000:]])
    return {"seconds": took, "peak": peak, "code": ended.code}
