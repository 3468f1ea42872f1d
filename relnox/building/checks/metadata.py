"""Checks of file name and metadata against the plan, the specification and the rules of the public index."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from threading import Lock
from typing import cast

from packaging.metadata import InvalidMetadata, Metadata, RawMetadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building.archives import member_path
from relnox.building.checks import index_rules
from relnox.building.checks.requirements import differing_requirements
from relnox.building.checks.subject import Subject
from relnox.building.findings import Rule, format_names
from relnox.core import fixes
from relnox.errors import Problem

try:
    import trove_classifiers
except ImportError:
    trove_classifiers = None  # type: ignore[assignment]

_UPDATE_BACKEND_FIX = "update the build backend to a version that copies the metadata from pyproject.toml"
_CONTENT_TYPE_FIX = 'write readme = { file = "README.md", content-type = "text/markdown" }'
_FIELD_FIX = "fix the field in pyproject.toml, or update the build backend"
_FIXES = {
    "description-content-type": _CONTENT_TYPE_FIX,
    "license-expression": 'write an SPDX expression, like license = "MIT OR Apache-2.0"',
    "license-file": 'list files inside the package\'s directory, like license-files = ["LICENSE"]',
    "requires-dist": "fix the entry of project.dependencies, as in \"demo>=1; python_version<'3.12'\"",
    "requires-python": 'write it like requires-python = ">=3.11"',
    "summary": "make project.description one line; put the long text into project.readme",
}
_CHECKED_BY_RULES = frozenset({"metadata-version", "name", "version"})
_rendering = Lock()
"""Held while a readme is rendered, since docutils keeps state in its modules."""


def check_specification(subject: Subject) -> Iterator[Problem]:
    """Yield the fields that are invalid according to the core metadata specification."""
    fields, malformed = subject.metadata
    problems = [(field, f"metadata field {field} is unknown or malformed") for field in sorted(malformed)]
    try:
        Metadata.from_raw(cast("RawMetadata", fields))
    except ExceptionGroup as group:
        invalid = [problem for problem in group.exceptions if isinstance(problem, InvalidMetadata)]
        problems += [(problem.field, f"metadata is invalid: {problem}") for problem in invalid]
    for field, message in sorted(problems):
        if field not in _CHECKED_BY_RULES:
            yield Problem("metadata-invalid", message, _FIXES.get(field, _FIELD_FIX), level="rejected-by-index")


def _other_name(subject: Subject) -> str | None:
    name = subject.archive.name
    return f"{name}, but {subject.expected.name} was planned" if name != subject.expected.name else None


def _other_version(subject: Subject) -> str | None:
    version, planned = subject.archive.version, subject.expected.version
    return f"{version}, but {planned} was planned" if planned is not None and version != planned else None


def _other_name_in_metadata(subject: Subject) -> str | None:
    archive = subject.archive
    is_same = canonicalize_name(archive.name_in_metadata) == archive.name
    return (
        None if is_same else f"{archive.name_in_metadata!r} in the metadata, but {archive.name} in the file name"
    )


def _other_version_in_metadata(subject: Subject) -> str | None:
    archive = subject.archive
    try:
        if Version(archive.version_in_metadata) == archive.version:
            return None
    except InvalidVersion:
        pass
    return f"{archive.version_in_metadata!r} in the metadata, but {archive.version} in the file name"


def _normalized_file_name(subject: Subject) -> str | None:
    """Return the file name that the index requires, unless the archive has it (PEP 625; the name of PEP 427)."""
    archive, file = subject.archive, subject.archive.path.name
    name = archive.name.replace("-", "_")
    if archive.kind == "wheel":
        normalized = "-".join([name, *file.split("-")[1:]])
    else:
        normalized = f"{name}-{archive.version}.tar.gz"
    return normalized if file != normalized else None


def _differences(
    subject: Subject, *, markers: bool = False, redundant: bool = False
) -> tuple[list[str], list[str]]:
    """Return the requirements that only the plan has, and those that only the archive has."""
    archive, planned = subject.archive, subject.expected.requires
    if planned is None:
        return [], []
    return differing_requirements(
        planned, archive.requires, name=archive.name, markers=markers, redundant=redundant
    )


def _rewritten_requirements(subject: Subject) -> str | None:
    """Return the requirements that differ from the plan in redundant clauses or markers only."""
    if any(_differences(subject)):
        return None
    return format_names({*_differences(subject, redundant=True)[0], *_differences(subject, markers=True)[0]})


def _unsupported_metadata_version(subject: Subject) -> str | None:
    version = str(subject.fields.get("metadata_version"))
    return None if version in index_rules.METADATA_VERSIONS else version


def _requirements_by_url(subject: Subject) -> Iterator[str]:
    for text in subject.fields.get("requires_dist", ()):
        try:
            if Requirement(text).url is not None:
                yield text
        except InvalidRequirement:
            continue  # a violation of the specification


def _classifiers(subject: Subject) -> list[str]:
    return sorted(set(subject.fields.get("classifiers", ())))


def _unknown_classifiers(subject: Subject) -> Iterator[str]:
    if trove_classifiers is not None:
        valid = trove_classifiers.classifiers - trove_classifiers.deprecated_classifiers.keys()
        yield from (name for name in _classifiers(subject) if name not in valid and not _is_private(name))


def _is_private(classifier: str) -> bool:
    return classifier.startswith("Private ::")


def _private_classifiers(subject: Subject) -> Iterator[str]:
    if not subject.expected.is_private:
        yield from filter(_is_private, _classifiers(subject))


def _missing_license_files(subject: Subject) -> Iterator[str]:
    """Yield the license files that are missing from the place where the format requires them (PEP 639)."""
    archive = subject.archive
    if archive.kind == "sdist":
        top = next((parts[0] for member in archive.member_names if (parts := member_path(member).parts)), "")
    else:
        top = "-".join(archive.path.name.split("-")[:2]) + ".dist-info/licenses"
    for file in subject.fields.get("license_files", ()):
        if f"{top}/{file}" not in archive.member_names:
            yield f"{file} is missing (expected at {top}/{file})"


def _has_readme(subject: Subject) -> bool:
    return subject.fields.get("description", "").strip() not in ("", "UNKNOWN")


def _rendering_error(subject: Subject) -> str | None:
    """Return why a readme in reStructuredText, which is the default, cannot be rendered."""
    content_type = subject.fields.get("description_content_type", "text/x-rst")
    if not _has_readme(subject) or content_type.partition(";")[0].strip().lower() != "text/x-rst":
        return None
    from readme_renderer import rst  # docutils is slow to import, and most readmes are Markdown

    output = StringIO()
    with _rendering:
        try:
            if rst.render(subject.fields["description"], output) is not None:
                return None
        except Exception as problem:  # noqa: BLE001 - a bug of a renderer must not fail the build with a traceback
            output.write(str(problem))
    return " ".join(output.getvalue().split())


def _size_beyond_limit(subject: Subject) -> str | None:
    size = subject.archive.path.stat().st_size
    return f"{size >> 20} MiB" if size > index_rules.MAX_FILE_SIZE else None


RULES = (
    Rule(_other_name, "name is {}", "check where the build backend gets the name from", code="manifest-invalid"),
    Rule(
        _other_version,
        "version is {}",
        "check where the build backend gets the version from, and tag_build in [egg_info] of setup.cfg",
        code="manifest-invalid",
    ),
    Rule(_other_name_in_metadata, "Name is {}", _UPDATE_BACKEND_FIX, code="metadata-invalid"),
    Rule(_other_version_in_metadata, "Version is {}", _UPDATE_BACKEND_FIX, code="metadata-invalid"),
    Rule(
        _normalized_file_name,
        "file name is not normalized (the public index requires {})",
        'build with a current backend: "setuptools>=80", "hatchling>=1.26"',
        level="rejected-by-index",
    ),
    Rule(
        lambda subject: iter(_differences(subject)[0]),
        "requirement {} is in pyproject.toml, but not in the metadata",
        _UPDATE_BACKEND_FIX,
        code="build-requirement-missing",
    ),
    Rule(
        lambda subject: iter(_differences(subject)[1]),
        "requirement {} is in the metadata, but not in pyproject.toml",
        'if a build hook adds it, set dynamic = ["dependencies"] in [project]',
        code="requirement-ahead",
    ),
    Rule(
        _rewritten_requirements,
        "redundant clauses or markers of requirements differ from pyproject.toml: {}",
        "remove clauses that others imply, such as <4 in <3,<4, or update the build backend",
        code="metadata-invalid",
        level="warning",
    ),
    Rule(
        _requirements_by_url,
        "requirement {} refers to a URL (rejected by the public index)",
        "require a released version; put the URL into [tool.uv.sources] or a dependency group",
        code="requirement-by-url",
        level="rejected-by-index",
    ),
    Rule(
        _unsupported_metadata_version,
        f"Metadata-Version is {{}} (the public index accepts {', '.join(index_rules.METADATA_VERSIONS)})",
        'set core-metadata-version = "2.4" (hatchling), or use another version of the build backend',
        code="metadata-invalid",
        level="rejected-by-index",
    ),
    Rule(
        lambda subject: len(subject.fields.get("summary", "")) > index_rules.MAX_SUMMARY_LENGTH,
        f"Summary has more than {index_rules.MAX_SUMMARY_LENGTH} characters (rejected by the public index)",
        "shorten project.description; put the long text into project.readme",
        code="metadata-invalid",
        level="rejected-by-index",
    ),
    Rule(
        lambda subject: subject.archive.version.local and str(subject.archive.version),
        "version {} is a local version (rejected by the public index)",
        'build from a clean checkout of a tag, or set local_scheme = "no-local-version" (setuptools-scm)',
        code="local-version",
        level="rejected-by-index",
    ),
    Rule(
        _private_classifiers,
        "classifier {!r} prevents uploads to the public index",
        "to publish the package, remove the classifier from project.classifiers in pyproject.toml",
        code="classifier-private",
        level="rejected-by-index",
    ),
    Rule(
        _unknown_classifiers,
        "classifier {!r} is deprecated, or not known to the public index",
        "replace it with a classifier that `python -m trove_classifiers` lists "
        f"(to install it: {fixes.install_command('trove-classifiers')})",
        code="classifier-unknown",
        level="rejected-by-index",
    ),
    Rule(
        _missing_license_files,
        "license file {}",
        "include it in the build configuration, or remove it from project.license-files",
        code="license-file-missing",
        level="rejected-by-index",
    ),
    Rule(
        _size_beyond_limit,
        f"size is {{}} (the default limit of the public index is {index_rules.MAX_FILE_SIZE >> 20} MiB)",
        "exclude large files, or request a higher limit for the project from the index operator",
        code="archive-too-large",
        level="warning",
    ),
    Rule(
        lambda subject: not _has_readme(subject),
        "readme is missing",
        'add readme = "README.md" to [project]',
        code="readme-invalid",
        level="warning",
    ),
    Rule(
        lambda subject: _has_readme(subject) and "description_content_type" not in subject.fields,
        "readme has no content type (the public index takes it for reStructuredText)",
        _CONTENT_TYPE_FIX,
        code="readme-invalid",
        level="warning",
    ),
    Rule(
        _rendering_error,
        "readme cannot be rendered: {}",
        "fix the readme, or its content type in pyproject.toml",
        code="readme-invalid",
        level="rejected-by-index",
    ),
)
