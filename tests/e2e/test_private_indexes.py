"""Releases on the index servers that companies run: pypiserver, devpi, and the embedded index of relnox."""

from __future__ import annotations

import io
import json
import threading
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, NamedTuple

import packed
import pytest
from killing import killed_before
from plain_index import serving
from private_indexes import PASSWORD, USER, PrivateIndex, devpi, installed, pypiserver
from releases import SimulatedClock, made_wheel, project_of
from running import Ran

from relnox import network
from relnox.cli import main
from relnox.commands.publishing import locking
from relnox.indexes import Indexes, client, uploader
from relnox.indexes.embedded import EmbeddedIndex
from relnox.indexes.embedded.accounts import Accounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from private_indexes import Devpi

    from relnox.core.manifest import Manifest

pytestmark = [pytest.mark.heavy, pytest.mark.network]

INDEXES = ["pypiserver", "devpi", "volatile devpi", "embedded"]
REFUSING = [name for name in INDEXES if name != "volatile devpi"]
"""Those that never replace a file."""


@pytest.fixture(scope="session")
def pypiserver_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("pypiserver") / "env", "pypiserver[passlib]>=2.4,<3")


@pytest.fixture(scope="session")
def devpi_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devpi]:
    folder = tmp_path_factory.mktemp("devpi")
    with devpi(installed(folder / "env", "devpi-server>=6.20,<7"), folder / "home") as server:
        yield server


@pytest.fixture(params=INDEXES)
def index(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrivateIndex]:
    """An index with nothing in it, and the credentials for it."""
    monkeypatch.setenv("TWINE_USERNAME", USER)
    monkeypatch.setenv("TWINE_PASSWORD", PASSWORD)
    with _started(request, tmp_path / "index") as index:
        yield index


@contextmanager
def _started(request: pytest.FixtureRequest, folder: Path) -> Iterator[PrivateIndex]:
    match request.param:
        case "pypiserver":
            with pypiserver(request.getfixturevalue("pypiserver_programs"), folder) as index:
                yield index
        case "embedded":
            with EmbeddedIndex(folder, accounts=Accounts({USER: PASSWORD})) as index:
                yield PrivateIndex(index.upload_url, index.simple_url)
        case name:
            yield request.getfixturevalue("devpi_server").index(volatile=name == "volatile devpi")


class Project(NamedTuple):
    """A project that has built `core`, and `demo`, which needs it and `third`; two wheels and an sdist of each."""

    root: Path
    manifest: Manifest

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 by name of all that was built."""
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


def _built(folder: Path, name: str, content: str, *requires: str) -> list[Path]:
    tags = ("py3-none-any", "py310.py311-none-any")
    wheels = [made_wheel(folder, name, {f"{name}.py": content}, requires=requires, tag=tag) for tag in tags]
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        "Version: 1.0",
        *(f"Requires-Dist: {one}" for one in requires),
    ]
    sources = {"PKG-INFO": "\n".join([*lines, "", ""]), "pyproject.toml": "", f"{name}.py": content}
    return [*wheels, packed.sdist(folder, sources, name=f"{name}-1.0.tar.gz", top=f"{name}-1.0")]


def relnox(root: Path, task: str, *words: str) -> Ran:
    """A task on the index of that project."""
    out, err = io.StringIO(), io.StringIO()
    common = ["--project", str(root), "--index", "own", "--reporter", "plain", "--report", str(root / "run.json")]
    with redirect_stdout(out), redirect_stderr(err):
        code = main([task, *common, *words])
    return Ran(code, out.getvalue(), err.getvalue())


def publish(root: Path) -> Ran:
    return relnox(root, "publish", "--yes")


def listed(index: PrivateIndex) -> dict[str, str | None]:
    """SHA-256 by name of all that the index lists of the release, none of it yanked."""
    files = [file for name in ("core", "demo") for file in client.fetch_listing(index.simple, name).values()]
    assert not any(file.yanked for file in files)
    return {file.filename: file.sha256 for file in files}


def uploads(root: Path) -> set[str]:
    """How the uploads of the last run ended."""
    steps = json.loads((root / "run.json").read_text(encoding="utf-8"))["steps"]
    return {step["status"] for step in steps if step["key"].startswith("upload ")}


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.parametrize("index", INDEXES, indirect=True)
def test_a_release_is_published_and_verified_and_then_there_is_nothing_to_do(
    installer: str, index: PrivateIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ports come back: what another index served from the same address must not be taken for this one's.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    third = made_wheel(tmp_path / "elsewhere", "third", {"third.py": "origin = 'trusted'\n"})
    with serving(third) as trusted:
        built = project(tmp_path / "demo", index, trusted=trusted.url)
        ran = publish(built.root)
        assert ran.code == 0, ran.text
        assert uploads(built.root) == {"success"}
        assert listed(index) == built.hashes
        ran = publish(built.root)
        assert ran.code == 0, ran.text
        assert uploads(built.root) == {"skipped"}

        # Somebody who may upload to the index puts a newer `third` there: it is not what is installed.
        forged = made_wheel(tmp_path / "forged", "third", {"third.py": "origin = 'forged'\n"}, version="9.0")
        attack = tmp_path / "attack"
        (attack / "dist").mkdir(parents=True)
        project_of(
            attack,
            forged.rename(attack / "dist" / forged.name),
            settings=f'[tool.relnox.indexes.own]\nupload = "{index.upload}"\nsimple = "{index.simple}"\n'
            "production = false\n",
        )
        assert publish(attack).code == 0
        ran = relnox(built.root, "verify-install", "--installer", installer)
        assert ran.code == 0, ran.text
        asked = {path.split("/")[2] for path in trusted.asked if path.startswith("/simple/")}
        assert asked == {"third"}, "our own names belong to the index alone"


@pytest.mark.parametrize("kind", ["upload", "body"])
@pytest.mark.parametrize("index", INDEXES, indirect=True)
def test_a_run_that_was_killed_is_finished_by_the_same_command(
    kind: str, index: PrivateIndex, tmp_path: Path
) -> None:
    built = project(tmp_path / "demo", index)
    # The third upload is that of the first package's sdist: it goes alone, after both wheels.
    killed_before(built.root, kind, 3, "publish", "--index", "own", "--yes")
    before = listed(index)
    assert before.keys() == {name for name in built.hashes if name.startswith("core-") and name.endswith(".whl")}
    ran = publish(built.root)
    assert ran.code == 0, ran.text
    assert uploads(built.root) == {"skipped", "success"}
    assert listed(index) == built.hashes


@pytest.mark.parametrize("index", INDEXES, indirect=True)
def test_other_bytes_of_the_same_name_are_a_persons_affair(index: PrivateIndex, tmp_path: Path) -> None:
    built = project(tmp_path / "demo", index)
    assert publish(built.root).code == 0
    other = project(tmp_path / "other", index, content="changed = True\n")
    ran = publish(other.root)
    assert ran.code == 4, ran.text
    for name in built.hashes:
        assert f"own holds another {name}" in ran.err
        assert built.hashes[name] in ran.err
        assert other.hashes[name] in ran.err
    assert listed(index) == built.hashes


@pytest.mark.parametrize("index", REFUSING, indirect=True)
def test_whoever_is_first_has_the_name_and_nothing_is_added_to_his_release(
    index: PrivateIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = project(tmp_path / "theirs", index, content="theirs = True\n")
    first = theirs.manifest.distributions[0]
    built = project(tmp_path / "demo", index)
    send = uploader.send
    sent: list[str] = []

    def late(path: Path, *how: Any, **more: Any) -> str:
        """After the index was looked at, and before the first byte of ours, comes somebody else's file."""
        if not sent:
            send(theirs.root / "dist" / first.filename, first, *how[1:])
        sent.append(path.name)
        return send(path, *how, **more)

    monkeypatch.setattr(uploader, "send", late)
    ran = publish(built.root)
    assert ran.code == 4, ran.text
    assert f"own holds another {first.filename}" in ran.err
    assert first.sha256 in ran.err
    assert built.hashes[first.filename] in ran.err
    assert sent == [first.filename]
    assert listed(index) == {first.filename: first.sha256}


@pytest.mark.parametrize("index", ["volatile devpi"], indirect=True)
def test_what_comes_while_a_run_waits_is_not_replaced(
    index: PrivateIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # While somebody is asked whether to publish, say. This index would let the file be replaced.
    theirs = project(tmp_path / "theirs", index, content="theirs = True\n")
    built = project(tmp_path / "demo", index)
    clock = SimulatedClock()
    monkeypatch.setattr(network, "CLOCK", clock)
    monkeypatch.setattr(locking, "_folder", lambda: None)  # as on another machine, where no lock is seen
    look = Indexes.fetch_listings

    def look_and_wait(indexes: Indexes, name: str, projects: Iterable[str]) -> None:
        look(indexes, name, projects)
        monkeypatch.setattr(Indexes, "look", look)
        assert publish(theirs.root).code == 0
        clock.pause(120, threading.Event())

    monkeypatch.setattr(Indexes, "look", look_and_wait)
    ran = publish(built.root)
    assert ran.code == 4, ran.text
    assert listed(index) == theirs.hashes


@pytest.mark.parametrize("index", INDEXES, indirect=True)
def test_a_wrong_password_is_told_and_nothing_is_sent(
    index: PrivateIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = project(tmp_path / "demo", index)
    monkeypatch.setenv("TWINE_PASSWORD", "guessed-0815")
    ran = publish(built.root)
    assert ran.code == 1, ran.text
    assert "own rejected the credentials for core-1.0" in ran.err
    assert "is the token or password right" in ran.err
    assert "<html" not in ran.err.lower()
    assert "guessed-0815" not in ran.text
    assert listed(index) == {}
