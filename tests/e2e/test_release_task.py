"""`release`: the chain on real repositories, an index and a forge; what it asks, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from fake_forge import GitHubServer, remote_on_forge
from package_index import PackageIndex
from projects import commit_all, everything, git, remote_of, repository, single, write
from running import run_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.network


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as index:
        yield index


@pytest.fixture
def root(tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that is released to a production index of its own."""
    root = single(tmp_path / "demo")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write(
            '[tool.relnox]\ntargets = { "*" = "own" }\n[tool.relnox.indexes.own]\nproduction = true\n'
            f'upload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
            '[tool.relnox.check.severity]\nchangelog = "off"\nreadme = "off"\n'
            'ci-green = "off"\nenvironments = "off"\n'  # which the fake forge does not know
        )
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "secret")
    repository(root)
    git(root, "tag", "v1.2.3")
    git(root, "push", "--quiet", "origin", "v1.2.3")
    return root


def stages(out: str) -> list[str]:
    """The stages of the plan that is printed first."""
    lines = out.partition("what it does\n")[2].splitlines()
    return [line.split()[0] for line in lines[: lines.index("")]]


def test_nothing_is_pushed_or_published_before_it_is_confirmed(root: Path, index: PackageIndex) -> None:
    before = everything(root)
    ran = run_in_process(root, "release", "minor", code=2)
    assert stages(ran.out) == ["check", "bump", "build-all", "verify-dist", "gate", "push", "publish", "verify"]
    assert "Push main, v1.3.0 to origin atomically. Publish demo 1.3.0 to own" in ran.err
    assert "fix: pass --yes" in ran.err
    assert index.uploads == ()
    assert everything(root).remote == before.remote
    run_in_process(root, "bump", "--undo", code=0)
    assert everything(root).refs == before.refs


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(("answer", "code", "tags"), [("n", 2, "v1.2.3"), ("y", 0, "v1.2.3\nv1.3.0")])
def test_the_gate_asks_on_a_terminal(answer: str, code: int, tags: str, root: Path, index: PackageIndex) -> None:
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "relnox", "release", "minor", "--reporter", "plain"]
    ran = subprocess.Popen(words, cwd=root, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    printed, last = "", ""
    while last or ran.poll() is None or not printed:
        try:
            last = os.read(ours, 4096).decode()
        except OSError:  # the terminal is closed
            break
        printed += last
        if last.endswith("[y/N] "):
            os.write(ours, f"{answer}\n".encode())
    os.close(ours)
    assert ran.wait() == code, printed
    assert printed.count("[y/N]") == 1
    assert git(remote_of(root), "tag") == tags
    assert len(index.uploads) == (2 if code == 0 else 0)


def test_a_confirmed_release_is_on_the_index_and_the_forge(
    root: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, {"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n- More\n"})
    commit_all(root, "Log", push=True)
    forge = GitHubServer(remote_of(root))
    with remote_on_forge(forge, root, monkeypatch.setenv):
        for _ in range(2):
            ran = run_in_process(root, "release", "minor", "--yes", code=0)
            assert stages(ran.out)[-1] == "forge-release"
            (release,) = forge.releases
            assert (release.tag, release.draft) == ("v1.3.0", False)
            assert "More" in release.body
            assert git(remote_of(root), "tag", "--points-at", "main") == "v1.3.0"
            assert len(index.uploads) == 2
    # the next release of the same commit has no token, and says so before it does anything
    monkeypatch.undo()
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "secret")
    write(root, {"src/demo/more.py": ""})
    commit_all(root, "fix: more")
    ran = run_in_process(root, "release", "auto", "--dry-run", code=0)
    assert stages(ran.out)[-1] == "verify"
    assert "note: no release on the forge (" in ran.out


def test_a_merged_release_is_tagged_and_published_as_it_is(root: Path, index: PackageIndex) -> None:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    write(root, {"pyproject.toml": text.replace("1.2.3", "1.3.0", 1)})
    commit_all(root, "Release 1.3.0 (#7)")
    ran = run_in_process(root, "release", "--yes", code=2)
    assert "is not on branch main of origin yet" in ran.err
    assert index.uploads == ()
    git(root, "push", "--quiet")
    run_in_process(root, "release", "--yes", code=0)
    assert git(remote_of(root), "tag", "--points-at", "main") == "v1.3.0"
    assert len(index.uploads) == 2


def test_what_can_be_decided_is_decided_before_anything_is_changed(root: Path, index: PackageIndex) -> None:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    write(root, {"pyproject.toml": text.replace('readme = "off"\n', "")})
    commit_all(root, "Check the readme")
    before = everything(root)
    ran = run_in_process(root, "release", "minor", "--yes", code=1)
    assert "pyproject.toml names no readme" in ran.err
    assert everything(root) == before
    assert index.uploads == ()


def test_what_blocks_publishing_is_found_before_the_push(root: Path, index: PackageIndex) -> None:
    run_in_process(root, "release", "minor", "--until", "build-all", code=0)
    (sdist,) = (root / "dist").glob("*.tar.gz")
    index.hold("demo", sdist.name, b"another file")
    ran = run_in_process(root, "release", "minor", "--yes", code=4)
    assert f"own has a different {sdist.name}" in ran.err
    assert git(remote_of(root), "tag") == "v1.2.3"


def test_a_version_that_is_used_up_has_a_procedure(root: Path, index: PackageIndex) -> None:
    index.hold("demo", "demo-1.2.3.tar.gz", b"another file")
    git(root, "tag", "--delete", "v1.2.3")
    git(root, "push", "--quiet", "origin", ":refs/tags/v1.2.3")
    ran = run_in_process(root, "check", "--only", "version-new", code=4)
    for words in (
        "--to 1.2.3.post1 --package demo --commit --tag, then: relnox build-all",
        "--to 1.2.4 --package demo --commit --tag, then: relnox build-all",
        "if what is public is broken, yank demo 1.2.3 on own",
    ):
        assert words in ran.err


def test_without_changes_there_is_nothing_to_release(root: Path, index: PackageIndex) -> None:
    before = everything(root)
    ran = run_in_process(root, "release", "auto", "--yes", code=0)
    assert "nothing to release" in ran.err
    assert everything(root) == before
    assert index.uploads == ()


def test_the_release_below_a_development_version_is_finished(root: Path, index: PackageIndex) -> None:
    with (root / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write("[tool.relnox.bump]\nthen-dev = true\n")
    commit_all(root, "Develop", push=True)
    for _ in range(2):
        run_in_process(root, "release", "minor", "--yes", code=0)
        assert git(remote_of(root), "log", "-2", "--format=%s", "main").splitlines() == [
            "Start development of 1.3.1.dev1",
            "Release 1.3.0",
        ]
        assert sorted(index.hashes) == ["demo-1.3.0-py2.py3-none-any.whl", "demo-1.3.0.tar.gz"]


@pytest.mark.parametrize(
    ("words", "test_index"),
    [
        ((), None),
        (("--index", "pypi"), "testpypi"),
        (("--index", "pypi", "--test-index", "none"), None),
        (("--index", "embedded"), "embedded"),
        (("--test-index", "embedded"), "embedded"),
    ],
)
def test_only_what_becomes_public_is_sent_to_a_public_test_index(
    words: tuple[str, ...], test_index: str | None, root: Path
) -> None:
    ran = run_in_process(root, "release", "minor", *words, "--dry-run")
    found = [line for line in ran.out.splitlines() if line.startswith("publish-test")]
    assert [line.split()[-1] for line in found] == ([test_index] if test_index else [])
