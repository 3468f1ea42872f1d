"""What is checked: an archive, its metadata, and what the plan expects of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from packaging.version import Version

from relnox.building.archives import Archive, parse_metadata
from relnox.core.records import Record

_VERSIONS_WITH_LICENSE_FILES = ("2.4", "2.5")


class ExpectedArchive(Record, kw_only=True):
    """The properties that an archive is expected to have.

    Attributes:
        name: Normalized name (PEP 503).
        version: The version, or None if only the backend can compute it.
        requires: The `Requires-Dist` values, in any order and spelling, including the markers of extras; None if
            the backend computes them.
        tracked_files: The files that git tracks, relative to the package's directory; None outside git.
        generated_files: Those of the tracked files that hooks generated for this build.
        is_private: Whether the package is never published to the public index; then its rules only cause warnings.
        may_be_empty: Whether a wheel may install nothing, because the package consists only of requirements.
        extensions_are_optional: Whether a wheel may lack the native modules that the source declares.
    """

    name: str
    version: Version | None = None
    requires: tuple[str, ...] | None = None
    tracked_files: frozenset[str] | None = None
    generated_files: frozenset[str] = frozenset()
    is_private: bool = False
    may_be_empty: bool = False
    extensions_are_optional: bool = False


@dataclass(frozen=True)
class Subject:
    """An archive, and what is expected of it."""

    archive: Archive
    expected: ExpectedArchive

    @cached_property
    def metadata(self) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """The fields of the metadata, and the malformed ones, as twine parses them for the upload."""
        raw, malformed = parse_metadata(self.archive.metadata)
        fields: dict[str, Any] = {**raw}
        if fields.get("metadata_version") not in _VERSIONS_WITH_LICENSE_FILES:  # other ones do not have the field
            fields.pop("license_files", None)
            malformed.pop("license-file", None)
        return fields, malformed

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the metadata."""
        return self.metadata[0]
