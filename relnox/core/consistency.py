"""Whether tag, version, commit and manifest of a release agree.

Only what is there counts: a clone may lack tags and history, and an archive may come from another machine, so that
a tag that is missing here says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import fixes
from relnox.core.levels import LOCK_FILES, owning_package
from relnox.core.plan import Problem
from relnox.core.records import Record
from relnox.core.steps.base import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.manifest import Manifest
    from relnox.core.packages import Package
    from relnox.core.tags import TagFormat

__all__ = [
    "FLAG",
    "TaggedElsewhere",
    "changed_files",
    "commit_mismatches",
    "missing_wheels",
    "tag_mismatches",
    "tagged_elsewhere",
]

FLAG = "--allow-mismatch"
_COMMIT = 10
"""Characters of a commit's id that a message shows."""


class TaggedElsewhere(Record, kw_only=True):
    """Packages whose version is tagged at another commit than the one that is released, and that changed since.

    Attributes:
        tag: The tag.
        version: The version that it names.
        commit: Where it is.
        packages: Names of the packages that changed between there and the release.
        files: What changed in them.
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
    """The files of each package among these, each file in the innermost package whose folder it is in."""
    owners = {package.folder: package.name for package in packages}
    known: dict[str, str | None] = {}
    found: dict[str, list[str]] = {}
    for file in files:
        if not file.endswith(LOCK_FILES) and (name := owning_package(file, owners, known)) is not None:
            found.setdefault(name, []).append(file)
    return {name: tuple(of) for name, of in found.items()}


def tag_mismatches(
    versions: Mapping[str, Version],
    formats: Mapping[str, TagFormat],
    tags: Collection[str],
    where: str,
    *,
    stated: bool,
) -> Iterator[Problem]:
    """Tags at the commit that is released that name another version than its packages have.

    Args:
        versions: The version of each package that is released.
        formats: How each package's tags look.
        tags: Names of the tags at the commit.
        where: The commit's id.
        stated: Whether the versions stand in files of the commit; otherwise archives have them.
    """
    found: dict[tuple[tuple[str, ...], Version], list[str]] = {}
    for package, version in versions.items():
        named = [(tag, of) for tag, of in formats[package].matches(sorted(tags)) if not _moves(of, version)]
        if named and all(of != version for _, of in named):
            found.setdefault((tuple(tag for tag, _ in named), version), []).append(package)
    for (names, version), packages in found.items():
        tagged = formats[packages[0]].latest(names)
        assert tagged is not None  # noqa: S101 - they were parsed above
        states = (
            f"the version of {listing(packages)} there is" if stated else f"the build made {listing(packages)}"
        )
        which = "" if len(packages) == len(formats) else f" --package {packages[0]}"
        yield Problem(
            code="todo",
            message=f"{_tags(names)} at {short_id(where)}, but {states} {version}",
            fix=(
                f"git tag -d {names[0]}, then: {fixes.command('bump')} --to {tagged[1]}{which} --commit --tag; "
                f"if the tag was pushed: git push --delete origin {names[0]}; to go on as it is: {FLAG}"
            ),
        )


def tagged_elsewhere(
    versions: Mapping[str, Version],
    formats: Mapping[str, TagFormat],
    tags: Mapping[str, str],
    commit: str,
) -> dict[tuple[str, Version, str], list[str]]:
    """Packages whose version is tagged, and not at a commit: by tag, version and the tag's commit."""
    found: dict[tuple[str, Version, str], list[str]] = {}
    for package, version in versions.items():
        named = [tag for tag, of in formats[package].matches(sorted(tags)) if of == version]
        if named and all(tags[tag] != commit for tag in named):
            found.setdefault((named[0], version, tags[named[0]]), []).append(package)
    return found


def commit_mismatches(
    manifest: Manifest,
    where: str,
    head: str | None,
    packages: Sequence[Package],
    files: Sequence[str] | None,
) -> Iterator[Problem]:
    """A manifest of another commit or version than the checkout, as after a build that was forgotten.

    Args:
        manifest: What is to be published.
        where: The manifest's file.
        head: The present commit; None outside git.
        packages: The checkout's packages.
        files: What changed between the manifest's commit and the present one; None where git cannot tell, since
            that commit is not in this clone.
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
        back = f"; to publish what was built: git switch --detach {manifest.commit}" if manifest.commit else ""
        yield Problem(
            code="todo",
            message=f"{where} is of {built}, but the checkout has {present}",
            fix=f"{fixes.command('build-all')}{back}; to go on as it is: {FLAG}",
        )
        return
    if manifest.commit is None or head is None or manifest.commit == head:
        return
    why = "that commit is not in this clone, so what changed since is not known"
    if files is not None:
        touched = changed_files(files, packages)
        of_release = {name: of for name, of in touched.items() if name in manifest.packages}
        if not of_release:
            return
        every = [file for of in of_release.values() for file in of]
        why = f"{listing(every)} changed in {listing(of_release)}"
    yield Problem(
        code="todo",
        message=f"{where} is from commit {short_id(manifest.commit)}, but the checkout is at "
        f"{short_id(head)} ({why})",
        fix=f"{fixes.command('build-all')}; to publish what was built: git switch --detach {manifest.commit}; "
        f"to go on as it is: {FLAG}",
    )


def missing_wheels(manifest: Manifest, where: str, expected: Mapping[str, int]) -> Iterator[Problem]:
    """Packages with platform wheels of which a manifest has the sdist alone.

    Args:
        manifest: What is to be published.
        where: The manifest's file.
        expected: How many wheels the settings give each package that has platform wheels.
    """
    for package, number in expected.items():
        if package in manifest.packages and all(file.kind == "sdist" for file in manifest.files_of(package)):
            wheels = f"{number} wheel{'s' * (number != 1)}"
            yield Problem(
                code="todo",
                message=f"{where} has the sdist of {package} {manifest.version(package)} and no wheel, but "
                f"[tool.relnox.wheels] gives it {wheels}",
                fix=f"merge the output of all build jobs: {fixes.command('collect', '--from', 'DIR')}; "
                f"to go on with what is there: {FLAG}",
            )


def short_id(commit: str) -> str:
    """The beginning of a commit's id."""
    return commit[:_COMMIT]


def _moves(tag: Version, version: Version) -> bool:
    """Whether a tag such as `v1` is one that moves along with all releases of a major series."""
    return len(tag.release) == 1 < len(version.release) and str(tag) == str(version.major)


def _tags(names: Sequence[str]) -> str:
    return f"tag {names[0]} is" if len(names) == 1 else f"tags {', '.join(names)} are"
