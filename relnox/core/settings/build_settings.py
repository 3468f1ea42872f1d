"""Settings for builds besides `[build-system]`: constraints, extra requirements, settings for hooks."""

from __future__ import annotations

from relnox.core.records import Record


class Constraints(Record, kw_only=True):
    """Which releases may be installed into build environments.

    Attributes:
        requirements: Bounds, as requirements; they do not install anything by themselves.
        files: Constraint files: absolute paths, or addresses.
        exclude_newer: The time after which releases are ignored, in the syntax of uv; empty for none.
        exclude_newer_package: The same for single packages; `false` admits all releases.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    exclude_newer: str = ""
    exclude_newer_package: tuple[tuple[str, str], ...] = ()


UNCONSTRAINED = Constraints()


class BuildSettings(Record, kw_only=True):
    """Settings for the build of one package, from the project and the environment.

    Attributes:
        constraints: Which releases may be installed.
        extra_requires: Build requirements besides those of `[build-system]`.
        config_settings: `config_settings` for the hooks of the backend (PEP 517).
    """

    constraints: Constraints = UNCONSTRAINED
    extra_requires: tuple[str, ...] = ()
    config_settings: tuple[tuple[str, str | tuple[str, ...]], ...] = ()


DEFAULT = BuildSettings()
"""The settings of a project that configures nothing."""
