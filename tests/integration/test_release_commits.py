"""The release commit has the planned changes and no others, whatever git's index or a commit hook says."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, everything, git, remote_of, repository, shell, single, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

RELEASE = ("--part", "minor", "--commit", "--tag", "--push")
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [1.2.3] - 2026-01-01\n\n- Old.\n"
SETTINGS = '[tool.relnox]\npackages = ["libs/*"]\nversions = "independent"\n'


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """One package at 1.2.3, with a changelog."""
    return repository(write(single(tmp_path / "demo"), {"CHANGELOG.md": CHANGELOG}))


def package(root: Path, name: str, needs: str = "") -> Path:
    """Write a package at 1.0.0 with an independent version."""
    text = f'[project]\nname = "{name}"\nversion = "1.0.0"\ndependencies = [{needs}]\n'
    return write(root, {f"libs/{name}/pyproject.toml": text})


@pytest.fixture
def independent(tmp_path: Path) -> Path:
    """Two packages with independent versions, one of which needs the other."""
    root = write(tmp_path / "many", {"pyproject.toml": SETTINGS})
    package(root, "base")
    package(root, "top", '"base>=1,<1.1"')
    repository(root)
    for name in ("base", "top"):
        git(root, "tag", f"{name}-v1.0.0")
    return root


def hook(root: Path, name: str, script: str) -> None:
    shell(root / ".git/hooks" / name, script)


def blocked(bump: Bump, root: Path, *options: str) -> tuple[str, str]:
    """Run a bump that must be blocked by one problem and change nothing; return its message and its fix."""
    lines = run_blocked_bump(bump, root, *options).strip().splitlines()
    assert len(lines) == 2, lines
    return lines[0].removeprefix("error: "), lines[1].removeprefix("fix: ")


def paste(root: Path, command: str) -> None:
    """Run the command of a fix in a shell."""
    environment = {**os.environ, "GIT_EDITOR": "true"}
    subprocess.run(command, cwd=root, shell=True, check=True, capture_output=True, env=environment, timeout=60)


# --- the bits of the index ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", ["skip-worktree", "assume-unchanged"])
@pytest.mark.parametrize("file", ["pyproject.toml", "CHANGELOG.md"])
def test_a_file_whose_changes_are_hidden_from_git_blocks_a_bump_that_edits_it(
    demo: Path, bump: Bump, bit: str, file: str
) -> None:
    git(demo, "update-index", f"--{bit}", file)
    message, fix = blocked(bump, demo, *RELEASE)
    assert message.startswith(f"{file} is marked {bit} ")
    assert message.endswith("[git-setting-invalid]")
    assert fix == f"git update-index --no-{bit} -- {file}"
    paste(demo, fix)
    bump(demo, *RELEASE, code=0)
    assert 'version = "1.3.0"' in git(demo, "show", "v1.3.0:pyproject.toml")


def test_bits_of_files_that_are_not_edited_do_not_matter(demo: Path, bump: Bump) -> None:
    git(demo, "update-index", "--skip-worktree", "README.md")
    git(demo, "update-index", "--assume-unchanged", "noxfile.py")
    assert bump(demo, *RELEASE).code == 0


def test_hidden_files_are_edited_without_a_commit(demo: Path, bump: Bump) -> None:
    git(demo, "update-index", "--skip-worktree", "pyproject.toml")
    assert bump(demo, "--part", "minor").code == 0
    assert 'version = "1.3.0"' in (demo / "pyproject.toml").read_text()


def test_a_hidden_file_in_a_repository_above_the_project_is_found(tmp_path: Path, bump: Bump) -> None:
    top = write(tmp_path / "mono", {"other.txt": "1\n"})
    single(top / "python")
    repository(top)
    git(top, "update-index", "--skip-worktree", "python/pyproject.toml")
    _, fix = blocked(bump, top / "python", "--part", "minor", "--commit")
    paste(top / "python", fix)
    assert bump(top / "python", "--part", "minor", "--commit").code == 0


@pytest.mark.parametrize("count", [1, 120])
def test_an_edit_that_the_commit_lacks_fails_and_is_undone(tmp_path: Path, bump: Bump, count: int) -> None:
    files = {f"version{number}.txt": "1.2.3\n" for number in range(count)}
    tables = "".join(
        f'[[tool.relnox.version-files]]\nfile = "{file}"\npattern = "^(?P<version>.+)$"\n' for file in files
    )
    root = write(single(tmp_path / "demo"), files)
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text() + tables)
    repository(root)
    before = everything(root)
    # The hook commits the old file, and hides that from git.
    hook(root, "pre-commit", "git checkout HEAD -- version0.txt; git show HEAD:version0.txt > old")
    restore = "printf '1.3.0\\n' > version0.txt; rm old; git update-index --skip-worktree version0.txt"
    hook(root, "post-commit", restore)
    ran = bump(root, *RELEASE, code=2)
    assert "[hook-changed-files]" in ran.text
    assert "version0.txt" in ran.text
    assert everything(root) == before
    assert git(root, "ls-files", "-v", "version0.txt") == "H version0.txt"


# --- files that git does not track ---------------------------------------------------------------------------


@pytest.mark.parametrize("fix", ["add", "exclude"])
@pytest.mark.parametrize("push", [(), ("--push",)])
def test_a_package_that_git_does_not_track_is_not_released_as_a_dependent(
    independent: Path, bump: Bump, push: tuple[str, ...], fix: str
) -> None:
    package(independent, "new", '"base<1.1"')
    write(independent, {"libs/new/new.py": ""})
    options = ("--package", "base", "--part", "minor", "--commit", "--tag", *push)
    message, fixes = blocked(bump, independent, *options)
    assert "git does not track libs/new/pyproject.toml" in message
    assert message.endswith("[file-untracked]")
    add, _, exclude = fixes.removeprefix("commit it: ").partition("; ")
    assert exclude == 'or leave the package out: [tool.relnox] exclude = ["libs/new"]'
    if fix == "add":
        paste(independent, f"{add} -m New")
    else:
        write(independent, {"pyproject.toml": f'{SETTINGS}exclude = ["libs/new"]\n'})
        git(independent, "commit", "--quiet", "--all", "--message=Exclude")
    git(independent, "push", "--quiet")
    bump(independent, *options, code=0)
    assert ("new-v1.0.1" in git(independent, "tag").split()) == (fix == "add")
    assert "new-v1.0.1" not in git(independent, "tag") or 'version = "1.0.1"' in git(
        independent, "show", "new-v1.0.1:libs/new/pyproject.toml"
    )


def test_a_package_with_its_version_in_tags_that_git_does_not_track_gets_no_tag(
    independent: Path, bump: Bump
) -> None:
    text = (
        '[project]\nname = "scm"\ndynamic = ["version"]\n'
        '[build-system]\nrequires = ["setuptools", "setuptools-scm"]\n'
        'build-backend = "setuptools.build_meta"\n[tool.setuptools_scm]\nroot = "../.."\n'
        'tag_regex = "^scm-v(?P<version>.*)$"\ngit_describe_command = "git describe --match scm-v*"\n'
    )
    write(independent, {"libs/scm/pyproject.toml": text})
    message, _ = blocked(bump, independent, "--package", "scm", "--to", "1.0.0", "--tag")
    assert "git does not track libs/scm/pyproject.toml" in message


def test_without_a_commit_untracked_files_are_edited(tmp_path: Path, bump: Bump) -> None:
    root = repository(single(tmp_path / "demo"))
    write(root, {"CHANGELOG.md": CHANGELOG, "notes.txt": ""})
    ran = bump(root, "--part", "minor", code=0)
    assert "## [1.3.0]" in (root / "CHANGELOG.md").read_text()
    assert "notes.txt is untracked and not part of the release" in ran.text
    assert "CHANGELOG.md is untracked" not in ran.text


def test_a_version_file_of_the_development_version_must_be_tracked(tmp_path: Path, bump: Bump) -> None:
    table = '[[tool.relnox.version-files]]\nfile = "docs/version.txt"\npattern = "^(?P<version>.+)$"\n'
    root = single(tmp_path / "demo")
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text() + table)
    repository(write(root, {".gitignore": "docs/\n"}))
    write(root, {"docs/version.txt": "1.2.3\n"})
    message, fix = blocked(bump, root, *RELEASE, "--then-dev")
    assert "git does not track docs/version.txt" in message
    assert fix == "commit it: git add --force -- docs/version.txt && git commit"


# --- commit hooks that add files ---------------------------------------------------------------------------------


@pytest.fixture
def with_readme(demo: Path) -> Path:
    write(demo, {"staged.txt": "1\n"})
    commit_all(demo, push=True)
    return demo


@pytest.mark.parametrize("event", ["pre-commit", "post-commit"])
@pytest.mark.parametrize("options", [(), ("--then-dev",)])
def test_a_hook_that_adds_files_to_the_release_commit_fails_and_nothing_stays_staged(
    with_readme: Path, bump: Bump, event: str, options: tuple[str, ...]
) -> None:
    root = with_readme
    write(root, {"staged.txt": "2\n"})
    git(root, "add", "staged.txt")
    before = everything(root)
    guard = "grep -q dev pyproject.toml || exit 0; " if options else ""
    amend = (
        ""
        if event == "pre-commit"
        else "test -e .git/amended || { touch .git/amended; git commit -q --amend --no-edit; }"
    )
    hook(root, event, f"{guard}echo new > README.md; echo new > new.txt; git add README.md new.txt; {amend}")
    ran = bump(root, *RELEASE, "--allow-dirty", *options, code=2)
    assert "a commit hook added README.md, new.txt" in ran.text  # an amended commit has staged.txt as well
    assert "[hook-changed-files]" in ran.text
    after = everything(root)
    assert after.staged == before.staged
    assert (after.refs, after.head, after.remote) == (before.refs, before.head, before.remote)
    # What the hook wrote stays in the checkout, since it may be work of the user.
    assert after.files == before.files | {"README.md": b"new\n", "new.txt": b"new\n"}
    assert git(root, "diff", "--cached", "--name-only") == "staged.txt"


def test_a_hook_that_fails_leaves_no_trace_of_created_files(demo: Path, bump: Bump) -> None:
    code = "open('made.txt', 'w').write('x')"
    table = f'[[tool.relnox.hooks.edit-bump]]\nrun = ["python", "-c", "{code}"]\n'
    (demo / "pyproject.toml").write_text((demo / "pyproject.toml").read_text() + table)
    commit_all(demo, push=True)
    before = everything(demo)
    hook(demo, "pre-commit", "exit 1")
    bump(demo, *RELEASE, code=2)
    assert everything(demo) == before
    (demo / ".git/hooks/pre-commit").unlink()
    bump(demo, *RELEASE, code=0)
    assert git(demo, "show", "v1.3.0:made.txt") == "x"


# --- unfinished operations of git -----------------------------------------------------------------------------


def conflict(root: Path, *words: str) -> None:
    """Leave a git operation unfinished that merges README.md of the branch `other`."""
    git(root, "switch", "--quiet", "--create", "other")
    write(root, {"README.md": "theirs\n"})
    commit_all(root, "Theirs")
    git(root, "switch", "--quiet", "main")
    write(root, {"README.md": "ours\n"})
    commit_all(root, "Ours")
    assert subprocess.run(["git", *words], cwd=root, check=False, capture_output=True).returncode == 1
    write(root, {"README.md": "both\n"})
    git(root, "add", "README.md")


@pytest.mark.parametrize(
    "words", [("merge", "other"), ("cherry-pick", "other"), ("revert", "--no-edit", "HEAD~1"), ("rebase", "other")]
)
def test_an_unfinished_operation_of_git_blocks_a_commit(demo: Path, bump: Bump, words: tuple[str, ...]) -> None:
    if words[0] == "revert":
        write(demo, {"README.md": "before\n"})
        commit_all(demo, "Before")
    conflict(demo, *words)
    options = ("--part", "minor", "--commit", "--allow-dirty")
    message, fix = blocked(bump, demo, *options)
    assert message.startswith(f"a git {words[0]} is in progress ")
    assert message.endswith("[operation-in-progress]")
    assert fix == f"finish it: git {words[0]} --continue"
    paste(demo, fix.removeprefix("finish it: "))
    bump(demo, *options, code=0)


def test_a_bump_is_not_undone_during_a_merge(demo: Path, bump: Bump) -> None:
    git(demo, "switch", "--quiet", "--create", "other")
    write(demo, {"new.txt": "new\n"})
    commit_all(demo)
    git(demo, "switch", "--quiet", "main")
    assert bump(demo, "--part", "minor", "--commit").code == 0
    git(demo, "merge", "--quiet", "--no-commit", "--no-ff", "other")
    message, _ = blocked(bump, demo, "--undo")
    assert message.startswith("a git merge is in progress")
    git(demo, "merge", "--abort")
    assert bump(demo, "--undo").code == 0


# --- commands in fixes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["tag.gpgSign", "commit.gpgSign"])
def test_no_fix_creates_the_tag_or_the_commit(demo: Path, bump: Bump, setting: str) -> None:
    git(demo, "config", setting, "true")
    git(demo, "config", "gpg.program", "false")
    before = everything(demo)
    ran = bump(demo, *RELEASE, code=2)
    fix = next(line for line in ran.text.splitlines() if "fix: " in line)
    assert "v1.3.0" not in fix
    assert "git commit" not in fix
    assert everything(demo) == before
    git(demo, "config", "gpg.program", "true")
    git(demo, "config", setting, "false")
    assert bump(demo, *RELEASE).code == 0


def test_the_fix_for_a_signature_checks_signing_and_leaves_no_tag(demo: Path, bump: Bump, tmp_path: Path) -> None:
    git(demo, "config", "tag.gpgSign", "true")
    git(demo, "config", "gpg.program", "false")
    ran = bump(demo, *RELEASE)
    command = ran.text.partition("check that git can sign tags: ")[2].splitlines()[0]
    assert subprocess.run(command, cwd=demo, shell=True, check=False, capture_output=True).returncode != 0
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    git(demo, "config", "gpg.format", "ssh")
    git(demo, "config", "user.signingKey", str(tmp_path / "key"))
    paste(demo, command)
    assert git(demo, "tag") == ""
    assert bump(demo, *RELEASE).code == 0
    assert remote_of(demo).is_dir()


def test_auto_tag_ignores_versions_that_the_commit_does_not_have(demo: Path) -> None:
    git(demo, "tag", "v1.2.3")
    git(demo, "push", "--quiet", "--tags")
    git(demo, "update-index", "--assume-unchanged", "pyproject.toml")
    text = (demo / "pyproject.toml").read_text()
    (demo / "pyproject.toml").write_text(text.replace("1.2.3", "1.3.0"))
    ran = run_in_process(demo, "auto-tag", "--no-check-index", code=1)
    assert "git update-index --no-assume-unchanged -- pyproject.toml" in ran.text
    assert git(demo, "tag") == "v1.2.3"


def test_auto_tag_does_not_tag_a_package_that_git_does_not_track(independent: Path) -> None:
    git(independent, "push", "--quiet", "--tags")
    write(independent, {".gitignore": "libs/new\n"})
    commit_all(independent, push=True)
    package(independent, "new")
    ran = run_in_process(independent, "auto-tag", "--package", "new", "--no-check-index", code=1)
    assert "git does not track libs/new/pyproject.toml" in ran.text
    assert "new" not in git(independent, "tag")


def test_auto_tag_tags_a_package_in_a_directory_that_is_a_link(independent: Path) -> None:
    git(independent, "push", "--quiet", "--tags")
    package(independent, "new")
    (independent / "libs/new").rename(independent / "elsewhere")
    (independent / "libs/new").symlink_to("../elsewhere")
    commit_all(independent, push=True)
    run_in_process(independent, "auto-tag", "--package", "new", "--no-check-index", code=0)
    assert "new-v1.0.0" in git(independent, "tag").split()
