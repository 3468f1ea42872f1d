"""A token from each source of credentials never appears in output, files, or arguments and environment of git.

What code of the project sees is in `test_untrusted_code`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from acts import repeats_the_login
from package_index import Rule
from projects import commit_all, git, repository, single, write
from running import RunResult
from trusting import REQUEST_TOKEN, trusting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trusting import Trusting

pytestmark = pytest.mark.heavy

CANARY = "pypi-canary0815canary0815canary"
CODED = base64.b64encode(f"__token__:{CANARY}".encode()).decode().rstrip("=")[:-1]
KEYRING = """
import keyring.backend
from pathlib import Path


class Ring(keyring.backend.KeyringBackend):
    priority = 9

    def get_password(self, service, username):
        return Path(__file__).with_name("kept").read_text() if service.endswith("/legacy/") else None

    def set_password(self, service, username, password):
        raise NotImplementedError
"""
CRASH = """
import os

if os.environ.get("CRASHING"):
    import requests.adapters

    def send(self, request, *rest, **more):
        if "legacy" in request.url:
            raise ValueError("bad header " + str(request.headers["Authorization"]))
        return usual(self, request, *rest, **more)

    usual = requests.adapters.HTTPAdapter.send
    requests.adapters.HTTPAdapter.send = send
"""
GIT = """\
#!{python} -I
import os, sys
with open({log!r}, "a") as out:
    out.write(repr((sys.argv, dict(os.environ))) + "\\n")
os.execv({git!r}, ["git", *sys.argv[1:]])
"""


class Place(NamedTuple):
    """A built project, and the directories that a run can write to."""

    root: Path
    home: Path
    scratch: Path
    kept: Path
    children: Path

    def written(self) -> Iterator[Path]:
        for directory in (self.root, self.home, self.scratch):
            yield from (path for path in directory.rglob("*") if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(
        tmp_path / "demo", tmp_path / "home", tmp_path / "scratch", tmp_path / "kept", tmp_path / "children"
    )
    for directory in place[:4]:
        directory.mkdir()
    repository(single(place.root))
    programs = tmp_path / "programs"
    programs.mkdir()
    git_path = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout.strip()
    (programs / "git").write_text(GIT.format(python=sys.executable, log=str(place.children), git=git_path))
    (programs / "git").chmod(0o755)
    write(place.kept, {"ring.py": KEYRING, "sitecustomize.py": CRASH, "kept": CANARY})
    return place


@pytest.fixture
def index() -> Iterator[Trusting]:
    with trusting(CANARY) as index:
        index.token = CANARY
        yield index


def variables_of(route: str, place: Place, index: Trusting) -> dict[str, str]:
    """The variables that give a run the canary through a source of credentials."""
    match route:
        case "pypirc":
            text = f"[distutils]\nindex-servers = house\n[house]\nrepository = {index.upload_url}\n"
            (place.kept / "pypirc").write_text(f"{text}password = {CANARY}\n")
            return {"TWINE_CONFIG_FILE": str(place.kept / "pypirc")}
        case "keyring":
            return {"PYTHON_KEYRING_BACKEND": "ring.Ring"}
        case "identity":
            return {
                "GITHUB_ACTIONS": "true",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"{index.origin}/identity?v=2",
            }
        case "TWINE_PASSWORD":
            return {route: CANARY, "TWINE_REPOSITORY_URL": index.upload_url}
        case _:
            return {route: CANARY}


def run(place: Place, variables: dict[str, str], *words: str) -> RunResult:
    environment = {
        **os.environ,
        "HOME": str(place.home),
        "TMPDIR": str(place.scratch),
        "PATH": f"{place.kept.parent / 'programs'}:{os.environ['PATH']}",
        "PYTHONPATH": str(place.kept),
        "GITHUB_STEP_SUMMARY": str(place.home / "summary.md"),
        "RELNOX_ATTESTATIONS": "off",  # the signing service is not available in tests
        **variables,
    }
    argv = [sys.executable, "-m", "relnox", *words]
    done = subprocess.run(argv, cwd=place.root, env=environment, capture_output=True, text=True, check=False)
    return RunResult(done.returncode, done.stdout, done.stderr)


def check_no_leak(ran: RunResult, place: Place, *, secrets: tuple[str, ...] = (CANARY, CODED)) -> None:
    """Check that secrets appear nowhere but in `::add-mask::` commands for GitHub's runner."""
    lines = ran.text.splitlines()
    masks = [number for number, line in enumerate(lines) if line.startswith("::add-mask::")]
    rest = "\n".join(line for number, line in enumerate(lines) if number not in masks)
    for secret in secrets:
        assert secret not in rest
        for path in place.written():
            assert secret.encode() not in path.read_bytes(), path
        assert secret not in (place.children.read_text() if place.children.exists() else "")


ROUTES = ("RELNOX_HOUSE_TOKEN", "TWINE_PASSWORD", "pypirc", "keyring", "identity")
RUNS = [
    *((route, "published", "plain") for route in ROUTES),
    *(("RELNOX_HOUSE_TOKEN", ending, "terminal") for ending in ("refused", "crashed", "dry")),
    *(("identity", ending, "github") for ending in ("published", "refused", "crashed", "dry")),
]


@pytest.mark.network
def test_a_release_with_all_credential_variables_leaks_none(place: Place, index: Trusting) -> None:
    # git logs its own argv and environment, since it is too quick for the watcher.
    write(place.root, {"more.txt": "x"})
    with (place.root / "pyproject.toml").open("a") as settings:
        settings.write(index.settings())
    commit_all(place.root)
    variables = dict.fromkeys(("PYPI_TOKEN", "TEST_PYPI_TOKEN", "TWINE_PASSWORD", "RELNOX_HOUSE_TOKEN"), CANARY)
    variables |= variables_of("identity", place, index) | {"PYPI_ID_TOKEN": CANARY, "UV_PUBLISH_TOKEN": CANARY}
    for words in (
        ["build-all", "--verbose", "--report", "report.json", "--plan", "plan.json"],
        ["publish-test", "--index", "house", "--verbose", "--report", "report.json", "--plan", "plan.json"],
    ):
        ran = run(place, variables, *words)
        assert ran.code == 0, ran.text
        check_no_leak(ran, place, secrets=(CANARY, CODED, REQUEST_TOKEN))
    assert {password for _, password in index.logins} == {CANARY}
    assert len(index.hashes) == 2
    assert "rev-parse" in place.children.read_text()


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `build-all` for the project."""
    root = repository(single(tmp_path_factory.mktemp("built") / "demo"))
    ran = subprocess.run([sys.executable, "-m", "relnox", "build-all"], cwd=root, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return root / "dist"


@pytest.mark.network
@pytest.mark.parametrize(("route", "ending", "reporter"), RUNS)
def test_a_credential_of_each_source_is_not_leaked(
    *, route: str, ending: str, reporter: str, place: Place, archives: Path, index: Trusting
) -> None:
    with (place.root / "pyproject.toml").open("a") as settings:
        settings.write(index.settings())
    shutil.copytree(archives, place.root / "dist")
    manifest = place.root / "dist" / "manifest.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(document | {"commit": git(place.root, "rev-parse", "HEAD")}))
    variables = variables_of(route, place, index)
    words = ["publish-test", "--no-verify", "--index", "house", "--reporter", reporter, "--verbose"]
    if ending == "refused":
        index.misbehave(Rule(repeats_the_login))
    if ending == "crashed":
        variables["CRASHING"] = "1"
    words += ["--plan", "plan.json", "--report", "report.json", *(["--dry-run"] if ending == "dry" else [])]
    ran = run(place, variables, *words)
    check_no_leak(ran, place)
    if ending == "published":
        assert ran.code == 0, ran.text
        assert len(index.hashes) == 2
    elif ending == "refused":
        assert ran.code == 1, ran.text
        assert "rejected the credentials" in ran.text
        assert "****" in ran.text  # what the index repeats
        assert "****" in (place.root / "report.json").read_text()
    elif ending == "crashed":
        assert "ValueError: bad header" in ran.text
        assert "****" in ran.text
    else:
        assert ran.code == 0, ran.text
        assert (index.logins, index.hashes, index.minted) == ([], {}, [])
    if ending != "dry":
        expected = [CANARY] if ending != "crashed" else []
        assert {password for _, password in index.logins} == set(expected)
    if reporter == "github" and ending != "dry":
        assert f"::add-mask::{CANARY}" in ran.text.splitlines()
