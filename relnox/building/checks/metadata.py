"""Checks for metadata fields for which the public index rejects a file.

The rules are those of the core metadata specification, and additional ones in the source code of the public index.
"""

from __future__ import annotations

import re
from email.utils import getaddresses
from functools import cache
from io import StringIO
from threading import Lock
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from packaging.metadata import InvalidMetadata, Metadata
from packaging.requirements import InvalidRequirement, Requirement

from relnox.building.archives import member_path, parse_metadata
from relnox.building.findings import rejected_by_index, warning
from relnox.core import fixes
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.metadata import RawMetadata

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

_METADATA_VERSIONS = ("1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5")
_VERSIONS_WITH_LICENSE_FILES = ("2.4", "2.5")
_MAX_SUMMARY_LENGTH = 512
_MAX_URL_LABEL_LENGTH = 32
_MAX_FILE_SIZE = 100 << 20

_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+")
_ATOM = r"[^\s@.,;:<>()\[\]\"\\]+"
_LABEL = r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?"
_EMAIL_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}")
_RESERVED_DOMAINS = ("arpa", "invalid", "local", "localhost", "onion", "test")
"""Reserved domains (RFC 6761), which email-validator, used by the public index, rejects."""

_CLASSIFIER_PATTERN = re.compile(
    r"(Development Status|Environment|Framework|Intended Audience|License|Natural Language|Operating System"
    r"|Programming Language|Topic|Typing)( :: \S(.*\S)?)+"
)
_DEPRECATED_CLASSIFIERS = {
    "Framework :: Django CMS :: 4.2": ["Framework :: Django CMS :: 5.0"],
    "Natural Language :: Ukranian": ["Natural Language :: Ukrainian"],
    "Topic :: Communications :: Chat :: AOL Instant Messenger": [],
}
"""Maps deprecated classifiers to their successors, for use if trove-classifiers is not installed."""
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
    """Yield the problems for which the public index rejects an archive's metadata; see `_check_classifiers`."""
    raw, unparsed = _parse_for_upload(archive.metadata)
    fields = cast("Mapping[str, Any]", raw)
    yield from _check_metadata_version(fields.get("metadata_version"))
    yield from _check_specification(raw, unparsed)
    yield from _check_version_and_summary(archive, fields.get("summary", ""))
    yield from _check_email_addresses(fields)
    yield from _check_urls(fields)
    yield from _check_requirements(fields)
    yield from _check_classifiers(fields.get("classifiers", ()), private=private)
    yield from _check_license(fields)
    yield from _check_license_files(archive, fields.get("license_files", ()))
    yield from _check_readme(fields.get("description", ""), fields.get("description_content_type"))
    if (size := archive.path.stat().st_size) > _MAX_FILE_SIZE:
        yield warning(
            "archive-too-large",
            f"size is {size >> 20} MiB (the default limit of the public index is {_MAX_FILE_SIZE >> 20} MiB)",
            "exclude large files, or request a higher limit for the project from the index operator",
        )


def _parse_for_upload(content: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """Parse metadata as twine does, which omits License-File for metadata versions that do not have this field."""
    raw, unparsed = parse_metadata(content)
    if raw.get("metadata_version") not in _VERSIONS_WITH_LICENSE_FILES:
        raw.pop("license_files", None)
        unparsed.pop("license-file", None)
    return raw, unparsed


def _check_metadata_version(version: str | None) -> Iterator[Finding]:
    if version is None:
        yield rejected_by_index("metadata-invalid", "Metadata-Version is missing", _DEFAULT_FIX)
    elif version == "2.0":
        yield rejected_by_index(
            "metadata-invalid",
            "Metadata-Version 2.0 is rejected by the public index (it was never standardized)",
            "build with a current version of the build backend",
        )
    elif version not in _METADATA_VERSIONS:
        yield rejected_by_index(
            "metadata-invalid",
            f"Metadata-Version is {version} "
            f"(the public index accepts {_METADATA_VERSIONS[0]} to {_METADATA_VERSIONS[-1]})",
            'set core-metadata-version = "2.4" in [tool.hatch.build.targets.wheel] and .sdist, '
            "or use an earlier version of another backend",
        )


def _check_specification(raw: RawMetadata, unparsed_fields: Mapping[str, list[str]]) -> Iterator[Finding]:
    for field in sorted(unparsed_fields):
        yield rejected_by_index(
            "metadata-invalid",
            f"metadata field {field} is unknown or malformed",
            _FIXES.get(field, _DEFAULT_FIX),
        )
    try:
        Metadata.from_raw(raw)
    except ExceptionGroup as group:
        problems = [problem for problem in group.exceptions if isinstance(problem, InvalidMetadata)]
        for problem in sorted(problems, key=lambda problem: (problem.field, str(problem))):
            if problem.field not in _CHECKED_ELSEWHERE:
                fix = _FIXES.get(problem.field, _DEFAULT_FIX)
                yield rejected_by_index("metadata-invalid", f"metadata is invalid: {problem}", fix)


def _check_email_addresses(fields: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield invalid email addresses, as warnings if a field has several, which the public index does not check."""
    fix = 'write it like authors = [{ name = "Demo Team", email = "team@example.org" }]'
    for key, field in (("author_email", "Author-email"), ("maintainer_email", "Maintainer-email")):
        addresses = [address for _, address in getaddresses([fields.get(key, "")]) if address]
        for address in addresses:
            if not _is_email_address(address):
                finding = rejected_by_index(
                    "metadata-invalid", f"{field} {address!r} is not a valid email address", fix
                )
                yield finding if len(addresses) == 1 else replace(finding, level="warning")


def _is_email_address(text: str) -> bool:
    ending = text.rpartition(".")[2].lower()
    return (
        _EMAIL_ADDRESS.fullmatch(text) is not None and ending not in _RESERVED_DOMAINS and not ending[-1].isdigit()
    )


def _check_urls(fields: Mapping[str, Any]) -> Iterator[Finding]:
    fix = 'write it as in [project.urls] Homepage = "https://example.org"'
    for key, field in (("home_page", "Home-page"), ("download_url", "Download-URL")):
        if key in fields and not _is_web_address(fields[key]):
            yield rejected_by_index("metadata-invalid", f"{field} {fields[key]!r} is not a valid web address", fix)
    for label, link in fields.get("project_urls", {}).items():
        if not label:
            yield rejected_by_index("metadata-invalid", f"Project-URL {link!r} has no label", fix)
        elif len(label) > _MAX_URL_LABEL_LENGTH:
            yield rejected_by_index(
                "metadata-invalid",
                f"Project-URL label {label!r} has {len(label)} characters "
                f"(the public index accepts at most {_MAX_URL_LABEL_LENGTH})",
                "shorten the key in [project.urls]",
            )
        elif not _is_web_address(link):
            yield rejected_by_index(
                "metadata-invalid", f"Project-URL {label} = {link!r} is not a valid web address", fix
            )


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and _URI.fullmatch(text) is not None


def _check_requirements(fields: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield requirements with a URL, and invalid ones except in Requires-Dist, which the parser reports."""
    fix = "require a released version; put the URL into [tool.uv.sources] or a dependency group"
    for key in ("requires_dist", "provides_dist", "obsoletes_dist"):
        for text in fields.get(key, ()):
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                if key != "requires_dist":
                    yield rejected_by_index(
                        "metadata-invalid",
                        f"metadata is invalid: {text!r} is not a valid requirement",
                        _FIXES["requires-dist"],
                    )
            else:
                if requirement.url is not None:
                    yield rejected_by_index(
                        "requirement-by-url",
                        f"requirement {text} refers to a URL (rejected by the public index)",
                        fix,
                    )


def _check_classifiers(classifiers: Iterable[str], *, private: bool) -> Iterator[Finding]:
    """Yield the classifiers that the public index rejects; `private` allows those that begin with `Private ::`."""
    valid, deprecated = _load_classifiers()
    for classifier in sorted(set(classifiers)):
        if classifier.startswith("Private ::"):
            if not private:
                yield rejected_by_index(
                    "classifier-private",
                    f"classifier {classifier!r} prevents uploads to the public index",
                    "to publish the package, remove the classifier from project.classifiers in pyproject.toml",
                )
        elif classifier in deprecated:
            successors = " or ".join(map(repr, deprecated[classifier]))
            yield rejected_by_index(
                "metadata-invalid",
                f"classifier {classifier!r} is deprecated",
                f"replace it with {successors}" if successors else "remove it",
            )
        elif (valid is not None and classifier not in valid) or _CLASSIFIER_PATTERN.fullmatch(classifier) is None:
            yield rejected_by_index(
                "classifier-unknown",
                f"classifier {classifier!r} is not known to the public index",
                "replace it with a classifier that `python -m trove_classifiers` lists "
                f"(to install it: {fixes.install_command('trove-classifiers')})",
            )


@cache
def _load_classifiers() -> tuple[Iterable[str] | None, Mapping[str, list[str]]]:
    """Return the valid classifiers, or None if they are not known, and the successors of deprecated ones."""
    try:
        import trove_classifiers
    except ImportError:
        return None, _DEPRECATED_CLASSIFIERS
    return trove_classifiers.classifiers, trove_classifiers.deprecated_classifiers


def _check_license(fields: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a finding if the license is declared in more than one place (PEP 639)."""
    expression = fields.get("license_expression")
    if expression and fields.get("license"):
        yield rejected_by_index(
            "metadata-invalid",
            "metadata has both License and License-Expression",
            'keep only license = "SPDX expression" in pyproject.toml',
        )
    old = sorted(classifier for classifier in fields.get("classifiers", ()) if classifier.startswith("License ::"))
    if expression and old:
        yield warning(
            "metadata-invalid",
            f"license is declared as {expression!r} and as a classifier ({old[0]})",
            "remove the classifier",
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


def _check_version_and_summary(archive: Archive, summary: str) -> Iterator[Finding]:
    if archive.version.local is not None:
        yield rejected_by_index(
            "local-version",
            f"version {archive.version} is a local version (rejected by the public index)",
            'build from a clean checkout of a tag, or set local_scheme = "no-local-version" (setuptools-scm, '
            "hatch-vcs)",
        )
    if len(summary) > _MAX_SUMMARY_LENGTH:
        yield rejected_by_index(
            "metadata-invalid",
            f"Summary has {len(summary)} characters (the public index accepts at most {_MAX_SUMMARY_LENGTH})",
            "shorten project.description; put the long text into project.readme",
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
