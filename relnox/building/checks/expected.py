"""What the plan expects of an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.records import Record

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["Expected"]


class Expected(Record, kw_only=True):
    """The name, version and metadata that an archive is expected to have.

    Attributes:
        name: Normalized name (PEP 503).
        version: The version; None where only the backend knows it.
        requires: `Requires-Dist` with the markers of extras, in any order and spelling; None where the backend
            decides.
        tracked: The files that git tracks, relative to the package's folder; None outside git.
        above: Files that git tracks in folders above the package's, by name: backends copy some of them.
        private: Whether it is never sent to the public index, so that what this index rejects is only a warning.
        may_be_empty: Whether a wheel may install nothing: a package that only has requirements.
        optional_extensions: Whether a wheel may lack the native modules that the source declares.
    """

    name: str
    version: Version | None = None
    requires: tuple[str, ...] | None = None
    tracked: frozenset[str] | None = None
    above: tuple[tuple[str, bytes], ...] = ()
    private: bool = False
    may_be_empty: bool = False
    optional_extensions: bool = False
