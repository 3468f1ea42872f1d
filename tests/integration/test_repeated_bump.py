"""The same bump again, here or in a rerun CI job: it is finished and not released a second time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, everything, git, pair, remote_of, repository, shell, write
from running import run_blocked_bump

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag")
PUSHED = (*RELEASE, "--push")
BASE, TOP = "packages/base/pyproject.toml", "packages/top/pyproject.toml"
SCM = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'


@pytest.fixture
def unpushed(two: Path, bump: Bump) -> Path:
    """The two packages, whose release 2.1.0 is committed and tagged, but was not pushed."""
    hook = shell(two / ".git/hooks/pre-push", "exit 1")
    assert bump(two, *PUSHED).code == 2
    hook.unlink()
    return two


def clone(root: Path, directory: Path, *options: str) -> Path:
    """A new clone of the remote, as a CI job makes one."""
    git(root.parent, "clone", "--quiet", *options, f"file://{remote_of(root)}", str(directory))
    git(directory, "config", "user.name", "Maintainer")
    git(directory, "config", "user.email", "maintainer@example.invalid")
    return directory


def push_other(root: Path, directory: Path) -> None:
    """Push a commit from another clone."""
    other = clone(root, directory)
    write(other, {"packages/top/more.py": ""})
    commit_all(other, "feat: more", push=True)


def on_remote(root: Path) -> list[str]:
    """The commits of the branch and of the release's tag on the remote."""
    return git(remote_of(root), "rev-parse", "main", "v2.1.0^{}").splitlines()


# --- a finished release -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("--part", "minor"),
        ("--part", "minor", "--commit"),
        RELEASE,
        PUSHED,
        ("--to", "2.1.0", "--commit", "--tag"),
    ],
)
def test_the_same_bump_again_changes_nothing(two: Path, bump: Bump, options: tuple[str, ...]) -> None:
    assert bump(two, *options).code == 0
    before = everything(two)
    for more in ((), ("--dry-run",), ()):
        ran = bump(two, *options, *more, code=0)
        assert "already " in ran.text
        assert "--again" in ran.text
        assert everything(two) == before
    if "--commit" in options:
        assert bump(two, *options, "--quiet").out.startswith("already released\n")


def test_another_final_release_of_the_same_commits_needs_again(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    ran = bump(two, "--part", "patch", "--commit", "--tag", code=0)
    assert "is the release of pair-base 2.1.0, pair-top 2.1.0; to bump once more: --again" in ran.text
    assert git(two, "tag") == "v2.1.0"
    assert bump(two, "--part", "patch", "--commit", "--tag", "--again").code == 0
    assert git(two, "tag").split() == ["v2.1.0", "v2.1.1"]


@pytest.mark.parametrize(
    ("first", "second", "tag"),
    [
        (("--pre", "rc"), ("--part", "release"), "v2.0.1"),
        (("--pre", "beta"), ("--pre", "rc"), "v2.0.1rc0"),
        (("--pre", "alpha"), ("--part", "phase"), "v2.0.1b0"),
        (("--part", "patch"), ("--part", "post"), "v2.0.1.post1"),
        (("--part", "patch"), ("--to", "3.0"), "v3.0"),
    ],
)
def test_another_kind_of_release_of_the_same_commits_is_made(
    two: Path, bump: Bump, first: tuple[str, ...], second: tuple[str, ...], tag: str
) -> None:
    for request, is_rerun in ((first, False), (second, False), (second, True)):
        ran = bump(two, *request, "--commit", "--tag", code=0)
        assert ("already released" in ran.text) == is_rerun
    assert git(two, "tag", "--points-at", "HEAD") == tag


@pytest.mark.parametrize(
    ("words", "version"),
    [(("--part", "patch"), "2.1.1"), (("--part", "major"), "3.0.0"), (("--to", "2.4"), "2.4")],
)
def test_edits_on_top_of_a_release_are_committed_by_the_next_command(
    two: Path, bump: Bump, words: tuple[str, ...], version: str
) -> None:
    assert bump(two, *PUSHED).code == 0
    _, _, next_command = bump(two, *words).text.rpartition("next: relnox bump ")
    assert f"{' '.join(words)} --commit --tag" in next_command
    assert bump(two, *words, "--commit", "--tag").code == 0
    assert git(two, "tag", "--points-at", "HEAD").split() == [f"v{version}"]
    assert git(two, "status", "--porcelain") == ""
    assert "already released" in bump(two, *words, "--commit", "--tag").text


def test_with_a_commit_since_the_same_bump_releases_again(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    write(two, {"packages/base/more.py": ""})
    commit_all(two)
    assert bump(two, *RELEASE).code == 0
    assert git(two, "tag").split() == ["v2.1.0", "v2.2.0"]


def test_a_release_of_a_person_has_no_trailers_and_is_no_reason_to_do_nothing(two: Path, bump: Bump) -> None:
    for name in (BASE, TOP):
        (two / name).write_text((two / name).read_text().replace("2.0.0", "2.1.0"))
    commit_all(two, "Release 2.1.0")
    git(two, "tag", "v2.1.0")
    assert bump(two, *RELEASE).code == 0
    assert git(two, "tag").split() == ["v2.1.0", "v2.2.0"]


def test_a_tag_without_a_commit_is_not_bumped_again(tmp_path: Path, bump: Bump) -> None:
    root = repository(write(tmp_path / "scm", {"pyproject.toml": SCM}))
    git(root, "tag", "v1.0.0")
    tags = ["v1.0.0"]
    for request, tag in (
        (("--part", "minor"), "v1.1.0"),
        (("--pre", "alpha"), "v1.1.1a0"),
        (("phase",), "v1.1.1b0"),
    ):
        tags.append(tag)
        for is_rerun in (False, True):
            ran = bump(root, *request, "--tag", code=0)
            assert ("already released" in ran.text) == is_rerun
            assert git(root, "tag").split() == tags


# --- edits without a commit --------------------------------------------------------------------------


@pytest.mark.parametrize("edited", [(BASE,), (TOP,), (BASE, TOP)])
@pytest.mark.parametrize("later", [("--part", "minor"), RELEASE])
@pytest.mark.parametrize("staged", [False, True])
def test_edits_that_are_made_are_not_made_twice(
    two: Path, bump: Bump, edited: tuple[str, ...], later: tuple[str, ...], *, staged: bool
) -> None:
    # As a run without --commit leaves them, or one that was killed.
    before = {name: (two / name).read_bytes() for name in (BASE, TOP)}
    assert bump(two, "--part", "minor").code == 0
    after = {name: (two / name).read_bytes() for name in (BASE, TOP)}
    for name in before.keys() - edited:
        (two / name).write_bytes(before[name])
    if staged:
        git(two, "add", "packages")
    write(two, {"pyproject.toml": (two / "pyproject.toml").read_text() + "# mine\n"})
    bump(two, *later, *(["--allow-dirty"] if later == RELEASE else []), code=0)
    assert {name: (two / name).read_bytes() for name in (BASE, TOP)} == after
    assert git(two, "tag") == ("v2.1.0" if later == RELEASE else "")
    assert git(two, "log", "--format=%s").count("Release") == (later == RELEASE)
    if later == RELEASE:
        assert git(two, "diff", "HEAD", "--name-only") == "pyproject.toml"


@pytest.mark.parametrize("staged", [False, True])
def test_other_changes_of_an_edited_file_are_kept_and_block_the_bump(
    two: Path, bump: Bump, *, staged: bool
) -> None:
    assert bump(two, "--part", "minor").code == 0
    text = (two / TOP).read_text()
    (two / TOP).write_text(f"{text}# mine\n")
    if staged:
        git(two, "add", TOP)
        (two / TOP).write_text(text)
    said = run_blocked_bump(bump, two, *RELEASE)
    assert TOP in said
    assert "[tree-dirty]" in said


@pytest.mark.parametrize("place", ["worktree", "line ends", "directory", "submodule"])
def test_an_interrupted_bump_is_finished_in_any_checkout(tmp_path: Path, bump: Bump, place: str) -> None:
    top = tmp_path / "pair"
    root = pair(top / "python" if place == "directory" else top)
    if place == "line ends":
        write(root, {".gitattributes": "*.toml text eol=crlf\n"})
        for path in root.rglob("*.toml"):
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    repository(top)
    if place == "worktree":
        root = tmp_path / "side"
        git(top, "worktree", "add", "--quiet", "-b", "side", str(root))
    elif place == "submodule":
        outer = repository(write(tmp_path / "outer", {"README.md": ""}))
        git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(remote_of(top)), "inner")
        root = outer / "inner"
        git(root, "config", "user.name", "Maintainer")
        git(root, "config", "user.email", "maintainer@example.invalid")
    before = (root / TOP).read_bytes()
    (root / TOP).write_bytes(before.replace(b"2.0.0", b"2.1.0"))
    ran = bump(root, *RELEASE, "--allow-branch", code=0)
    assert "going on with an earlier run" in ran.text
    assert 'version = "2.1.0"' in git(root, "show", f"v2.1.0:./{BASE}")
    assert (root / TOP).read_bytes() == before.replace(b"2.0.0", b"2.1.0")
    assert git(root, "status", "--porcelain") == ""
    assert git(top, "worktree", "list").splitlines()[-1].startswith(f"{root if place == 'worktree' else top} ")


def test_again_without_a_commit_bumps_the_edited_files(two: Path, bump: Bump) -> None:
    for options in ((), ("--again", "--allow-dirty")):
        assert bump(two, "--part", "minor", *options).code == 0
    assert 'version = "2.2.0"' in (two / BASE).read_text()


HOOK = """
import pathlib
for name, text in FILES.items():
    file = pathlib.Path(name)
    file.unlink() if text is None else file.write_text(text)
"""


@pytest.mark.parametrize(
    "files",
    [{"new.txt": "x"}, {"notes.txt": "changed"}, {"notes.txt": None}, {"new.txt": "x", "notes.txt": None}],
)
@pytest.mark.parametrize("tool", ["towncrier", "edit-bump"])
def test_what_tools_and_hooks_edited_without_a_commit_is_committed_later(
    tmp_path: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch, files: dict[str, str | None], tool: str
) -> None:
    script = f"FILES = {files!r}\n{HOOK}"
    settings = '[tool.towncrier]\nfilename = "N"\n'
    if tool == "edit-bump":
        settings = '[[tool.relnox.hooks.edit-bump]]\nrun = ["python", "hook.py"]\n'
    project = f'[project]\nname = "demo"\nversion = "1.0.0"\n{settings}'
    root = repository(write(tmp_path / "demo", {"pyproject.toml": project, "notes.txt": "", "hook.py": script}))
    program = write(tmp_path / "programs", {"towncrier": f"#!{sys.executable}\n{script}"}) / "towncrier"
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    ran = bump(root, "--part", "minor", code=0)
    assert "note: not committed: pyproject.toml, " in ran.err
    edited = sorted(["pyproject.toml", *files])
    assert sorted(git(root, "status", "--porcelain").split()[1::2]) == edited
    ran = bump(root, *RELEASE, code=0)
    assert "going on with an earlier run" in ran.text
    assert git(root, "show", "--format=", "--name-only", "v1.1.0^{}").splitlines() == edited
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.parametrize("edited", [("a.txt",), ("a.txt", "b.txt")])
def test_the_command_to_go_back_restores_everything(tmp_path: Path, bump: Bump, edited: tuple[str, ...]) -> None:
    script = f"FILES = {dict.fromkeys(edited, 'x')!r}\n{HOOK}"
    hook = '[[tool.relnox.hooks.edit-bump]]\nrun = ["python", "hook.py"]\n'
    project = f'[project]\nname = "demo"\nversion = "1.0.0"\n{hook}'
    root = repository(write(tmp_path / "demo", {"pyproject.toml": project, "a.txt": "", "hook.py": script}))
    before = everything(root)
    err = bump(root, "--part", "minor").err
    subprocess.run(err.partition("to go back: ")[2].partition("\n")[0], shell=True, cwd=root, check=True)
    assert everything(root) == before
    assert f"next: relnox bump --project {root} --part minor --commit --tag\n" in err


# --- what is missing is done -------------------------------------------------------------------------


FINISHED = ["core-v1.1.0: Release core 1.1.0", "web-v1.1.0: Release web 1.1.0"]


@pytest.mark.parametrize(
    "runs",
    [
        ["web --commit", "core --commit --tag", "web --commit --tag", "web --push", "core --push"],
        [
            "web --commit",
            "core --commit",
            "core --commit --tag",
            "web --commit --tag",
            "core --push",
            "web --push",
        ],
        ["web --commit --tag", "core --commit --tag", "core --push", "web --push"],
        ["web --commit --tag", "core --commit --tag", "web --push", "core --push"],
        ["web --commit", "core --push", "web --push"],
        ["web --commit --tag --then-dev", "core --commit --tag --then-dev", "web --push", "core --push"],
        ["web --push", "core --push", "web --push", "core --push"],
        ["web", "web --commit", "core", "core --commit --tag", "web --push", "core --push"],
    ],
)
def test_options_that_are_added_later_finish_the_release_of_each_package(
    tmp_path: Path, bump: Bump, runs: list[str]
) -> None:
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n'}
    for name in ("web", "core"):
        files[f"packages/{name}/pyproject.toml"] = f'[project]\nname = "{name}"\nversion = "1.0.0"\n'
    root = repository(write(tmp_path / "independent", files))
    for words in runs:
        name, *options = words.replace("--push", "--commit --tag --push").split()
        ran = bump(root, "--part", "minor", "--package", name, *options, code=0)
        is_unpushed = "--push" in options and len(git(root, "tag").split()) > len(
            git(remote_of(root), "tag").split()
        )
        assert ("of earlier releases; to push it: git push origin" in ran.text) == is_unpushed
    for repository_of_tags in (root, remote_of(root)):
        tags = git(repository_of_tags, "for-each-ref", "--format=%(refname:strip=2): %(*subject)", "refs/tags")
        assert tags.splitlines() == FINISHED
    assert git(remote_of(root), "log", "--format=%s", "main").count("Release") == 2
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.parametrize("request_first", [("--to", "1.0.0"), ("--part", "auto")])
def test_the_version_in_the_file_is_released_first(
    tmp_path: Path, bump: Bump, request_first: tuple[str, ...]
) -> None:
    root = repository(write(tmp_path / "new", {"pyproject.toml": '[project]\nname = "new"\nversion = "1.0.0"\n'}))
    before = everything(root)
    ran = bump(root, *request_first, code=0)
    assert "no file changes: --commit --tag releases what is there" in ran.text
    assert everything(root) == before
    for options, remote_tags in ((("--tag",), ""), (("--commit", "--tag", "--push"), "v1.0.0")):
        ran = bump(root, *request_first, *options, code=0)
        assert (git(root, "tag"), git(remote_of(root), "tag")) == ("v1.0.0", remote_tags)
    assert "already released" in bump(root, "--to", "1.0.0", "--commit", "--tag").text
    assert git(root, "log", "--format=%s") == "Start"
    commit_all(write(root, {"more.py": ""}))
    assert "the version is already 1.0.0" in run_blocked_bump(bump, root, "--to", "1.0.0", "--commit", "--tag")


def test_an_unpushed_release_below_another_of_its_packages_is_not_the_one_that_is_requested(
    two: Path, bump: Bump
) -> None:
    assert bump(two, *RELEASE, "--then-dev").code == 0
    assert bump(two, "--to", "2.2.0rc0", "--commit", "--tag").code == 0
    bump(two, *PUSHED, code=0)
    assert git(remote_of(two), "tag", "--points-at", "main") == "v2.2.0"


@pytest.mark.parametrize("lost", ["v2.1.0", "main"])
def test_what_the_remote_lost_is_pushed_again(two: Path, bump: Bump, lost: str) -> None:
    git(two, "push", "--quiet", "origin", "main")
    assert bump(two, *PUSHED).code == 0
    commit = git(two, "rev-parse", "HEAD")
    change = ":v2.1.0" if lost == "v2.1.0" else f"{commit}^:main"
    git(two, "push", "--quiet", "--force", "origin", change)
    bump(two, *PUSHED, code=0)
    assert on_remote(two) == [commit, commit]


@pytest.mark.parametrize("has_tag", [True, False])
def test_the_release_commit_is_tagged_if_other_commits_follow_it(
    unpushed: Path, bump: Bump, *, has_tag: bool
) -> None:
    release = git(unpushed, "rev-parse", "main")
    if not has_tag:
        git(unpushed, "tag", "--delete", "v2.1.0")
    write(unpushed, {"packages/base/README.md": "more\n"})
    later = commit_all(unpushed, "docs: more")
    ran = bump(unpushed, *PUSHED, code=0)
    assert f"finishing a release: a commit ({release[:10]}) is the release of" in ran.text
    assert on_remote(unpushed) == [later, release]


def test_a_rebased_or_amended_release_is_tagged_again(unpushed: Path, bump: Bump, tmp_path: Path) -> None:
    push_other(unpushed, tmp_path / "colleague")
    assert "git pull --rebase origin main, then rerun the command" in bump(unpushed, *PUSHED).text
    git(unpushed, "pull", "--quiet", "--rebase", "origin", "main")
    git(unpushed, "commit", "--quiet", "--amend", "--no-edit", "--author=Other <other@example.invalid>")
    bump(unpushed, *PUSHED, code=0)
    assert on_remote(unpushed) == [git(unpushed, "rev-parse", "HEAD")] * 2


@pytest.mark.parametrize("switch", ["--detach", "--create=feature"])
def test_a_release_is_pushed_from_its_own_branch_only(unpushed: Path, bump: Bump, switch: str) -> None:
    git(unpushed, "switch", "--quiet", switch)
    said = run_blocked_bump(bump, unpushed, *PUSHED)
    assert ("[head-detached]" if switch == "--detach" else "[branch-not-allowed]") in said


@pytest.mark.parametrize("message", ["v2.1.0", None])
def test_a_tag_that_relnox_did_not_create_is_not_moved_to_the_release(
    two: Path, bump: Bump, message: str | None
) -> None:
    assert bump(two, "--part", "minor", "--commit").code == 0
    other = git(two, "commit-tree", "-m", "Of no branch", "HEAD~1^{tree}")
    git(two, "tag", *(["--annotate", "--message", message] if message else []), "v2.1.0", other)
    before = everything(two)
    assert "[tag-exists]" in bump(two, *RELEASE, code=4).err
    assert everything(two) == before


def test_a_partly_pushed_release_is_finished_as_the_fix_says(unpushed: Path, bump: Bump, tmp_path: Path) -> None:
    # A remote without atomic pushes may have the tag, but not the branch.
    release = git(unpushed, "rev-parse", "main")
    git(unpushed, "push", "--quiet", "origin", "v2.1.0")
    push_other(unpushed, tmp_path / "colleague")
    ran = bump(unpushed, *PUSHED)
    assert "fix: git pull --no-rebase --no-edit origin main, then rerun the command" in ran.text
    git(unpushed, "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")
    ran = bump(unpushed, *PUSHED, code=0)
    assert on_remote(unpushed) == [git(unpushed, "rev-parse", "HEAD"), release]


# --- another clone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_again", [RELEASE, ("--to", "2.1.0", "--commit", "--tag")])
@pytest.mark.parametrize("depth", [(), ("--depth", "1", "--no-tags")])
def test_a_rerun_job_on_the_release_commit(
    two: Path, tmp_path: Path, bump: Bump, request_again: tuple[str, ...], depth: tuple[str, ...]
) -> None:
    assert bump(two, *PUSHED).code == 0
    job = clone(two, tmp_path / "job", *depth)
    before = git(remote_of(two), "for-each-ref")
    ran = bump(job, *request_again, "--push", code=0)
    assert "already released" in ran.text
    assert git(remote_of(two), "for-each-ref") == before


@pytest.mark.parametrize("depth", [(), ("--depth", "1", "--no-tags")])
def test_a_rerun_job_on_the_commit_before_the_release(
    two: Path, tmp_path: Path, bump: Bump, depth: tuple[str, ...]
) -> None:
    # A rerun checks out the commit that the first run began with.
    start = git(two, "rev-parse", "HEAD")
    assert bump(two, *PUSHED).code == 0
    job = tmp_path / "job"
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(job))
    git(job, "remote", "add", "origin", f"file://{remote_of(two)}")
    git(job, "fetch", "--quiet", *depth, "origin", start)
    git(job, "checkout", "--quiet", "-B", "main", "FETCH_HEAD")
    before = git(remote_of(two), "for-each-ref")
    ran = bump(job, *PUSHED, code=1)
    release = git(two, "rev-parse", "HEAD")
    assert f"v2.1.0 ({release[:10]}) was released from this commit ({start[:10]}) already" in ran.text
    assert " --commit v2.1.0, then relnox publish" in ran.text
    assert git(remote_of(two), "for-each-ref") == before


def test_a_release_on_another_branch_of_the_remote_is_pushed_to_its_own(
    two: Path, tmp_path: Path, bump: Bump
) -> None:
    before = git(two, "rev-parse", "HEAD")
    colleague = clone(two, tmp_path / "colleague")
    git(colleague, "switch", "--quiet", "--create", "next")
    bump(colleague, *PUSHED, "--allow-branch", code=0)
    git(two, "fetch", "--quiet", "--tags")
    git(two, "merge", "--quiet", "--ff-only", "origin/next")
    bump(two, *PUSHED, code=0)
    release = git(two, "rev-parse", "HEAD")
    assert git(remote_of(two), "rev-parse", "main", "next", "v2.1.0^{}").splitlines() == [release] * 3
    git(two, "push", "--quiet", "--force", "origin", f"{before}:main")
    git(two, "reset", "--quiet", "--hard", before)
    said = run_blocked_bump(bump, two, *PUSHED, code=4)
    assert "[tag-exists]" in said
