"""What a project says of its builds beside `[build-system]`: constraints, more requirements, settings of hooks."""

from __future__ import annotations

from relnox.core.records import Record

__all__ = ["DEFAULT", "UNCONSTRAINED", "BuildSettings", "Constraints"]


class Constraints(Record, kw_only=True):
    """Which releases may be installed to build with.

    Attributes:
        requirements: Bounds, as requirements; none of them is installed for its own sake.
        files: Files of such bounds, as pip and uv read them: absolute paths, or addresses.
        exclude_newer: The time after which releases do not count, as uv reads it; empty for none.
        exclude_newer_package: The same for single packages; `false` lets all of their releases count.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    exclude_newer: str = ""
    exclude_newer_package: tuple[tuple[str, str], ...] = ()


UNCONSTRAINED = Constraints()


class BuildSettings(Record, kw_only=True):
    """How one package is built, by the settings of the project and of its surroundings.

    Attributes:
        constraints: Which releases may be installed.
        extra_requires: What the build requires besides `[build-system]`.
        config_settings: What the backend's hooks are given (PEP 517), by key.
    """

    constraints: Constraints = UNCONSTRAINED
    extra_requires: tuple[str, ...] = ()
    config_settings: tuple[tuple[str, str | tuple[str, ...]], ...] = ()


DEFAULT = BuildSettings()
"""Of a project that says nothing of its builds."""
