"""The public index's rules for uploads, in its order and its words, so that a rehearsal refuses what it would.

They are about the form, the names and what is there already, and they were read in the public index's own source.
What is inside an archive is for `judge`, which the checks of built archives can be. Not asked here: whether a long
description can be rendered, and whether an address of mail or of a web page is one (the judge may); names that the
public index keeps for itself; names of the standard library of other Pythons than this one.
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
from relnox.indexes.embedded import messages
from relnox.indexes.embedded.contents import sdist_metadata, wheel_metadata

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
_LONGEST_SUMMARY = 512
_FIRST = ("metadata-version", "name", "version")
"""Faults of these fields are told before others."""

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
"""Fields of a form that come more than once, and what `packaging` calls them."""

_COMPARED = (
    *("metadata_version", "name", "version", "requires_python", "requires_dist"),
    *("provides_extra", "license_expression"),
)


class Rules(Record, kw_only=True):
    """What is demanded of an upload.

    Attributes:
        largest: Bytes that a file may have.
        window: Seconds for which a release takes further files after its first.
        judge: Told the path of an archive under its own name, says what speaks against it.
    """

    largest: int = 100 << 20
    window: float = 14 * _DAY
    judge: Callable[[Path], Iterable[str]] | None = None

    def check_form(self, form: Form) -> None:
        """Judge what a form says, whatever comes with it.

        Raises:
            Blocked: In the public index's words.
        """
        name = form.optional("name") or ""
        if not _NAME.fullmatch(name):
            raise Blocked(
                "todo",
                f"{name!r} is an invalid value for Name. Error: Start and end with a letter or numeral containing "
                "only ASCII numeric and '.', '_' and '-'.",
            )
        kind, python = form.optional("filetype"), form.optional("pyversion")
        if kind not in ("sdist", "bdist_wheel"):
            raise Blocked("todo", "Invalid value for filetype. Error: Use a known file type.")
        if kind == "bdist_wheel" and python is None:
            raise Blocked(
                "todo",
                "Invalid value for pyversion. Error: Python version is required for binary distribution uploads.",
            )
        if kind == "sdist" and python not in (None, "source"):
            raise Blocked(
                "todo", "Invalid value for pyversion. Error: Use 'source' as Python version for an sdist."
            )
        if not any(form.optional(f"{each}_digest") for each in ("sha256", "blake2_256", "md5")):
            raise Blocked("todo", "Error: Include at least one message digest.")
        _check_metadata(_declared(form))

    def check_project(self, name: str, store: Store) -> None:
        """Judge the name of a project that is not there yet.

        Raises:
            Blocked: In the public index's words.
        """
        if canonicalize_name(name) in {canonicalize_name(module) for module in sys.stdlib_module_names}:
            raise Blocked(
                "todo", f"The name {name!r} isn't allowed (conflict with Python Standard Library module name)."
            )
        if _looks(name) in map(_looks, store.names()):
            raise Blocked("todo", f"The name {name!r} is too similar to an existing project.")

    def check_file(self, form: Form, filename: str, incoming: Incoming, store: Store) -> None:
        """Judge a file of a name that the store does not hold.

        Raises:
            Blocked: In the public index's words.
        """
        name, version = form.required("name"), Version(form.required("version"))
        project = canonicalize_name(name)
        is_sdist = form.required("filetype") == "sdist"
        if is_sdist == filename.endswith(".whl"):
            raise Blocked(
                "todo",
                f"Invalid file extension: {filename!r} is invalid for filetype {form.required('filetype')}.",
            )
        if incoming.size > self.largest:
            raise Blocked("todo", messages.too_large(name, self.largest))
        if same := store.holder(incoming.digests["sha256"]):
            raise Blocked(
                "todo", f"{messages.exists(same, incoming.digests['blake2_256'])} It was sent as {filename!r}."
            )
        if store.projects.is_burnt(filename):
            raise Blocked("todo", messages.BURNED)
        release = [file for file in store.files(project) if file.version == version]
        if release and store.clock() - min(file.uploaded for file in release) > self.window:
            raise Blocked("todo", messages.old_release(round(self.window / _DAY)))
        if is_sdist and any(not file.filename.endswith(".whl") for file in release):
            raise Blocked("todo", "Only one sdist may be uploaded per release.")
        (_check_sdist_name if is_sdist else _check_wheel_name)(filename, project, version)
        with incoming.under_its_name(filename) as path:
            if self.judge is not None and (faults := list(self.judge(path))):  # before anything else opens it
                raise Blocked("todo", f"Invalid distribution file. {'; '.join(faults)}")
            _check_agreement(form, filename, (_sdist_metadata if is_sdist else _wheel_metadata)(path))


def _looks(name: str) -> str:
    """What names have in common that are taken for one another."""
    return re.sub("[il]", "1", re.sub("[._-]", "", name.lower())).replace("o", "0")


def _declared(form: Form) -> RawMetadata:
    """The metadata that a form declares."""
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
    faults: list[InvalidMetadata] = []
    try:
        Metadata.from_raw(raw)
    except ExceptionGroup as group:
        faults += [each for each in group.exceptions if isinstance(each, InvalidMetadata)]
    faults += [InvalidMetadata(field, text) for field, text in _own_faults(cast("Mapping[str, Any]", raw))]
    if faults:
        order = {field: number for number, field in enumerate(_FIRST)}
        first = min(faults, key=lambda fault: (order.get(fault.field, len(order)), fault.field, str(fault)))
        raise Blocked("todo", f"{str(first).rstrip('.')}.")


def _own_faults(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the public index demands on top of the specification: field, and what is wrong with it."""
    stated = raw.get("metadata_version")
    if stated not in _METADATA_VERSIONS:
        yield "metadata-version", f"{stated!r} is not a valid metadata version"
    version = raw.get("version", "")
    if "+" in version:
        yield "version", f"The use of local versions in {version!r} is not allowed."
    if len(raw.get("summary", "")) > _LONGEST_SUMMARY:
        yield "summary", f"'summary' field must be {_LONGEST_SUMMARY} characters or less."
    if raw.get("license") and raw.get("license_expression"):
        yield (
            "license",
            "License is deprecated when License-Expression is present. Only License-Expression should be present.",
        )
    yield from _classifier_faults(sorted(set(raw.get("classifiers", ()))))
    for key in ("requires_dist", "provides_dist", "obsoletes_dist"):
        for text in raw.get(key, ()):
            if _is_by_url(text):
                yield key.replace("_", "-"), f"Can't have direct dependency: {text}"


def _classifier_faults(stated: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Classifiers that the public index does not know, as far as the list of them is installed."""
    try:
        from trove_classifiers import classifiers, deprecated_classifiers
    except ImportError:  # of the extra `check`
        return
    for each in stated:
        if each in deprecated_classifiers:
            instead = deprecated_classifiers[each]
            advice = f", use one of {instead} instead" if instead else ""
            yield "classifier", f"The classifier {each!r} has been deprecated{advice}."
        elif each not in classifiers:
            yield "classifier", f"{each!r} is not a valid classifier."


def _is_by_url(text: str) -> bool:
    try:
        return Requirement(text).url is not None
    except InvalidRequirement:
        return False  # said already


def _check_sdist_name(filename: str, project: str, version: Version) -> None:
    """PEP 625."""
    expected = f"{project.replace('-', '_')}-{version}.tar.gz"
    if filename != expected:
        raise Blocked("todo", f"Filename {filename!r} is invalid, should be {expected!r}.")


def _check_wheel_name(filename: str, project: str, version: Version) -> None:
    """The binary distribution format's escaping."""
    name = filename.partition("-")[0]
    expected = project.replace("-", "_")
    if name != expected:
        raise Blocked(
            "todo", f"Filename {filename!r} should contain the normalized project name {expected!r}, not {name!r}."
        )
    said = parse_wheel_filename(filename)[1]
    if said != version:
        raise Blocked("todo", f"Version in filename should be {str(version)!r} not {str(said)!r}.")


def _sdist_metadata(path: Path) -> bytes:
    stem = path.name.removesuffix(".tar.gz")
    content = sdist_metadata(path, stem)
    if content is None:
        raise Blocked("todo", f"Invalid distribution file. PKG-INFO not found at {stem}/PKG-INFO")
    return content


def _wheel_metadata(path: Path) -> bytes:
    content = wheel_metadata(path)
    if content is None:
        stem = "-".join(path.name.split("-")[:2])
        raise Blocked(
            "todo", f"Wheel '{path.name}' does not contain the required METADATA file: {stem}.dist-info/METADATA"
        )
    return content


def _check_agreement(form: Form, filename: str, content: bytes) -> None:
    """What a form declares is what installers will read in the file."""
    declared = cast("Mapping[str, Any]", _declared(form))
    inside = cast("Mapping[str, Any]", parse_email(content)[0])
    for key in _COMPARED:
        if _meaning(key, declared.get(key)) != _meaning(key, inside.get(key)):
            raise Blocked(
                "todo",
                f"The form says {key.replace('_', '-')} {declared.get(key)!r}, but {filename} says "
                f"{inside.get(key)!r}.",
            )


def _meaning(key: str, value: Any) -> object:
    """A value in the spelling that all of its spellings have in common."""
    try:
        match key, value:
            case "name", str():
                return canonicalize_name(value)
            case "version", str():
                return Version(value)
            case "requires_python", str():
                return SpecifierSet(value)
            case "requires_dist", list():
                return sorted(str(Requirement(each)) for each in value)
            case "provides_extra", list():
                return sorted(canonicalize_name(each) for each in value)
            case _:
                pass
    except (InvalidRequirement, InvalidSpecifier, ValueError):
        pass
    return value or None
