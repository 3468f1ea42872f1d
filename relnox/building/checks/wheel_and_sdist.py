"""Checks that a wheel matches the sdist it was built from."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building.archives import Archive, iter_files, member_path, parse_metadata
from relnox.building.checks.requirements import differing_requirements
from relnox.building.checks.sdist import is_generated, read_pyproject
from relnox.building.checks.wheel import has_native_file, missing_extensions_fix
from relnox.building.findings import Rule, format_names
from relnox.building.wheel_contents import are_only_tests, import_names
from relnox.core import fixes
from relnox.core.documents import table_at

_STATIC_FIELDS_SINCE = Version("2.2")
"""The first metadata version in which an sdist's fields apply to its wheels, unless `Dynamic` (PEP 643)."""
_DESCRIPTIVE_FIELDS = {
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
_INSTALLER_FIELDS = {"requires_python": "Requires-Python", "provides_extra": "Provides-Extra"}
_MAX_SOURCE_SIZE = 8 << 20
_DECLARE_DYNAMIC_FIX = "if the build computes the field, add it to dynamic in [project]"
_HATCH_COMPILERS = ("cython", "mypyc")


class Pair(NamedTuple):
    """A wheel, and the sdist that it should have been built from."""

    sdist: Archive
    wheel: Archive


def has_other_version(pair: Pair) -> str | None:
    """Return how the names or versions differ, or None if they are equal."""
    sdist, wheel = pair
    if (sdist.name, sdist.version) == (wheel.name, wheel.version):
        return None
    return f"{wheel.name} {wheel.version}, but its sdist is {sdist.name} {sdist.version}"


def _static_fields(pair: Pair) -> Mapping[str, Any]:
    """Return the fields of the sdist's metadata that apply to its wheels (PEP 643)."""
    fields: dict[str, Any] = {**parse_metadata(pair.sdist.metadata)[0]}
    dynamic = {name.lower().replace("-", "_") for name in fields.get("dynamic", ())}
    dynamic |= {"classifiers"} if "classifier" in dynamic else set()
    dynamic |= {"project_urls"} if "project_url" in dynamic else set()
    try:
        if Version(fields.get("metadata_version", "")) < _STATIC_FIELDS_SINCE:
            return {}
    except InvalidVersion:
        return {}
    compared = (*_DESCRIPTIVE_FIELDS, *_INSTALLER_FIELDS, "requires_dist")
    return {name: fields.get(name) for name in compared if name not in dynamic}


def _differing_fields(fields: Mapping[str, str], pair: Pair) -> Iterator[str]:
    built: Mapping[str, Any] = {**parse_metadata(pair.wheel.metadata)[0]}
    for key, value in _static_fields(pair).items():
        if key in fields and _normalize(key, value) != _normalize(key, built.get(key)):
            yield f"{fields[key]} is {built.get(key)!r}, but {value!r} in its sdist"


def _normalize(key: str, value: Any) -> object:
    """Return the value of a field for comparison: without order, spelling and line breaks."""
    if key == "requires_python" and value is not None:
        try:
            return SpecifierSet(value)
        except InvalidSpecifier:
            return value
    if key == "provides_extra":
        return {canonicalize_name(name) for name in value or ()}
    if isinstance(value, list):
        return sorted(value)
    return re.sub(r"\s+", " ", value).strip() if isinstance(value, str) else value


def _differing_requirements(pair: Pair) -> Iterator[str]:
    if "requires_dist" in _static_fields(pair):
        missing, extra = differing_requirements(pair.sdist.requires, pair.wheel.requires, name=pair.wheel.name)
        yield from (f"{requirement} is in the metadata of its sdist only" for requirement in missing)
        yield from (f"{requirement} is not in the metadata of its sdist" for requirement in extra)


def _missing_packages(pair: Pair) -> str | None:
    """Return the packages that only the sdist has, if the wheel has only tests."""
    names = import_names(pair.wheel)
    if not are_only_tests(names):
        return None
    directories = {member_path(name).parent for name in pair.sdist.member_names if name.endswith("/__init__.py")}
    packages = {directory.name for directory in directories if directory.parent not in directories}
    if not packages or are_only_tests(packages):
        return None
    return f"{format_names(names)}, but its sdist has {format_names(packages)}"


def _other_modules(pair: Pair, *, changed: bool) -> str | None:
    """Return the modules of a pure wheel that its sdist has with other content, or does not have at all."""
    if pair.wheel.platforms != {"any"}:
        return None
    sources = {name: content for name, content in iter_files(pair.sdist, _MAX_SOURCE_SIZE) if name.endswith(".py")}
    sums = {zlib.crc32(content) for content in sources.values()}
    names = {member_path(name).name for name in sources}
    return format_names(
        entry.name
        for entry in pair.wheel.entries
        if entry.name.endswith(".py")
        and entry.crc32 not in sums
        and not is_generated(entry.name)
        and (member_path(entry.name).name in names) == changed
    )


def _missing_extensions(pair: Pair) -> str | None:
    """Return the setting with which every build has native modules, if the wheel has none."""
    reason = _setting_with_native_modules(read_pyproject(pair.sdist))
    return None if reason is None or has_native_file(pair.wheel) else reason


def _setting_with_native_modules(document: Mapping[str, Any]) -> str | None:
    tool = table_at(document, "tool")
    for name in ("setuptools", "setuptools-rust"):
        if table_at(tool, name).get("ext-modules"):
            return f"[tool.{name}] ext-modules declares them"
    backend = table_at(document, "build-system").get("build-backend")
    if backend == "maturin" and table_at(tool, "maturin").get("bindings") != "bin":
        return "its build backend is maturin"
    build = table_at(tool, "hatch", "build")
    for hooks in (table_at(build, "hooks"), table_at(build, "targets", "wheel", "hooks")):
        for name in _HATCH_COMPILERS:
            if isinstance(hook := hooks.get(name), dict) and hook.get("enable-by-default", True):
                return f"hatchling's build hook {name} is enabled"
    return None


VERSION_RULES = (
    Rule(
        has_other_version,
        "is {}",
        "configure the build backend to take the version from the sdist, which has no git history",
        code="archive-content",
    ),
)
RULES = (
    Rule(_differing_requirements, "requirement {}", _DECLARE_DYNAMIC_FIX, code="archive-content"),
    Rule(partial(_differing_fields, _INSTALLER_FIELDS), "{}", _DECLARE_DYNAMIC_FIX, code="archive-content"),
    Rule(
        _missing_packages,
        "has no modules except {}",
        'include them in the build configuration, such as [tool.setuptools.packages.find] where = ["src"]',
        code="archive-content",
    ),
    Rule(
        partial(_differing_fields, _DESCRIPTIVE_FIELDS),
        "{}",
        _DECLARE_DYNAMIC_FIX,
        code="archive-content",
        level="warning",
    ),
    Rule(
        lambda pair: _other_modules(pair, changed=True),
        "has files that differ from those in its sdist: {}",
        f"build the wheel from the sdist: {fixes.task_command('build-all')}",
        code="archive-content",
        level="warning",
    ),
    Rule(
        lambda pair: _other_modules(pair, changed=False),
        "has files that are not in its sdist: {}",
        "include them in the sdist, in the build configuration",
        code="archive-content",
        level="warning",
    ),
)
EXTENSION_RULES = (
    Rule(
        _missing_extensions,
        "has no native modules, although {}",
        lambda pair: missing_extensions_fix(pair.wheel.name),
    ),
)
