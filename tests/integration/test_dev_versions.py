"""Development versions with numbers of their own, in real repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version
from projects import HATCHLING, commit_all, git, repository, single, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump, RunResult

WORKSPACE = (
    '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\ntag-format = "{name}-v{version}"\n'
)


def version(root: Path, directory: str = ".") -> str:
    text = (root / directory / "pyproject.toml").read_text()
    return text.partition('version = "')[2].partition('"')[0]


def fresh(root: Path) -> None:
    """Discard what a bump did here, as the next job with a new checkout does."""
    git(root, "reset", "--quiet", "--hard", "origin/main")


def push_change(root: Path, name: str) -> None:
    write(root, {name: "# changed\n"})
    commit_all(root, f"fix: {name}")
    git(root, "push", "--quiet")


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """1.2.3 is released and pushed."""
    root = repository(single(tmp_path / "demo"))
    git(root, "tag", "v1.2.3")
    git(root, "push", "--quiet", "--tags", "origin")
    return root


def numbered(number: object) -> tuple[str, ...]:
    return ("--part", "dev", "--number", str(number))


def test_the_number_is_that_of_the_option(demo: Path, bump: Bump) -> None:
    versions = []
    for number in (0, 4101, 20261125052500123):
        bump(demo, *numbered(number), code=0)
        versions.append(version(demo))
        fresh(demo)
    assert versions == ["1.2.4.dev0", "1.2.4.dev4101", "1.2.4.dev20261125052500123"]
    assert all(Version("1.2.3") < Version(text) < Version("1.2.4a0") for text in versions)


def test_another_number_in_the_same_checkout_is_not_the_last_bump_again(demo: Path, bump: Bump) -> None:
    assert bump(demo, *numbered(7), "--commit").code == 0
    assert version(demo) == "1.2.4.dev7"
    again = bump(demo, *numbered(7), "--commit", code=0)
    assert "already released" in again.text
    bump(demo, *numbered(8), "--commit", code=0)
    assert version(demo) == "1.2.4.dev8"
    said = run_blocked_bump(bump, demo, *numbered(6), "--commit")
    assert "--number 6 is not higher than that of the current version 1.2.4.dev8" in said


@pytest.mark.parametrize("number", ["x", "-1", "٤", "9" * 30, ""])
def test_a_number_that_is_none_is_a_problem(demo: Path, bump: Bump, number: str) -> None:
    ran = bump(demo, "--part", "dev", f"--number={number}", code=1)
    assert "fix: " in ran.err


@pytest.mark.parametrize("options", [("--part", "patch"), ("--part", "auto"), ("--pre", "rc"), ("--to", "2.0")])
def test_only_development_versions_have_a_number(demo: Path, bump: Bump, options: tuple[str, ...]) -> None:
    said = run_blocked_bump(bump, demo, *options, "--number", "0")
    assert "--number 0 needs --part dev [option-missing]" in said


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """base <- user, which pins it; base 1.0.0 and user 2.0a1 are released."""
    files = {
        "pyproject.toml": WORKSPACE,
        "packages/base/pyproject.toml": f'[project]\nname = "base"\nversion = "1.0.0"\n\n{HATCHLING}',
        "packages/user/pyproject.toml": (
            f'[project]\nname = "user"\nversion = "2.0a1"\ndependencies = ["base==1.0.0"]\n\n{HATCHLING}'
        ),
    }
    root = repository(write(tmp_path / "demo", files))
    git(root, "tag", "base-v1.0.0")
    git(root, "push", "--quiet", "--tags", "origin")
    push_change(root, "packages/base/one.txt")
    git(root, "tag", "user-v2.0a1")
    git(root, "push", "--quiet", "--tags", "origin")
    push_change(root, "packages/base/two.txt")
    return root


def test_dependents_have_the_same_number(workspace: Path, bump: Bump) -> None:
    pins = []
    for number in (8, 9):
        assert bump(workspace, *numbered(number), "--package", "base").code == 0
        pins.append((version(workspace, "packages/base"), version(workspace, "packages/user")))
        assert f'"base=={pins[-1][0]}"' in (workspace / "packages/user/pyproject.toml").read_text()
        fresh(workspace)
    assert pins == [("1.0.1.dev8", "2.0a2.dev8"), ("1.0.1.dev9", "2.0a2.dev9")]


def released(demo: Path, *options: str) -> RunResult:
    """Bump, build and publish to the embedded index; return how the publication ended."""
    for task in (("bump", *options, "--commit"), ("build-all", "--clean")):
        run_in_process(demo, *task, code=0)
    return run_in_process(demo, "publish-test", "--index", "embedded", "--no-verify")


@pytest.mark.heavy
@pytest.mark.network
def test_a_run_commits_builds_and_publishes_to_a_test_index(demo: Path) -> None:
    for number in (41, 42):
        ran = released(demo, *numbered(number))
        assert ran.code == 0, ran.text
        assert f"serves demo 1.2.4.dev{number} with the built hashes" in ran.text
        fresh(demo)
