"""The metadata: every field for which the public index refuses a file, as far as one can tell without asking it.

The rules are those of the core metadata specification, and what the public index adds in its own source. Whether a
long description can be rendered is for `twine check`, which runs after all builds.
"""

from __future__ import annotations

import re
from email.utils import getaddresses
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from packaging.metadata import InvalidMetadata, Metadata
from packaging.requirements import InvalidRequirement, Requirement

from relnox.building.archives import metadata_fields, path_of
from relnox.building.checks import classifiers
from relnox.building.findings import refusal, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.metadata import RawMetadata

    from relnox.building.archives import Archive
    from relnox.building.findings import Found

__all__ = ["check"]

_VERSIONS = ("1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5")
_WITH_LICENSE_FILES = ("2.4", "2.5")
_LONGEST_SUMMARY = 512
_LONGEST_LABEL = 32
_LARGEST_FILE = 100 << 20

_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+")
_ATOM = r"[^\s@.,;:<>()\[\]\"\\]+"
_LABEL = r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}")
_NO_DOMAINS = ("arpa", "invalid", "local", "localhost", "onion", "test")
"""What no address ends in (RFC 6761); the public index asks email-validator, which refuses them."""

_HINTS = {
    "classifier": "write project.classifiers as a list of strings",
    "description-content-type": 'write readme = { file = "README.md", content-type = "text/markdown" }',
    "dynamic": "only fields other than the name and the version can be dynamic in metadata",
    "import-name": "name modules that can be imported, with ; private behind those that are not for users",
    "import-namespace": "name packages that can be imported",
    "keywords": 'write it as a list: keywords = ["release", "build"]',
    "license-expression": 'write an SPDX expression, as in license = "MIT OR Apache-2.0"',
    "license-file": 'name files below the package\'s folder, as in license-files = ["LICENSE"]',
    "project-url": "give each of project.urls a label of its own",
    "provides-extra": "name extras with letters, digits, -, _ and .",
    "requires-dist": "mend the entry of project.dependencies; one looks like \"demo>=1; python_version<'3.12'\"",
    "requires-python": 'write it as in requires-python = ">=3.11"',
    "summary": "project.description is one line: the long text goes into project.readme",
}
_ANY_HINT = "mend the field in pyproject.toml, or take a current version of the backend"
_OWN_WORDS = frozenset({"metadata-version", "name", "version"})
"""Fields whose faults are told elsewhere, in words of their own."""


def check(archive: Archive, *, private: bool) -> Iterator[Found]:
    """Everything in an archive's metadata that the public index refuses.

    Args:
        archive: What `read` gave.
        private: Whether the plan knows that the package is private.
    """
    raw, unparsed = _parsed(archive.metadata)
    fields = cast("Mapping[str, Any]", raw)
    yield from _metadata_version(fields.get("metadata_version"))
    yield from _specified(raw, unparsed)
    yield from _version(archive)
    yield from _summary(fields.get("summary", ""))
    yield from _addresses(fields)
    yield from _links(fields)
    yield from _requirements(fields)
    yield from classifiers.check(fields.get("classifiers", ()), private=private)
    yield from _license(fields)
    yield from _license_files(archive, fields.get("license_files", ()))
    yield from _size(archive.path.stat().st_size)


def _parsed(content: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """The fields, as they are sent: twine leaves out license files that older setuptools names too early."""
    raw, unparsed = metadata_fields(content)
    if raw.get("metadata_version") not in _WITH_LICENSE_FILES:
        raw.pop("license_files", None)
        unparsed.pop("license-file", None)
    return raw, unparsed


def _metadata_version(version: str | None) -> Iterator[Found]:
    if version is None:
        yield refusal("todo", "its metadata has no Metadata-Version", _ANY_HINT)
    elif version == "2.0":
        yield refusal(
            "todo", "its Metadata-Version is 2.0, which never became a standard", "build it with a current backend"
        )
    elif version not in _VERSIONS:
        yield refusal(
            "todo",
            f"its Metadata-Version is {version}: the public index takes {_VERSIONS[0]} to {_VERSIONS[-1]}",
            'lower it: core-metadata-version = "2.4" in [tool.hatch.build.targets.wheel] and .sdist, '
            "or an earlier version of another backend",
        )


def _specified(raw: RawMetadata, unparsed: Mapping[str, list[str]]) -> Iterator[Found]:
    """What breaks the specification itself."""
    for field in sorted(unparsed):
        yield refusal(
            "todo", f"its metadata has an unknown or malformed field {field}", _HINTS.get(field, _ANY_HINT)
        )
    try:
        Metadata.from_raw(raw)
    except ExceptionGroup as group:
        faults = [each for each in group.exceptions if isinstance(each, InvalidMetadata)]
        for each in sorted(faults, key=lambda fault: (fault.field, str(fault))):
            if each.field not in _OWN_WORDS:
                yield refusal("todo", f"its metadata is refused: {each}", _HINTS.get(each.field, _ANY_HINT))


def _version(archive: Archive) -> Iterator[Found]:
    if archive.version.local is not None:
        yield refusal(
            "todo",
            f"the public index refuses local versions: {archive.version}",
            'build from a clean checkout of a tag, or say local_scheme = "no-local-version" (setuptools-scm, '
            "hatch-vcs)",
        )


def _summary(text: str) -> Iterator[Found]:
    if len(text) > _LONGEST_SUMMARY:
        yield refusal(
            "todo",
            f"its summary has {len(text)} characters: the public index takes {_LONGEST_SUMMARY}",
            "shorten project.description: the long text goes into project.readme",
        )


def _addresses(fields: Mapping[str, Any]) -> Iterator[Found]:
    """Addresses of authors and maintainers; the public index looks at a field that has a single one."""
    fix = 'write it as in authors = [{ name = "Demo Team", email = "team@example.org" }]'
    for key, field in (("author_email", "Author-email"), ("maintainer_email", "Maintainer-email")):
        found = [address for _, address in getaddresses([fields.get(key, "")]) if address]
        for address in found:
            if not _is_address(address):
                tell = refusal if len(found) == 1 else warning
                yield tell("todo", f"its {field} {address!r} is no address for mail", fix)


def _is_address(text: str) -> bool:
    ending = text.rpartition(".")[2].lower()
    return _ADDRESS.fullmatch(text) is not None and ending not in _NO_DOMAINS and not ending[-1].isdigit()


def _links(fields: Mapping[str, Any]) -> Iterator[Found]:
    fix = 'write it as in [project.urls] Homepage = "https://example.org"'
    for key, field in (("home_page", "Home-page"), ("download_url", "Download-URL")):
        if key in fields and not _is_link(fields[key]):
            yield refusal("todo", f"its {field} {fields[key]!r} is no address of a web page", fix)
    for label, link in fields.get("project_urls", {}).items():
        if not label:
            yield refusal("todo", f"its Project-URL {link!r} has no label", fix)
        elif len(label) > _LONGEST_LABEL:
            yield refusal(
                "todo",
                f"the label {label!r} of a Project-URL has {len(label)} characters: "
                f"the public index takes {_LONGEST_LABEL}",
                "shorten the key in [project.urls]",
            )
        elif not _is_link(link):
            yield refusal("todo", f"its Project-URL {label} = {link!r} is no address of a web page", fix)


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and _URI.fullmatch(text) is not None


def _requirements(fields: Mapping[str, Any]) -> Iterator[Found]:
    """Requirements by URL, which installers of released packages must not follow."""
    fix = "require a released version; a URL can stand in [tool.uv.sources] or a dependency group"
    for key in ("requires_dist", "provides_dist", "obsoletes_dist"):
        for text in fields.get(key, ()):
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                if key != "requires_dist":
                    yield refusal(
                        "todo", f"its metadata is refused: {text!r} is no requirement", _HINTS["requires-dist"]
                    )
            else:
                if requirement.url is not None:
                    yield refusal("todo", f"the public index refuses requirements by URL: {text}", fix)


def _license(fields: Mapping[str, Any]) -> Iterator[Found]:
    """The licence is said once (PEP 639)."""
    expression = fields.get("license_expression")
    if expression and fields.get("license"):
        yield refusal(
            "todo",
            "its metadata has both License and License-Expression",
            'keep license = "SPDX" in pyproject.toml',
        )
    old = sorted(each for each in fields.get("classifiers", ()) if each.startswith("License ::"))
    if expression and old:
        yield warning(
            "todo", f"its licence is {expression!r}, and a classifier too: {old[0]}", "remove the classifier"
        )


def _license_files(archive: Archive, files: Iterable[str]) -> Iterator[Found]:
    """Licence files are in the archive, in their place (PEP 639)."""
    if archive.kind == "sdist":
        top = next((parts[0] for member in archive.members if (parts := path_of(member).parts)), "")
    else:
        top = "-".join(archive.path.name.split("-")[:2]) + ".dist-info/licenses"
    members = set(archive.members)
    for file in files:
        if f"{top}/{file}" not in members:
            yield refusal(
                "todo",
                f"its licence file {file} is not in it, at {top}/{file}",
                "let the build configuration include it, or take it out of project.license-files",
            )


def _size(size: int) -> Iterator[Found]:
    if size > _LARGEST_FILE:
        yield warning(
            "todo",
            f"it has {size >> 20} MiB: the public index takes {_LARGEST_FILE >> 20}, unless it was asked for more",
            "what huge file is in it? the limit of a project is raised on request",
        )
