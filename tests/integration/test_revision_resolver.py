"""One git process that resolves the revisions of a whole run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, repository, single, write

from relnox.errors import Failed
from relnox.source.git import find_repository, runner
from relnox.source.git.runner import RevisionResolver
from relnox.system import process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(single(tmp_path / "demo"))


@pytest.fixture
def resolver(root: Path) -> Iterator[RevisionResolver]:
    resolver = RevisionResolver(root)
    yield resolver
    resolver.close()


def child_of(resolver: RevisionResolver) -> subprocess.Popen[bytes]:
    assert resolver._process is not None
    return resolver._process


def test_answers_are_those_of_rev_parse(root: Path, resolver: RevisionResolver) -> None:
    revisions = ["HEAD", "HEAD^{tree}", "HEAD:pyproject.toml", "refs/heads/main"]
    assert resolver.resolve_all(revisions) == [git(root, "rev-parse", revision) for revision in revisions]
    assert resolver.resolve_all([]) == []


def test_what_does_not_exist_is_none(resolver: RevisionResolver) -> None:
    revisions = ["refs/tags/v1^{}", "HEAD:no such file", "HEAD^", "HEAD:\udcff", "-x", ""]
    assert resolver.resolve_all(revisions) == [None] * len(revisions)


def test_commits_tags_and_packs_that_are_created_later_are_found(root: Path, resolver: RevisionResolver) -> None:
    assert resolver.resolve_all(["refs/tags/v1^{}", "HEAD:later.txt"]) == [None, None]
    child = child_of(resolver)
    write(root, {"later.txt": "x"})
    commit_all(root, "later")
    git(root, "tag", "--annotate", "--message=1", "v1")
    git(root, "gc", "--quiet", "--prune=now")
    assert resolver.resolve_all(["HEAD^{commit}", "refs/tags/v1^{}"]) == [git(root, "rev-parse", "HEAD")] * 2
    assert resolver.resolve_all(["HEAD:later.txt"]) == [git(root, "rev-parse", "HEAD:later.txt")]
    git(root, "tag", "--delete", "v1")
    assert resolver.resolve_all(["refs/tags/v1^{}"]) == [None]
    assert child_of(resolver) is child


def test_more_queries_than_fit_into_a_pipe(root: Path, resolver: RevisionResolver) -> None:
    commit = git(root, "rev-parse", "HEAD")
    assert resolver.resolve_all(["HEAD", f"HEAD:{'x' * 200}"] * 5_000) == [commit, None] * 5_000


def test_answers_are_not_taken_for_those_of_a_query_that_was_interrupted(
    root: Path, resolver: RevisionResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(child: subprocess.Popen[bytes], revisions: object) -> list[str | None]:
        assert child.stdin is not None
        child.stdin.write(b"HEAD^{tree}\n")
        child.stdin.flush()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner, "_query", interrupted)
        with pytest.raises(KeyboardInterrupt):
            resolver.resolve_all(["HEAD^{tree}"])
    assert resolver.resolve_all(["HEAD"]) == [git(root, "rev-parse", "HEAD")]


def test_a_process_that_was_ended_with_an_interrupted_run_is_replaced(
    root: Path, resolver: RevisionResolver
) -> None:
    resolver.resolve_all(["HEAD"])
    child = child_of(resolver)
    process.end_all()
    assert child.returncode is not None
    assert resolver.resolve_all(["HEAD"]) == [git(root, "rev-parse", "HEAD")]


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_a_git_that_ends_without_an_answer_is_an_error(
    root: Path, resolver: RevisionResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (write(root.parent / "broken", {"git": "#!/bin/sh\nexit 1\n"}) / "git").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{root.parent / 'broken'}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(Failed, match="git cat-file exited unexpectedly"):
            resolver.resolve_all(["HEAD"])
    assert resolver.resolve_all(["HEAD"]) == [git(root, "rev-parse", "HEAD")]


def test_the_process_ends_when_the_resolver_is_closed(resolver: RevisionResolver) -> None:
    resolver.resolve_all(["HEAD"])
    child = child_of(resolver)
    resolver.close()
    assert child.returncode is not None
    assert child not in process._running


def test_one_process_answers_until_the_resolver_is_closed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = find_repository(root)
    assert here is not None
    started: list[str] = []
    start = process.start

    def counted(words: tuple[str, ...], **options: object) -> subprocess.Popen[bytes]:
        started.append(words[1])
        return start(words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "start", counted)
    here.start_resolver()
    head = here.head()
    assert head == here.resolve_commit("main") == git(root, "rev-parse", "HEAD")
    assert here.object_ids("HEAD", ["pyproject.toml", "line\nbreak"])["line\nbreak"] is None
    here.close_resolver()
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
