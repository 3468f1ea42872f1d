"""One git process that answers the object queries of a whole run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, repository, single, write

from relnox.errors import Failed
from relnox.source.git import find_repository, object_reader
from relnox.source.git.object_reader import ObjectReader
from relnox.system import process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(single(tmp_path / "demo"))


@pytest.fixture
def reader(root: Path) -> Iterator[ObjectReader]:
    reader = ObjectReader(root)
    yield reader
    reader.close()


def child_of(reader: ObjectReader) -> subprocess.Popen[bytes]:
    assert reader._process is not None
    return reader._process


def test_answers_are_those_of_rev_parse(root: Path, reader: ObjectReader) -> None:
    revisions = ["HEAD", "HEAD^{tree}", "HEAD:pyproject.toml", "refs/heads/main"]
    assert reader.object_ids(revisions) == [git(root, "rev-parse", revision) for revision in revisions]
    assert reader.object_ids([]) == []


def test_what_does_not_exist_is_none(reader: ObjectReader) -> None:
    revisions = ["refs/tags/v1^{}", "HEAD:no such file", "HEAD^", "HEAD:\udcff", "-x", ""]
    assert reader.object_ids(revisions) == [None] * len(revisions)


def test_commits_tags_and_packs_that_are_created_later_are_found(root: Path, reader: ObjectReader) -> None:
    assert reader.object_ids(["refs/tags/v1^{}", "HEAD:later.txt"]) == [None, None]
    child = child_of(reader)
    write(root, {"later.txt": "x"})
    commit_all(root, "later")
    git(root, "tag", "--annotate", "--message=1", "v1")
    git(root, "gc", "--quiet", "--prune=now")
    assert reader.object_ids(["HEAD^{commit}", "refs/tags/v1^{}"]) == [git(root, "rev-parse", "HEAD")] * 2
    assert reader.object_ids(["HEAD:later.txt"]) == [git(root, "rev-parse", "HEAD:later.txt")]
    git(root, "tag", "--delete", "v1")
    assert reader.object_ids(["refs/tags/v1^{}"]) == [None]
    assert child_of(reader) is child


def test_more_queries_than_fit_into_a_pipe(root: Path, reader: ObjectReader) -> None:
    commit = git(root, "rev-parse", "HEAD")
    assert reader.object_ids(["HEAD", f"HEAD:{'x' * 200}"] * 5_000) == [commit, None] * 5_000


def test_answers_are_not_taken_for_those_of_a_query_that_was_interrupted(
    root: Path, reader: ObjectReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(child: subprocess.Popen[bytes], revisions: object) -> list[str | None]:
        assert child.stdin is not None
        child.stdin.write(b"HEAD^{tree}\n")
        child.stdin.flush()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(object_reader, "_query", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reader.object_ids(["HEAD^{tree}"])
    assert reader.object_ids(["HEAD"]) == [git(root, "rev-parse", "HEAD")]


def test_a_process_that_was_ended_with_an_interrupted_run_is_replaced(root: Path, reader: ObjectReader) -> None:
    reader.object_ids(["HEAD"])
    child = child_of(reader)
    process.end_all()
    assert child.returncode is not None
    assert reader.object_ids(["HEAD"]) == [git(root, "rev-parse", "HEAD")]


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_a_git_that_ends_without_an_answer_is_an_error(
    root: Path, reader: ObjectReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (write(root.parent / "broken", {"git": "#!/bin/sh\nexit 1\n"}) / "git").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{root.parent / 'broken'}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(Failed, match="git cat-file exited unexpectedly"):
            reader.object_ids(["HEAD"])
    assert reader.object_ids(["HEAD"]) == [git(root, "rev-parse", "HEAD")]


def test_the_process_ends_when_the_reader_is_closed(reader: ObjectReader) -> None:
    reader.object_ids(["HEAD"])
    child = child_of(reader)
    reader.close()
    assert child.returncode is not None
    assert child not in process._running


def test_one_process_answers_until_the_reader_is_closed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = find_repository(root)
    assert here is not None
    started: list[str] = []
    start = process.start

    def counted(words: tuple[str, ...], **options: object) -> subprocess.Popen[bytes]:
        started.append(words[1])
        return start(words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "start", counted)
    here.open_object_reader()
    head = here.head()
    assert head == here.resolve_commit("main") == git(root, "rev-parse", "HEAD")
    assert here.object_ids("HEAD", ["pyproject.toml", "line\nbreak"])["line\nbreak"] is None
    here.close_object_reader()
    assert started == ["cat-file", "rev-parse"]  # a name with a line feed cannot be asked for in one line
    assert here.head() == head
    assert started == ["cat-file", "rev-parse", "rev-parse"]


def test_a_branch_with_the_full_name_of_the_tag_is_not_taken_for_it(
    root: Path, bump: Callable[..., object]
) -> None:
    git(root, "branch", "refs/tags/v1.2.4")
    git(root, "update-ref", "refs/tags/refs/tags/v1.2.4", "HEAD")
    bump(root, "--part", "patch", "--commit", "--tag")
    assert git(root, "rev-parse", "refs/tags/v1.2.4^{}") == git(root, "rev-parse", "HEAD")
