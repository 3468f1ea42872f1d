"""What moves when versions move: the places that state them, and the requirements that would exclude them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox.core import requirements, toml_spans, version_text, versioning
from relnox.core.steps import Edit
from relnox.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from packaging.version import Version

    from relnox.core.config import Config
    from relnox.core.packages import Dependency, Package, VersionSource
    from relnox.core.versioning import Bump
    from relnox.core.workspace import Workspace

    Following = Mapping[str, list[tuple[Dependency, str]]]
    """By package: requirements that move, and what they become."""

__all__ = ["Move", "edits", "following", "moves"]

_BOM = b"\xef\xbb\xbf"


class Move(NamedTuple):
    """A package and its versions before and after."""

    package: Package
    before: Version
    after: Version


def moves(chosen: Iterable[Package], bump: Bump, config: Config, today: date) -> Iterator[Move]:
    """The next version of each package.

    Args:
        chosen: The packages to move.
        bump: The wish, the same for all of them.
        config: The project's settings.
        today: The date in UTC, for calendar versions.

    Raises:
        Refused: A version cannot be edited, cannot move so, or the packages of a lockstep set are apart.
    """
    packages = list(chosen)
    if config.versions == "lockstep" and bump.to is None:
        _check_lockstep(packages)
    for package in packages:
        if package.version is None:
            raise Refused(
                f"{package.name} has no version that can be edited: it comes from {package.source.text}",
                hint="leave the package out, or state its version in [project] version",
            )
        after = versioning.next_version(
            package.version,
            bump,
            scheme=config.scheme,
            prerelease_start=config.prerelease_start,
            calver_format=config.calver_format,
            today=today,
        )
        yield Move(package, package.version, after)


def following(workspace: Workspace, moved: Sequence[Move], config: Config) -> Following:
    """For each package its requirements that move with the packages they name, and what they become."""
    after = {move.package.name: move.after for move in moved}
    rewritten: dict[tuple[str, str, bool], str | None] = {}
    found: dict[str, list[tuple[Dependency, str]]] = {}
    for package in workspace.packages:
        for need in package.dependencies:
            if need.name in after and need.key:
                same = (need.name, need.text, need.poetry)
                if same not in rewritten:
                    rewritten[same] = _rewritten(need, after[need.name], config)
                if (changed := rewritten[same]) is not None:
                    found.setdefault(package.name, []).append((need, changed))
    return found


def edits(
    workspace: Workspace, moved: Sequence[Move], follow: Following, files: Mapping[str, bytes], config: Config
) -> Iterator[Edit]:
    """One edit for each file that changes; of a file only versions and requirements change, byte for byte.

    Args:
        workspace: The packages.
        moved: What moves.
        follow: What `following` gave.
        files: The files that may change, by path.
        config: The project's settings.

    Raises:
        Refused: A place does not hold what it held when it was read, or cannot hold the new version.
    """
    after = {move.package.name: versioning.spell(move.after, config.scheme) for move in moved}
    contents = dict(files)
    for package in workspace.packages:
        replacements = {need.key: changed for need, changed in follow.get(package.name, ())}
        if package.name in after and package.source.kind in ("project", "poetry"):
            replacements[package.source.key] = after[package.name]
        elif package.name in after:
            file = package.source.file
            contents[file] = _with_version(contents[file], package.source, after[package.name])
        if replacements:
            contents[package.pyproject] = _replaced(contents[package.pyproject], replacements, package.pyproject)
    for file, content in contents.items():
        if content != files[file]:
            yield Edit(file=file, before=files[file], after=content)


def _check_lockstep(packages: Iterable[Package]) -> None:
    stated: dict[str, list[str]] = {}
    for package in packages:
        stated.setdefault(str(package.version), []).append(package.pyproject)
    if len(stated) > 1:
        listed = "\n".join(f"  {version}: {', '.join(files)}" for version, files in sorted(stated.items()))
        raise Refused(
            f"the packages should move in lockstep, but their versions differ:\n{listed}",
            hint="give all of them one version: --to VERSION",
        )


def _rewritten(need: Dependency, new: Version, config: Config) -> str | None:
    if need.poetry:
        return requirements.rewrite_poetry(need.text, new, policy=config.constraints)
    return requirements.rewrite(
        need.text,
        new,
        policy=config.constraints,
        scheme_spelling=lambda version: versioning.spell(version, config.scheme),
    )


def _with_version(content: bytes, source: VersionSource, version: str) -> bytes:
    """A file that is no TOML, with another version in the place that its source names."""
    mark, text = _without_mark(content)
    try:
        span = version_text.span_of(text, source)
    except ValueError as error:
        raise Refused(f"{source.file} cannot be edited: {error}", hint=f"write {version} there by hand") from error
    return mark + version_text.replaced(text, span, version).encode()


def _replaced(content: bytes, replacements: Mapping[tuple[str | int, ...], str], file: str) -> bytes:
    """A TOML file with these strings exchanged and every other byte as it was."""
    mark, text = _without_mark(content)
    try:
        return mark + toml_spans.replace_strings(text, replacements, source=file).encode()
    except ValueError as error:
        raise Refused(f"{file} cannot be edited: {error}", hint=f"write the version in {file} by hand") from error


def _without_mark(content: bytes) -> tuple[bytes, str]:
    """The byte order mark of a file, if it has one, and its text."""
    return (_BOM, content[len(_BOM) :].decode()) if content.startswith(_BOM) else (b"", content.decode())
