"""Checks that the tag, the expected version, the files, the commit and the manifest of a release agree.

A missing tag is no contradiction: the clone may lack tags and history, and the archives may have been built on
another machine.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal, NamedTuple

from packaging.version import InvalidVersion, Version

from relnox.commands.options import ReleaseOptions
from relnox.commands.shared.project import Project
from relnox.core.fixes import task_command
from relnox.core.packages import Package
from relnox.core.release import wheels
from relnox.core.release.manifest import MANIFEST_JSON, Manifest
from relnox.core.tagging.tags import TagFormat, split_tag
from relnox.core.text import format_count, join_names
from relnox.core.workspace import LOCK_FILES, owning_package
from relnox.errors import Blocked, Problem

_IGNORE = "to ignore it: --allow-mismatch"


class ReleaseTag(NamedTuple):
    """The tag that a run was started for.

    Attributes:
        origin: The environment variable or option that names the tag.
        versions: Maps each package that the tag releases to the version, or to None for a floating tag such as
            `v1`, which is moved at every release.
        is_elsewhere: Whether the tag is on another commit than the current one.
    """

    name: str
    origin: str
    versions: Mapping[str, Version | None]
    is_elsewhere: bool

    def __str__(self) -> str:
        return f"tag {self.name} ({self.origin})"


class StatedVersion(NamedTuple):
    """A version of a package, and the tag, option or file that states it."""

    kind: Literal["tag", "expected", "file"]
    source: str
    text: str
    version: Version


class VersionComparison(NamedTuple):
    """What tag, expected version and files say about the versions of a release.

    There is no tag if the run was not started for one. The notes on where each version comes from are empty
    outside CI if there is neither a tag nor an expected version.
    """

    tag: ReleaseTag | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def ignored_mismatch_notes(mismatches: Sequence[Problem]) -> Iterator[str]:
    """Yield a note for each mismatch that is ignored because of a command-line option."""
    for problem in mismatches:
        yield f"ignored by --allow-mismatch: {problem.message}"


# --- tag, expected version and files -----------------------------------------------------------------------------


def selected_packages(options: ReleaseOptions, package: tuple[str, ...], project: Project) -> tuple[str, ...]:
    """Return the names given with `--package`, or else those of the packages that the tag of the run releases.

    An empty tuple stands for all packages.
    """
    tag = read_tag(options, project)
    names = tuple(tag.versions) if tag is not None else ()
    return package if package or len(names) == len(project.workspace.packages) else names


def read_tag(options: ReleaseOptions, project: Project) -> ReleaseTag | None:
    """Return the tag of `--release-tag` or else of the CI job; None if there is neither, or in a rehearsal."""
    origins = {"--release-tag": options.release_tag, "CI_COMMIT_TAG": os.environ.get("CI_COMMIT_TAG")}
    if os.environ.get("GITHUB_REF_TYPE") == "tag":
        origins["GITHUB_REF_NAME"] = os.environ.get("GITHUB_REF_NAME")
    origin, name = next(((origin, name) for origin, name in origins.items() if name), ("", ""))
    if not name or project.is_rehearsal:
        return None
    versions = _versions_in_tag(name, project.workspace.packages, project.tag_formats_with(name))
    is_elsewhere = name in project.tags and project.commit not in (None, project.tags[name])
    return ReleaseTag(name, origin, versions, is_elsewhere)


def _versions_in_tag(
    name: str, packages: Iterable[Package], formats: Mapping[str, TagFormat]
) -> dict[str, Version | None]:
    """Map each package that a tag releases to the version, as in `ReleaseTag.versions`.

    If all packages share tags such as `v1.2.0` or `1.2.0`, the `v` is optional.
    """
    versions: dict[str, Version | None] = {}
    is_plain = len(set(formats.values())) == 1 and next(iter(formats.values())).prefix in ("", "v")
    for package in packages:
        tag_format = formats[package.name]
        version = tag_format.parse(name)
        if version is None and is_plain and not tag_format.suffix:
            version = tag_format.parse(f"{tag_format.prefix}{name.removeprefix('v')}")
        if version is not None:
            moves = package.version is not None and _is_floating(version, package.version)
            versions[package.name] = None if moves else version
    return versions


def compare_versions(
    options: ReleaseOptions, project: Project, packages: tuple[str, ...], manifest: Manifest | None = None
) -> VersionComparison:
    """Compare the versions that the tag of the run, the option `--expect-version` and the packages' files state.

    The first of these that states a version is the released one; all others must agree. The manifest to publish
    has the versions that no file contains; there is none before the build.

    Raises:
        Blocked: The expected version is not a version.
    """
    if project.is_rehearsal:
        return VersionComparison()
    tag, expected = read_tag(options, project), _expected_version(options, project)
    agreeing: dict[tuple[str, ...], list[str]] = defaultdict(list)
    differing: dict[tuple[StatedVersion, str, Version], list[tuple[str, StatedVersion]]] = defaultdict(list)
    for name in packages:
        version = tag.versions.get(name) if tag is not None else None
        of_tag = StatedVersion("tag", str(tag), str(version), version) if version is not None else None
        statements = [*filter(None, (of_tag, expected, _version_in_file(name, project, manifest)))]
        for other in statements[1:]:
            if other.version != statements[0].version:
                differing[statements[0], other.kind, other.version].append((name, other))
        sources = (
            "the packages' files" if statement.kind == "file" else statement.source
            for statement in statements
            if statement.version == statements[0].version
        )
        if statements:
            agreeing[tuple(sources)].append(f"{name} {statements[0].version}")
    problems = [_disagreement(first, others, tag, project) for (first, _, _), others in differing.items()]
    notes = [
        f"version from {source}: {join_names(releases)}"
        + (f", the same in {join_names(others)}" if others else "")
        for (source, *others), releases in agreeing.items()
    ]
    if tag is not None:
        problems += _tag_problems(tag, options, project, packages, is_published=manifest is not None)
        if not tag.versions and not problems:
            notes.append(f"{tag} is not a release tag of this project")
    return VersionComparison(tag, tuple(problems), tuple(notes) if tag or expected or os.environ.get("CI") else ())


def _expected_version(options: ReleaseOptions, project: Project) -> StatedVersion | None:
    """Return the version given with `--expect-version`, as a version or a tag, or None."""
    if not (text := options.expect_version.strip()):
        return None
    version = None
    try:
        version = Version(text)
    except (InvalidVersion, ValueError):  # a number of thousands of digits is a ValueError
        versions = (tag_format.parse(text) for tag_format in project.tag_formats.values())
        version = next(filter(None, versions), None)
    if version is None:
        excerpt = text if len(text) <= 100 else f"{text[:100]}…"  # noqa: PLR2004 - of an error
        raise Blocked(
            "version-invalid",
            f"--expect-version = {excerpt!r} is not a version (PEP 440)",
            fix="pass a version such as 1.2.0, or nothing",
        )
    return StatedVersion("expected", "--expect-version", text, version)


def _version_in_file(name: str, project: Project, manifest: Manifest | None) -> StatedVersion | None:
    """Return the version in the package's file, or else in the manifest; None if neither has one."""
    package = project.workspace.by_name.get(name)
    if package is not None and package.version is not None:
        return StatedVersion("file", package.source.file, str(package.version), package.version)
    if manifest is not None:
        version = manifest.version(name)
        return StatedVersion("file", MANIFEST_JSON, str(version), version)
    return None


def _disagreement(
    first: StatedVersion, others: Sequence[tuple[str, StatedVersion]], tag: ReleaseTag | None, project: Project
) -> Problem:
    """Return the problem with packages for which another source states another version than the first one."""
    packages = [name for name, _ in others]
    other = others[0][1]
    sources = list(dict.fromkeys(statement.source for _, statement in others))
    if other.kind == "expected":
        fix = f"expect that version: --expect-version {first.text}"
    elif tag is None or first.kind == "expected":
        fix = f"expect that version: --expect-version {other.version}"
    elif tag.is_elsewhere:
        fix = f"git switch --detach refs/tags/{tag.name}"
    else:
        selected = packages if project.workspace.by_name.keys() - tag.versions.keys() else []
        fix = f"release a version above both: {_bump_above((first.version, other.version), selected, '--push')}"
    names = f" ({join_names(packages)})" if other.kind == "file" else ""
    return Blocked(
        "release-version-differs",
        f"{first.source} is {first.text}, but {join_names(sources)} "
        f"{'has' if len(sources) == 1 else 'have'} {other.text}{names}",
        fix=f"{fix}; {_IGNORE}",
    )


def _tag_problems(
    tag: ReleaseTag, options: ReleaseOptions, project: Project, packages: tuple[str, ...], *, is_published: bool
) -> Iterator[Problem]:
    """Yield a problem if the tag is not a release tag, lacks a package, or is not on the commit to build."""
    if not tag.versions:
        if is_published or options.release_tag:
            formats = project.tag_formats_with(tag.name)
            samples = join_names(dict.fromkeys(formats[name].sample for name in packages))
            yield Blocked(
                "tag-not-checked-out",
                f"{tag} is not a release tag of this project (its tags are like {samples})",
                fix=f"start the run for a release tag, or on a branch; {_IGNORE}",
            )
        return
    if others := [name for name in packages if name not in tag.versions]:
        yield Blocked(
            "package-not-tagged",
            f"{tag} does not include {join_names(others)} (only {join_names(tag.versions)})",
            fix=f"remove --package; {_IGNORE}",
        )
    if tag.is_elsewhere and not is_published and any(version is not None for version in tag.versions.values()):
        yield Blocked(
            "tag-not-checked-out",
            f"{tag} is on {project.tags[tag.name][:10]}, but the checkout is at {project.commit:.10}",
            fix=f"git switch --detach refs/tags/{tag.name}; {_IGNORE}",
        )


# --- tags and commits --------------------------------------------------------------------------------------------


def check_build(
    packages: Sequence[Package], project: Project, commit: str | None, release_tag: ReleaseTag | None = None
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Return the problems with the tags of a commit to build, and notes on what will block publishing.

    CI often builds commits made after a release, before the next bump. They only get a note. Packages of the tag
    that the run was started for were already compared with it. A version that is not committed yet says nothing
    about the tags of the commit.
    """
    if commit is None or project.state is None:
        return (), ()
    versions = {
        package.name: package.version
        for package in packages
        if package.version is not None and package.source.file not in project.state.changed_files
    }
    problems = _other_versions_tagged(versions, commit, project, release_tag, "the version of {} there is")
    notes = (
        f"{message}; before publishing, run: {project.bump_command(names[0], '--part', 'patch')}"
        for message, _, names in _tagged_elsewhere(versions, commit, project)
    )
    return tuple(problems), tuple(notes)


def check_manifest(
    manifest: Manifest, dist: str, project: Project, release_tag: ReleaseTag | None = None, *, production: bool
) -> Iterator[Problem]:
    """Yield the contradictions between the manifest in `dist` and the checkout and its tags.

    Packages of the tag that the run was started for were already compared with it. Only versions on
    production indexes cannot be reused.
    """
    where = f"{dist}/{MANIFEST_JSON}"
    commit = manifest.commit
    yield from _outdated_manifest(manifest, where, project)
    if production:
        yield from _missing_wheels(manifest, where, project)
    if commit is None or manifest.dirty or project.state is None:
        return
    versions = {name: manifest.version(name) for name in manifest.packages if name in project.workspace.by_name}
    yield from _other_versions_tagged(versions, commit, project, release_tag, "the build made {}")
    if production:
        for message, tag, packages in _tagged_elsewhere(versions, commit, project):
            yield Blocked(
                "version-tagged-elsewhere",
                message,
                fix=f"{project.bump_command(packages[0], '--part', 'patch')}, then: {task_command('build-all')}; "
                f"to publish the tagged commit: git switch --detach {tag}, and build it; {_IGNORE}",
            )


def _other_versions_tagged(
    versions: Mapping[str, Version], commit: str, project: Project, release_tag: ReleaseTag | None, subject: str
) -> Iterator[Problem]:
    """Yield the problems with packages whose tags at the commit to release all have other versions.

    Args:
        versions: The versions to release, by package.
        commit: The commit.
        project: The project.
        release_tag: The tag of the run, whose packages are left out.
        subject: What has the version, with `{}` for the packages.
    """
    formats = _tag_formats(project)
    here = sorted(name for name, tagged_commit in project.tags.items() if tagged_commit == commit)
    compared = release_tag.versions if release_tag is not None else {}
    unnamed: dict[str, Version] = {}
    if len({package.version for package in project.workspace.packages}) == 1:
        # Where the form is unclear, tags without a name may be of all packages.
        unnamed = {name: parts[1] for name in here if (parts := split_tag(name)) and parts[0] in ("", "v")}
    mismatches: dict[tuple[tuple[str, ...], Version], list[str]] = defaultdict(list)
    highest: dict[tuple[str, ...], Version] = {}
    for package, version in versions.items():
        tags = dict(formats[package].matching_tags(here)) if package in formats else {}
        tags = tags or (unnamed if package in formats and package in project.tag_forms.unclear else {})
        tags = {name: tagged for name, tagged in tags.items() if not _is_floating(tagged, version)}
        if tags and version not in tags.values() and compared.get(package) is None:
            mismatches[tuple(tags), version].append(package)
            highest[tuple(tags)] = max(tags.values())
    for (names, version), packages in mismatches.items():
        tags_are = f"tag {names[0]} is" if len(names) == 1 else f"tags {', '.join(names)} are"
        selected = () if len(packages) == len(formats) else packages
        fix = f"release a version above both: {_bump_above((version, highest[names]), selected)}"
        if project.tag_forms.unclear.keys() & set(packages):
            prefix, _ = split_tag(names[0]) or ("v", None)
            fix = (
                f"set in [tool.relnox] what the tags of {join_names(packages)} are: "
                f'tag-format = "{prefix}{{version}}" if {names[0]} is one, and then {fix}; '
                'or else another form, such as "{name}-v{version}"'
            )
        yield Blocked(
            "tag-version-differs",
            f"{tags_are} at {commit[:10]}, but {subject.format(join_names(packages))} {version}",
            fix=f"{fix}; {_IGNORE}",
        )


def _tagged_elsewhere(
    versions: Mapping[str, Version], commit: str, project: Project
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield a message for each tag on another commit with the version of packages that have changed since then.

    The tag and the packages follow the message.
    """
    formats, all_tags = _tag_formats(project), project.state.tags if project.state is not None else {}
    by_tag: dict[tuple[str, Version], list[str]] = defaultdict(list)
    for package, version in versions.items():
        matching = formats[package].matching_tags(sorted(all_tags)) if package in formats else []
        tags = [tag for tag, tagged in matching if tagged == version]
        if tags and all(all_tags[tag] != commit for tag in tags):
            by_tag[tags[0], version].append(package)
    for (tag, version), packages in by_tag.items():
        assert project.git is not None  # noqa: S101 - there are tags
        files = project.once(project.git.files_changed_between, all_tags[tag], commit) or ()
        changed = {name: own for name, own in _by_package(files, project).items() if name in packages}
        if changed:
            differing = join_names(chain.from_iterable(changed.values()))
            message = (
                f"{join_names(changed)} {version} is tagged {tag} at {all_tags[tag][:10]}, but differs at "
                f"{commit[:10]}, the commit of this build: {differing} changed"
            )
            yield message, tag, list(changed)


def _outdated_manifest(manifest: Manifest, where: str, project: Project) -> Iterator[Problem]:
    """Yield a problem if the checkout has other versions than a manifest, or other files of its packages."""
    versions = {name: manifest.version(name) for name in manifest.packages}
    current = {package.name: package.version for package in project.workspace.packages if package.name in versions}
    stale = [name for name in versions if current.get(name) not in (None, versions[name])]
    commit, head = manifest.commit, project.state.head if project.state is not None else None
    switch = f"; to publish that build: git switch --detach {commit}" if commit else ""
    if stale:
        built, present = (join_names(f"{name} {of[name]}" for name in stale) for of in (versions, current))
        message = f"{where} is a build of {built}, but the checkout has {present}"
    elif commit is None or head is None or commit == head or project.git is None:
        return
    else:
        files = project.once(project.git.files_changed_between, commit, head)
        changed = {name: own for name, own in _by_package(files or (), project).items() if name in versions}
        if files is not None and not changed:
            return
        reason = f"{join_names(chain.from_iterable(changed.values()))} changed in {join_names(changed)}"
        message = (
            f"{where} is a build of commit {commit[:10]}, but the checkout is at {head[:10]} "
            f"({'that commit is not in this clone' if files is None else reason})"
        )
    yield Blocked("manifest-outdated", message, fix=f"{task_command('build-all')}{switch}; {_IGNORE}")


def _missing_wheels(manifest: Manifest, where: str, project: Project) -> Iterator[Problem]:
    """Yield a problem for each package that has only an sdist in the manifest, but should have platform wheels."""
    for name in manifest.packages:
        number = len(wheels.platform_wheels(name, project.config.wheels))
        if number and all(file.kind == "sdist" for file in manifest.files_of(name)):
            yield Blocked(
                "wheels-missing",
                f"{where} has no wheels for {name} {manifest.version(name)} ([tool.relnox.wheels] "
                f"requires {format_count(number, 'wheel')})",
                fix=f"merge the output of all build jobs: {task_command('collect', '--from', 'DIR')}; "
                "to publish without them: --allow-mismatch",
            )


def _tag_formats(project: Project) -> Mapping[str, TagFormat]:
    """Return the tag format of each package; none if the checkout has no tags or the formats are ambiguous."""
    if project.git is None or project.state is None or not project.state.tags:
        return {}
    try:
        return project.tag_formats
    except Blocked:
        return {}


def _is_floating(tag: Version, version: Version) -> bool:
    """Return whether a tag's version is only the major number of `version`, as in the floating tag `v1`."""
    return len(tag.release) == 1 < len(version.release) and str(tag) == str(version.major)


def _by_package(files: Iterable[str], project: Project) -> dict[str, list[str]]:
    """Return the files in each package's directory, without lock files and files of packages nested in it."""
    owners = {package.directory: package.name for package in project.workspace.packages}
    cache: dict[str, str | None] = {}
    by_package: dict[str, list[str]] = defaultdict(list)
    for file in files:
        if not file.endswith(LOCK_FILES) and (name := owning_package(file, owners, cache)) is not None:
            by_package[name].append(file)
    return by_package


def _bump_above(versions: Iterable[Version], packages: Iterable[str], *options: str) -> str:
    """Return the bump to a version above all of `versions`, so that every tag stays where it is."""
    highest = max(versions)
    release = highest.release
    if not highest.is_prerelease:
        release = (*release[:-1], release[-1] + 1)
    words = (word for package in packages for word in ("--package", package))
    version = str(Version.from_parts(epoch=highest.epoch, release=release))
    return task_command("bump", "--to", version, *words, "--commit", "--tag", *options)
