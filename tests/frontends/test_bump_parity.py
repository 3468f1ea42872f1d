"""Bumps, lock files and undo: every front end has the same plan, byte for byte."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, copy_of, git, lockstep_workspace, python, remote_of, repository, write

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

pytestmark = pytest.mark.heavy

FRONT_ENDS = ("nox", "invoke", "relnox")
LOCK = "packages/dashboard/poetry.lock"
POETRY = """\
#!{python}
import pathlib
pathlib.Path("poetry.lock").write_text("made for\\n" + pathlib.Path("pyproject.toml").read_text())
"""
RELEASE = ("--part", "auto", "--commit", "--tag", "--lock")


def run_bump(front_end: str, root: Path, *words: str) -> CompletedProcess[str]:
    """Run a bump with a front end."""
    behind = ("-s", "bump", "--") if front_end == "nox" else ("bump",)
    done = python(root, "-m", front_end, *behind, *words)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lockstep workspace, tagged, with a change that asks for a minor release and a lock of poetry."""
    root = lockstep_workspace(tmp_path_factory.mktemp("template") / "acme")
    repository(write(root, {LOCK: "made for\n2.0.0\n"}))
    git(root, "tag", "v2.0.0")
    write(root, {"packages/core/src/acme_core/more.py": ""})
    commit_all(root, "feat: more")
    return root


@pytest.fixture(autouse=True)
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poetry, and a clock for git that stands still: the same commit has the same name."""
    poetry = write(tmp_path / "programs", {"poetry": POETRY.format(python=sys.executable)}) / "poetry"
    poetry.chmod(0o755)
    monkeypatch.setenv("PATH", str(poetry.parent), prepend=":")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-11-01T12:00:00Z")


def planned(root: Path, plan: Path, *words: str) -> bytes:
    """The plan of a dry run, the same from every front end."""
    found = {}
    for front_end in FRONT_ENDS:
        done = run_bump(front_end, root, *words, "--dry-run", "--plan", str(plan))
        assert done.returncode == 0, (front_end, done.stdout, done.stderr)
        found[front_end] = plan.read_bytes()
        plan.unlink()
    assert found == dict.fromkeys(FRONT_ENDS, found["relnox"])
    return found["relnox"]


@pytest.mark.parametrize(
    ("words", "version"),
    [
        (("--part", "auto"), "2.1.0"),
        (("--part", "auto", "--pre", "rc", "--commit"), "2.1.0rc0"),
        (("--part", "auto", "--lock", "--no-commit"), "2.1.0"),
        (("--lock", "--part", "major"), "3.0.0"),
        (("--no-lock", "--part", "auto", "--allow-dirty"), "2.1.0"),
        (RELEASE, "2.1.0"),
        ((*RELEASE, "--push"), "2.1.0"),
    ],
)
def test_every_front_end_plans_the_same_bump(
    template: Path, tmp_path: Path, words: tuple[str, ...], version: str
) -> None:
    before = git(template, "for-each-ref")
    plan = json.loads(planned(template, tmp_path / "plan.json", *words))
    assert {row[2] for row in plan["tables"][0]["rows"]} == {version}
    edited = {edit["file"] for edit in plan["steps"][0]["edits"]}
    assert (LOCK in edited) == ("--lock" in words)
    assert (f"{LOCK}: out of date after this bump" in str(plan["notes"])) == ("--lock" not in words)
    assert (git(template, "status", "--porcelain"), git(template, "for-each-ref")) == ("", before)


def test_every_front_end_makes_the_same_commit_and_takes_it_back(template: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    made, back = {}, {}
    for front_end in FRONT_ENDS:
        root = copy_of(template, tmp_path / front_end)
        before = git(root, "for-each-ref")
        done = run_bump(front_end, root, *RELEASE, "--plan", str(plan))
        assert done.returncode == 0, (front_end, done.stdout, done.stderr)
        made[front_end] = (plan.read_bytes(), git(root, "for-each-ref", "refs/heads", "refs/tags"))
        assert git(root, "show", f"v2.1.0:{LOCK}").startswith("made for\n[project]")
        done = run_bump(front_end, root, "--undo", "--plan", str(plan))
        assert done.returncode == 0, (front_end, done.stdout, done.stderr)
        back[front_end] = plan.read_bytes()
        assert (git(root, "for-each-ref"), git(root, "status", "--porcelain")) == (before, "")
    assert made == dict.fromkeys(FRONT_ENDS, made["relnox"])
    assert back == dict.fromkeys(FRONT_ENDS, back["relnox"])
    assert made["relnox"][0] != back["relnox"]


def test_every_front_end_plans_the_same_undo(template: Path, tmp_path: Path) -> None:
    root = copy_of(template, tmp_path / "acme")
    assert run_bump("invoke", root, *RELEASE).returncode == 0
    plan = json.loads(planned(root, tmp_path / "plan.json", "--undo"))
    assert plan["notes"] == ["reverting: relnox bump --part auto --commit --tag --lock"]
    assert git(root, "tag").split() == ["v2.0.0", "v2.1.0"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--part", "auto", "--to", "3.0"), "--part auto takes neither --to nor --always-increment"),
        (("--undo",), "no bump on this machine to undo"),
        (("--undo", "--part", "auto"), "--undo takes no other options of bump"),
        (("--undo", "--abort"), "no interrupted bump to abort"),
        (("--part", "automatic"), "automatic"),
    ],
)
def test_every_front_end_refuses_the_same_bump(
    template: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    plan = tmp_path / "plan.json"
    for front_end in FRONT_ENDS:
        done = run_bump(front_end, template, *words, "--plan", str(plan))
        assert (front_end, done.returncode) == (front_end, 1)
        assert said in done.stderr, (front_end, done.stderr)
    assert not plan.exists()


def test_no_front_end_undoes_a_pushed_bump(template: Path, tmp_path: Path) -> None:
    root = copy_of(template, tmp_path / "acme")
    assert run_bump("nox", root, *RELEASE, "--push").returncode == 0
    pushed = git(remote_of(root), "for-each-ref")
    for front_end in FRONT_ENDS:
        done = run_bump(front_end, root, "--undo")
        assert (front_end, done.returncode) == (front_end, 1)
        assert "origin" in done.stderr
        assert "is already pushed to" in done.stderr
    assert git(root, "rev-parse", "v2.1.0^{}") == git(root, "rev-parse", "HEAD")
    assert git(remote_of(root), "for-each-ref") == pushed
