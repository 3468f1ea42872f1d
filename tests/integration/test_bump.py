"""`bump` in real repositories: its changes, what blocks it, and what a failure leaves."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from projects import (
    everything,
    git,
    lockstep_workspace,
    mixed_workspace,
    pair,
    remote_of,
    repository,
    shell,
    single,
    write,
)
from running import run

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

RELEASE = ("--part", "minor", "--commit", "--tag", "--push")


def bump(root: Path, *options: str, code: int | None = None) -> RunResult:
    return run(root, "relnox", "bump", *options, code=code)


# --- what changes, byte for byte -----------------------------------------------------------------------

PLAIN = '[project]\nname = "demo"\nversion = "1.2.3"\n'


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
def test_line_ends_that_git_converts_do_not_count_as_a_change(tmp_path: Path, autocrlf: str) -> None:
    root = tmp_path / "demo"
    root.mkdir()
    (root / "pyproject.toml").write_bytes(PLAIN.replace("\n", "\r\n").encode())
    repository(root, autocrlf=autocrlf, safecrlf="false")
    bump(root, *RELEASE, code=0)
    assert (root / "pyproject.toml").read_bytes() == PLAIN.replace("1.2.3", "1.3.0").replace("\n", "\r\n").encode()
    assert git(root, "status", "--porcelain") == ""


def test_requirements_of_dependents_are_rewritten_in_every_table(tmp_path: Path) -> None:
    user = """\
        [build-system]  # first
        requires = ["hatchling", "pair-base == 2.0.0"]  # built with it
        build-backend = "hatchling.build"

        [project]
        name = "pair-user"
        version = '2.0.0'
        dependencies = [
          # "pair-base==2.0.0"
          'pair.base[fast] ==2.0.0 ; python_version >= "3.8"',   # exact
          "pair-base-extra==2.0.0",
          "other==2.0.0",
        ]

        [project.optional-dependencies]
        all = ["PAIR_BASE~=2.0.0", "pair-base"]

        [dependency-groups]
        dev = [{ include-group = "more" }, "pair-base>=1,<2.1"]
        more = []

        [tool.poetry.group.docs.dependencies]
        pair-base = { version = "~2.0", extras = ["fast"] }

        [tool.uv.sources]
        pair-base = { workspace = true }
        """
    expected = (
        ("== 2.0.0", "== 2.1.0"),
        ("version = '2.0.0'", "version = '2.1.0'"),
        ("[fast] ==2.0.0", "[fast] ==2.1.0"),
        ("~=2.0.0", "~=2.1.0"),
        (">=1,<2.1", ">=2.1.0,<2.2"),
        ('"~2.0"', '"~2.1"'),
    )
    root = pair(tmp_path / "pair")
    write(root, {"packages/user/pyproject.toml": user, "packages/user/pair_user.py": ""})
    repository(root)
    before = (root / "packages/user/pyproject.toml").read_text()
    bump(root, *RELEASE, code=0)
    after = (root / "packages/user/pyproject.toml").read_text()
    changed = [
        (old.strip(), new.strip())
        for old, new in zip(before.splitlines(), after.splitlines(), strict=True)
        if old != new
    ]
    assert len(changed) == len(expected)
    for (old, new), (part, moved) in zip(changed, expected, strict=True):
        assert part in old
        assert new == old.replace(part, moved)
    assert git(root, "status", "--porcelain") == ""


def test_five_packages_in_lockstep(tmp_path: Path) -> None:
    root = repository(lockstep_workspace(tmp_path / "acme"))
    bump(root, *RELEASE, code=0)
    assert git(root, "diff", "--stat", "HEAD~1", "--").count("pyproject.toml") == 5
    removed = re.findall(r"^-(?!--).*", git(root, "diff", "-U0", "HEAD~1"), re.MULTILINE)
    added = re.findall(r"^\+(?!\+\+).*", git(root, "diff", "-U0", "HEAD~1"), re.MULTILINE)
    # Ranges that hold 2.1.0 stay; pins move; comments and quotes stay.
    assert [line[1:].replace("2.0.0", "2.1.0") for line in removed] == [line[1:] for line in added]
    assert len(removed) == 5 + 3  # versions, and the lines with pins
    assert (
        git(remote_of(root), "rev-parse", "main", "v2.1.0^{}").splitlines() == [git(root, "rev-parse", "HEAD")] * 2
    )


def test_independent_packages_are_bumped_and_tagged_separately(tmp_path: Path) -> None:
    root = repository(mixed_workspace(tmp_path / "mixed"))
    bump(root, "--package", "mixed-saddle", "--package", "float", *RELEASE, code=0)
    assert git(root, "tag").splitlines() == ["mixed-float-v0.9.0", "mixed-saddle-v1.5.0"]
    assert git(root, "log", "-1", "--format=%s") == "Release mixed-float 0.9.0, mixed-saddle 1.5.0"
    assert 'mixed-saddle = "^1.4"' in (root / "poem/pyproject.toml").read_text()


def test_without_commit_only_files_change(demo: Path) -> None:
    before = everything(demo)
    bump(demo, "--part", "patch", code=0)
    after = everything(demo)
    assert after._replace(files={}) == before._replace(files={})
    assert [name for name in after.files if after.files[name] != before.files[name]] == ["pyproject.toml"]


def test_outside_git_files_change_and_a_commit_is_blocked(tmp_path: Path) -> None:
    root = single(tmp_path / "demo")
    assert bump(root, "--part", "patch", "--commit").code == 1
    assert 'version = "1.2.3"  # the one place' in (root / "pyproject.toml").read_text()
    assert bump(root, "--part", "patch").code == 0
    assert 'version = "1.2.4"  # the one place' in (root / "pyproject.toml").read_text()


def test_a_dry_run_changes_nothing_and_leaves_the_same_plan_twice(demo: Path, tmp_path: Path) -> None:
    before = everything(demo)
    for name in ("one.json", "two.json"):
        bump(demo, *RELEASE, "--dry-run", "--plan", str(tmp_path / name), code=0)
    assert everything(demo) == before
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert [step["kind"] for step in json.loads((tmp_path / "one.json").read_text())["steps"]] == [
        "EditFiles",
        "Commit",
        "CreateTags",
        "Push",
    ]


# --- what else is going on in the checkout -------------------------------------------------------------


def test_other_files_are_not_committed_though_they_are_staged(demo: Path) -> None:
    write(demo, {"README.md": "staged\n", "tasks.py": "# changed\n", "new.py": ""})
    git(demo, "add", "README.md", "new.py")
    ran = bump(demo, *RELEASE, "--allow-dirty", code=0)
    assert "--allow-dirty ignores: uncommitted changes: README.md, new.py, tasks.py" in ran.text
    assert git(demo, "show", "--format=", "--name-only") == "pyproject.toml"
    assert git(demo, "diff", "--cached", "--name-only").splitlines() == ["README.md", "new.py"]
    assert git(demo, "diff", "--name-only") == "tasks.py"


def test_a_package_behind_a_symbolic_link_is_blocked_before_anything_changes(tmp_path: Path) -> None:
    root = pair(tmp_path / "pair")
    (root / "packages/base").rename(root / "base")
    (root / "packages/base").symlink_to("../base")
    repository(root)
    before = everything(root)
    ran = bump(root, *RELEASE, code=1)
    assert "packages/base/pyproject.toml: the release commit cannot change a file" in ran.err
    assert everything(root) == before


def test_a_project_below_the_top_is_released_from_there(tmp_path: Path) -> None:
    top = write(tmp_path / "mono", {"other.txt": "1\n"})
    single(top / "py th\xf6n")
    repository(top)
    write(top, {"other.txt": "2\n"})  # not this project's affair
    bump(top / "py th\xf6n" / "src", *RELEASE, code=0)
    assert (
        git(top, "-c", "core.quotePath=false", "show", "--format=", "--name-only") == "py th\xf6n/pyproject.toml"
    )
    assert git(top, "status", "--porcelain").split() == ["M", "other.txt"]
    assert git(remote_of(top), "tag") == "v1.3.0"


def test_a_worktree_is_released_like_any_checkout(demo: Path, tmp_path: Path) -> None:
    git(demo, "worktree", "add", "--quiet", "-b", "maintenance", str(tmp_path / "side"))
    bump(tmp_path / "side", *RELEASE, code=0)
    assert git(remote_of(demo), "log", "-1", "--format=%s", "maintenance") == "Release 1.3.0"
    assert git(demo, "log", "-1", "--format=%s", "main") == "Start"


ALLOWED = (*RELEASE, "--allow-branch", "--allow-dirty")
SEVEN = "for n in 0 1 2 3 4 5 6; do echo $n {} f$n.txt; done"
UNMERGED = "echo 1 > README.md; git stash -q; echo 2 > README.md; git commit -qam x; git stash pop || git status"
CHANGED = "files that the bump edits have uncommitted changes: pyproject.toml"


@pytest.mark.parametrize(
    ("script", "options", "code", "words"),
    [
        ("", ("--to", "1.2.2"), 1, "1.2.2 is lower"),
        ("git switch -q --detach", ALLOWED, 1, "HEAD is detached"),
        (
            "git tag v1.2.3; git tag v1.3.0; git push -q origin v1.3.0",
            ALLOWED,
            4,
            "v1.3.0 already exists here and on origin (",
        ),
        ("echo '# unfinished' >> pyproject.toml", ALLOWED, 1, CHANGED),
        (UNMERGED, RELEASE, 1, "uncommitted changes: README.md"),
        ("echo '# unfinished' >> pyproject.toml; git add .", ALLOWED, 1, CHANGED),
        (
            f"{SEVEN.format('>')}; git add .; git commit -qm x; {SEVEN.format('>>')}",
            *(RELEASE, 1, "uncommitted changes: f0.txt, f1.txt, f2.txt, f3.txt, f4.txt and 2 more"),
        ),
    ],
)
def test_what_blocks_a_bump_before_anything_changes(
    demo: Path, script: str, options: tuple[str, ...], code: int, words: str
) -> None:
    subprocess.run(script, shell=True, cwd=demo, check=True, capture_output=True)
    before = everything(demo)
    ran = bump(demo, *options, code=code)
    assert words in ran.err
    assert everything(demo) == before


# --- failures are undone ---------------------------------------------------------------------------

FAILING = {
    "pre-commit": "echo not today >&2; exit 1",
    "commit-msg": "echo not today >&2; exit 1",
    "pre-commit that adds": "echo x > added.txt; git add added.txt; rm added.txt; echo not today; exit 1",
    "reference-transaction": 'if [ "$1" = prepared ]; then echo not today >&2; exit 1; fi',
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("staged", [False, True])
def test_a_failing_commit_hook_leaves_everything_as_it_was(two: Path, name: str, *, staged: bool) -> None:
    if staged:
        write(two, {"pyproject.toml": (two / "pyproject.toml").read_text() + "# mine\n", "new.txt": ""})
        git(two, "add", "pyproject.toml", "new.txt")
    before = everything(two)
    refusing = shell(two / ".git/hooks" / name.partition(" ")[0], FAILING[name])
    ran = bump(two, *RELEASE, *(["--allow-dirty"] if staged else []), code=2)
    assert "not today" in ran.text
    assert everything(two) == before
    refusing.unlink()
    assert bump(two, *RELEASE, *(["--allow-dirty"] if staged else [])).code == 0


def test_a_commit_changed_by_a_hook_is_reverted(two: Path) -> None:
    write(two, {"staged.txt": ""})
    git(two, "add", "staged.txt")
    before = everything(two)
    changing = "echo 'more = 1' >> packages/base/pyproject.toml; git add packages/base/pyproject.toml"
    shell(two / ".git/hooks" / "pre-commit", changing)
    ran = bump(two, *RELEASE, "--allow-dirty", code=2)
    assert "a commit hook changed the content of packages/base/pyproject.toml in the commit" in ran.text
    assert "not restored: packages/base/pyproject.toml" in ran.text
    assert "undone: " not in ran.text
    git(two, "restore", "packages/base/pyproject.toml")
    assert everything(two) == before


def test_a_failed_tag_deletes_the_other_tags(tmp_path: Path) -> None:
    root = repository(mixed_workspace(tmp_path / "mixed"))
    script = 'if [ "$1" = prepared ] && grep -q mixed-saddle-v; then echo not today >&2; exit 1; fi'
    before = everything(root)
    shell(root / ".git/hooks" / "reference-transaction", script)
    bump(root, "--all", *RELEASE, code=2)
    assert everything(root) == before


# --- two at once -------------------------------------------------------------------------------------


def test_two_runs_at_once_make_one_release(two: Path) -> None:
    # the second one meets the first one's lock, and says who holds it.
    import sys

    shell(
        two / ".git/hooks" / "pre-commit", "touch begun; while [ ! -e go-on ]; do sleep 0.05; done; rm begun go-on"
    )
    words = [sys.executable, "-m", "relnox", "bump", *RELEASE]
    with subprocess.Popen(words, cwd=two, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        while not (two / "begun").exists():
            assert first.poll() is None
        second = bump(two, *RELEASE)
        (two / "go-on").touch()
    assert first.returncode == 0
    assert second.code == 1
    assert f"another relnox is running in this checkout (process {first.pid})" in second.err
    assert git(remote_of(two), "log", "--format=%s", "main").splitlines() == ["Release 2.1.0", "Start"]
    assert git(two, "tag") == "v2.1.0"
