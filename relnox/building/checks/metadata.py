"""Checks of names, versions and metadata against the plan, the specification and the public index."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from threading import Lock
from typing import Any, cast

from packaging.metadata import InvalidMetadata, Metadata, RawMetadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building.archives import Archive, member_path
from relnox.building.checks.expected import ExpectedArchive, format_names, index_rejection, warning
from relnox.core import fixes
from relnox.core.release import public_index
from relnox.errors import Problem

try:
    import trove_classifiers
except ImportError:
    trove_classifiers = None  # type: ignore[assignment]

UPDATE_BACKEND_FIX = "require a newer version of the build backend in [build-system] requires, and build again"
_CONTENT_TYPE_FIX = 'write readme = { file = "README.md", content-type = "text/markdown" }'
_FIXES_BY_FIELD = {
    "description-content-type": _CONTENT_TYPE_FIX,
    "license-expression": 'write an SPDX expression, like license = "MIT OR Apache-2.0"',
    "license-file": 'list files inside the package\'s directory, like license-files = ["LICENSE"]',
    "requires-dist": "fix the entry of project.dependencies, as in \"demo>=1; python_version<'3.12'\"",
    "requires-python": 'write it like requires-python = ">=3.11"',
    "summary": "make project.description one line; put the long text into project.readme",
}
_NEEDED_FIELDS = {
    "description": ("summary",),
    "readme": ("description",),
    "requires-python": ("requires_python",),
}
"""The fields that installers and readers of the index need, by their keys in `[project]`."""
_PAGE_FIELDS = {
    "authors": ("author", "author_email", "maintainer", "maintainer_email"),
    "license": ("license", "license_expression", "license_files"),
    "classifiers": ("classifiers",),
    "urls": ("project_urls", "home_page"),
}
"""The fields that only the page of a public project shows."""
_EXTRA_IN_MARKER = re.compile(r"\bextra == (?:\"([^\"]*)\"|'([^']*)')")
_rendering = Lock()
"""Held while a readme is rendered, since docutils keeps state in its modules."""


def find_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for the name, the version and the metadata of an archive."""
    yield from _name_and_version_problems(archive, expected)
    yield from _requirement_problems(archive, expected)
    yield from _index_rule_problems(archive)
    yield from _classifier_problems(archive, expected)
    yield from _license_file_problems(archive)
    if _has_value(text := archive.fields.get("description", "")):
        yield from readme_problems(text, archive.fields.get("description_content_type"))
    yield from _missing_field_problems(archive)


def _name_and_version_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for a name or a version that is not planned, or differs between metadata and file name."""
    if archive.name != expected.name:
        yield Problem(
            "metadata-invalid",
            f"name is {archive.name}, but {expected.name} was planned",
            f'set name = "{expected.name}" in the file that the build backend reads (such as setup.cfg)',
        )
    if expected.version not in (None, archive.version):
        yield Problem(
            "metadata-invalid",
            f"version is {archive.version}, but {expected.version} was planned",
            f'set version = "{expected.version}" in the file that the build backend reads (such as '
            "setup.cfg, without tag_build in its [egg_info])",
        )
    if canonicalize_name(name := archive.fields.get("name", "")) != archive.name:
        message = f"Name is {name!r} in the metadata, but {archive.name} in the file name"
        yield Problem("metadata-invalid", message, UPDATE_BACKEND_FIX)
    version = archive.fields.get("version", "")
    try:
        is_same = Version(version) == archive.version
    except InvalidVersion:
        is_same = False
    if not is_same:
        message = f"Version is {version!r} in the metadata, but {archive.version} in the file name"
        yield Problem("metadata-invalid", message, UPDATE_BACKEND_FIX)
    name = archive.name.replace("-", "_")  # PEP 427, PEP 625
    rest = "-".join(archive.path.name.split("-")[1:]) if archive.kind == "wheel" else f"{archive.version}.tar.gz"
    if archive.path.name != f"{name}-{rest}":
        yield index_rejection(
            "archive-invalid",
            f"file name is not normalized (the public index requires {name}-{rest})",
            UPDATE_BACKEND_FIX,
        )


def _requirement_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for `Requires-Dist` fields that differ from the expected ones, or that refer to a URL."""
    planned = archive.requires if expected.requires is None else expected.requires
    missing, added = differing_requirements(planned, archive.requires, name=archive.name)
    for requirement in missing:
        message = f"requirement {requirement} is in pyproject.toml, but not in the metadata"
        yield Problem("metadata-invalid", message, UPDATE_BACKEND_FIX)
    for requirement in added:
        yield Problem(
            "metadata-invalid",
            f"requirement {requirement} is in the metadata, but not in pyproject.toml",
            'add it to [project] dependencies; if a build hook adds it, set [project] dynamic = ["dependencies"]',
        )
    rewritten, _ = differing_requirements(planned, archive.requires, name=archive.name, with_markers=True)
    if rewritten and not missing and not added:
        message = f"markers of requirements differ from pyproject.toml: {format_names(rewritten)}"
        yield warning("metadata-invalid", message, "write them as the build backend does, or update the backend")
    for parsed in _parse_valid_requirements(archive.requires):
        if parsed.url is not None:
            yield index_rejection(
                "requirement-by-url",
                f"requirement {parsed} refers to a URL (rejected by the public index)",
                "require a released version; put the URL into [tool.uv.sources] or a dependency group",
            )


def _index_rule_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for metadata that the public index rejects, and a warning for a file above its size limit."""
    fields = archive.fields
    accepted = public_index.METADATA_VERSIONS
    if (version := str(fields.get("metadata_version"))) not in accepted:
        yield index_rejection(
            "metadata-invalid",
            f"Metadata-Version is {version} (the public index accepts {', '.join(accepted)})",
            'set core-metadata-version = "2.4" (hatchling), or use another version of the build backend',
        )
    if len(fields.get("summary", "")) > public_index.MAX_SUMMARY_LENGTH:
        yield index_rejection(
            "metadata-invalid",
            f"Summary has more than {public_index.MAX_SUMMARY_LENGTH} characters (rejected by the public index)",
            "shorten project.description; put the long text into project.readme",
        )
    for label in fields.get("project_urls", ()):
        if len(label) > public_index.MAX_URL_LABEL_LENGTH:
            limit = f"more than {public_index.MAX_URL_LABEL_LENGTH} characters"
            message = f"the label {label!r} of a URL has {limit} (rejected by the public index)"
            yield index_rejection("metadata-invalid", message, "shorten the key in [project.urls]")
    if "license" in fields and "license_expression" in fields:
        message = "License and License-Expression are both set (rejected by the public index)"
        yield index_rejection("metadata-invalid", message, 'keep only license = "SPDX EXPRESSION" in [project]')
    if archive.version.local:
        yield index_rejection(
            "local-version",
            f"version {archive.version} is a local version (rejected by the public index)",
            'build from a clean checkout of a tag, or set local_scheme = "no-local-version" (setuptools-scm)',
        )
    if (size := archive.path.stat().st_size) > public_index.MAX_FILE_SIZE:
        limit = f"the default limit of the public index is {public_index.MAX_FILE_SIZE >> 20} MiB"
        yield warning(
            "archive-too-large",
            f"size is {size >> 20} MiB ({limit})",
            "exclude large files, or request a higher limit for the project from the index operator",
        )


def _classifier_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for classifiers that the public index rejects.

    `Private ::` ones are problems only if the package is not private; unknown and deprecated ones are found only
    if trove-classifiers is installed.
    """
    classifiers, deprecated = set(), {}
    if trove_classifiers is not None:
        classifiers, deprecated = trove_classifiers.classifiers, trove_classifiers.deprecated_classifiers
    for classifier in sorted(set(archive.fields.get("classifiers", ()))):
        if classifier.startswith("Private ::"):
            if not expected.is_private:
                yield index_rejection(
                    "classifier-private",
                    f"classifier {classifier!r} prevents uploads to the public index",
                    "to publish the package, remove the classifier from project.classifiers in pyproject.toml",
                )
        elif classifier in deprecated:
            others = " and ".join(map(repr, deprecated[classifier]))
            yield index_rejection(
                "classifier-unknown",
                f"classifier {classifier!r} is deprecated (rejected by the public index)",
                f"replace it with {others}" if others else "remove it from project.classifiers",
            )
        elif classifiers and classifier not in classifiers:
            yield index_rejection(
                "classifier-unknown",
                f"classifier {classifier!r} does not exist (rejected by the public index)",
                "replace it; to see the classifiers: "
                f"{fixes.install_command('trove-classifiers')} && python -m trove_classifiers",
            )


def _license_file_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for license files that are not where the format requires them (PEP 639)."""
    if archive.kind == "sdist":
        top = next((parts[0] for name in archive.member_names if (parts := member_path(name).parts)), "")
    else:
        top = "-".join(archive.path.name.split("-")[:2]) + ".dist-info/licenses"
    for file in archive.fields.get("license_files", ()):
        if f"{top}/{file}" not in archive.member_names:
            yield index_rejection(
                "license-file-missing",
                f"license file {file} is missing (expected at {top}/{file})",
                "include it in the build configuration, or remove it from project.license-files",
            )


def readme_problems(text: str, content_type: str | None) -> Iterator[Problem]:
    """Yield a problem if the public index cannot render a readme, and a warning if its content type is None.

    The index takes a readme without a content type for reStructuredText. Only that format is rendered.
    """
    if content_type is None:
        message = "readme has no content type (the public index takes it for reStructuredText)"
        yield warning("readme-invalid", message, _CONTENT_TYPE_FIX)
    elif content_type.partition(";")[0].strip().lower() != "text/x-rst":
        return
    from readme_renderer import rst  # docutils is slow to import, and most readmes are Markdown

    output = StringIO()
    with _rendering:
        try:
            if rst.render(text, output) is not None:
                return
        except Exception as problem:  # noqa: BLE001 - a bug of a renderer must not fail the build with a traceback
            output.write(str(problem))
    message = f"readme cannot be rendered: {' '.join(output.getvalue().split())}"
    yield index_rejection("readme-invalid", message, "fix the readme, or its content type in pyproject.toml")


def _missing_field_problems(archive: Archive) -> Iterator[Problem]:
    """Yield warnings for recommended fields that the metadata lacks.

    There are none if a field is malformed, or if a `Private ::` classifier is set.
    """
    fields = archive.fields
    classifiers = " ".join(fields.get("classifiers", ()))
    if "Private ::" in classifiers or archive.malformed_fields:
        return
    for code, missing in missing_fields(fields).items():
        names = ", ".join(missing)
        yield warning(code, f"metadata lacks {names}", f"add {names} to [project]")


def missing_fields(fields: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the recommended keys of `[project]` that are missing, by the code of their problem.

    The codes are `metadata-missing` and, for keys that only the index page shows, `metadata-incomplete`. `fields`
    has values by the field names of `packaging.metadata`, such as `requires_python`.
    """
    classifiers = " ".join(fields.get("classifiers", ()))
    missing = {
        code: [
            key
            for key, names in keys.items()
            if not any(_has_value(fields.get(name)) for name in names)
            and not (key == "license" and "License ::" in classifiers)
        ]
        for code, keys in (("metadata-missing", _NEEDED_FIELDS), ("metadata-incomplete", _PAGE_FIELDS))
    }
    return {code: keys for code, keys in missing.items() if keys}


def _has_value(value: object) -> bool:
    """Return whether a field has a value; setuptools writes `UNKNOWN` for some that have none."""
    return value.strip() not in ("", "UNKNOWN") if isinstance(value, str) else bool(value)


def invalid_field_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for fields other than name and version that are invalid in core metadata."""
    invalid = [(field, f"metadata field {field} is unknown or malformed") for field in archive.malformed_fields]
    try:
        Metadata.from_raw(cast("RawMetadata", archive.fields))
    except ExceptionGroup as group:
        errors = [error for error in group.exceptions if isinstance(error, InvalidMetadata)]
        invalid += [(error.field, f"metadata is invalid: {error}") for error in errors]
    for field, message in sorted(invalid):
        if field not in ("metadata-version", "name", "version"):  # checked above
            fix = _FIXES_BY_FIELD.get(field, "fix the field in pyproject.toml, or update the build backend")
            yield index_rejection("metadata-invalid", message, fix)


def differing_requirements(
    left: Iterable[str], right: Iterable[str], *, name: str, with_markers: bool = False
) -> tuple[list[str], list[str]]:
    """Return the requirements that are only in `left`, and those that are only in `right`, both sorted.

    Two are equal if they accept the same versions, in any spelling. Of markers, only the extras are compared by
    default, since backends rewrite the rest. Invalid requirements are skipped. `name` is the normalized name of
    the package that has them. If it requires an extra of its own, as in `all = ["demo[test]"]`, all requirements
    of extras are skipped, since some backends replace that one with the requirements of the extra.
    """
    sides = [_parse_valid_requirements(left), _parse_valid_requirements(right)]
    if any(canonicalize_name(requirement.name) == name for side in sides for requirement in side):
        sides = [[requirement for requirement in side if not _extras_in_marker(requirement)] for side in sides]
    first, second = (
        sorted({str(one) for one in side if not any(_are_equal(one, other, with_markers) for other in others)})
        for side, others in (sides, sides[::-1])
    )
    return first, second


def _parse_valid_requirements(texts: Iterable[str]) -> list[Requirement]:
    """Return the requirements (PEP 508) in texts, without those that are invalid."""
    requirements = []
    for text in texts:
        with contextlib.suppress(InvalidRequirement):
            requirements.append(Requirement(text))
    return requirements


def _are_equal(one: Requirement, other: Requirement, with_markers: bool) -> bool:  # noqa: FBT001
    """Return whether two requirements mean the same, in any spelling.

    Of their markers, only the extras are compared, unless `with_markers`.
    """

    def parts(requirement: Requirement) -> object:
        # Backends write the parts of a marker in another order, and older Pythons' versions in full.
        marker = str(requirement.marker or "").replace("python_full_version", "python_version").split(" and ")
        extras = {canonicalize_name(extra) for extra in requirement.extras}
        name = canonicalize_name(requirement.name)
        extras_in_marker = _extras_in_marker(requirement)
        return name, extras, requirement.url, extras_in_marker, with_markers and sorted(marker)

    return parts(one) == parts(other) and _accept_same_versions(one.specifier, other.specifier)


def _accept_same_versions(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Return whether two specifiers accept the same versions; those with `===` must be equal."""
    if one == other or any(specifier.operator == "===" for specifier in (*one, *other)):
        return one == other
    return one.is_subset(other) and other.is_subset(one)


def _extras_in_marker(requirement: Requirement) -> list[str]:
    """Return the normalized names of the extras that a marker compares with."""
    pairs = _EXTRA_IN_MARKER.findall(str(requirement.marker or ""))
    return sorted(canonicalize_name(extra) for pair in pairs for extra in pair if extra)
