"""The next development version after a release, in real repositories."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, everything, git, pair, remote_of, repository, shell, single, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

RELEASE = ("--part", "minor", "--commit", "--tag", "--then-dev")
PUSHED = (*RELEASE, "--push")


def version_at(root: Path, commit: str, file: str = "pyproject.toml") -> str:
    text = git(root, "show", f"{commit}:{file}")
    return text.partition('version = "')[2].partition('"')[0]


def subjects(root: Path) -> list[str]:
    return git(root, "log", "--format=%s").splitlines()


def change(root: Path, message: str) -> None:
    path = root / "src/demo/new.py"
    path.write_text(f"{path.read_text() if path.exists() else ''}# {message}\n")
    commit_all(root, message)


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    root = repository(single(tmp_path / "demo"))
    git(root, "tag", "v1.2.3")
    git(root, "push", "--quiet", "--tags", "origin")
    return root


def test_the_tag_is_on_the_release_and_both_commits_are_pushed(demo: Path, bump: Bump) -> None:
    bump(demo, *PUSHED, code=0)
    assert subjects(demo) == ["Start development of 1.3.1.dev1", "Release 1.3.0", "Start"]
    assert git(demo, "rev-parse", "v1.3.0^{commit}") == git(demo, "rev-parse", "HEAD^")
    assert (version_at(demo, "v1.3.0"), version_at(demo, "HEAD")) == ("1.3.0", "1.3.1.dev1")
    remote = remote_of(demo)
    assert git(remote, "rev-parse", "main") == git(demo, "rev-parse", "HEAD")
    assert git(remote, "rev-parse", "v1.3.0^{commit}") == git(demo, "rev-parse", "HEAD^")
    assert git(demo, "status", "--porcelain", "--untracked-files=no") == ""


def test_a_rerun_here_or_in_another_clone_is_done(demo: Path, bump: Bump) -> None:
    start = git(demo, "rev-parse", "HEAD")
    assert bump(demo, *PUSHED).code == 0
    before = everything(demo)
    again = bump(demo, *PUSHED, code=0)
    assert "already released: the commit below HEAD" in again.text
    assert everything(demo) == before
    clone = demo.parent / "clone"
    git(demo.parent, "clone", "--quiet", str(remote_of(demo)), str(clone))
    ran = run_in_process(clone, "bump", *PUSHED, code=0)
    assert "already released: the commit below HEAD" in ran.text
    git(clone, "reset", "--quiet", "--hard", start)  # the commit that the job began with
    ran = run_in_process(clone, "bump", *PUSHED, code=1)
    assert "was released from this commit" in ran.text
    assert everything(demo) == before


def test_a_finished_release_is_pushed_afterwards(demo: Path, bump: Bump) -> None:
    assert bump(demo, *RELEASE).code == 0
    bump(demo, *PUSHED, code=0)
    remote = remote_of(demo)
    assert (
        git(remote, "rev-parse", "main", "v1.3.0^{commit}").split()
        == git(demo, "rev-parse", "HEAD", "HEAD^").split()
    )
    clone = demo.parent / "clone"
    git(demo.parent, "clone", "--quiet", str(remote), str(clone))
    assert run_in_process(clone, "bump", *PUSHED, "--again").code == 0  # 1.4.0
    assert subjects(clone)[:2] == ["Start development of 1.4.1.dev1", "Release 1.4.0"]


def test_the_remote_moved_and_the_rebased_release_is_pushed(demo: Path, bump: Bump) -> None:
    other = demo.parent / "other"
    git(demo.parent, "clone", "--quiet", str(remote_of(demo)), str(other))
    hook = shell(demo / ".git/hooks/pre-push", "exit 1")
    assert bump(demo, *PUSHED).code == 2
    hook.unlink()
    write(other, {"other.txt": "1\n"})
    commit_all(other, "fix: other", push=True)
    git(demo, "pull", "--quiet", "--rebase", "origin", "main")
    bump(demo, *PUSHED, code=0)
    assert subjects(demo)[:3] == ["Start development of 1.3.1.dev1", "Release 1.3.0", "fix: other"]
    assert git(remote_of(demo), "rev-parse", "v1.3.0^{commit}") == git(demo, "rev-parse", "HEAD^")
    assert version_at(demo, "v1.3.0") == "1.3.0"


def test_status_auto_tag_and_auto_go_on_from_the_release(demo: Path, bump: Bump) -> None:
    assert bump(demo, *PUSHED).code == 0

    def package() -> tuple[str, str, int, str | None]:
        (found,) = json.loads(run_in_process(demo, "status", "--json").out)["packages"]
        return found["version"], found["tag"], found["commits"], found["next"] and found["next"]["version"]

    assert package() == ("1.3.1.dev1", "v1.3.0", 0, None)
    ran = run_in_process(demo, "auto-tag", "--no-check-index", code=0)
    assert "development version" in ran.out
    assert git(remote_of(demo), "tag").split() == ["v1.2.3", "v1.3.0"]
    ran = bump(demo, "--part", "auto", "--commit", "--tag", "--then-dev", "--push", code=0)
    assert "nothing to release" in ran.text
    for message, expected in (("fix: a", "1.3.1"), ("feat: b", "1.4.0")):
        change(demo, message)
        assert package()[1:] == ("v1.3.0", 1, expected)
        git(demo, "reset", "--quiet", "--hard", "HEAD^")
    change(demo, "fix: c")
    ran = bump(demo, "--part", "auto", "--commit", "--tag", "--then-dev", "--push", code=0)
    assert package() == ("1.3.2.dev1", "v1.3.1", 0, None)


@pytest.mark.parametrize(
    ("options", "versions"),
    [
        (("--pre", "rc"), ("1.2.4rc0", "1.2.4rc1.dev1")),
        (("--part", "post"), ("1.2.3.post1", "1.2.4.dev1")),
        (("--to", "3.0"), ("3.0", "3.0.1.dev1")),
    ],
)
def test_the_version_that_follows_is_that_of_part_dev(
    demo: Path, bump: Bump, options: tuple[str, ...], versions: tuple[str, str]
) -> None:
    bump(demo, *options, "--commit", "--tag", "--then-dev", code=0)
    assert (version_at(demo, "HEAD^"), version_at(demo, "HEAD")) == versions


def test_settings_make_it_the_default(demo: Path, bump: Bump) -> None:
    settings = "\n[tool.relnox.bump]\ncommit = true\ntag = true\nthen-dev = true\n"
    write(demo, {"pyproject.toml": (demo / "pyproject.toml").read_text() + settings})
    commit_all(demo)
    bump(demo, "minor", code=0)
    assert subjects(demo)[:2] == ["Start development of 1.3.1.dev1", "Release 1.3.0"]
    bump(demo, "patch", "--no-then-dev", "--again", code=0)
    assert subjects(demo)[0] == "Release 1.3.1"
    bump(demo, "dev", "--no-tag", code=0)
    assert subjects(demo)[:2] == ["Release 1.3.2.dev1", "Release 1.3.1"]


def test_versions_outside_the_bounds_of_the_line_are_blocked(demo: Path, bump: Bump) -> None:
    write(
        demo,
        {
            "pyproject.toml": (demo / "pyproject.toml").read_text()
            + '\n[tool.relnox]\nbranch = {main = "<=1.3.0"}\n'
        },
    )
    commit_all(demo)
    assert "demo 1.3.1.dev1 is outside the bounds of main (<=1.3.0)" in run_blocked_bump(bump, demo, *RELEASE)


def test_semver_cannot_write_some_development_versions(demo: Path, bump: Bump) -> None:
    write(demo, {"pyproject.toml": (demo / "pyproject.toml").read_text() + '\n[tool.relnox]\nscheme = "semver"\n'})
    commit_all(demo)
    ran = bump(demo, "--pre", "alpha", "--commit", "--tag", "--then-dev", code=0)
    assert "no development version follows: " in ran.text
    assert subjects(demo)[0] == "Release 1.2.4a0"


def test_a_hook_that_rejects_the_second_commit_undoes_the_release(demo: Path, bump: Bump) -> None:
    shell(demo / ".git/hooks/commit-msg", '! grep -q development "$1"')
    before = everything(demo)
    bump(demo, *RELEASE, code=2)
    assert everything(demo) == before


# --- workspaces


def test_pins_and_lock_files_follow_in_both_commits(tmp_path: Path, bump: Bump) -> None:
    root = pair(tmp_path / "pair")
    entry = '[[package]]\nname = "{}"\nversion = "2.0.0"\nsource = {{ editable = "packages/{}" }}\n\n'
    write(
        root, {"uv.lock": "version = 1\n\n" + entry.format("pair-base", "base") + entry.format("pair-top", "top")}
    )
    repository(root)
    bump(root, *PUSHED, code=0)
    for commit, version in (("v2.1.0", "2.1.0"), ("HEAD", "2.1.1.dev1")):
        for name in ("base", "top"):
            assert version_at(root, commit, f"packages/{name}/pyproject.toml") == version
        assert f'"pair-base=={version}"' in git(root, "show", f"{commit}:packages/top/pyproject.toml")
        assert git(root, "show", f"{commit}:uv.lock").count(f'version = "{version}"') == 2
    assert subjects(root)[0] == "Start development of 2.1.1.dev1"


@pytest.mark.parametrize(
    ("current", "released", "following", "is_noted"),
    [("1.0.2.dev1", "1.0.2", "1.0.3.dev1", False), ("1.1.0rc0", "1.1.0rc1", "1.1.0rc2.dev1", True)],
)
def test_a_dependent_in_development_is_released_with_its_own_version(
    tmp_path: Path, bump: Bump, current: str, released: str, following: str, *, is_noted: bool
) -> None:
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n'}
    for name, version, needs in (("base", "1.0.1.dev1", []), ("pins", current, ["base<1.1"])):
        files[f"packages/{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {json.dumps(needs)}\n\n{HATCHLING}'
        )
    root = repository(write(tmp_path / "demo", files))
    ran = bump(root, "--part", "minor", "--package", "base", "--commit", "--tag", "--then-dev", code=0)
    file = "packages/pins/pyproject.toml"
    assert (version_at(root, "HEAD^", file), version_at(root, "HEAD", file)) == (released, following)
    assert git(root, "tag", "--points-at", "HEAD^").split() == ["base-v1.1.0", f"pins-v{released}"]
    note = f"pins {released} is a prerelease that requires base 1.1.0; to finish it: "
    assert (note in ran.text) == is_noted


def test_only_released_packages_and_dependents_that_pin_them_follow(tmp_path: Path, bump: Bump) -> None:
    settings = (
        '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\ntag-format = "{name}-v{version}"\n'
    )
    needs = {"base": "", "pins": "base==1.0.0", "free": "base>=1", "other": ""}
    files = {
        f"packages/{name}/pyproject.toml": f'[project]\nname = "{name}"\nversion = "1.0.0"\n'
        f"dependencies = {json.dumps([need] if need else [])}\n\n{HATCHLING}"
        for name, need in needs.items()
    }
    root = repository(write(tmp_path / "demo", {"pyproject.toml": settings, **files}))
    bump(root, "--part", "minor", "--package", "base", "--commit", "--tag", "--then-dev", code=0)

    def versions(commit: str) -> list[str]:
        return [version_at(root, commit, f"packages/{name}/pyproject.toml") for name in needs]

    assert versions("HEAD^") == ["1.1.0", "1.0.1", "1.0.0", "1.0.0"]
    assert versions("HEAD") == ["1.1.1.dev1", "1.0.2.dev1", "1.0.0", "1.0.0"]
    assert '"base==1.1.0"' in git(root, "show", "HEAD^:packages/pins/pyproject.toml")
    assert '"base==1.1.1.dev1"' in git(root, "show", "HEAD:packages/pins/pyproject.toml")
    assert git(root, "tag", "--points-at", "HEAD^").split() == ["base-v1.1.0", "pins-v1.0.1"]
    assert subjects(root)[0] == "Start development of base 1.1.1.dev1, pins 1.0.2.dev1"
    assert bump(root, "--undo").code == 0
    assert versions("HEAD") == ["1.0.0"] * 4
    assert git(root, "tag") == ""


def test_versions_from_tags_have_no_file_to_edit(tmp_path: Path, bump: Bump) -> None:
    backend = HATCHLING.replace('"hatchling"', '"hatchling", "hatch-vcs"')
    project = '[project]\nname = "demo"\ndynamic = ["version"]\n\n[tool.hatch.version]\nsource = "vcs"\n\n'
    root = repository(write(tmp_path / "demo", {"pyproject.toml": project + backend}))
    git(root, "tag", "v1.0.0")
    git(root, "commit", "--quiet", "--allow-empty", "--message=fix: x")
    ran = bump(root, "--part", "patch", "--tag", "--then-dev", code=0)
    assert "no development version follows (no file has the version)" in ran.text
    assert git(root, "tag", "--points-at", "HEAD") == "v1.0.1"
