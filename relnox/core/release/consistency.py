"""Consistency of tag, version, commit and manifest of a release.

A missing tag is not a problem: the clone may lack tags and history, and the archives may have been built on
another machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core import fixes
from relnox.core.problems import Problem
from relnox.core.records import Record
from relnox.core.text import format_count, join_names
from relnox.core.workspace import LOCK_FILES, owning_package

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package
    from relnox.core.release.manifest import Manifest
    from relnox.core.tagging.tags import TagFormat

ALLOW_MISMATCH_FLAG = "--allow-mismatch"


class TaggedElsewhere(Record, kw_only=True):
    """Packages whose version is tagged at another commit, and their files that differ at the commit to release."""

    tag: str
    version: Version
    commit: str
    packages: tuple[str, ...]
    files: tuple[str, ...]

    def message(self, commit: str) -> str:
        """Return a message with both commits and the changed files; `commit` is the one to release."""
        return (
            f"{join_names(self.packages)} {self.version} is tagged {self.tag} at "
            f"{shorten_commit_id(self.commit)}, but differs at {shorten_commit_id(commit)}, the commit of this "
            f"build: {join_names(self.files)} changed"
        )


def changed_files_by_package(files: Iterable[str], packages: Iterable[Package]) -> dict[str, tuple[str, ...]]:
    """Return the files in each package's directory, without lock files and files of packages nested in it."""
    owners = {package.directory: package.name for package in packages}
    cache: dict[str, str | None] = {}
    by_package: dict[str, list[str]] = {}
    for file in files:
        if not file.endswith(LOCK_FILES) and (name := owning_package(file, owners, cache)) is not None:
            by_package.setdefault(name, []).append(file)
    return {name: tuple(package_files) for name, package_files in by_package.items()}


def tag_mismatch_problems(
    versions: Mapping[str, Version],
    formats: Mapping[str, TagFormat],
    tags: Collection[str],
    commit: str,
    *,
    from_files: bool,
) -> Iterator[Problem]:
    """Yield the problems with packages whose tags at the commit to release all have other versions.

    `from_files` tells whether the versions were read from the commit's files, rather than from built archives.
    """
    mismatches: dict[tuple[tuple[str, ...], Version], list[str]] = {}
    for package, version in versions.items():
        own_tags = [
            (tag, tagged)
            for tag, tagged in formats[package].matching_tags(sorted(tags))
            if not is_floating_major_tag(tagged, version)
        ]
        if own_tags and all(tagged != version for _, tagged in own_tags):
            mismatches.setdefault((tuple(tag for tag, _ in own_tags), version), []).append(package)
    for (names, version), packages in mismatches.items():
        tagged = formats[packages[0]].latest_tag(names)
        assert tagged is not None  # noqa: S101 - they were parsed above
        subject = (
            f"the version of {join_names(packages)} there is"
            if from_files
            else f"the build made {join_names(packages)}"
        )
        selected = () if len(packages) == len(formats) else packages
        release = release_command((version, tagged[1]), selected)
        yield Problem(
            code="tag-version-differs",
            message=f"{_tags_with_verb(names)} at {shorten_commit_id(commit)}, but {subject} {version}",
            fix=f"release a version above both: {release}; to ignore it: {ALLOW_MISMATCH_FLAG}",
        )


def release_command(versions: Iterable[Version], packages: Iterable[str], *options: str) -> str:
    """Return the bump to a version above all of `versions`, so that every tag stays where it is."""
    highest = max(versions)
    release = highest.release
    if not highest.is_prerelease:
        release = (*release[:-1], release[-1] + 1)
    words = (word for package in packages for word in ("--package", package))
    version = str(Version.from_parts(epoch=highest.epoch, release=release))
    return fixes.task_command("bump", "--to", version, *words, "--commit", "--tag", *options)


def find_tagged_elsewhere(
    versions: Mapping[str, Version], formats: Mapping[str, TagFormat], tags: Mapping[str, str], commit: str
) -> dict[tuple[str, Version, str], list[str]]:
    """Map tag, version and commit to the packages whose version is tagged, but not at the commit to release."""
    by_tag: dict[tuple[str, Version, str], list[str]] = {}
    for package, version in versions.items():
        names = [
            tag for tag, tag_version in formats[package].matching_tags(sorted(tags)) if tag_version == version
        ]
        if names and all(tags[name] != commit for name in names):
            by_tag.setdefault((names[0], version, tags[names[0]]), []).append(package)
    return by_tag


def outdated_manifest_problems(
    manifest: Manifest, where: str, head: str | None, packages: Sequence[Package], files: Sequence[str] | None
) -> Iterator[Problem]:
    """Yield a problem if a manifest has other versions or another commit than the checkout, and is thus outdated.

    `files` are the files that changed between the manifest's commit and `head`, the current one; None if the
    manifest's commit is not in this clone. `where` is the path of the manifest, for messages.
    """
    by_name = {package.name: package for package in packages}
    stale = {
        name: (manifest.version(name), version)
        for name in manifest.packages
        if name in by_name and (version := by_name[name].version) is not None and version != manifest.version(name)
    }
    if stale:
        built_versions = join_names(f"{name} {old}" for name, (old, _) in stale.items())
        current_versions = join_names(f"{name} {new}" for name, (_, new) in stale.items())
        switch = f"; to publish that build: git switch --detach {manifest.commit}" if manifest.commit else ""
        yield Problem(
            code="manifest-outdated",
            message=f"{where} is a build of {built_versions}, but the checkout has {current_versions}",
            fix=f"{fixes.task_command('build-all')}{switch}; to ignore it: {ALLOW_MISMATCH_FLAG}",
        )
        return
    if manifest.commit is None or head is None or manifest.commit == head:
        return
    why = "that commit is not in this clone"
    if files is not None:
        changed_versions = {
            name: package_files
            for name, package_files in changed_files_by_package(files, packages).items()
            if name in manifest.packages
        }
        if not changed_versions:
            return
        all_changed = [file for package_files in changed_versions.values() for file in package_files]
        why = f"{join_names(all_changed)} changed in {join_names(changed_versions)}"
    yield Problem(
        code="manifest-outdated",
        message=f"{where} is a build of commit {shorten_commit_id(manifest.commit)}, but the checkout is at "
        f"{shorten_commit_id(head)} ({why})",
        fix=f"{fixes.task_command('build-all')}; to publish that build: git switch --detach {manifest.commit}; "
        f"to ignore it: {ALLOW_MISMATCH_FLAG}",
    )


def missing_wheel_problems(manifest: Manifest, where: str, expected: Mapping[str, int]) -> Iterator[Problem]:
    """Yield a problem for each package that has only an sdist in the manifest, but should have platform wheels.

    `expected` maps each package to the number of platform wheels that the settings require.
    """
    for package, number in expected.items():
        if package in manifest.packages and all(file.kind == "sdist" for file in manifest.files_of(package)):
            yield Problem(
                code="wheels-missing",
                message=f"{where} has no wheels for {package} {manifest.version(package)} ([tool.relnox.wheels] "
                f"requires {format_count(number, 'wheel')})",
                fix=f"merge the output of all build jobs: {fixes.task_command('collect', '--from', 'DIR')}; "
                f"to publish without them: {ALLOW_MISMATCH_FLAG}",
            )


def shorten_commit_id(commit: str) -> str:
    """Shorten a commit id for messages."""
    return commit[:10]


def is_floating_major_tag(tag: Version, version: Version) -> bool:
    """Return whether a tag's version is only the major number of `version`, as in the floating tag `v1`."""
    return len(tag.release) == 1 < len(version.release) and str(tag) == str(version.major)


def _tags_with_verb(names: Sequence[str]) -> str:
    """Return the start of a sentence about tags: `tag v1.0 is`, or `tags v1.0, v1.1 are`."""
    return f"tag {names[0]} is" if len(names) == 1 else f"tags {', '.join(names)} are"
