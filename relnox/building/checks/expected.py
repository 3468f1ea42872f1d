"""What an archive is expected to be, and how its problems are written."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import Version

from relnox.core.records import Record
from relnox.core.text import join_names
from relnox.errors import Problem


class ExpectedArchive(Record, kw_only=True):
    """The properties that an archive is expected to have.

    Attributes:
        name: Normalized name (PEP 503).
        version: The version; None if only the backend can compute it: then any is accepted.
        requires: The `Requires-Dist` values, in any order and spelling, including the markers of extras; None if
            the backend computes them: then they are not compared.
        tracked_files: The files that git tracks, and `generated_files`, relative to the package's directory; None
            if they are not known, as in builds of a working tree.
        generated_files: Those of `tracked_files` that hooks generated for this build.
        is_private: Whether the rules of the public index cause warnings only, since it goes to another index.
        may_be_empty: Whether a wheel may install nothing, because the package consists only of requirements.
        extensions_are_optional: Whether a wheel may lack the native modules that the source declares.
        ignored_imports: Pairs of paths in the project: a module, and a module that it imports and git ignores.
        fake_secrets: Globs that match the ends of paths; secrets in such files are fake, and not reported.
    """

    name: str
    version: Version | None = None
    requires: tuple[str, ...] | None = None
    tracked_files: frozenset[str] | None = None
    generated_files: frozenset[str] = frozenset()
    is_private: bool = False
    may_be_empty: bool = False
    extensions_are_optional: bool = False
    ignored_imports: tuple[tuple[str, str], ...] = ()
    fake_secrets: tuple[str, ...] = ()


def warning(code: str, message: str, fix: str) -> Problem:
    """Return a problem of the level `warning`, which is an error only with `--strict`."""
    return Problem(code, message, fix, level="warning")


def index_rejection(code: str, message: str, fix: str) -> Problem:
    """Return a problem that the public index rejects: an error, but a warning if the archive's package is private.

    The level is decided when the problems of the archive are collected.
    """
    return Problem(code, message, fix, level="rejected-by-index")


def format_names(names: Iterable[str]) -> str:
    """Join the first three names in sorted order, and count the others: `a, b, c and 7 more`."""
    return join_names(sorted(names), 3)
