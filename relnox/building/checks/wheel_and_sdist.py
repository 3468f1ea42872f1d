"""Checks that a wheel matches the sdist it was built from."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, cast

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building.archives import iter_files, member_path, parse_metadata
from relnox.building.checks.requirements import differing_requirements
from relnox.building.checks.sdist import is_generated
from relnox.building.findings import error, format_names, warning
from relnox.building.wheel_contents import are_only_tests, import_names
from relnox.core import fixes

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

_STATIC_FIELDS_SINCE = Version("2.2")
"""The first metadata version in which an sdist's fields apply to its wheels, unless `Dynamic` (PEP 643)."""
_COMPARED_FIELDS = {
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
_MAX_SOURCE_SIZE = 8 << 20
_DECLARE_DYNAMIC_FIX = "if the build computes the field, add it to dynamic in [project]"


def compare_wheel_with_sdist(sdist: Archive, wheel: Archive) -> Iterator[Finding]:
    """Yield unexpected differences between an sdist and the wheel built from it."""
    if (sdist.name, sdist.version) != (wheel.name, wheel.version):
        yield error(
            "archive-content",
            f"is {wheel.name} {wheel.version}, but its sdist is {sdist.name} {sdist.version}",
            "configure the build backend to take the version from the sdist, which has no git history",
        )
        return
    yield from _compare_static_fields(sdist, wheel)
    yield from _compare_modules(sdist, wheel)
    yield from _check_for_missing_packages(sdist, wheel)


def _check_for_missing_packages(sdist: Archive, wheel: Archive) -> Iterator[Finding]:
    """Yield a finding if a wheel contains only tests, but its sdist has other packages."""
    if not are_only_tests(import_names(wheel)):
        return
    directories = {member_path(member).parent for member in sdist.member_names if member.endswith("/__init__.py")}
    packages = {directory.name for directory in directories if directory.parent not in directories}
    if packages and not are_only_tests(packages):
        yield error(
            "archive-content",
            f"has no modules except {format_names(import_names(wheel))}, "
            f"but its sdist has {format_names(packages)}",
            'include them in the build configuration, such as [tool.setuptools.packages.find] where = ["src"]',
        )


def _compare_static_fields(sdist: Archive, wheel: Archive) -> Iterator[Finding]:
    """Yield differences in metadata fields that are static in the sdist (PEP 643)."""
    static = cast("Mapping[str, Any]", parse_metadata(sdist.metadata)[0])
    built_metadata = cast("Mapping[str, Any]", parse_metadata(wheel.metadata)[0])
    if not _has_static_fields(static.get("metadata_version", "")):
        return
    dynamic = {name.lower() for name in static.get("dynamic", ())}
    if "requires-dist" not in dynamic:
        yield from _compare_requirements(sdist, wheel)
    pythons = [_normalized_requires_python(fields) for fields in (built_metadata, static)]
    if "requires-python" not in dynamic and pythons[0] != pythons[1]:
        yield error(
            "archive-content",
            _format_difference(
                "Requires-Python", built_metadata.get("requires_python"), static.get("requires_python")
            ),
            _DECLARE_DYNAMIC_FIX,
        )
    extras = [_normalized_extras(fields) for fields in (built_metadata, static)]
    if "provides-extra" not in dynamic and extras[0] != extras[1]:
        yield error("archive-content", _format_difference("Provides-Extra", *extras), _DECLARE_DYNAMIC_FIX)
    for key, field in _COMPARED_FIELDS.items():
        values = built_metadata.get(key), static.get(key)
        if field.lower() not in dynamic and _normalized_field(values[0]) != _normalized_field(values[1]):
            yield warning("archive-content", _format_difference(field, *values), _DECLARE_DYNAMIC_FIX)


def _format_difference(field: str, built_value: object, static_value: object) -> str:
    return f"{field} is {built_value!r}, but {static_value!r} in its sdist"


def _has_static_fields(version: str) -> bool:
    try:
        return Version(version) >= _STATIC_FIELDS_SINCE
    except InvalidVersion:
        return False


def _compare_requirements(sdist: Archive, wheel: Archive) -> Iterator[Finding]:
    missing, extra = differing_requirements(sdist.requires, wheel.requires, name=wheel.name)
    for requirement in missing:
        message = f"requirement {requirement} is in the metadata of its sdist only"
        yield error("archive-content", message, _DECLARE_DYNAMIC_FIX)
    for requirement in extra:
        message = f"requirement {requirement} is not in the metadata of its sdist"
        yield error("archive-content", message, _DECLARE_DYNAMIC_FIX)


def _normalized_requires_python(fields: Mapping[str, Any]) -> Hashable:
    text = fields.get("requires_python")
    try:
        return None if text is None else SpecifierSet(text)
    except InvalidSpecifier:
        return ("invalid", text)


def _normalized_extras(fields: Mapping[str, Any]) -> list[str]:
    return sorted({canonicalize_name(name) for name in fields.get("provides_extra", ())})


def _normalized_field(value: object) -> object:
    """Return the value of a field for comparison: a list sorted, a text with line breaks replaced by spaces."""
    if isinstance(value, list):
        return sorted(value)
    return re.sub(r"\s+", " ", value).strip() if isinstance(value, str) else value


def _compare_modules(sdist: Archive, wheel: Archive) -> Iterator[Finding]:
    """Yield differences between the modules of a pure wheel and those of its sdist, except generated ones."""
    if wheel.platforms != {"any"}:
        return
    sources = {name: content for name, content in iter_files(sdist, _MAX_SOURCE_SIZE) if name.endswith(".py")}
    sums = {zlib.crc32(content) for content in sources.values()}
    names = {member_path(name).name for name in sources}
    modules = [entry for entry in wheel.entries if entry.name.endswith(".py")]
    differing = [entry.name for entry in modules if entry.crc32 not in sums and not is_generated(entry.name)]
    changed_modules = [name for name in differing if member_path(name).name in names]
    if changed_modules:
        yield warning(
            "archive-content",
            f"has files that differ from those in its sdist: {format_names(changed_modules)}",
            f"build the wheel from the sdist: {fixes.task_command('build-all')}",
        )
    if new := set(differing) - set(changed_modules):
        yield warning(
            "archive-content",
            f"has files that are not in its sdist: {format_names(new)}",
            "include them in the sdist, in the build configuration",
        )
