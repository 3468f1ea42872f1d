"""Development versions with numbers of their own, in real repositories: from runs, the clock and the history."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version
from projects import HATCHLING, commit_all, git, repository, single, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump, RunResult

RUN, TIME, DISTANCE = (("--part", "dev", "--from", source) for source in ("run", "time", "distance"))
WORKSPACE = (
    '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\ntag-format = "{name}-v{version}"\n'
)


def version(root: Path, directory: str = ".") -> str:
    text = (root / directory / "pyproject.toml").read_text()
    return text.partition('version = "')[2].partition('"')[0]


def fresh(root: Path) -> None:
    """Discard what a bump did here, as the next job with a new checkout does."""
    git(root, "reset", "--quiet", "--hard", "origin/main")
    for record in (root / ".git/relnox").glob("*.json"):
        record.unlink()


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


# --- a run of CI


def test_each_run_and_each_attempt_has_a_version(demo: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = []
    for run, attempt in (("41", "1"), ("41", "2"), ("42", "1"), ("100", "1"), ("100", "99")):
        monkeypatch.setenv("GITHUB_RUN_NUMBER", run)
        monkeypatch.setenv("GITHUB_RUN_ATTEMPT", attempt)
        ran = bump(demo, *RUN)
        assert ran.code == 0, ran.text
        assert f"run {run}, attempt {attempt}" in ran.text
        versions.append(version(demo))
        fresh(demo)
    assert versions == ["1.2.4.dev4101", "1.2.4.dev4102", "1.2.4.dev4201", "1.2.4.dev10001", "1.2.4.dev10099"]
    assert all(Version("1.2.3") < Version(text) < Version("1.2.4a0") for text in versions)


def test_another_run_in_the_same_checkout_is_not_the_last_bump_again(
    demo: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_PIPELINE_IID", "7")
    assert bump(demo, *RUN, "--commit").code == 0
    assert version(demo) == "1.2.4.dev7"
    again = bump(demo, *RUN, "--commit")
    assert again.code == 0, again.text
    assert "already done by the last bump" in again.text
    monkeypatch.setenv("CI_PIPELINE_IID", "8")
    ran = bump(demo, *RUN, "--commit")
    assert ran.code == 0, ran.text
    assert version(demo) == "1.2.4.dev8"
    monkeypatch.setenv("CI_PIPELINE_IID", "6")
    said = run_blocked_bump(bump, demo, *RUN, "--commit")
    assert "development release 6 is not higher than the current version 1.2.4.dev8" in said


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({}, "run-missing"),
        ({"GITHUB_RUN_NUMBER": "x"}, "run-missing"),
        ({"GITHUB_RUN_NUMBER": "0"}, "run-missing"),
        ({"GITHUB_RUN_NUMBER": "٤"}, "run-missing"),
        ({"GITHUB_RUN_NUMBER": "9" * 5000}, "run-missing"),
        ({"GITHUB_RUN_NUMBER": "4", "GITHUB_RUN_ATTEMPT": "100"}, "run-missing"),
        ({"CI_PIPELINE_IID": "-1"}, "run-missing"),
    ],
)
def test_a_run_without_a_usable_number_is_a_problem(
    demo: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], code: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said = run_blocked_bump(bump, demo, *RUN)
    assert f"[{code}]" in said
    assert "fix: " in said


@pytest.mark.parametrize("options", [("--part", "patch"), ("--part", "auto"), ("--pre", "rc"), ("--to", "2.0")])
def test_only_development_versions_have_a_source(demo: Path, bump: Bump, options: tuple[str, ...]) -> None:
    said = run_blocked_bump(bump, demo, *options, "--from", "time")
    assert "--from time only numbers development versions [option-missing]" in said


def test_a_version_below_the_last_release_is_blocked(
    demo: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_RUN_NUMBER", "5")
    git(demo, "commit", "--quiet", "--allow-empty", "--message=Next")
    git(demo, "tag", "v1.4.0")
    said = run_blocked_bump(bump, demo, *RUN)
    assert "demo 1.2.4.dev501 is not higher than the last release (v1.4.0)" in said


# --- the clock


def test_the_time_is_read_once(demo: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert run_in_process(demo, "bump", *TIME, "--dry-run", "--plan", str(plan)).code == 0
    (row,) = json.loads(plan.read_text())["tables"][0]["rows"]
    assert re.fullmatch(r"1\.2\.4\.dev20\d{15}", row[2])
    assert run_in_process(demo, "bump", *TIME).code == 0
    assert Version(version(demo)) > Version(row[2])
    assert int(version(demo).partition(".dev")[2]) < 2**63


# --- the history


def test_each_commit_of_the_branch_has_a_distance(demo: Path, bump: Bump) -> None:
    for number in range(1, 4):
        push_change(demo, f"{number}.txt")
        ran = bump(demo, *DISTANCE)
        assert ran.code == 0, ran.text
        assert version(demo) == f"1.2.4.dev{number}"
        fresh(demo)
    assert bump(demo, "--part", "minor", "--commit", "--tag", "--push").code == 0
    push_change(demo, "after.txt")
    assert bump(demo, *DISTANCE).code == 0
    assert version(demo) == "1.3.1.dev1"


def test_tagged_development_versions_are_no_releases(demo: Path, bump: Bump) -> None:
    push_change(demo, "one.txt")
    ran = bump(demo, *DISTANCE, "--commit", "--tag", "--push")
    assert ran.code == 0, ran.text
    assert git(demo, "tag", "--points-at", "HEAD") == "v1.2.4.dev1"
    push_change(demo, "two.txt")
    assert bump(demo, *DISTANCE).code == 0
    assert version(demo) == "1.2.4.dev3"


def test_commits_of_another_branch_are_refused(demo: Path, bump: Bump) -> None:
    push_change(demo, "one.txt")
    git(demo, "switch", "--quiet", "--create", "feature", "HEAD^")
    write(demo, {"two.txt": "# changed\n"})
    commit_all(demo, "fix: two")
    for _ in range(2):  # pushing another branch does not help
        said = run_blocked_bump(bump, demo, *DISTANCE, "--allow-branch")
        assert (
            "HEAD is not on branch main of origin: a commit of another branch can have the same distance" in said
        )
        assert "fix: use --from run or --from time" in said
        git(demo, "push", "--quiet", "origin", "feature")


def test_a_commit_that_is_not_pushed_yet_is_refused(demo: Path, bump: Bump) -> None:
    write(demo, {"one.txt": "# changed\n"})
    commit_all(demo, "fix: one")
    assert "fix: push it first, or use --from run or --from time" in run_blocked_bump(bump, demo, *DISTANCE)


@pytest.mark.parametrize(
    ("lines", "refused_with"),
    [
        ('["main", "release/*"]', "main and release/* may release the same versions"),
        ('{ main = ">=1", "release/0.x" = "<1" }', None),
        ('{ main = ">=1", next = ">=1" }', "main and next may release the same versions"),
    ],
)
def test_branches_that_may_release_the_same_version_are_refused(
    demo: Path, bump: Bump, lines: str, refused_with: str | None
) -> None:
    file = demo / "pyproject.toml"
    write(demo, {"pyproject.toml": f"{file.read_text()}\n[tool.relnox]\nbranch = {lines}\n"})
    push_change(demo, "one.txt")
    if refused_with is None:
        assert bump(demo, *DISTANCE).code == 0
        assert version(demo) == "1.2.4.dev1"
    else:
        assert refused_with in run_blocked_bump(bump, demo, *DISTANCE)


def test_a_tag_that_was_not_fetched_and_a_shallow_clone_are_refused(demo: Path, bump: Bump) -> None:
    push_change(demo, "one.txt")
    git(demo, "tag", "v1.2.3.post1")
    git(demo, "push", "--quiet", "origin", "v1.2.3.post1")
    git(demo, "tag", "--delete", "v1.2.3.post1")
    assert bump(demo, *DISTANCE, "--dry-run").code == 0  # above the version in the file: of an abandoned release
    write(demo, {"pyproject.toml": (demo / "pyproject.toml").read_text().replace("1.2.3", "1.2.3.post1")})
    push_change(demo, "two.txt")
    assert "this clone lacks v1.2.3.post1, which the distance counts from" in run_blocked_bump(
        bump, demo, *DISTANCE
    )
    git(demo, "fetch", "--quiet", "--tags", "origin")
    assert bump(demo, *DISTANCE).code == 0
    assert version(demo) == "1.2.4.dev1"
    shallow = demo.parent / "shallow"
    git(demo.parent, "clone", "--quiet", "--depth=1", (demo.parent / "demo.git").as_uri(), str(shallow))
    ran = run_in_process(shallow, "bump", *DISTANCE)
    assert ran.code == 1, ran.text
    assert "[clone-shallow]" in ran.err


# --- workspaces


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


def test_dependents_have_the_number_of_the_run(
    workspace: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = []
    for run in ("8", "9"):
        monkeypatch.setenv("GITHUB_RUN_NUMBER", run)
        assert bump(workspace, *RUN, "--package", "base").code == 0
        pins.append((version(workspace, "packages/base"), version(workspace, "packages/user")))
        assert f'"base=={pins[-1][0]}"' in (workspace / "packages/user/pyproject.toml").read_text()
        fresh(workspace)
    assert pins == [("1.0.1.dev801", "2.0a2.dev801"), ("1.0.1.dev901", "2.0a2.dev901")]


def test_dependents_have_their_own_distance(workspace: Path, bump: Bump) -> None:
    ran = bump(workspace, *DISTANCE, "--package", "base")
    assert ran.code == 0, ran.text
    assert version(workspace, "packages/base") == "1.0.1.dev2"
    assert version(workspace, "packages/user") == "2.0a2.dev1"
    assert "user: dev number 1: 1 commit since user-v2.0a1" in ran.text


# --- the whole way to a test index


def test_the_commit_of_a_distance_has_the_time_of_the_commit_that_it_numbers(
    demo: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs on one commit make one version, and the same files: builds take their times from the commit."""
    with monkeypatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", "2026-01-02T03:04:05+02:00")
        push_change(demo, "a.py")
    times = []
    for now in ("2026-02-01T00:00:00Z", "2026-02-01T12:00:00Z"):
        monkeypatch.setenv("GIT_COMMITTER_DATE", now)  # the clock of the run
        ran = bump(demo, *DISTANCE, "--commit")
        assert ran.code == 0, ran.text
        times.append(git(demo, "log", "-2", "--format=%s %ct").splitlines())
        fresh(demo)
    assert times[0] == times[1] == ["Release 1.2.4.dev1 1767315845", "fix: a.py 1767315845"]
    assert bump(demo, "--part", "minor", "--commit").code == 0
    assert git(demo, "log", "-1", "--format=%ct") == "1769947200"


def released(demo: Path, *options: str) -> RunResult:
    """Bump, build and publish to the embedded index; return how the publication ended."""
    for task in (("bump", *options, "--commit"), ("build-all", "--clean")):
        ran = run_in_process(demo, *task)
        assert ran.code == 0, ran.text
    return run_in_process(demo, "publish-test", "--index", "embedded", "--no-verify")


@pytest.mark.heavy
@pytest.mark.network
def test_two_runs_on_one_commit_publish_one_version_with_the_same_files(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_change(demo, "a.py")
    for now in ("2026-02-01T00:00:00Z", "2026-02-01T12:00:00Z"):
        monkeypatch.setenv("GIT_COMMITTER_DATE", now)
        ran = released(demo, *DISTANCE)
        assert ran.code == 0, ran.text
        assert "serves demo 1.2.4.dev1 with the built hashes" in ran.text
        is_second = now.endswith("T12:00:00Z")
        assert ("skipping 2 of 2 files: already on embedded" in ran.text) is is_second
        fresh(demo)
    write(demo, {"c.py": "# not a.py\n"})
    git(demo, "add", "c.py")
    git(demo, "commit", "--quiet", "--amend", "--message", "fix: history is rewritten")
    git(demo, "push", "--quiet", "--force")
    ran = released(demo, *DISTANCE)
    assert ran.code == 4, ran.text


@pytest.mark.heavy
@pytest.mark.network
def test_a_run_commits_builds_and_publishes_to_a_test_index(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in ("41", "42"):
        monkeypatch.setenv("GITHUB_RUN_NUMBER", run)
        ran = released(demo, *RUN)
        assert ran.code == 0, ran.text
        assert f"serves demo 1.2.4.dev{run}01 with the built hashes" in ran.text
        fresh(demo)
