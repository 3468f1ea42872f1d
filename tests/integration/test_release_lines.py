"""Release lines in real repositories: hot fixes of an old series after a new one, merges, detached heads."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version
from projects import HATCHLING, commit_all, git, remote_of, repository, single, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

LINES = '\n[tool.relnox]\nbranch = { main = ">=2", "release/1.x" = "<2" }\n'
AUTO = ("--part", "auto", "--commit", "--tag", "--push")
CHANGELOG = "# Changelog\n\n## Unreleased\n\n- A note on {}.\n\n## 1.2.3 - 2026-01-01\n\n- First.\n"


def change(root: Path, message: str, name: str) -> str:
    """Commit a change of one file of the package."""
    path = root / "src/demo" / name
    path.write_text(f"{path.read_text() if path.exists() else ''}# {message}\n")
    return commit_all(root, message)


def on(root: Path, branch: str) -> None:
    git(root, "switch", "--quiet", branch)


def version_at(root: Path, commit: str) -> str:
    text = git(root, "show", f"{commit}:pyproject.toml")
    return text.partition('version = "')[2].partition('"')[0]


def next_version(root: Path) -> dict[str, str | int | None]:
    """Return the last tag, the number of commits since, and the next version, as `status` has them."""
    (package,) = json.loads(run_in_process(root, "status", "--json").out)["packages"]
    return {
        "tag": package["tag"],
        "commits": package["commits"],
        "next": package["next"] and package["next"]["version"],
    }


@pytest.fixture
def demo(tmp_path: Path, bump: Bump) -> Path:
    """1.2.3 is on release/1.x, which is pushed; main has 2.0.0."""
    root = single(tmp_path / "demo")
    file = root / "pyproject.toml"
    write(root, {"pyproject.toml": file.read_text() + LINES, "CHANGELOG.md": CHANGELOG.format("one")})
    repository(root)
    git(root, "tag", "v1.2.3")
    git(root, "branch", "release/1.x")
    git(root, "push", "--quiet", "--set-upstream", "origin", "release/1.x", "v1.2.3")
    change(root, "feat!: two", "two.py")
    assert bump(root, *AUTO).code == 0
    return root


def test_a_new_line_begins_at_the_last_tag_before_it(demo: Path) -> None:
    assert git(demo, "tag", "--points-at", "main") == "v2.0.0"
    assert next_version(demo) == {"tag": "v2.0.0", "commits": 0, "next": None}


def test_a_hot_fix_of_the_old_series_counts_its_own_commits_only(demo: Path, bump: Bump) -> None:
    change(demo, "feat: only on main", "three.py")
    on(demo, "release/1.x")
    change(demo, "fix: one", "one.py")
    assert next_version(demo) == {"tag": "v1.2.3", "commits": 1, "next": "1.2.4"}
    ran = bump(demo, *AUTO, code=0)
    assert "v2.0.0" not in ran.text
    assert git(remote_of(demo), "tag", "--points-at", "release/1.x") == "v1.2.4"
    changelog = (demo / "CHANGELOG.md").read_text()
    assert changelog.index("## 1.2.4 - ") < changelog.index("A note on one") < changelog.index("## 1.2.3 - ")
    assert "2.0.0" not in changelog
    on(demo, "main")
    assert next_version(demo) == {"tag": "v2.0.0", "commits": 1, "next": "2.1.0"}


@pytest.mark.parametrize("merge", [("--no-ff",), ("--squash",)])
def test_tags_of_the_other_line_do_not_count_after_a_merge(demo: Path, bump: Bump, merge: tuple[str, ...]) -> None:
    on(demo, "release/1.x")
    change(demo, "fix: one", "one.py")
    assert bump(demo, *AUTO).code == 0
    on(demo, "main")
    git(demo, "merge", "--quiet", "--strategy-option=ours", "--no-commit", *merge, "release/1.x")
    git(demo, "checkout", "HEAD", "--", "pyproject.toml", "CHANGELOG.md")
    git(demo, "commit", "--quiet", "--message=fix: one, from 1.x")
    assert next_version(demo)["tag"] == "v2.0.0"
    assert next_version(demo)["next"] == "2.0.1"
    on(demo, "release/1.x")
    git(demo, "merge", "--quiet", "--strategy=ours", "--message=fix: history of main", "main")
    change(demo, "fix: again", "one.py")
    assert next_version(demo)["tag"] == "v1.2.4"
    bump(demo, "--part", "patch", "--commit", "--tag", code=0)
    assert git(demo, "tag", "--points-at", "HEAD") == "v1.2.5"


@pytest.mark.parametrize(
    ("line", "options", "version"),
    [
        ("release/1.x (<2)", ("--part", "major"), "2.0.0"),
        ("release/1.x (<2)", ("--to", "2.0a1"), "2.0a1"),
        ("main (>=2)", ("--to", "1.9", "--allow-lower"), "1.9"),
    ],
)
def test_a_version_outside_the_bounds_is_blocked(
    demo: Path, bump: Bump, line: str, options: tuple[str, ...], version: str
) -> None:
    branch = line.split(maxsplit=1)[0]
    on(demo, branch)
    change(demo, "fix: x", "x.py")
    for more in ((), ("--commit", "--tag", "--allow-branch", "--allow-dirty")):
        said = run_blocked_bump(bump, demo, *options, *more, code=4 if version == "2.0.0" and more else 1)
        assert f"demo {version} is outside the bounds of {line} ([tool.relnox] branch)" in said
        other = "main" if branch != "main" else "release/1.x"
        assert f"fix: choose another version: --to VERSION; or release from its branch: git switch {other}" in said


def test_other_branches_are_blocked_and_globs_match(demo: Path, bump: Bump) -> None:
    file = demo / "pyproject.toml"
    settings = file.read_text().replace(LINES, '\n[tool.relnox]\nbranch = ["main", "release/*"]\n')
    git(demo, "switch", "--quiet", "--create", "feature")
    write(demo, {"pyproject.toml": settings})
    change(demo, "fix: x", "x.py")
    said = run_blocked_bump(bump, demo, *AUTO)
    assert (
        "branch feature is not a release branch ([tool.relnox] branch: main, release/*) [branch-not-allowed]"
        in said.replace(" ([tool.relnox] branch)", "")
    )
    assert "fix: git switch main; to ignore it: --allow-branch" in said
    assert "no release line (release branches: main, release/*)" in run_in_process(demo, "status").text
    git(demo, "switch", "--quiet", "--create", "release/2.x")
    assert "release line: release/2.x" in run_in_process(demo, "status").text
    assert bump(demo, *AUTO).code == 0
    assert git(remote_of(demo), "tag", "--points-at", "release/2.x") == "v2.0.1"


def test_status_shows_the_line_and_its_bounds(demo: Path) -> None:
    assert "release line: main (>=2)" in run_in_process(demo, "status").text
    on(demo, "release/1.x")
    assert "release line: release/1.x (<2)" in run_in_process(demo, "status").text
    assert json.loads(run_in_process(demo, "status", "--json").out)["lines"] == [
        {"branch": "release/1.x", "bounds": "<2"}
    ]


def test_a_detached_head_has_the_lines_of_the_remote_branches_that_contain_it(demo: Path) -> None:
    on(demo, "release/1.x")
    change(demo, "fix: one", "one.py")
    git(demo, "push", "--quiet")
    git(demo, "switch", "--quiet", "--detach")
    assert "release line: release/1.x (<2)" in run_in_process(demo, "status").text
    assert next_version(demo) == {"tag": "v1.2.3", "commits": 1, "next": "1.2.4"}
    git(demo, "switch", "--quiet", "--detach", "v1.2.3")
    document = json.loads(run_in_process(demo, "status", "--json").out)
    assert [line["branch"] for line in document["lines"]] == ["main", "release/1.x"]
    git(demo, "switch", "--quiet", "--detach", "main")
    change(demo, "fix: not pushed", "new.py")
    assert "no release line" in run_in_process(demo, "status").text


def test_versions_from_tags_are_those_of_the_line(tmp_path: Path, bump: Bump) -> None:
    # Without a version in a file, nothing but the bounds tells the lines apart after a merge.
    backend = HATCHLING.replace('"hatchling"', '"hatchling", "hatch-vcs"')
    project = '[project]\nname = "demo"\ndynamic = ["version"]\n\n[tool.hatch.version]\nsource = "vcs"\n\n'
    files = {"pyproject.toml": project + backend + LINES, "src/demo/__init__.py": ""}
    root = repository(write(tmp_path / "demo", files))
    git(root, "tag", "v1.2.3")
    git(root, "branch", "release/1.x")
    change(root, "feat!: two", "two.py")
    git(root, "tag", "v2.0.0")
    on(root, "release/1.x")
    git(root, "merge", "--quiet", "--strategy=ours", "--message=chore: history of main", "main")
    change(root, "fix: one", "one.py")
    assert next_version(root)["tag"] == "v1.2.3"
    bump(root, "--part", "patch", "--tag", code=0)
    assert git(root, "tag", "--points-at", "HEAD") == "v1.2.4"


@pytest.mark.parametrize("seed", range(3))
def test_random_bumps_on_two_lines_keep_versions_apart(demo: Path, bump: Bump, seed: int) -> None:
    choose = random.Random(seed)
    branches = ("main", "release/1.x")
    released = {"main": ["2.0.0"], "release/1.x": ["1.2.3"]}
    for number in range(14):
        branch, other = choose.sample(branches, 2)
        on(demo, branch)
        step = choose.choice(("commit", "squash", "bump", "bump"))
        if step == "commit":
            change(demo, choose.choice(("fix: a", "feat: b", "docs: c", "feat!: d")), f"{branch[:4]}{number}.py")
        elif step == "squash":
            git(
                demo,
                "merge",
                "--quiet",
                "--squash",
                "--strategy-option=ours",
                "--allow-unrelated-histories",
                other,
            )
            git(demo, "checkout", "HEAD", "--", "pyproject.toml", "CHANGELOG.md")
            git(demo, "commit", "--quiet", "--allow-empty", f"--message=fix: from {other}")
        else:
            part = choose.choice(("auto", "auto", "patch", "minor", "major"))
            tags = set(git(demo, "tag").split())
            ran = bump(demo, "--part", part, "--again", "--commit", "--tag", "--push")
            created = set(git(demo, "tag").split()) - tags
            assert ran.code == 0 or "outside the bounds" in ran.err, ran.text
            assert len(created) <= (ran.code == 0)
            released[branch] += [tag.removeprefix("v") for tag in created]
    every = [*released["main"], *released["release/1.x"]]
    assert len(every) > 2
    assert len(every) == len(set(every))
    assert all(Version(version) >= Version("2") for version in released["main"])
    assert all(Version(version) < Version("2") for version in released["release/1.x"])
    for branch, versions in released.items():
        assert versions == sorted(versions, key=Version), branch
    for version in every:
        assert version_at(demo, f"v{version}") == version
    assert set(git(remote_of(demo), "tag").split()) == {f"v{version}" for version in every}


# --- auto-tag


def set_version(root: Path, version: str) -> str:
    """Commit another version by hand, and push the branch."""
    file = root / "pyproject.toml"
    present = version_at(root, "HEAD")
    write(root, {"pyproject.toml": file.read_text().replace(f'version = "{present}"', f'version = "{version}"')})
    commit = commit_all(root, f"Version {version}")
    git(root, "push", "--quiet", "origin", "HEAD")
    return commit


def test_auto_tag_compares_with_the_tags_of_its_line(demo: Path) -> None:
    on(demo, "release/1.x")
    commit = set_version(demo, "1.2.4")
    ran = run_in_process(demo, "auto-tag", "--no-check-index", code=0)
    assert "new, after v1.2.3" in ran.out
    assert git(remote_of(demo), "rev-parse", "v1.2.4^{commit}") == commit


@pytest.mark.parametrize(
    ("branch", "version", "line", "other"),
    [
        ("release/1.x", "2.1.0", "release/1.x (<2)", "main"),
        ("release/1.x", "2.0a1", "release/1.x (<2)", "main"),
        ("main", "1.9.0", "main (>=2)", "release/1.x"),
    ],
)
def test_auto_tag_leaves_a_version_outside_the_bounds_untagged(
    demo: Path, branch: str, version: str, line: str, other: str
) -> None:
    on(demo, branch)
    set_version(demo, version)
    tags = git(remote_of(demo), "tag")
    ran = run_in_process(demo, "auto-tag", "--no-check-index", code=1)
    assert (
        f"demo {version} is outside the bounds of {line} ([tool.relnox] branch) [version-outside-bounds]"
        in ran.err
    )
    assert f"fix: merge the commit into {other}; or set another version: " in ran.err
    assert (git(remote_of(demo), "tag"), git(demo, "tag")) == (tags, tags)
