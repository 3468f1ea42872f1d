"""Output of known failures, compared with the files in `golden/`.

Failures of an index, of an upload and of builds. A golden file has the output on standard error, by the plain
reporter, and the exit code; times, ports, hashes, directories, durations and output of other tools are replaced by
names.
After a message was changed, write them again, and review and commit them:

    WRITE_GOLDEN=1 pytest tests/faults/test_messages.py
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import acts
import packed
import pytest
import running
from accounts import Accounts
from package_index import FILE, PackageIndex, Rule, serving
from projects import write
from releases import Package, SimulatedClock, made_wheel, project_of, publish, publish_to, release
from states import STATES, World
from trusting import GITLAB_VARIABLE, REQUEST_TOKEN, identity, trusting

from relnox.indexes import uploads
from relnox.steps import publication
from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from running import RunResult
    from trusting import Trusting

pytestmark = pytest.mark.heavy

GOLDEN = Path(__file__).parent / "golden"
DAY = 24 * 3600
ONE = Package("demo", sdist=False)
TOKEN = "pypi-canary-0815"  # too long to be part of a message


@dataclass(frozen=True)
class Here:
    """Where a failure happens.

    Attributes:
        root: The project.
        clock: By which pauses take no time.
        patch: Changes the environment for as long as it lasts.
    """

    root: Path
    clock: SimulatedClock
    patch: pytest.MonkeyPatch

    @property
    def beside(self) -> Path:
        """A directory beside the project."""
        return self.root.parent / "beside"

    def index(self, *rules: Rule, accounts: Accounts | None = None) -> PackageIndex:
        """An index that lives by the same clock."""
        return PackageIndex(rules, clock=self.clock.time, accounts=accounts)

    def on_github(self, index_url: str) -> None:
        """Be a job of GitHub Actions that may have an identity."""
        self.patch.delenv("RELNOX_OWN_TOKEN")
        self.patch.setenv("GITHUB_ACTIONS", "true")
        self.patch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
        self.patch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{index_url}/identity?api-version=2")


CASES: dict[str, Callable[[Here], RunResult]] = {}
"""How each failure comes about, by the name of its golden file."""


def failure(run: Callable[[Here], RunResult]) -> Callable[[Here], RunResult]:
    """Declare a failure; its golden file is named for the function."""
    CASES[run.__name__.replace("_", "-")] = run
    return run


def sent(here: Here, *rules: Rule, packages: tuple[Package, ...] = (ONE,), production: bool = False) -> RunResult:
    """Publish a release to an index with these faults."""
    release(here.root, packages)
    with here.index(*rules) as index:
        return publish_to(here.root, index.upload_url, index.simple_url, "--yes", production=production)


def sending(rule: Rule) -> Callable[[Here], RunResult]:
    """Return a failure by the rule of an index alone."""
    return lambda here: sent(here, rule)


UPLOADS = {
    "index-down-for-twenty-minutes": Rule(acts.E500),
    "index-limits-the-rate-for-a-day": Rule(acts.unavailable(DAY)),
    "too-many-new-projects": Rule(acts.rate_limited(DAY)),
    "index-is-read-only": Rule(acts.READ_ONLY),
    "upload-is-redirected": Rule(acts.redirects(308, "http://elsewhere.example.invalid/legacy/")),
    "index-keeps-half-of-a-file": Rule(acts.stores(lambda content: content[:100])),
    "accepted-and-never-listed": Rule(acts.NOT_STORED),
    "listed-and-not-downloadable": Rule(acts.answers(404, "Not Found"), on=FILE),
    "reserved-file-name": Rule(acts.RESERVED),
    "release-is-too-old-as-the-index-says": Rule(acts.OLD_RELEASE),
    "file-is-too-large": Rule(acts.TOO_LARGE),
    "pending-publisher-of-another-name": Rule(acts.NO_PENDING_PUBLISHER),
}
"""What the index does with uploads or files, by the name of the golden file."""
CASES |= {name: sending(rule) for name, rule in UPLOADS.items()}

OF_STATES = {
    "connection-refused": "server-unreachable: nothing-at-the-port",
    "version-is-there-with-other-content": "index-file-differs: other-file-on-the-index",
    "no-credentials": "credentials-missing: no-token",
    "publish-test-to-the-production-index": "production-index: test-on-production",
    "confirmation-needed": "confirmation-needed: no-terminal",
    "project-is-in-quarantine": "project-quarantined: quarantined",
    "sibling-on-no-index-before-sending": "requirement-unavailable: sibling-on-no-index",
    "nothing-was-built": "manifest-missing: nothing-built",
    "file-was-yanked": "file-yanked: yanked",
    "build-lacks-a-dependency": "build-failed: build-without-module",
    "import-fails": "install-broken: import-fails",
}
"""The states of `states` whose messages are compared, by the name of the golden file."""


def in_state(name: str) -> Callable[[Here], RunResult]:
    """Return a failure by the state of a problem."""

    def run(here: Here) -> RunResult:
        with closing(World(here.root.parent / "beside")) as world:
            task, *words = shlex.split(STATES[name].make(world))
            return running.run_in_process(world.cwd, task, *words)

    return run


CASES |= {name: in_state(state) for name, state in OF_STATES.items()}


@failure
def index_stalls(here: Here) -> RunResult:
    here.patch.setattr(uploads, "RESPONSE_TIMEOUT", 0.05)
    return sent(here, Rule(acts.stalls()))


def half_a_release(here: Here, index: PackageIndex) -> RunResult:
    """Publish, where the index takes one of two packages."""
    release(here.root, [Package("core", sdist=False), Package("demo", ("core",), sdist=False)])
    index.misbehave(Rule(acts.TOO_LARGE, project="demo"))
    return publish(here.root, index)


@failure
def half_a_release_is_public(here: Here) -> RunResult:
    with here.index() as index:
        return half_a_release(here, index)


@failure
def release_is_too_old_before_sending(here: Here) -> RunResult:
    release(here.root, [Package("demo", sdist=False)])
    with here.index() as index:
        assert publish(here.root, index).code == 0
        here.clock.pause(15 * DAY, threading.Event())
        release(here.root, [Package("demo", wheels=2, sdist=False)])
        return publish_to(here.root, index.upload_url, index.simple_url, "--yes", production=True)


def found_before_sending(here: Here, *paths: Path) -> RunResult:
    """Publish archives to a production index."""
    with here.index() as index:
        settings = (
            f'[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
            "public-rules = true\n"
        )
        project_of(here.root, *paths, settings=settings)
        ran = running.run_in_process(here.root, "publish", "--index", "own", "--yes")
        assert index.uploads == ()
        return ran


@failure
def second_sdist(here: Here) -> RunResult:
    said = acts.answers(400, "Only one sdist may be uploaded per release.")
    return sent(here, Rule(said, filename="*.tar.gz"), packages=(Package("demo", wheels=0),))


@failure
def zipped_sdist(here: Here) -> RunResult:
    path = here.root / "dist" / "demo-1.0.zip"
    made_wheel(here.root / "dist", "demo").rename(path)
    return found_before_sending(here, path)


@failure
def unusual_spelling_of_an_sdist(here: Here) -> RunResult:
    dist = here.root / "dist"
    dist.mkdir()
    path = packed.sdist(dist, name="Demo_App-1.0.tar.gz", top="Demo_App-1.0")
    return found_before_sending(here, path)


@failure
def seventh_of_nine_files_would_be_rejected(here: Here) -> RunResult:
    tags = ["py3-none-any", "cp310-none-any", "cp311-none-any"]
    dist = here.root / "dist"
    paths = [made_wheel(dist, name, tag=tag) for name in ("core", "demo", "extra") for tag in tags]
    made_wheel(dist, "extra", fields=["Classifier: Python :: 3"])
    return found_before_sending(here, *paths)


@failure
def credentials_rejected_by_an_index_that_repeats_them(here: Here) -> RunResult:
    release(here.root, [ONE])
    with PackageIndex([Rule(acts.repeats_the_login)]) as index:
        return publish_to(here.root, index.upload_url, index.simple_url)


def pypirc(here: Here, text: str) -> None:
    """Write the user's `.pypirc`."""
    write(here.root.parent, {"home/.pypirc": text})


def minted(here: Here, index: Trusting, *packages: Package) -> RunResult:
    """Publish as a job that has an identity, without attestations."""
    release(here.root, packages or [ONE])
    return publish_to(here.root, index.upload_url, index.simple_url, "--attestations", "off")


@contextmanager
def index_that_mints(here: Here) -> Iterator[Trusting]:
    """An index with Trusted Publishing, asked from a job of GitHub Actions."""
    with trusting() as index:
        here.on_github(index.origin)
        yield index


def on_gitlab(here: Here) -> None:
    """Be a job of GitLab CI, which has one identity."""
    here.patch.delenv("RELNOX_OWN_TOKEN")
    here.patch.setenv("GITLAB_CI", "true")
    here.patch.setenv(GITLAB_VARIABLE, identity("only", project_path="acme/demo"))


@failure
def token_expires_and_cannot_be_renewed(here: Here) -> RunResult:
    on_gitlab(here)
    with trusting() as index:
        index.lifetime = 1
        return minted(here, index)


@failure
def upload_job_in_a_reusable_workflow(here: Here) -> RunResult:
    with index_that_mints(here) as index:
        index.claims = {"job_workflow_ref": "acme/shared/.github/workflows/upload.yml@refs/heads/main"}
        return minted(here, index)


@failure
def requirement_not_available(here: Here) -> RunResult:
    with serving(made_wheel(here.beside, "third")) as trusted:
        project_of(
            here.root,
            made_wheel(here.root / "dist", "demo", requires=["third>=2"]),
            settings=f'trusted-index = "{trusted.simple_url}"\n',
        )
        here.patch.setenv("UV_CACHE_DIR", str(here.beside / "uv"))
        return running.run_in_process(here.root, "verify-install", "--from", "dist")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """An empty project, with a token, and a clock by which pauses are always the longest."""
    clock = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", clock)
    monkeypatch.setattr("random.uniform", max)
    monkeypatch.setattr(retries, "_MAX_BACKOFF", 300.0)
    monkeypatch.setattr(publication, "_MAX_POLL_INTERVAL", 300.0)
    monkeypatch.setenv("RELNOX_OWN_TOKEN", TOKEN)
    monkeypatch.setenv("TWINE_CONFIG_FILE", str(tmp_path / "home" / ".pypirc"))
    root = tmp_path / "project"
    root.mkdir()
    return Here(root, clock, monkeypatch)


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_is_the_golden_file(name: str, here: Here) -> None:
    ran = CASES[name](here)
    output = f"{as_read(ran.err, here.root)}exit code {ran.code}\n"
    assert TOKEN not in output
    assert "Traceback" not in output
    problems, fixes = (
        re.findall(start, output, re.MULTILINE) for start in ("^(error|warning|FAILED)", "^ *fix: ")
    )
    assert len(problems) == len(fixes)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_bytes(output.encode())
    assert output == path.read_bytes().decode()


def test_every_golden_file_belongs_to_a_failure() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(f"{name}.txt" for name in CASES)


def as_read(text: str, root: Path) -> str:
    """What a run printed, with names for all that is another thing in another run."""
    for path in sorted((root / "dist").glob("*.*")):
        content = path.read_bytes()
        text = text.replace(hashlib.sha256(content).hexdigest(), f"<sha256 of {path.name}>")
        text = text.replace(hashlib.blake2b(content, digest_size=32).hexdigest(), f"<blake2b-256 of {path.name}>")
    for pattern, name in (
        (r"^::add-mask::.*\n", ""),  # the runner of GitHub Actions takes them, and shows none
        (re.escape(str(root.parent)), "<directory>"),
        (r"\b[0-9a-f]{64}\b", "<another sha256>"),
        (r"\b[0-9a-f]{16}…", "<sha256>"),
        (r"\b[0-9a-f]{10}\b", "<commit>"),
        (r"\((timed out|too slow)\)", "(timed out)"),  # the one or the other ends it, at the same moment
        (r"127\.0\.0\.1:(?!9\b)\d+", "127.0.0.1:<port>"),
        (r"\d\d:\d\d:\d\d UTC", "<time> UTC"),
        (r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", "<date>"),
        (r"Python \d\.\d+(\.\d+\w*)?", "Python <version>"),
        (r" \(\d+\.\d s\)$", ""),
        (r"(^ +\| .*\n)+(?=^ +fix)", "          | <what uv prints>\n"),
    ):
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text
