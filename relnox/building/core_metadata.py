"""The metadata files of archives ("Core metadata specifications"), parsed in bounded time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.metadata import parse_email

from relnox.building.archive_entries import ArchiveError

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata

_MAX_FIELDS_SIZE = 1 << 20
"""The maximum size in bytes of the fields before the description."""
_MAX_FIELD_NAMES = 100
"""The maximum number of distinct field names; the time to parse is quadratic in it."""


def parse(metadata: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """Return the parsed fields of a metadata file, and the unknown or malformed ones; see `parse_email`."""
    raw, unparsed = _parse_cached(metadata)
    return raw.copy(), unparsed.copy()


@lru_cache(maxsize=8)
def _parse_cached(metadata: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    return parse_email(metadata)


def check_parsing_cost(metadata: bytes) -> None:
    """Raise an error if a metadata file has too many fields to be parsed in a short time.

    Raises:
        ArchiveError: The fields are too large, or have too many distinct names.
    """
    fields = metadata.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    names = {line.partition(b":")[0] for line in fields.split(b"\n") if not line.startswith((b" ", b"\t"))}
    if len(fields) > _MAX_FIELDS_SIZE or len(names) > _MAX_FIELD_NAMES:
        raise ArchiveError("has too many fields in its metadata")
