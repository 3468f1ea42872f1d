"""Read the release history of each package: its last reachable tag, and the commits since then that change it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from relnox.core.bump import release_history
from relnox.core.bump.release_history import Commit, ReleaseHistory
from relnox.core.settings.patterns import is_file_included
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.tags import TagFormat, latest_tags
from relnox.core.text import suggest_name
from relnox.core.workspace import Workspace
from relnox.errors import Blocked
from relnox.source.git import Git


def read_release_histories(  # noqa: PLR0913 - what a history is read from
    git: Git,
    workspace: Workspace,
    tag_formats: Mapping[str, TagFormat],
    tags: Mapping[str, str],
    *,
    lines: Sequence[ReleaseLine] = (),
    paths: Mapping[str, Sequence[str]] = MappingProxyType({}),
    revision: str = "HEAD",
) -> dict[str, ReleaseHistory]:
    """Return, by package name, its last release up to a commit, and the commits since then that change it.

    `revision` names the commit. `tag_formats` are by package name; `tags` maps each tag to its commit. `lines` are
    the release branches that the commit is on, with bounds on versions: tags outside the bounds count only for a
    package that has no others. `paths` is the setting `[tool.relnox.paths]`: patterns of the files whose changes
    count for a package, by names or globs of packages. `Blocked` is raised if a pattern matches no file.
    """
    parents = _read_parents(git, revision)
    versions = {package.name: package.version for package in workspace.packages}
    reachable_tags = (name for name, commit in tags.items() if commit in parents)
    last_tags = latest_tags(tag_formats, reachable_tags, versions, lines)
    tagged_commits = list(dict.fromkeys(tags[tag] for tag, _ in last_tags.values()))
    coverage = release_history.find_tag_coverage(parents, tagged_commits)
    exclusions = coverage.newest_common if len(last_tags) == len(workspace.packages) else ()
    commits = list(_read_commits(git, exclusions, revision))
    if _any_changes_former_pyproject(commits, workspace):
        renamed_directories = _find_renamed_directories(git, exclusions, revision)
        commits = [
            commit._replace(renamed_directories=tuple(renamed_directories.get(commit.id, ())))
            for commit in commits
        ]
    if paths:
        _check_path_patterns(paths, git, commits)
    patterns = release_history.path_patterns_by_package(paths, workspace.packages)
    return release_history.collect_histories(
        workspace.packages, last_tags, tags, coverage.masks, commits, path_patterns=patterns
    )


def packages_by_commit(
    git: Git, workspace: Workspace, paths: Mapping[str, Sequence[str]]
) -> dict[str, frozenset[str]]:
    """Map the id of each commit in the whole history of HEAD to the names of the packages that it changes.

    A merge changes what differs from its first parent. The checkout must have a commit. `paths` is the setting
    `[tool.relnox.paths]`: patterns of the files whose changes count for a package, by names or globs of packages.
    """
    by_id: dict[str, Commit] = {}
    for commit in _read_commits(git, (), merges=True):
        by_id.setdefault(commit.id, commit)
    rules = release_history.path_patterns_by_package(paths, workspace.packages)
    released_packages = release_history.commits_with_changed_packages(workspace.packages, by_id.values(), rules)
    return {commit.id: frozenset(names) for commit, names in released_packages}


def _check_path_patterns(paths: Mapping[str, Sequence[str]], git: Git, commits: Iterable[Commit]) -> None:
    """Raise `Blocked` if a pattern without `!` in `paths` matches no file that is tracked or changed by a commit.

    `paths` is the setting `[tool.relnox.paths]`: file patterns by names or globs of packages.
    """
    files = {*git.tracked_files(), *(file for commit in commits for file in commit.files)}
    for key, patterns in paths.items():
        for pattern in patterns:
            if pattern.startswith("!") or any(is_file_included([pattern], file) for file in files):
                continue
            directories = {
                f"{'/'.join(parts[:depth])}/**"
                for file in files
                for parts in [file.split("/")]
                for depth in (1, 2, 3, 4)
                if len(parts) > depth
            }
            raise Blocked(
                "setting-invalid",
                f"{pattern!r} in [tool.relnox.paths] {key} matches no tracked file",
                fix=suggest_name(pattern, directories or files),
            )


def _read_parents(git: Git, revision: str) -> dict[str, tuple[str, ...]]:
    """Map a commit and each of its ancestors to its parents; children come before their parents."""
    listing = git.run("rev-list", "--topo-order", "--parents", revision).check("git rev-list").output
    lines = (line.split(" ") for line in listing.split("\n") if line)
    return {commit: tuple(parents) for commit, *parents in lines}


def _any_changes_former_pyproject(commits: Iterable[Commit], workspace: Workspace) -> bool:
    """Return whether a commit changes a pyproject.toml below the root that does not belong to a present package.

    It may be that of a package before it was moved.
    """
    files = {package.pyproject for package in workspace.packages}
    return any(
        file.endswith("/pyproject.toml") and file not in files for commit in commits for file in commit.files
    )


def _find_renamed_directories(
    git: Git, exclusions: Sequence[str], revision: str
) -> dict[str, list[tuple[str, str]]]:
    """Map each commit that moved pyproject.toml files to pairs of the old and the new directory of each of them.

    The commits are those in the history of `revision` and not in that of `exclusions`.
    """
    log = git.run(
        *("-c", "core.quotePath=false", "log", "--no-show-signature", "--no-color", "--find-renames"),
        *("--diff-filter=R", "--name-status", "--relative", "--format=commit %H", revision, "--not", *exclusions),
        *("--", ":(glob)**/pyproject.toml"),
    )
    renames: dict[str, list[tuple[str, str]]] = {}
    commit = ""
    for line in log.check("git log").output.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith("R"):
            _, old, new = line.split("\t")
            old_directory, new_directory = (posixpath.dirname(file) or "." for file in (old, new))
            renames.setdefault(commit, []).append((old_directory, new_directory))
    return renames


def _read_commits(
    git: Git, exclusions: Sequence[str], revision: str = "HEAD", *, merges: bool = False
) -> Iterator[Commit]:
    """Yield the commits in the history of `revision`, newest first, except `exclusions` and their ancestors.

    Each has its message and the files that it changes. A merge has no files; with `merges`, it is yielded once for
    each parent, with the files that differ from that parent.
    """
    options = ["-z", "--no-show-signature", "--no-color", "--encoding=UTF-8", "--format=%x00%x00%H%x00%B%x00"]
    options += ["--no-renames", "--name-only", "--relative", *(["-m"] if merges else [])]
    log = git.run("log", *options, revision, "--not", *exclusions, "--")
    # Names and messages have no NUL: the format puts two before each commit, and git adds one after the message.
    fields = log.check("git log").output.split("\0")
    position = 0
    while fields[position : position + 2] == ["", ""]:
        commit, message = fields[position + 2 : position + 4]
        first = position = position + 5
        while position < len(fields) and fields[position]:
            position += 1
        yield Commit(commit, message, tuple(name.removeprefix("\n") for name in fields[first:position]))


_MAX_CONTENTS = 100
"""How many commits of one file are read."""


def file_contents_in_history(git: Git, file: str) -> tuple[str, ...]:
    """Return a file's contents after each of the last 100 commits that changed it, the oldest first.

    The path is relative to the root. Commits that removed the file are left out.
    """
    listing = git.run("log", "--format=%H", f"--max-count={_MAX_CONTENTS}", "--", file, stderr=False)
    blobs = [f"{commit}:{git.prefix}{file}" for commit in reversed(listing.output.split())]
    contents = (git.run("cat-file", "blob", blob, stderr=False) for blob in blobs)
    return tuple(content.output for content in contents if content.returncode == 0)
