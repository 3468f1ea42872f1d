"""Checks for metadata fields for which the public index rejects a file.

The rules are those of the core metadata specification, and additional ones in the source code of the public index.
"""

from __future__ import annotations

import contextlib
from io import StringIO
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from packaging.metadata import InvalidMetadata, Metadata
from packaging.requirements import InvalidRequirement, Requirement

from relnox.building.archives import member_path, parse_metadata
from relnox.building.checks import index_rules
from relnox.building.findings import rejected_by_index, warning
from relnox.core import fixes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.metadata import RawMetadata

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

_VERSIONS_WITH_LICENSE_FILES = ("2.4", "2.5")
_FIXES = {
    "classifier": "write project.classifiers as a list of strings",
    "description-content-type": 'write readme = { file = "README.md", content-type = "text/markdown" }',
    "dynamic": "remove the name and the version from the dynamic fields",
    "import-name": "list only importable modules (add `; private` to those that are not for users)",
    "import-namespace": "list only importable packages",
    "keywords": 'write it as a list: keywords = ["release", "build"]',
    "license-expression": 'write an SPDX expression, like license = "MIT OR Apache-2.0"',
    "license-file": 'list files inside the package\'s directory, like license-files = ["LICENSE"]',
    "project-url": "give every entry of project.urls its own label",
    "provides-extra": "use only letters, digits, -, _ and . in the names of extras",
    "requires-dist": "fix the entry of project.dependencies, as in \"demo>=1; python_version<'3.12'\"",
    "requires-python": 'write it like requires-python = ">=3.11"',
    "summary": "make project.description one line; put the long text into project.readme",
}
_rendering = Lock()
"""Held while a readme is rendered, since docutils keeps state in its modules."""
_DEFAULT_FIX = "fix the field in pyproject.toml, or update the build backend"
_CHECKED_ELSEWHERE = frozenset({"metadata-version", "name", "version"})
"""Fields for which other checks have their own findings."""


def check_metadata(archive: Archive, *, private: bool) -> Iterator[Finding]:
    """Yield problems for which the public index rejects metadata; `private` allows `Private ::` classifiers."""
    raw, unparsed = _parse_for_upload(archive.metadata)
    fields = cast("Mapping[str, Any]", raw)
    yield from _check_specification(raw, unparsed)
    yield from _check_limits(fields)
    yield from _check_classifiers(fields.get("classifiers", ()))
    yield from _check_license_files(archive, fields.get("license_files", ()))
    if archive.version.local is not None:
        yield rejected_by_index(
            "local-version",
            f"version {archive.version} is a local version (rejected by the public index)",
            'build from a clean checkout of a tag, or set local_scheme = "no-local-version" (setuptools-scm, '
            "hatch-vcs)",
        )
    for classifier in sorted(set(fields.get("classifiers", ()))):
        if classifier.startswith("Private ::") and not private:
            yield rejected_by_index(
                "classifier-private",
                f"classifier {classifier!r} prevents uploads to the public index",
                "to publish the package, remove the classifier from project.classifiers in pyproject.toml",
            )
        if classifier.startswith("License ::") and (expression := fields.get("license_expression")):
            message = f"license is declared as {expression!r} and as a classifier ({classifier})"
            yield warning("metadata-invalid", message, "remove the classifier")
    if (size := archive.path.stat().st_size) > index_rules.MAX_FILE_SIZE:
        yield warning(
            "archive-too-large",
            f"size is {size >> 20} MiB (the default limit of the public index is "
            f"{index_rules.MAX_FILE_SIZE >> 20} MiB)",
            "exclude large files, or request a higher limit for the project from the index operator",
        )
    yield from _check_readme(fields.get("description", ""), fields.get("description_content_type"))


def _parse_for_upload(content: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """Parse metadata as twine does, which omits License-File for metadata versions that do not have this field."""
    raw, unparsed = parse_metadata(content)
    if raw.get("metadata_version") not in _VERSIONS_WITH_LICENSE_FILES:
        raw.pop("license_files", None)
        unparsed.pop("license-file", None)
    return raw, unparsed


def _check_specification(raw: RawMetadata, unparsed: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Yield the fields that are invalid according to the core metadata specification."""
    for field in sorted(unparsed):
        yield rejected_by_index(
            "metadata-invalid", f"metadata field {field} is unknown or malformed", _FIXES.get(field, _DEFAULT_FIX)
        )
    try:
        Metadata.from_raw(raw)
    except ExceptionGroup as group:
        problems = [problem for problem in group.exceptions if isinstance(problem, InvalidMetadata)]
        for problem in sorted(problems, key=lambda problem: (problem.field, str(problem))):
            if problem.field not in _CHECKED_ELSEWHERE:
                yield rejected_by_index(
                    "metadata-invalid", f"metadata is invalid: {problem}", _FIXES.get(problem.field, _DEFAULT_FIX)
                )


def _check_limits(fields: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the fields that are valid, but that the public index does not accept."""
    version, accepted = fields.get("metadata_version"), index_rules.METADATA_VERSIONS
    if version is None:
        yield rejected_by_index("metadata-invalid", "Metadata-Version is missing", _DEFAULT_FIX)
    elif version not in accepted:
        yield rejected_by_index(
            "metadata-invalid",
            f"Metadata-Version is {version} (the public index accepts {', '.join(accepted)})",
            'set core-metadata-version = "2.4" (hatchling), or use another version of the build backend',
        )
    if len(summary := fields.get("summary", "")) > (limit := index_rules.MAX_SUMMARY_LENGTH):
        yield rejected_by_index(
            "metadata-invalid",
            f"Summary has {len(summary)} characters (the public index accepts at most {limit})",
            "shorten project.description; put the long text into project.readme",
        )
    for label in fields.get("project_urls", {}):
        if len(label) > (limit := index_rules.MAX_URL_LABEL_LENGTH):
            what = f"Project-URL label {label!r} has {len(label)} characters"
            yield rejected_by_index(
                "metadata-invalid",
                f"{what} (the public index accepts at most {limit})",
                "shorten the key in [project.urls]",
            )
    for text in fields.get("requires_dist", ()):
        with contextlib.suppress(InvalidRequirement):
            if Requirement(text).url is not None:
                yield rejected_by_index(
                    "requirement-by-url",
                    f"requirement {text} refers to a URL (rejected by the public index)",
                    "require a released version; put the URL into [tool.uv.sources] or a dependency group",
                )
    if fields.get("license_expression") and fields.get("license"):
        yield rejected_by_index(
            "metadata-invalid",
            "metadata has both License and License-Expression",
            'keep only license = "SPDX expression" in pyproject.toml',
        )


def _check_classifiers(classifiers: Iterable[str]) -> Iterator[Finding]:
    """Yield the classifiers that trove-classifiers does not have, if it is installed."""
    try:
        from trove_classifiers import classifiers as valid
        from trove_classifiers import deprecated_classifiers as deprecated
    except ImportError:
        return
    for classifier in sorted(set(classifiers)):
        if classifier in deprecated:
            successors = " or ".join(map(repr, deprecated[classifier]))
            fix = f"replace it with {successors}" if successors else "remove it"
            yield rejected_by_index("metadata-invalid", f"classifier {classifier!r} is deprecated", fix)
        elif classifier not in valid and not classifier.startswith("Private ::"):
            yield rejected_by_index(
                "classifier-unknown",
                f"classifier {classifier!r} is not known to the public index",
                "replace it with a classifier that `python -m trove_classifiers` lists "
                f"(to install it: {fixes.install_command('trove-classifiers')})",
            )


def _check_license_files(archive: Archive, files: Iterable[str]) -> Iterator[Finding]:
    """Yield the license files that are missing from the place where the format requires them (PEP 639)."""
    if archive.kind == "sdist":
        top = next((parts[0] for member in archive.member_names if (parts := member_path(member).parts)), "")
    else:
        top = "-".join(archive.path.name.split("-")[:2]) + ".dist-info/licenses"
    members = set(archive.member_names)
    for file in files:
        if f"{top}/{file}" not in members:
            yield rejected_by_index(
                "license-file-missing",
                f"license file {file} is missing (expected at {top}/{file})",
                "include it in the build configuration, or remove it from project.license-files",
            )


def _check_readme(text: str, content_type: str | None) -> Iterator[Finding]:
    """Yield a finding if the readme is missing, or is reStructuredText that cannot be rendered."""
    if text.strip() in ("", "UNKNOWN"):
        yield warning("readme-invalid", "readme is missing", 'add readme = "README.md" to [project]')
        return
    if content_type is None:
        message = "readme has no content type (the public index takes it for reStructuredText)"
        yield warning("readme-invalid", message, _FIXES["description-content-type"])
    if content_type is None or content_type.partition(";")[0].strip().lower() == "text/x-rst":
        from readme_renderer import rst

        output = StringIO()
        with _rendering:
            try:
                rendered = rst.render(text, output)
            except Exception as problem:  # noqa: BLE001 - a bug of a renderer must not fail the build with a traceback
                rendered = None
                output.write(str(problem))
        if rendered is None:
            yield rejected_by_index(
                "readme-invalid",
                f"readme cannot be rendered: {' '.join(output.getvalue().split())}",
                "fix the readme, or its content type in pyproject.toml",
            )
