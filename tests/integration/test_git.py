"""Queries, commits, tags and pushes in real repositories."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, remote_of, repository, shell, single, write

from relnox.core.planning.step import Edit, NewTag
from relnox.errors import Failed
from relnox.source.git import commits, commits_of_tags, find_repository, remotes

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.source.git import Git

ODD = [
    " leading.txt",
    "with space.txt",
    "\xfcml\xe4ut.txt",
    "line\nbreak.txt",
    '"quoted".txt',
    "-dash",
    ":(top)x",
    "tab\there",
    "carriage\rreturn",
]
"""Names that git quotes, or could read as an option or a pathspec."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(single(tmp_path / "demo"))


def checkout(directory: Path) -> Git:
    """The checkout that a directory is in."""
    git = find_repository(directory)
    assert git is not None
    return git


def read_tags(git: Git, remote: str) -> dict[str, str]:
    return commits_of_tags(remotes.read_refs(git, remote))


def tag(name: str = "v2") -> NewTag:
    return NewTag(name=name, message=f"Release {name}")


# --- state -----------------------------------------------------------------------------------------------


def test_a_remote_is_known_by_any_of_its_settings(root: Path) -> None:
    git(root, "config", "remote.pushDefault", "origin")
    git(root, "config", "remote.a.b.url", "https://example.org/a")
    git(root, "config", "remote.without-url.fetch", "+refs/heads/*:refs/remotes/x/*")
    assert (
        remotes.remote_names(checkout(root))
        == set(git(root, "remote").splitlines())
        == {"origin", "a.b", "without-url"}
    )


def test_before_the_first_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "trunk")
    write(tmp_path, {"new.txt": ""})
    state = checkout(tmp_path).read_state()
    assert (state.head, checkout(tmp_path).commit_time(), state.branch, state.untracked_files) == (
        None,
        None,
        "trunk",
        ("new.txt",),
    )
    assert checkout(tmp_path).head() is None


def test_the_state_lists_files_by_their_plain_names(root: Path) -> None:
    # Whatever is in a name, it is neither quoted nor escaped.
    write(root, dict.fromkeys(ODD, "1\n") | {f"old {name}": "a long enough text\n" * 9 for name in ODD})
    write(root, {"deleted.txt": "", "staged.txt": "", "both.txt": ""})
    commit_all(root)
    assert checkout(root).read_state().changed_files == ()
    for name in ODD:
        (root / name).write_text("2\n")
        (root / f"old {name}").rename(root / f"new {name}")
    (root / "deleted.txt").unlink()
    (root / "staged.txt").write_text("x")
    (root / "both.txt").write_text("x")
    git(root, "add", "--all")
    (root / "both.txt").write_text("y")
    write(root, {f"untracked/{name}": "" for name in ODD} | {"dist/ignored.whl": ""})
    state = checkout(root).read_state()
    changed = [*ODD, *(f"new {name}" for name in ODD), "deleted.txt", "staged.txt", "both.txt"]
    assert state.changed_files == tuple(sorted(changed))
    assert state.untracked_files == tuple(sorted(f"untracked/{name}" for name in ODD))


def test_a_submodule_that_moved_is_dirty(root: Path, tmp_path: Path) -> None:
    inner = repository(write(tmp_path / "inner", {"a.txt": "a\n"}))
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub module")
    commit_all(root)
    assert checkout(root).read_state().changed_files == ()
    write(root / "sub module", {"a.txt": "b\n"})
    assert checkout(root).read_state().changed_files == ("sub module",)


def test_tags_of_every_kind_point_to_commits(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    git(root, "tag", "light")
    git(root, "tag", "--annotate", "--message", "m", "heavy")
    git(root, "tag", "--annotate", "--message", "m", "of-a-tag", "heavy")
    write(root, {"new.txt": ""})
    second = commit_all(root)
    git(root, "tag", "pkg/v\xfc@2")
    here = checkout(root)
    assert here.tags() == {"light": first, "heavy": first, "of-a-tag": first, "pkg/v\xfc@2": second}
    git(root, "push", "--quiet", "--tags", "origin")
    assert read_tags(here, "origin") == {
        "light": first,
        "heavy": first,
        "of-a-tag": first,
        "pkg/v\xfc@2": second,
    }


def test_ignored_files(root: Path) -> None:
    write(root, {".gitignore": "/dist/\n*.log\n"})
    files = ["dist/a.whl", "x.log", "line\nbreak.log", "x.txt", "README.md"]
    assert checkout(root).filter_ignored(files) == {"dist/a.whl", "x.log", "line\nbreak.log"}


def test_inside_a_bare_repository_there_is_no_checkout(root: Path) -> None:
    assert find_repository(remote_of(root)) is None


# --- environment that must not matter ----------------------------------------------------------------


def test_warnings_of_git_are_not_parsed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(root, "tag", "HEAD")  # git warns from now on that HEAD is ambiguous
    expected = git(root, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_TRACE", "1")
    here = checkout(root)
    assert here.head() == expected
    assert here.read_state().head == expected
    assert here.filter_ignored(["dist/x", "y"]) == {"dist/x"}


def test_git_variables_of_another_repository_are_ignored(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As git sets them for its hooks.
    other = repository(write(tmp_path / "other", {"a.txt": ""}))
    write(root, {"README.md": "changed\n"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    here = checkout(root)
    assert here.read_state().changed_files == ("README.md",)
    commits.commit_edits(here, "Change", edits(root, "README.md"))
    commit = here.head()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_LITERAL_PATHSPECS"):
        monkeypatch.delenv(name)
    assert git(root, "rev-parse", "main") == commit
    assert git(other, "log", "--format=%s") == "Start"


def test_the_time_of_a_signed_commit_is_read(root: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    made = subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=False)
    assert made.returncode == 0
    for name, value in {
        "gpg.format": "ssh",
        "user.signingKey": f"{key}.pub",
        "commit.gpgSign": "true",
        "tag.gpgSign": "true",
        "log.showSignature": "true",
    }.items():
        git(root, "config", name, value)
    write(root, {"README.md": "signed\n"})
    here = checkout(root)
    commits.commit_edits(here, "Signed", edits(root, "README.md"))
    commit = git(root, "rev-parse", "HEAD")
    commits.create_tag(here, tag(), commit)
    assert "SSH SIGNATURE" in git(root, "cat-file", "tag", "v2")
    assert here.commit_time() == int(git(root, "log", "-1", "--no-show-signature", "--format=%ct"))
    assert here.tags() == {"v2": commit}


def test_a_staged_change_that_the_checkout_does_not_have_differs_in_no_file(root: Path) -> None:
    before = (root / "README.md").read_text()
    write(root, {"README.md": "staged\n"})
    git(root, "add", "README.md")
    write(root, {"README.md": before, "ignored.log": ""})
    here = checkout(root)
    assert not here.files_differing_from("HEAD", ["README.md"])
    assert here.files_differing_from("HEAD", ["README.md", "ignored.log"])


# --- commit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"a\r\nb\r\n", b"a\nb\n"])
def test_a_file_that_git_stores_in_another_form_is_the_same(root: Path, content: bytes) -> None:
    here = checkout(root)
    write(root, {".gitattributes": "*.txt text eol=crlf\n"})
    (root / "lines.txt").write_bytes(content)
    commit_all(root, "lines")
    assert not here.files_differing_from("HEAD", ["lines.txt"])
    (root / "lines.txt").write_bytes(content + b"c")
    assert here.files_differing_from("HEAD", ["lines.txt"])


def test_a_removed_file_is_the_same_as_none_in_the_commit(root: Path) -> None:
    here = checkout(root)
    (root / "README.md").unlink()
    assert here.files_differing_from("HEAD", ["README.md"])
    git(root, "commit", "--quiet", "--all", "--message=remove")
    assert not here.files_differing_from("HEAD", ["README.md"])
    write(root, {"README.md": "untracked"})
    assert here.files_differing_from("HEAD", ["README.md"])


def edits(root: Path, *files: str) -> list[Edit]:
    """Edits that gave files their present content."""
    return [Edit(file=file, before=None, after=(root / file).read_bytes()) for file in files]


def test_exactly_the_planned_files_are_committed(root: Path) -> None:
    write(root, dict.fromkeys(ODD, "1\n") | {"other.txt": "1\n", "staged.txt": "1\n"})
    before = commit_all(root)
    write(root, dict.fromkeys(ODD, "2\n") | {"other.txt": "2\n", "staged.txt": "2\n", "new.txt": ""})
    git(root, "add", "staged.txt", "new.txt", "with space.txt")
    here = checkout(root)
    assert here.files_differing_from("HEAD", ODD)
    assert here.files_differing_from("HEAD", ODD)
    commits.commit_edits(here, "Release\n\n# no comment: a body", edits(root, *ODD))
    commit = git(root, "rev-parse", "HEAD")
    assert not here.files_differing_from("HEAD", ODD)
    assert git(root, "rev-parse", "HEAD~1") == before
    assert set(here.files_changed_between(before, commit) or ()) == set(ODD)
    assert git(root, "log", "-1", "--format=%B") == "Release\n\n# no comment: a body"
    assert not here.files_differing_from("HEAD", ODD)
    commits.reset_index(here, ODD)
    assert here.files_staged_since("HEAD") == {"new.txt", "staged.txt"}
    # Other staged or changed files are unchanged.
    assert git(root, "diff", "--cached", "--name-only").splitlines() == ["new.txt", "staged.txt"]
    assert git(root, "diff", "--name-only").splitlines() == ["other.txt"]


# --- tags and push --------------------------------------------------------------------------------------------


def test_a_tag_is_annotated_and_never_moved(root: Path) -> None:
    here = checkout(root)
    head = here.head() or ""
    commits.create_tag(here, NewTag(name="pkg-v1.0", message="pkg 1.0\n\n# all of it"), head)
    assert git(root, "cat-file", "-t", "pkg-v1.0") == "tag"
    assert git(root, "tag", "--list", "--format=%(contents)").strip() == "pkg 1.0\n\n# all of it"
    write(root, {"new.txt": ""})
    commit_all(root)
    with pytest.raises(Failed, match="already exists"):
        commits.create_tag(here, tag("pkg-v1.0"), here.head() or "")
    assert here.tags() == {"pkg-v1.0": head}
    commits.delete_tags(here, ["pkg-v1.0"])
    assert here.tags() == {}


def test_messages_of_tags_may_have_any_characters(root: Path) -> None:
    git(root, "commit", "--quiet", "--allow-empty", "-m", 'it\'s a "first"\r\n\r\nbody\rwith carriage returns')
    git(root, "tag", "lightweight")
    message = "Release 'one'\n\n\\n\r\u2028 %00"
    git(root, "tag", "-a", "v1.0.0", "-m", message)
    git(root, "tag", "-a", "v2.0.0", "-m", "two")
    messages = {tag.name: tag.message for tag in checkout(root).tag_messages()}
    assert messages == {"v1.0.0": message.replace("\r", "\n"), "v2.0.0": "two"}


def test_shell_syntax_in_a_tag_name_is_not_executed(root: Path) -> None:
    # git takes such names, and only git reads them here.
    here = checkout(root)
    for name in ("v1$(touch${IFS}pwned)", "v1`touch${IFS}pwned`", "v1;touch", "v1|x&y", "${{x}}", "v\u202e1"):
        commits.create_tag(here, tag(name), here.head() or "")
        remotes.push_branch_and_tags(here, "origin", "main", [name])
    assert read_tags(here, "origin") == here.tags()
    assert len(here.tags()) == 6
    assert not (root / "pwned").exists()


def test_a_fetch_from_a_hanging_remote_is_ignored_when_its_time_is_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH", str(shell(root.parent / "slow/ssh", "exec sleep 60")))
    git(root, "remote", "set-url", "origin", "ssh://slow.example.invalid/demo.git")
    remotes.try_to_fetch_objects(checkout(root), "origin", "refs/heads/main", timeout=0.5)


def test_branch_and_planned_tags_are_pushed_and_no_others(root: Path) -> None:
    git(root, "config", "push.followTags", "true")
    git(root, "tag", "--annotate", "--message", "mine", "private")
    write(root, {"new.txt": ""})
    commit_all(root)
    here = checkout(root)
    commits.create_tag(here, tag(), here.head() or "")
    remotes.push_branch_and_tags(here, "origin", "main", ["v2"])
    remote = remotes.read_refs(here, "origin")
    assert remote["refs/heads/main"] == here.head()
    assert read_tags(here, "origin") == {"v2": here.head()}
    local = here.local_refs()
    assert remote["refs/tags/v2"] == local["refs/tags/v2"]
    assert set(local) == {"refs/heads/main", "refs/tags/v2", "refs/tags/private"}


# --- temporary clones ------------------------------------------------------------------------------------------


def test_names_of_refs_are_split_at_line_ends_only(root: Path) -> None:
    """git allows white space other than ASCII's in names: they must not become the names of other refs."""
    here = checkout(root)
    names = ["x\u2003v9.9.9", "y\u2028v9.9.8", "z\x85v9.9.7", "\u00a0v9.9.6", "v9.9.5\u2003"]
    for name in names:
        git(root, "tag", name)
        git(root, "update-ref", f"refs/remotes/origin/{name}", "HEAD")
    assert here.merged_tags() == {*names}
    assert {*here.tags()} == {*names}
    assert {f"refs/tags/{name}" for name in names} < {*here.local_refs()}
    branches = here.remote_branches_containing(git(root, "rev-parse", "HEAD"))
    assert {f"origin/{name}" for name in names} < {*branches}


def test_a_tag_does_not_change_the_name_of_a_remote_branch(root: Path) -> None:
    git(root, "tag", "origin/main")
    assert "origin/main" in checkout(root).remote_branches_containing(git(root, "rev-parse", "HEAD"))


def test_lines_are_found_in_files_of_any_name(root: Path) -> None:
    """A name with a line end after a slash once led to an endless loop."""
    for name in ("a\n/b/c.txt", "a\n/e\r", "d.txt"):
        write(root, {name: "needle 1\nhay\nneedle 2\n"})
    git(root, "add", "--all")
    lines = {("a\n/b/c.txt", 1), ("a\n/b/c.txt", 2), ("a\n/e\r", 1), ("a\n/e\r", 2), ("d.txt", 1), ("d.txt", 2)}
    assert {*checkout(root).grep("needle")} == {(name, f"needle {number}") for name, number in lines}


def test_ids_of_files_of_any_name(root: Path) -> None:
    write(root, {"a\nb/c": "x", "d": "x"})
    commit = commit_all(root)
    ids = checkout(root).object_ids(commit, ["a\nb/c", "d", "none", "no\nne", ""])
    assert ids["a\nb/c"] == ids["d"] == git(root, "rev-parse", "HEAD:d")
    assert ids["none"] is ids["no\nne"] is None


def test_attributes_of_a_path_hold_below_the_top_level(tmp_path: Path) -> None:
    top = write(tmp_path / "mono", {"python/.gitattributes": "/lines.txt text eol=crlf\n"})
    (top / "python/lines.txt").write_bytes(b"a\r\nb\r\n")
    repository(top)
    here = checkout(top / "python")
    assert not here.files_differing_from("HEAD", ["lines.txt"])
