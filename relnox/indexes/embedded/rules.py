"""PyPI's rules for uploads, with its messages, so that a rehearsal rejects what PyPI would.

They check the form, the names and existing files, in the order of PyPI's source code. The content of archives is
checked by `validator`. Not checked: rendering of long descriptions, e-mail addresses and URLs (the validator may);
names reserved by PyPI; names of modules in the standard library of other Python versions.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, cast

from packaging.metadata import InvalidMetadata, Metadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from relnox.core.records import Record
from relnox.errors import Blocked
from relnox.indexes.embedded.contents import sdist_metadata, wheel_metadata
from relnox.indexes.embedded.store import file_exists_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.metadata import RawMetadata

    from relnox.indexes.embedded.multipart import Form
    from relnox.indexes.embedded.store import Incoming, Store

__all__ = ["Rules"]

_DAY = 86400.0
_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII)
_METADATA_VERSIONS = frozenset({"1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5"})
_MAX_SUMMARY = 512
_FIRST = ("metadata-version", "name", "version")
"""Errors of these fields are reported before others."""

_TEXTS = frozenset(
    {
        *("metadata_version", "name", "version", "summary", "description", "description_content_type"),
        *("home_page", "download_url", "author", "author_email", "maintainer", "maintainer_email"),
        *("license", "license_expression", "requires_python"),
    }
)
_LISTS = {
    "platform": "platforms",
    "supported_platform": "supported_platforms",
    **{
        field: field
        for field in (
            *("classifiers", "dynamic", "import_names", "import_namespaces", "license_files", "provides_extra"),
            *("requires_dist", "provides_dist", "obsoletes_dist", "requires_external"),
            *("requires", "provides", "obsoletes"),
        )
    },
}
"""Repeated form fields, and their names in `packaging`."""

_COMPARED = (
    *("metadata_version", "name", "version", "requires_python", "requires_dist"),
    *("provides_extra", "license_expression"),
)


class Rules(Record, kw_only=True):
    """Rules for uploads.

    Attributes:
        max_size: Largest size of a file in bytes.
        window: Seconds for which a release accepts further files after its first.
        validator: Returns the problems of an archive at a path.
    """

    max_size: int = 100 << 20
    window: float = 14 * _DAY
    validator: Callable[[Path], Iterable[str]] | None = None

    def check_form(self, form: Form) -> None:
        """Check a form without its file.

        Raises:
            Blocked: It breaks a rule, with the message of PyPI.
        """
        name = form.optional("name") or ""
        if not _NAME.fullmatch(name):
            raise Blocked(
                "upload-rejected",
                f"{name!r} is an invalid value for Name. Error: Start and end with a letter or numeral containing "
                "only ASCII numeric and '.', '_' and '-'.",
            )
        kind, python = form.optional("filetype"), form.optional("pyversion")
        if kind not in ("sdist", "bdist_wheel"):
            raise Blocked("upload-rejected", "Invalid value for filetype. Error: Use a known file type.")
        if kind == "bdist_wheel" and python is None:
            raise Blocked(
                "upload-rejected",
                "Invalid value for pyversion. Error: Python version is required for binary distribution uploads.",
            )
        if kind == "sdist" and python not in (None, "source"):
            raise Blocked(
                "upload-rejected",
                "Invalid value for pyversion. Error: Use 'source' as Python version for an sdist.",
            )
        if not any(form.optional(f"{algorithm}_digest") for algorithm in ("sha256", "blake2_256", "md5")):
            raise Blocked("upload-rejected", "Error: Include at least one message digest.")
        _check_metadata(_form_metadata(form))

    def check_project(self, name: str, store: Store) -> None:
        """Check the name of a new project.

        Raises:
            Blocked: It breaks a rule, with the message of PyPI.
        """
        if canonicalize_name(name) in {canonicalize_name(module) for module in sys.stdlib_module_names}:
            raise Blocked(
                "upload-rejected",
                f"The name {name!r} isn't allowed (conflict with Python Standard Library module name).",
            )
        if _skeleton(name) in map(_skeleton, store.names()):
            raise Blocked("upload-rejected", f"The name {name!r} is too similar to an existing project.")

    def check_file(self, form: Form, filename: str, incoming: Incoming, store: Store) -> None:
        """Check a file with a new name.

        Raises:
            Blocked: It breaks a rule, with the message of PyPI.
        """
        name, version = form.required("name"), Version(form.required("version"))
        project = canonicalize_name(name)
        is_sdist = form.required("filetype") == "sdist"
        if is_sdist == filename.endswith(".whl"):
            raise Blocked(
                "upload-rejected",
                f"Invalid file extension: {filename!r} is invalid for filetype {form.required('filetype')}.",
            )
        if incoming.size > self.max_size:
            raise Blocked(
                "upload-rejected", f"File too large. Limit for project {name!r} is {self.max_size >> 20} MB."
            )
        if other_name := store.holder(incoming.digests["sha256"]):
            raise Blocked(
                "upload-rejected",
                f"{file_exists_message(other_name, incoming.digests['blake2_256'])} It was sent as {filename!r}.",
            )
        release = [file for file in store.files(project) if file.version == version]
        if release and store.clock() - min(file.uploaded for file in release) > self.window:
            raise Blocked(
                "upload-rejected",
                f"Uploading new files to releases older than {round(self.window / _DAY)} days is not allowed.",
            )
        if is_sdist and any(not file.filename.endswith(".whl") for file in release):
            raise Blocked("upload-rejected", "Only one sdist may be uploaded per release.")
        (_check_sdist_name if is_sdist else _check_wheel_name)(filename, project, version)
        with incoming.with_name(filename) as path:
            if self.validator is not None and (errors := list(self.validator(path))):  # before anything opens it
                raise Blocked("upload-rejected", f"Invalid distribution file. {'; '.join(errors)}")
            _check_agreement(form, filename, (_sdist_metadata if is_sdist else _wheel_metadata)(path))


def _skeleton(name: str) -> str:
    """Normalize characters that look alike."""
    return re.sub("[il]", "1", re.sub("[._-]", "", name.lower())).replace("o", "0")


def _form_metadata(form: Form) -> RawMetadata:
    """Return the metadata in a form."""
    raw: dict[str, Any] = {}
    for field, values in form.fields.items():
        if field in _TEXTS and (value := form.optional(field)):
            raw[field] = value
        elif field in _LISTS:
            raw[_LISTS[field]] = values
        elif field == "keywords" and (value := form.optional(field)):
            raw["keywords"] = [word.strip() for word in value.split(",")]
        elif field == "project_urls":
            pairs = [value.partition(",") for value in values]
            raw["project_urls"] = {label.strip(): link.strip() for label, _, link in pairs}
    return cast("RawMetadata", raw)


def _check_metadata(raw: RawMetadata) -> None:
    errors: list[InvalidMetadata] = []
    try:
        Metadata.from_raw(raw)
    except ExceptionGroup as group:
        errors += [error for error in group.exceptions if isinstance(error, InvalidMetadata)]
    errors += [InvalidMetadata(field, text) for field, text in _pypi_errors(cast("Mapping[str, Any]", raw))]
    if errors:
        order = {field: number for number, field in enumerate(_FIRST)}
        first = min(errors, key=lambda error: (order.get(error.field, len(order)), error.field, str(error)))
        raise Blocked("upload-rejected", f"{str(first).rstrip('.')}.")


def _pypi_errors(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield field and error for what PyPI requires beyond the specification."""
    metadata_version = raw.get("metadata_version")
    if metadata_version not in _METADATA_VERSIONS:
        yield "metadata-version", f"{metadata_version!r} is not a valid metadata version"
    version = raw.get("version", "")
    if "+" in version:
        yield "version", f"The use of local versions in {version!r} is not allowed."
    if len(raw.get("summary", "")) > _MAX_SUMMARY:
        yield "summary", f"'summary' field must be {_MAX_SUMMARY} characters or less."
    if raw.get("license") and raw.get("license_expression"):
        yield (
            "license",
            "License is deprecated when License-Expression is present. Only License-Expression should be present.",
        )
    yield from _classifier_errors(sorted(set(raw.get("classifiers", ()))))
    for key in ("requires_dist", "provides_dist", "obsoletes_dist"):
        for text in raw.get(key, ()):
            if _is_by_url(text):
                yield key.replace("_", "-"), f"Can't have direct dependency: {text}"


def _classifier_errors(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield errors for unknown classifiers, if the list of classifiers is installed."""
    try:
        from trove_classifiers import classifiers, deprecated_classifiers
    except ImportError:  # it is in the extra `check`
        return
    for name in names:
        if name in deprecated_classifiers:
            instead = deprecated_classifiers[name]
            advice = f", use one of {instead} instead" if instead else ""
            yield "classifier", f"The classifier {name!r} has been deprecated{advice}."
        elif name not in classifiers:
            yield "classifier", f"{name!r} is not a valid classifier."


def _is_by_url(text: str) -> bool:
    try:
        return Requirement(text).url is not None
    except InvalidRequirement:
        return False  # reported already


def _check_sdist_name(filename: str, project: str, version: Version) -> None:
    """Check the file name of an sdist (PEP 625)."""
    expected = f"{project.replace('-', '_')}-{version}.tar.gz"
    if filename != expected:
        raise Blocked("upload-rejected", f"Filename {filename!r} is invalid, should be {expected!r}.")


def _check_wheel_name(filename: str, project: str, version: Version) -> None:
    """Check the file name of a wheel (binary distribution format)."""
    name = filename.partition("-")[0]
    expected = project.replace("-", "_")
    if name != expected:
        raise Blocked(
            "upload-rejected",
            f"Filename {filename!r} should contain the normalized project name {expected!r}, not {name!r}.",
        )
    wheel_version = parse_wheel_filename(filename)[1]
    if wheel_version != version:
        raise Blocked(
            "upload-rejected", f"Version in filename should be {str(version)!r} not {str(wheel_version)!r}."
        )


def _sdist_metadata(path: Path) -> bytes:
    stem = path.name.removesuffix(".tar.gz")
    content = sdist_metadata(path, stem)
    if content is None:
        raise Blocked("upload-rejected", f"Invalid distribution file. PKG-INFO not found at {stem}/PKG-INFO")
    return content


def _wheel_metadata(path: Path) -> bytes:
    content = wheel_metadata(path)
    if content is None:
        stem = "-".join(path.name.split("-")[:2])
        raise Blocked(
            "upload-rejected",
            f"Wheel '{path.name}' does not contain the required METADATA file: {stem}.dist-info/METADATA",
        )
    return content


def _check_agreement(form: Form, filename: str, content: bytes) -> None:
    """Check that the form has the metadata that installers will read in the file."""
    form_metadata = cast("Mapping[str, Any]", _form_metadata(form))
    file_metadata = cast("Mapping[str, Any]", parse_email(content)[0])
    for key in _COMPARED:
        if _canonical(key, form_metadata.get(key)) != _canonical(key, file_metadata.get(key)):
            raise Blocked(
                "upload-rejected",
                f"The form says {key.replace('_', '-')} {form_metadata.get(key)!r}, but {filename} says "
                f"{file_metadata.get(key)!r}.",
            )


def _canonical(key: str, value: Any) -> object:
    """Return the canonical form of a value."""
    try:
        match key, value:
            case "name", str():
                return canonicalize_name(value)
            case "version", str():
                return Version(value)
            case "requires_python", str():
                return SpecifierSet(value)
            case "requires_dist", list():
                return sorted(str(Requirement(text)) for text in value)
            case "provides_extra", list():
                return sorted(map(canonicalize_name, value))
            case _:
                pass
    except (InvalidRequirement, InvalidSpecifier, ValueError):
        pass
    return value or None
