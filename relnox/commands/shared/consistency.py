"""Checks that the tag, the expected version, the files, the commit and the manifest of a release agree.

A missing tag is no contradiction: the clone may lack tags and history, and the archives may have been built on
another machine.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from typing import Literal, NamedTuple

from packaging.version import Version

from relnox.commands.shared.releases import (
    ReleaseRequest,
    ReleaseTag,
    is_floating_tag,
    is_last_release,
    latest_reachable_tag,
    tags_of_version,
)
from relnox.core.fixes import task_command
from relnox.core.packages import Package
from relnox.core.release import wheels
from relnox.core.release.manifest import MANIFEST_JSON, Manifest
from relnox.core.tags import split_tag
from relnox.core.text import join_names
from relnox.core.workspace import LOCK_FILES, owning_package
from relnox.errors import Blocked, ExitCode, Failed, Problem
from relnox.project import Project
from relnox.source.git import remotes

_FETCH_TIMEOUT = 300.0
"""The timeout for fetching the release branch from the remote, in seconds."""
_Mismatch = partial(Blocked, allow="allow_mismatch")


# --- tag, expected version and files -----------------------------------------------------------------------------


class StatedVersion(NamedTuple):
    """A version of a package, and what states it.

    Attributes:
        kind: `tag` (the tag that the run was started for), `expected` (`--expect-version`) or `file`.
        source: The tag, option or file, as text for messages.
    """

    kind: Literal["tag", "expected", "file"]
    source: str
    version: Version


def compare_versions(
    request: ReleaseRequest, project: Project, names: Iterable[str], manifest: Manifest | None = None
) -> tuple[list[Problem], list[str]]:
    """Compare the versions of packages in the tag of the run, the option `--expect-version` and the files.

    The first of these that states a version of a package says which version is released. The files are those of
    the checkout, or the `manifest`, which is None before the build. In a rehearsal, nothing is compared.

    Returns:
        Problems where another source states another version, or the tag does not fit the packages; and notes on
        where each version comes from. The notes are empty outside CI, unless a tag or a version is expected.
    """
    if project.is_rehearsal:
        return [], []
    tag, names = request.tag, tuple(names)
    agreeing: dict[tuple[str, ...], list[str]] = defaultdict(list)
    differing: dict[tuple[StatedVersion, str, Version], list[tuple[str, StatedVersion]]] = defaultdict(list)
    for name in names:
        versions = list(_stated_versions(name, request, project, manifest))
        agreed = [source for source in versions if source.version == versions[0].version]
        for other in versions:
            if other not in agreed:
                differing[versions[0], other.kind, other.version].append((name, other))
        if versions:
            sources = ("the packages' files" if source.kind == "file" else source.source for source in agreed)
            agreeing[tuple(sources)].append(f"{name} {versions[0].version}")
    problems = [_version_disagreement(first, others, tag, project) for (first, _, _), others in differing.items()]
    notes = [
        f"version from {source}: {join_names(releases)}"
        + (f", the same in {join_names(others)}" if others else "")
        for (source, *others), releases in agreeing.items()
    ]
    if tag is not None:
        problems += _release_tag_problems(tag, project, names, is_built=manifest is not None)
        if not tag.versions and not problems:
            notes.append(f"{tag} is not a release tag of this project")
    return problems, notes if tag or request.expected or os.environ.get("CI") else []


def _stated_versions(
    name: str, request: ReleaseRequest, project: Project, manifest: Manifest | None
) -> Iterator[StatedVersion]:
    """Yield the versions that the tag, the option `--expect-version` and a file state for the package `name`.

    The file is the one in which the package has its version. If there is none, or `manifest` has another version,
    it is the manifest.
    """
    if request.tag is not None and (tagged := request.tag.versions.get(name)) is not None:
        yield StatedVersion("tag", str(request.tag), tagged)
    if request.expected is not None:
        yield StatedVersion("expected", "--expect-version", request.expected)
    package = project.workspace.by_name.get(name)
    current = package.version if package is not None else None
    built = manifest.version_of(name) if manifest is not None else current
    if package is not None and current is not None and current == built:
        yield StatedVersion("file", package.source.file, current)
    elif built is not None:
        yield StatedVersion("file", MANIFEST_JSON, built)


def _version_disagreement(
    first: StatedVersion, others: Sequence[tuple[str, StatedVersion]], tag: ReleaseTag | None, project: Project
) -> Problem:
    """Return the problem that other sources state another version than `first`, which is the released one.

    `others` has pairs of a package and a source of its version; all state the same version and are of one kind.
    `tag` is the tag that the run was started for, or None; the fix depends on it.
    """
    packages, other = [name for name, _ in others], others[0][1]
    sources = list(dict.fromkeys(statement.source for _, statement in others))
    if other.kind == "expected":
        fix = f"expect that version: --expect-version {first.version}"
    elif tag is None or first.kind == "expected":
        fix = f"expect that version: --expect-version {other.version}"
    elif tag.is_elsewhere:
        fix = f"git switch --detach refs/tags/{tag.name}"
    else:
        selected = packages if project.workspace.by_name.keys() - tag.versions.keys() else []
        bump = _bump_above_command((first.version, other.version), selected, "--push")
        fix = f"release a version above both: {bump}"
    names = f" ({join_names(packages)})" if other.kind == "file" else ""
    return _Mismatch(
        "release-version-differs",
        f"{first.source} is {first.version}, but {join_names(sources)} "
        f"{'has' if len(sources) == 1 else 'have'} {other.version}{names}",
        fix,
    )


def _release_tag_problems(
    tag: ReleaseTag, project: Project, names: tuple[str, ...], *, is_built: bool
) -> Iterator[Problem]:
    """Yield a problem if the tag that a run was started for is no release tag, or not of all packages `names`.

    Before the build, the tag of a CI job need not be a release tag, but a release tag must be at the current
    commit. With `is_built`, it may be at any.
    """
    if not tag.versions:
        if is_built or tag.origin == "--release-tag":
            formats = project.once(project.tag_formats_with, tag.name)
            samples = join_names(dict.fromkeys(formats[name].sample for name in names))
            yield _Mismatch(
                "tag-not-checked-out",
                f"{tag} is not a release tag of this project (its tags are like {samples})",
                "start the run for a release tag, or on a branch",
            )
        return
    if others := [name for name in names if name not in tag.versions]:
        yield _Mismatch(
            "package-not-tagged",
            f"{tag} does not include {join_names(others)} (only {join_names(tag.versions)})",
            "remove --package",
        )
    if tag.is_elsewhere and not is_built and any(version is not None for version in tag.versions.values()):
        yield _Mismatch(
            "tag-not-checked-out",
            f"{tag} is on {project.tags[tag.name][:10]}, but the checkout is at {project.commit:.10}",
            f"git switch --detach refs/tags/{tag.name}",
        )


# --- tags and commits --------------------------------------------------------------------------------------------


def compare_commit_with_tags(
    packages: Sequence[Package], project: Project, commit: str | None, tag: ReleaseTag | None
) -> tuple[list[Problem], list[str]]:
    """Compare the versions of packages with the release tags at the commit to build.

    Packages of `tag`, the one that the run was started for, are not compared with other tags there. Versions that
    are not committed yet are left out. Without a commit, both results are empty.

    Returns:
        Problems where the tags of a package at the commit all have other versions; and notes on versions that are
        tagged at another commit, with other files. CI often builds such commits, but they cannot be published.
    """
    if commit is None or project.state is None:
        return [], []
    versions = {
        package.name: package.version
        for package in packages
        if package.version is not None and package.source.file not in project.state.changed_files
    }
    notes = [
        f"{message}; before publishing, run: {project.bump_command(names[0], '--part', 'patch', tag=True)}"
        for message, _, names in tagged_elsewhere_messages(versions, commit, project)
    ]
    return list(
        _other_tagged_version_problems(versions, commit, project, tag, "the version of {} there is")
    ), notes


def manifest_problems(
    manifest: Manifest, dist: str, project: Project, tag: ReleaseTag | None, *, production: bool
) -> Iterator[Problem]:
    """Yield problems where the manifest in the directory `dist` contradicts the checkout, or tags of its commit.

    Packages of `tag`, the one that the run was started for, are not compared with other tags of the commit. With
    `production`, it is also a problem if wheels are missing, or if a version is tagged at another commit.
    """
    where, commit = f"{dist}/{MANIFEST_JSON}", manifest.commit
    yield from _outdated_manifest_problems(manifest, where, project)
    for name in manifest.packages if production else ():
        files = [file.filename for file in manifest.files_of(name)]
        missing = wheels.compare_files(name, files, project.config.wheels).missing
        if name in project.config.wheels and (missing_wheels := [item for item in missing if item != "sdist"]):
            yield _Mismatch(
                "wheels-missing",
                f"{where} lacks wheels of {name} {manifest.version_of(name)}: "
                f"{join_names(missing_wheels, limit=6)} ([tool.relnox.wheels])",
                f"merge the output of all build jobs: {task_command('collect', '--from', 'DIR')}",
            )
    if commit is None or manifest.dirty or project.state is None:
        return
    versions = {name: manifest.version_of(name) for name in manifest.packages if name in project.workspace.by_name}
    yield from _other_tagged_version_problems(versions, commit, project, tag, "the build made {}")
    for message, tag_name, packages in tagged_elsewhere_messages(versions, commit, project) if production else ():
        yield _Mismatch(
            "version-tagged-elsewhere",
            message,
            f"{project.bump_command(packages[0], '--part', 'patch', tag=True)}, then: "
            f"{task_command('build-all')}; to publish the tagged commit: "
            f"{task_command('build-all', '--commit', tag_name)}",
        )


def release_branch_problems(commit: str, project: Project) -> Iterator[Problem]:
    """Yield a problem if the commit of a build is neither on a release branch of the remote nor has a release tag.

    Tags and remote branches that this clone knows are enough; otherwise the remote is read, and must answer.
    Commits that this clone lacks are fetched. There is no problem without a remote, or outside git. If only a
    manifest is there, without a checkout, the commit must have a tag.
    """
    git, state, remote = project.git, project.state, project.config.remote
    if state is None or any(project.tags[tag] == commit for tags in project.package_tags.values() for tag in tags):
        return
    if git is None:
        yield Blocked(
            "branch-behind",
            f"the files were built from commit {commit[:10]}, which has no release tag",
            fix=f"in a checkout of it: {task_command('auto-tag')}, then: {task_command('build-all')}",
            allow="allow_branch",
        )
        return
    if remote not in remotes.remote_names(git):
        return
    patterns = [line.branch for line in project.config.branch]
    tracking = [f"{remote}/{pattern}" for pattern in patterns]
    has_commit = git.resolve_commit(commit) is not None
    if _matching_branches(project.once(git.remote_branches_containing, commit) if has_commit else (), tracking):
        return
    try:
        project.remote.require_refs("publishing")
        patterns = patterns or [project.once(remotes.default_branch, git, remote) or str(state.branch)]
    except Failed as error:
        message = f"{error.message}, so it is not known whether a release branch has commit {commit[:10]}"
        yield error.but(message=message, exit_code=ExitCode.BLOCKED, allow="allow_branch")
        return
    branches = {
        name: project.remote.branches[name] for name in _matching_branches(project.remote.branches, patterns)
    }
    if missing := [f"refs/heads/{name}" for name, tip in branches.items() if git.resolve_commit(tip) is None]:
        project.once(remotes.try_to_fetch_objects, git, remote, *missing, timeout=_FETCH_TIMEOUT)
    tags = [tag for tag, tagged in project.remote.tags.items() if tagged == commit]
    is_tagged = any(tag_format.matching_tags(tags) for tag_format in project.tag_formats.values())
    if is_tagged or any(git.is_ancestor(commit, tip) for tip in branches.values()):
        return
    is_here = state.branch is not None and state.head == commit and _matching_branches([state.branch], patterns)
    yield Blocked(
        "branch-behind",
        f"commit {commit[:10]} of the build is not on the release branch "
        f"({join_names(patterns)} of {remote}) and has no release tag",
        f"git push {remote} {state.branch}"
        if is_here
        else f"merge it, push, and then: {task_command('build-all')}",
        allow="allow_branch",
    )


def _matching_branches(branches: Iterable[str], globs: Iterable[str]) -> list[str]:
    """Return the branches that match one of the globs."""
    return [name for name in branches if any(fnmatchcase(name, glob) for glob in globs)]


def _other_tagged_version_problems(
    versions: Mapping[str, Version], commit: str, project: Project, tag: ReleaseTag | None, subject: str
) -> Iterator[Problem]:
    """Yield a problem for packages that have tags at a commit, none of them of the version to release.

    `versions` has the versions to release by package. Packages of `tag`, the one that the run was started for, are
    left out. `subject` is the text before the version to release in the message, with `{}` for the package names.
    """
    here = sorted(name for name, tagged_commit in project.tags.items() if tagged_commit == commit)
    unnamed: dict[str, Version] = {}
    if len({package.version for package in project.workspace.packages}) == 1:
        # Where the form is unclear, tags without a name may be of all packages.
        unnamed = {name: parts[1] for name in here if (parts := split_tag(name)) and parts[0] in ("", "v")}
    mismatches: dict[tuple[tuple[str, ...], Version], list[str]] = defaultdict(list)
    highest: dict[tuple[str, ...], Version] = {}
    for package, version in versions.items():
        if package not in project.package_tags:
            continue
        own = project.package_tags[package]
        tags = {name: own[name] for name in here if name in own}
        tags = tags or (unnamed if package in project.detected_tag_formats.unclear else {})
        tags = {name: tagged for name, tagged in tags.items() if not is_floating_tag(tagged, version)}
        is_compared = tag is not None and tag.versions.get(package) is not None
        if tags and version not in tags.values() and not is_compared:
            mismatches[tuple(tags), version].append(package)
            highest[tuple(tags)] = max(tags.values())
    for (names, version), packages in mismatches.items():
        tags_are = f"tag {names[0]} is" if len(names) == 1 else f"tags {', '.join(names)} are"
        selected = () if len(packages) == len(project.workspace.packages) else packages
        fix = f"release a version above both: {_bump_above_command((version, highest[names]), selected)}"
        if project.detected_tag_formats.unclear.keys() & set(packages):
            prefix, _ = split_tag(names[0]) or ("v", None)
            fix = (
                f"set in [tool.relnox] what the tags of {join_names(packages)} are: "
                f'tag-format = "{prefix}{{version}}" if {names[0]} is one, and then {fix}; '
                'or else another form, such as "{name}-v{version}"'
            )
        yield _Mismatch(
            "tag-version-differs",
            f"{tags_are} at {commit[:10]}, but {subject.format(join_names(packages))} {version}",
            fix,
        )


def tagged_elsewhere_messages(
    versions: Mapping[str, Version], commit: str, project: Project
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield a message for each tag that has a version to release, but is at another commit than `commit`.

    `versions` has the versions to release by package. With each message come the tag and the packages that it is
    about: those that changed between the two commits. Without changes, or if this clone lacks the commits, there
    is no message.
    """
    by_tag: dict[tuple[str, Version], list[str]] = defaultdict(list)
    for package, version in versions.items():
        tags = tags_of_version(package, version, project)
        if tags and commit not in tags.values():
            by_tag[next(iter(tags)), version].append(package)
    for (tag, version), packages in by_tag.items():
        tagged_commit = project.tags[tag]
        changed = _changed_files_by_package(tagged_commit, commit, packages, project) or {}
        if changed:
            differing = join_names(chain.from_iterable(changed.values()))
            message = (
                f"{join_names(changed)} {version} is tagged {tag} at {tagged_commit[:10]}, but differs at "
                f"{commit[:10]}: {differing} changed"
            )
            yield message, tag, list(changed)


def _outdated_manifest_problems(manifest: Manifest, manifest_path: str, project: Project) -> Iterator[Problem]:
    """Yield a problem if the checkout has other versions or files of the packages in a manifest, or lacks them.

    `manifest_path` is for messages. A build of the last release is never outdated, whatever is checked out:
    `build-all --commit` builds it from its tag.
    """
    if is_last_release(manifest, project):
        return
    versions = {name: manifest.version_of(name) for name in manifest.packages}
    current = {package.name: package.version for package in project.workspace.packages if package.name in versions}
    stale = [name for name in versions if current.get(name) not in (None, versions[name])]
    commit, head = manifest.commit, project.commit
    if stale:
        built, present = (join_names(f"{name} {of[name]}" for name in stale) for of in (versions, current))
        message = f"{manifest_path} is a build of {built}, but the checkout has {present}"
    elif removed := [name for name in versions if name not in project.workspace.by_name]:
        message = f"{manifest_path} is a build of {join_names(removed)}, but the checkout has no such package"
    elif commit is None or head is None or commit == head:
        return
    else:
        changed = _changed_files_by_package(commit, head, versions, project)
        if changed == {}:
            return
        reason = "that commit is not in this clone"
        if changed is not None:
            reason = f"{join_names(chain.from_iterable(changed.values()))} changed in {join_names(changed)}"
        message = (
            f"{manifest_path} is a build of commit {commit[:10]}, but the checkout is at {head[:10]} ({reason})"
        )
    switch = f"; to publish that build: git switch --detach {commit}" if commit else ""
    is_development = any(version is not None and version.is_devrelease for version in current.values())
    tagged = latest_reachable_tag(versions, project) if is_development else None
    build = task_command("build-all", *(("--commit", tagged[0]) if tagged else ()))
    yield _Mismatch("manifest-outdated", message, f"{build}{switch}")


def _changed_files_by_package(
    before: str, after: str, packages: Iterable[str], project: Project
) -> dict[str, list[str]] | None:
    """Map those of `packages` that differ between two commits to their changed files.

    A file belongs to the innermost package whose directory contains it; lock files belong to none. The result is
    None if this clone lacks one of the commits.
    """
    assert project.git is not None  # noqa: S101 - there are commits
    files = project.once(project.git.files_changed_between, before, after)
    if files is None:
        return None
    owners = {package.directory: package.name for package in project.workspace.packages}
    cache: dict[str, str | None] = {}
    changed: dict[str, list[str]] = defaultdict(list)
    for file in files:
        owner = None if file.endswith(LOCK_FILES) else owning_package(file, owners, cache)
        if owner is not None and owner in packages:
            changed[owner].append(file)
    return dict(changed)


def _bump_above_command(versions: Iterable[Version], packages: Iterable[str], *options: str) -> str:
    """Return the `bump` command that sets the next version above all of `versions`, so that no tag has to move.

    It is for `packages`, or all if these are empty, with `--commit` and `--tag`; `options` are further options.
    """
    highest = max(versions)
    release = highest.release
    if not highest.is_prerelease:
        release = (*release[:-1], release[-1] + 1)
    words = (word for package in packages for word in ("--package", package))
    version = str(Version.from_parts(epoch=highest.epoch, release=release))
    return task_command("bump", "--to", version, *words, "--commit", "--tag", *options)
