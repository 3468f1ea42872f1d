"""Settings of builds that are not in `[build-system]`, such as constraints and additional requirements."""

from __future__ import annotations

from relnox.core.records import Record


class Constraints(Record, kw_only=True):
    """Limits on the releases that may be installed into build environments.

    Attributes:
        requirements: Constraints in the syntax of requirement files; they do not cause anything to be installed.
        files: The absolute paths or URLs of constraint files.
        require_hashes: Whether everything that is installed must be pinned with a hash in the constraints.
        exclude_newer: The time after which releases are ignored, in uv's syntax; empty for no limit.
        exclude_newer_package: Pairs of a package and the time that applies to it instead of `exclude_newer`; the
            text `false` allows all its releases.
    """

    requirements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    require_hashes: bool = False
    exclude_newer: str = ""
    exclude_newer_package: tuple[tuple[str, str], ...] = ()


UNCONSTRAINED = Constraints()


class BuildSettings(Record, kw_only=True):
    """Settings for the build of one package, from the project and the environment.

    Attributes:
        constraints: Limits on the releases that are installed into the build environment.
        extra_requires: Additional build requirements besides those of `[build-system]`.
        config_settings: Pairs of name and value, which the hooks of the build backend receive (PEP 517).
    """

    constraints: Constraints = UNCONSTRAINED
    extra_requires: tuple[str, ...] = ()
    config_settings: tuple[tuple[str, str | tuple[str, ...]], ...] = ()


DEFAULT = BuildSettings()
"""The build settings of a project that sets none."""
