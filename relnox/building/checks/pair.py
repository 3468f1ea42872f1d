"""An sdist and the wheel that was built from it: what must be the same in both."""

from __future__ import annotations

import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, cast

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from relnox.building.archives import contents, metadata_fields, path_of
from relnox.building.checks.requirements import difference
from relnox.building.checks.tree import is_generated
from relnox.building.findings import error, few, warning
from relnox.building.modules import import_names, only_tests
from relnox.core import fixes

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from relnox.building.archives import Archive
    from relnox.building.findings import Found

__all__ = ["check"]

_PROMISING = Version("2.2")
"""Since this metadata version an sdist's fields are the wheel's, unless they are called dynamic (PEP 643)."""
_FIELDS = {
    "summary": "Summary",
    "author": "Author",
    "author_email": "Author-email",
    "maintainer": "Maintainer",
    "maintainer_email": "Maintainer-email",
    "license": "License",
    "license_expression": "License-Expression",
    "keywords": "Keywords",
    "classifiers": "Classifier",
    "project_urls": "Project-URL",
}
_MOST_SOURCE = 8 << 20
_DYNAMIC = "a field that the build decides is announced: project.dynamic"


def check(sdist: Archive, wheel: Archive) -> Iterator[Found]:
    """Everything that an sdist and its wheel do not agree about."""
    if (sdist.name, sdist.version) != (wheel.name, wheel.version):
        yield error(
            "todo",
            f"it is {wheel.name} {wheel.version}, but its sdist is {sdist.name} {sdist.version}",
            "where does the backend take the version from? the sdist has no git around it",
        )
        return
    yield from _fields(sdist, wheel)
    yield from _sources(sdist, wheel)
    yield from _left_out(sdist, wheel)


def _left_out(sdist: Archive, wheel: Archive) -> Iterator[Found]:
    """Modules of the sdist, none of which is in a wheel that has tests alone."""
    if not only_tests(import_names(wheel)):
        return
    folders = {path_of(member).parent for member in sdist.members if member.endswith("/__init__.py")}
    packages = {folder.name for folder in folders if folder.parent not in folders}
    if packages and not only_tests(packages):
        yield error(
            "todo",
            f"has no module but {few(import_names(wheel))}, although its sdist has {few(packages)}",
            'let the build configuration find them: [tool.setuptools.packages.find] where = ["src"]',
        )


def _fields(sdist: Archive, wheel: Archive) -> Iterator[Found]:
    """The fields that an sdist promises (PEP 643)."""
    promised = cast("Mapping[str, Any]", metadata_fields(sdist.metadata)[0])
    built = cast("Mapping[str, Any]", metadata_fields(wheel.metadata)[0])
    if not _is_promising(promised.get("metadata_version", "")):
        return
    dynamic = {name.lower() for name in promised.get("dynamic", ())}
    if "requires-dist" not in dynamic:
        yield from _requirements(sdist, wheel)
    if "requires-python" not in dynamic and _pythons(promised) != _pythons(built):
        yield error(
            "todo",
            _says("Requires-Python", built.get("requires_python"), promised.get("requires_python")),
            _DYNAMIC,
        )
    if "provides-extra" not in dynamic and _extras(promised) != _extras(built):
        yield error("todo", _says("Provides-Extra", sorted(_extras(built)), sorted(_extras(promised))), _DYNAMIC)
    for key, field in _FIELDS.items():
        if field.lower() not in dynamic and _flat(promised.get(key)) != _flat(built.get(key)):
            yield warning("todo", _says(field, built.get(key), promised.get(key)), _DYNAMIC)


def _says(field: str, built: object, promised: object) -> str:
    return f"its {field} is {built!r}, but its sdist promises {promised!r}"


def _is_promising(version: str) -> bool:
    try:
        return Version(version) >= _PROMISING
    except InvalidVersion:
        return False


def _requirements(sdist: Archive, wheel: Archive) -> Iterator[Found]:
    missing, extra = difference(sdist.requires, wheel.requires, name=wheel.name)
    for each in missing:
        yield error("todo", f"it does not require {each}, as its sdist promises", _DYNAMIC)
    for each in extra:
        yield error("todo", f"it requires {each}, which its sdist does not tell", _DYNAMIC)


def _pythons(fields: Mapping[str, Any]) -> Hashable:
    stated = fields.get("requires_python")
    try:
        return None if stated is None else SpecifierSet(stated)
    except InvalidSpecifier:
        return ("no specifier", stated)


def _extras(fields: Mapping[str, Any]) -> set[str]:
    return {canonicalize_name(name) for name in fields.get("provides_extra", ())}


def _flat(value: object) -> object:
    """A field without what is only spelling: the order of a list, the breaks of a line."""
    if isinstance(value, list):
        return sorted(value)
    return re.sub(r"\s+", " ", value).strip() if isinstance(value, str) else value


def _sources(sdist: Archive, wheel: Archive) -> Iterator[Found]:
    """The modules of a pure wheel come from the sdist, byte for byte, but for generated ones."""
    if {tag.platform for tag in parse_wheel_filename(wheel.path.name)[3]} != {"any"}:
        return
    sources = {name: content for name, content in contents(sdist, _MOST_SOURCE) if name.endswith(".py")}
    sums = {zlib.crc32(content) for content in sources.values()}
    names = {path_of(name).name for name in sources}
    with zipfile.ZipFile(wheel.path) as opened:
        modules = [entry for entry in opened.infolist() if entry.filename.endswith(".py")]
    strange = [entry.filename for entry in modules if entry.CRC not in sums and not is_generated(entry.filename)]
    changed = [name for name in strange if path_of(name).name in names]
    if changed:
        yield warning(
            "todo",
            f"not as in its sdist: {few(changed)}",
            f"build the wheel from the sdist: {fixes.command('build-all')}",
        )
    if new := set(strange) - set(changed):
        yield warning("todo", f"not in its sdist: {few(new)}", "let the sdist include what the wheel is made of")
