"""Consistency of tag, version, commit and manifest of a release.

A missing tag is no problem: the clone may lack tags and history, and the archives may come from another machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.bump.release_history import LOCK_FILES, owning_package
from relnox.core.planning import fixes
from relnox.core.planning.plan import Problem
from relnox.core.records import Record
from relnox.core.text import counted, listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.packages import Package
    from relnox.core.release.manifest import Manifest
    from relnox.core.tagging.tags import TagFormat

FLAG = "--allow-mismatch"
_ID_LENGTH = 10
"""Characters of a commit's id in a message."""


class TaggedElsewhere(Record, kw_only=True):
    """Packages whose version is tagged at another commit than the one to release, and that changed since.

    Attributes:
        tag: The tag.
        version: Its version.
        commit: Its commit.
        packages: Names of the packages that changed between it and the commit to release.
        files: The changed files of these packages.
    """

    tag: str
    version: Version
    commit: str
    packages: tuple[str, ...]
    files: tuple[str, ...]

    def message(self, commit: str) -> str:
        """Name both commits and the files that changed between them."""
        return (
            f"{listing(self.packages)} {self.version} is tagged {self.tag} at {short_id(self.commit)}, "
            f"but differs at {short_id(commit)}, the commit of this build: {listing(self.files)} changed"
        )


def changed_files(files: Iterable[str], packages: Iterable[Package]) -> dict[str, tuple[str, ...]]:
    """Assign files to packages, each file to the innermost package whose folder contains it."""
    owners = {package.folder: package.name for package in packages}
    cache: dict[str, str | None] = {}
    by_package: dict[str, list[str]] = {}
    for file in files:
        if not file.endswith(LOCK_FILES) and (name := owning_package(file, owners, cache)) is not None:
            by_package.setdefault(name, []).append(file)
    return {name: tuple(package_files) for name, package_files in by_package.items()}


def tag_mismatches(
    versions: Mapping[str, Version],
    formats: Mapping[str, TagFormat],
    tags: Collection[str],
    commit: str,
    *,
    from_files: bool,
) -> Iterator[Problem]:
    """Find tags at the commit to release that have another version than their packages.

    The versions come from files of the commit if `from_files` is true, otherwise from archives.
    """
    mismatches: dict[tuple[tuple[str, ...], Version], list[str]] = {}
    for package, version in versions.items():
        own_tags = [
            (tag, tagged)
            for tag, tagged in formats[package].matches(sorted(tags))
            if not is_major_tag(tagged, version)
        ]
        if own_tags and all(tagged != version for _, tagged in own_tags):
            mismatches.setdefault((tuple(tag for tag, _ in own_tags), version), []).append(package)
    for (names, version), packages in mismatches.items():
        tagged = formats[packages[0]].latest(names)
        assert tagged is not None  # noqa: S101 - they were parsed above
        subject = (
            f"the version of {listing(packages)} there is" if from_files else f"the build made {listing(packages)}"
        )
        which = "" if len(packages) == len(formats) else f" --package {packages[0]}"
        yield Problem(
            code="tag-version-differs",
            message=f"{_tags(names)} at {short_id(commit)}, but {subject} {version}",
            fix=(
                f"git tag -d {names[0]}, then: {fixes.command('bump')} --to {tagged[1]}{which} --commit --tag; "
                f"if the tag was pushed: git push --delete origin {names[0]}; to ignore it: {FLAG}"
            ),
        )


def tagged_elsewhere(
    versions: Mapping[str, Version],
    formats: Mapping[str, TagFormat],
    tags: Mapping[str, str],
    commit: str,
) -> dict[tuple[str, Version, str], list[str]]:
    """Return the packages whose version is tagged, but not at a commit: by tag, version and the tag's commit."""
    by_tag: dict[tuple[str, Version, str], list[str]] = {}
    for package, version in versions.items():
        names = [tag for tag, tagged in formats[package].matches(sorted(tags)) if tagged == version]
        if names and all(tags[name] != commit for name in names):
            by_tag.setdefault((names[0], version, tags[names[0]]), []).append(package)
    return by_tag


def commit_mismatches(
    manifest: Manifest,
    where: str,
    head: str | None,
    packages: Sequence[Package],
    files: Sequence[str] | None,
) -> Iterator[Problem]:
    """Check that a manifest has the commit and the versions of the checkout; they differ if a build was forgotten.

    Args:
        manifest: The manifest to publish.
        where: The manifest's file.
        head: The present commit; None outside git.
        packages: The checkout's packages.
        files: Files that changed between the manifest's commit and the present one; None if that commit is not in
            this clone.
    """
    by_name = {package.name: package for package in packages}
    stale = {
        name: (manifest.version(name), version)
        for name in manifest.packages
        if name in by_name and (version := by_name[name].version) is not None and version != manifest.version(name)
    }
    if stale:
        built = listing(f"{name} {old}" for name, (old, _) in stale.items())
        present = listing(f"{name} {new}" for name, (_, new) in stale.items())
        switch = f"; to publish that build: git switch --detach {manifest.commit}" if manifest.commit else ""
        yield Problem(
            code="manifest-outdated",
            message=f"{where} is a build of {built}, but the checkout has {present}",
            fix=f"{fixes.command('build-all')}{switch}; to ignore it: {FLAG}",
        )
        return
    if manifest.commit is None or head is None or manifest.commit == head:
        return
    why = "that commit is not in this clone"
    if files is not None:
        changed = {
            name: package_files
            for name, package_files in changed_files(files, packages).items()
            if name in manifest.packages
        }
        if not changed:
            return
        all_changed = [file for package_files in changed.values() for file in package_files]
        why = f"{listing(all_changed)} changed in {listing(changed)}"
    yield Problem(
        code="manifest-outdated",
        message=f"{where} is a build of commit {short_id(manifest.commit)}, but the checkout is at "
        f"{short_id(head)} ({why})",
        fix=f"{fixes.command('build-all')}; to publish that build: git switch --detach {manifest.commit}; "
        f"to ignore it: {FLAG}",
    )


def missing_wheels(manifest: Manifest, where: str, expected: Mapping[str, int]) -> Iterator[Problem]:
    """Find packages of which a manifest, in the file `where`, has only the sdist.

    `expected` is the number of platform wheels in the settings, by package.
    """
    for package, number in expected.items():
        if package in manifest.packages and all(file.kind == "sdist" for file in manifest.files_of(package)):
            yield Problem(
                code="wheels-missing",
                message=f"{where} has no wheel of {package} {manifest.version(package)} ([tool.relnox.wheels] "
                f"requires {counted(number, 'wheel')})",
                fix=f"merge the output of all build jobs: {fixes.command('collect', '--from', 'DIR')}; "
                f"to publish without them: {FLAG}",
            )


def short_id(commit: str) -> str:
    """Abbreviate a commit's id."""
    return commit[:_ID_LENGTH]


def is_major_tag(tag: Version, version: Version) -> bool:
    """Return whether a tag such as `v1` is a floating tag of a version's major series."""
    return len(tag.release) == 1 < len(version.release) and str(tag) == str(version.major)


def _tags(names: Sequence[str]) -> str:
    return f"tag {names[0]} is" if len(names) == 1 else f"tags {', '.join(names)} are"
