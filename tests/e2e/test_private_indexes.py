"""Releases on private index servers: pypiserver, devpi, and the embedded index."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import packed
import pytest
from accounts import Accounts
from package_index import PackageIndex, serving
from private_indexes import PASSWORD, USER, PrivateIndex, devpi, installed, pypiserver
from releases import made_wheel, project_of, reading
from running import RunResult, run_in_process
from stops import stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from private_indexes import Devpi

    from relnox.core.release.manifest import Manifest

pytestmark = [pytest.mark.heavy, pytest.mark.network]

INDEXES = ["pypiserver", "devpi", "volatile devpi", "embedded"]


@pytest.fixture(scope="session")
def pypiserver_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("pypiserver") / "env", "pypiserver[passlib]>=2.4,<3")


@pytest.fixture(scope="session")
def devpi_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devpi]:
    directory = tmp_path_factory.mktemp("devpi")
    with devpi(installed(directory / "env", "devpi-server>=6.20,<7"), directory / "home") as server:
        yield server


@pytest.fixture(params=INDEXES)
def index(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrivateIndex]:
    """An empty index, and the credentials for it."""
    monkeypatch.setenv("TWINE_REPOSITORY", "own")
    monkeypatch.setenv("TWINE_USERNAME", USER)
    monkeypatch.setenv("TWINE_PASSWORD", PASSWORD)
    with _started(request, tmp_path / "index") as index:
        yield index


@contextmanager
def _started(request: pytest.FixtureRequest, directory: Path) -> Iterator[PrivateIndex]:
    match request.param:
        case "pypiserver":
            with pypiserver(request.getfixturevalue("pypiserver_programs"), directory) as index:
                yield index
        case "embedded":
            with PackageIndex(accounts=Accounts({USER: PASSWORD})) as index:
                yield PrivateIndex(index.upload_url, index.simple_url)
        case name:
            yield request.getfixturevalue("devpi_server").index(volatile=name == "volatile devpi")


class Project(NamedTuple):
    """A project with `core` and `demo`, which needs `core` and `third`; each has two wheels and an sdist."""

    root: Path
    manifest: Manifest

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the built files, by name."""
        return {file.filename: file.sha256 for file in self.manifest.distributions}


def project(
    root: Path, index: PrivateIndex, *, trusted: str = "http://127.0.0.1:9/", content: str = ""
) -> Project:
    settings = (
        f'trusted-index = "{trusted}"\n'
        "[tool.relnox.verify]\nsmoke = { demo = [\"__import__('demo').origin == 'trusted' or 1/0\"] }\n"
        f'[tool.relnox.indexes.own]\nupload = "{index.upload}"\nsimple = "{index.simple}"\nproduction = false\n'
    )
    core = _built(root / "dist", "core", content)
    demo = _built(root / "dist", "demo", f"import core\nfrom third import origin\n{content}", "core", "third>=1")
    return Project(root, project_of(root, *core, *demo, settings=settings, needs={"demo": ["core"]}))


def _built(directory: Path, name: str, content: str, *requires: str) -> list[Path]:
    tags = ("py3-none-any", "py310.py311-none-any")
    wheels = [made_wheel(directory, name, {f"{name}.py": content}, requires=requires, tag=tag) for tag in tags]
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        "Version: 1.0",
        *(f"Requires-Dist: {one}" for one in requires),
    ]
    sources = {"PKG-INFO": "\n".join([*lines, "", ""]), "pyproject.toml": "", f"{name}.py": content}
    return [*wheels, packed.sdist(directory, sources, name=f"{name}-1.0.tar.gz", top=f"{name}-1.0")]


def relnox(root: Path, task: str, *words: str, code: int) -> RunResult:
    """Run a task with the index of the project."""
    return run_in_process(root, task, "--index", "own", "--report", str(root / "run.json"), *words, code=code)


def publish(root: Path, code: int = 0) -> RunResult:
    return relnox(root, "publish", "--yes", code=code)


def listed(index: PrivateIndex) -> dict[str, str | None]:
    """SHA-256 of the files of the release that the index lists, by name; none is yanked."""
    files = [file for name in ("core", "demo") for file in reading(index.simple).fetch_listing(name).values()]
    assert not any(file.yanked for file in files)
    return {file.filename: file.sha256 for file in files}


def upload_statuses(root: Path) -> set[str]:
    """The statuses of the uploads in the last run."""
    steps = json.loads((root / "run.json").read_text(encoding="utf-8"))["steps"]
    return {step["status"] for step in steps if step["key"].startswith("upload ")}


@pytest.mark.parametrize("index", INDEXES, indirect=True)
def test_a_release_is_published_verified_and_skipped_by_a_rerun(
    index: PrivateIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ports are reused: the installers' caches must not have files of another index at the same address.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    third = made_wheel(tmp_path / "elsewhere", "third", {"third.py": "origin = 'trusted'\n"})
    with serving(third) as trusted:
        built = project(tmp_path / "demo", index, trusted=trusted.simple_url)
        publish(built.root)
        assert upload_statuses(built.root) == {"success"}
        assert listed(index) == built.hashes
        publish(built.root)
        assert upload_statuses(built.root) == {"skipped"}

        # An attacker uploads a newer `third` to the index: it must not be installed.
        forged = made_wheel(tmp_path / "forged", "third", {"third.py": "origin = 'forged'\n"}, version="9.0")
        attack = tmp_path / "attack"
        (attack / "dist").mkdir(parents=True)
        project_of(
            attack,
            forged.rename(attack / "dist" / forged.name),
            settings=f'[tool.relnox.indexes.own]\nupload = "{index.upload}"\nsimple = "{index.simple}"\n'
            "production = false\n",
        )
        publish(attack)
        relnox(built.root, "verify-install", code=0)
        asked = {path.split("/")[2] for path in trusted.asked if path.startswith("/simple/")}
        assert asked == {"third"}, "the release's own packages come from the index only"


@pytest.mark.parametrize("kind", ["upload", "body"])
@pytest.mark.parametrize("index", INDEXES, indirect=True)
def test_a_killed_run_is_finished_by_a_rerun(kind: str, index: PrivateIndex, tmp_path: Path) -> None:
    built = project(tmp_path / "demo", index)
    # The third upload is the sdist of the first package, which is uploaded alone, after both wheels.
    code, output = stopped(built.root, ("publish", "--index", "own", "--yes"), 3, kind=kind)
    assert code == -signal.SIGKILL, output
    before = listed(index)
    assert before.keys() == {name for name in built.hashes if name.startswith("core-") and name.endswith(".whl")}
    publish(built.root)
    assert upload_statuses(built.root) == {"skipped", "success"}
    assert listed(index) == built.hashes


@pytest.mark.parametrize("index", INDEXES, indirect=True)
def test_other_bytes_of_the_same_name_are_a_conflict(index: PrivateIndex, tmp_path: Path) -> None:
    built = project(tmp_path / "demo", index)
    publish(built.root)
    other = project(tmp_path / "other", index, content="changed = True\n")
    ran = publish(other.root, code=4)
    for name in built.hashes:
        assert f"own has a different {name}" in ran.err
        assert built.hashes[name] in ran.err
        assert other.hashes[name] in ran.err
    assert listed(index) == built.hashes
