"""The edits that moved versions need: every place that states one, the requirements that follow, the locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import toml_spans, version_locations, versioning
from relnox.core.semver_compat import to_semver
from relnox.core.steps import Edit
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.config import Config
    from relnox.core.packages import VersionSource
    from relnox.core.version_bumps import DependencyUpdates, VersionBump
    from relnox.core.workspace import Workspace

    Strings = dict[tuple[str | int, ...], tuple[str, str]]
    """What strings of a TOML file hold and become, by their keys."""

__all__ = ["bumped_files", "editable_files", "edits_between", "is_equivalent"]

_BOM = b"\xef\xbb\xbf"


def editable_files(workspace: Workspace) -> tuple[str, ...]:
    """Every file that a move may edit."""
    found = {place.file for package in workspace.packages for place in package.locations}
    found |= {package.pyproject for package in workspace.packages}
    return tuple(sorted(found | set(workspace.lock_files)))


def is_equivalent(file: str, before: bytes | None, after: bytes | None) -> bool:
    """Whether two contents of a file say the same in another form: a formatter's work, and nobody's decision."""
    if before is None or after is None:
        return before == after
    try:
        old, new = before.decode("utf-8-sig"), after.decode("utf-8-sig")
        if file.endswith((".toml", ".lock")):
            import tomllib

            return tomllib.loads(old) == tomllib.loads(new)
        if file.endswith(".json"):
            import json

            return bool(json.loads(old) == json.loads(new))
        if file.endswith(".py"):
            import ast

            return ast.dump(ast.parse(old)) == ast.dump(ast.parse(new))
    except (ValueError, SyntaxError):
        return False
    return old.split() == new.split()


def edits_between(before: Mapping[str, bytes], after: Mapping[str, bytes | None]) -> Iterator[Edit]:
    """One edit for each file that changes, in the order of their names.

    Args:
        before: What files held.
        after: What some of them will hold, None for one that goes.
    """
    for file in sorted(after):
        if after[file] != before.get(file):
            yield Edit(file=file, before=before.get(file), after=after[file])


def bumped_files(
    workspace: Workspace,
    moved: Sequence[VersionBump],
    follow: DependencyUpdates,
    contents: Mapping[str, bytes],
    config: Config,
) -> Iterator[tuple[str, bytes]]:
    """The files after versions moved: only versions and requirements change, every other byte stays.

    Args:
        workspace: The packages.
        moved: What moves.
        follow: Requirements that move along, by package.
        contents: What `files` named, by path.
        config: The project's settings.

    Raises:
        Blocked: A place does not hold what it held when it was read, or cannot hold the new version.
    """
    strings, others = _changes(workspace, moved, follow, config)
    locked = {move.package.name: str(move.after) for move in moved}
    for file in sorted({*strings, *others, *workspace.lock_files}):
        before = contents[file]
        mark, text = (_BOM, before[len(_BOM) :].decode()) if before.startswith(_BOM) else (b"", before.decode())
        try:
            if file in strings:
                new = {key: changed for key, (_, changed) in strings[file].items()}
                read = {key: present for key, (present, _) in strings[file].items()}
                text = toml_spans.replace_strings(text, new, expected=read, source=file)
            for place, version in others.get(file, ()):
                text = version_locations.replace_version(text, place, version)
            if file in workspace.lock_files:
                text = _locked(text, locked)
        except ValueError as error:
            raise Blocked(
                "todo", f"{file} cannot be edited: {error}", fix="write the version there by hand"
            ) from error
        yield file, mark + text.encode()


def _changes(
    workspace: Workspace, moved: Sequence[VersionBump], follow: DependencyUpdates, config: Config
) -> tuple[dict[str, Strings], dict[str, list[tuple[VersionSource, str]]]]:
    """By file: strings of TOML files with what they become, and other places with the version they get."""
    strings: dict[str, Strings] = {}
    others: dict[str, list[tuple[VersionSource, str]]] = {}
    for package in workspace.packages:
        for need, changed in follow.get(package.name, ()):
            strings.setdefault(package.pyproject, {})[need.key] = (need.text, changed)
    for move in moved:
        for place in move.package.locations:
            text = _spelled(move.after, place, config)
            if text == place.text:
                continue
            if place.kind == "toml":
                strings.setdefault(place.file, {})[place.key] = (place.lead + place.text, place.lead + text)
            else:
                others.setdefault(place.file, []).append((place, text))
    return strings, others


def _spelled(version: Version, place: VersionSource, config: Config) -> str:
    if place.semver:
        try:
            return to_semver(version)
        except Blocked as error:
            raise Blocked("todo", f"{place.file}: {error.message}", fix=error.fix) from None
    return versioning.format_version(version, config.scheme)


def _locked(text: str, versions: Mapping[str, str]) -> str:
    """A lock file with the version lines of these packages changed."""
    lines = [
        (span, versions[name])
        for name, span in version_locations.find_locked_versions(text).items()
        if name in versions
    ]
    pieces: list[str] = []
    done = 0
    for span, version in sorted(lines):
        pieces += text[done : span.start], version
        done = span.end
    return "".join([*pieces, text[done:]])
