"""The version that a run releases, and the sources that state it, which must agree.

The sources are, in order of precedence: the tag that the run was started for, the expected version, and the
package's file (or the manifest, if no file contains the version).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from packaging.version import InvalidVersion, Version

from relnox.core.problems import Problem
from relnox.core.records import Record
from relnox.core.release.consistency import ALLOW_MISMATCH_FLAG, is_floating_major_tag, release_command
from relnox.core.text import join_names
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from relnox.core.packages import Package
    from relnox.core.tagging.tags import TagFormat


class StatedVersion(Record, kw_only=True):
    """A version, and the tag, option or file that states it.

    Attributes:
        source: What to call the source in messages: the tag and its origin, the option, or the path of the file.
        text: The version as written in the source.
    """

    kind: Literal["tag", "expected", "file"]
    source: str
    text: str
    version: Version


class ReleaseTag(Record, kw_only=True):
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
    is_elsewhere: bool = False


def versions_in_tag(
    name: str, packages: Iterable[Package], formats: Mapping[str, TagFormat]
) -> dict[str, Version | None]:
    """Map each package that a tag releases to the version, as in `ReleaseTag.versions`.

    The result is empty if the tag has none of the tag formats. If all packages share tags such as `v1.2.0` or
    `1.2.0`, the `v` is optional.
    """
    versions: dict[str, Version | None] = {}
    is_plain = len(set(formats.values())) == 1 and next(iter(formats.values())).prefix in ("", "v")
    for package in packages:
        tag_format = formats[package.name]
        version = tag_format.parse(name)
        if version is None and is_plain and not tag_format.suffix:
            version = tag_format.parse(f"{tag_format.prefix}{name.removeprefix('v')}")
        if version is not None:
            moves = package.version is not None and is_floating_major_tag(version, package.version)
            versions[package.name] = None if moves else version
    return versions


def parse_version_input(text: str, source: str, formats: Iterable[TagFormat]) -> Version:
    """Parse the expected version: a version, with or without a leading `v`, or a tag.

    Raises:
        Blocked: The text is neither a version nor a tag.
    """
    try:
        return Version(text)
    except (InvalidVersion, ValueError):  # a number of thousands of digits is a ValueError
        versions = (tag_format.parse(text) for tag_format in formats)
        if (version := next(filter(None, versions), None)) is not None:
            return version
    excerpt = text if len(text) <= 100 else f"{text[:100]}…"  # noqa: PLR2004 - of an error
    raise Blocked(
        "version-invalid",
        f"{source} = {excerpt!r} is not a version (PEP 440)",
        fix="pass a version such as 1.2.0, or nothing",
    )


def collect_version_statements(
    files: Mapping[str, StatedVersion | None], tag: ReleaseTag | None, expected: StatedVersion | None
) -> dict[str, list[StatedVersion]]:
    """Map each package to the versions that are stated for it, in order of precedence: the first one is released.

    `files` has a key for each package to release; its value is None if no file contains the version.
    """
    statements_by_package = {}
    for package, in_file in files.items():
        statements = [statement for statement in (expected, in_file) if statement is not None]
        if tag is not None and (version := tag.versions.get(package)) is not None:
            source = f"tag {tag.name} ({tag.origin})"
            statements.insert(0, StatedVersion(kind="tag", source=source, text=str(version), version=version))
        statements_by_package[package] = statements
    return statements_by_package


def version_disagreement_problems(
    statements_by_package: Mapping[str, list[StatedVersion]], tag: ReleaseTag | None, packages: AbstractSet[str]
) -> Iterator[Problem]:
    """Yield a problem for each version that differs from the first stated one; equal problems are combined.

    `packages` are the names of all packages of the project.
    """
    pairs: dict[tuple[StatedVersion, str, Version], list[tuple[str, StatedVersion]]] = {}
    for package, statements in statements_by_package.items():
        for other in statements[1:]:
            first = statements[0]
            if other.version != first.version:
                pairs.setdefault((first, other.kind, other.version), []).append((package, other))
    for (first, kind, version), of_packages in pairs.items():
        other_sources = dict.fromkeys(other.source for _, other in of_packages)
        released = [package for package, _ in of_packages]
        names = f" ({join_names(released)})" if kind == "file" else ""
        selected = released if tag is not None and packages - tag.versions.keys() else []
        yield Problem(
            code="release-version-differs",
            message=f"{first.source} is {first.text}, but {join_names(other_sources)} "
            f"{'has' if len(other_sources) == 1 else 'have'} {of_packages[0][1].text}{names}",
            fix=f"{_fix_for_disagreement(first, kind, version, tag, selected)}; to ignore it: "
            f"{ALLOW_MISMATCH_FLAG}",
        )


def _fix_for_disagreement(
    first: StatedVersion, kind: str, version: Version, tag: ReleaseTag | None, packages: Iterable[str]
) -> str:
    """Return the fix for a source of some kind whose version differs from the first stated one."""
    if kind == "expected":
        return f"expect that version: --expect-version {first.text}"
    if first.kind == "expected" or tag is None:
        return f"expect that version: --expect-version {version}"
    if tag.is_elsewhere:
        return f"git switch --detach refs/tags/{tag.name}"
    return f"release a version above both: {release_command((first.version, version), packages, '--push')}"


def describe_version_sources(statements_by_package: Mapping[str, list[StatedVersion]]) -> Iterator[str]:
    """Yield messages that say where the versions come from; packages with the same sources share a message."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for package, statements in statements_by_package.items():
        sources = [
            "the packages' files" if statement.kind == "file" else statement.source
            for statement in statements
            if statement.version == statements[0].version
        ]
        if sources:
            groups.setdefault((sources[0], tuple(sources[1:])), []).append(f"{package} {statements[0].version}")
    for (source, agreeing), releases in groups.items():
        same_in = f", the same in {join_names(agreeing)}" if agreeing else ""
        yield f"version from {source}: {join_names(releases)}{same_in}"
