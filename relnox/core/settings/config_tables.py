"""The tables inside `[tool.relnox]`, except that of hooks."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, Literal

from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.kinds import Kind, ListOf, TableOf, Text
from relnox.core.settings.patterns import PACKAGE_NAME, PACKAGE_PATTERN, matches_any_glob
from relnox.core.settings.schema import EMPTY, Settings, Value, required, setting

PATH = Text(rule=rules.file_path_violation, convert=lambda path: posixpath.normpath(path.replace("\\", "/")))
"""The kind of a setting that is a path below the root; its value is a normalized POSIX path."""


class GroupConfig(Settings):
    """Packages that are bumped together, or that share a version."""

    packages: tuple[str, ...] = required(
        "Names or directories of packages, or globs of them; `!` excludes.", ListOf(PACKAGE_PATTERN)
    )
    kind: Literal["fixed", "linked"] = setting(
        "fixed",
        "`fixed`: all are bumped together; `linked`: those that are bumped get the same version.",
        choices=("fixed", "linked"),
    )


class VersionFileConfig(Settings):
    """A file that contains the version of a package, and that relnox does not find by itself."""

    file: str = required("The path of the file, relative to the root.", PATH)
    pattern: str | None = setting(
        None,
        "A regular expression with a group named `version`; `^` and `$` match at line ends.",
        rule=rules.pattern_violation,
        otherwise="that of the file's format",
    )
    count: int = setting(1, "The number of matches; 0 excludes the file.")
    package: str | None = setting(
        None, "The package whose version it is.", otherwise="the package whose directory has the file"
    )
    scheme: Literal["pep440", "semver"] | None = setting(
        None,
        "The version scheme in this file.",
        choices=("pep440", "semver"),
        otherwise="that of the file's format",
    )


class CommitsConfig(Settings):
    """The level of each type of Conventional Commits; a breaking change is always major."""

    minor: tuple[str, ...] = setting(("feat",), "Commit types for the level minor.")
    patch: tuple[str, ...] = setting(("fix", "perf", "revert"), "Commit types for the level patch.")
    major_version_zero: bool = setting(
        True, "Whether levels are one lower below 1.0: breaking changes are minor, features patch."
    )


class IndexConfig(Settings):
    """A package index besides PyPI and TestPyPI; tasks use it with `--index NAME`."""

    upload: str = required("The upload URL.")
    simple: str = required("The URL of the simple API.")
    production: bool = setting(True, "Whether it is a production index; `false` for a test index.")


class TestConfig(Settings):
    """How `build-all --test` runs the project's tests."""

    __test__ = False  # pytest would collect it by its name

    command: tuple[str, ...] = setting(
        (), "The command, as a list of words.", ListOf(Text(), first=rules.command_violation)
    )
    requires: tuple[str, ...] = setting((), "Additional requirements of the tests.")
    env: Mapping[str, str] = setting(
        EMPTY, "Environment variables.", TableOf(Text(), keys=Text(rule=rules.variable_name_violation))
    )


def _by_package_setting(help: str, kind: Kind, *, otherwise: str = "") -> Any:  # noqa: A002 - as in argparse and invoke
    """Declare a setting that is a table with a value for each package."""
    return setting(EMPTY, help, TableOf(kind, keys=PACKAGE_NAME), otherwise=otherwise)


class TaskConfig(Settings):
    """Defaults for the options of a task."""

    options: Mapping[str, Value] = EMPTY


class BuildConfig(TaskConfig):
    """Settings of `build-all`."""

    commands: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "The command that builds the archives of a package; `{output}` is the output directory.",
        ListOf(Text(), first=rules.command_violation, may_be_empty=False),
        otherwise="the build backend",
    )


class PublishConfig(TaskConfig):
    """Settings for `publish` and `publish-test`."""


class InstallChecks(Record, kw_only=True):
    """The checks that are made after a package is installed.

    Attributes:
        modules: The modules to import, or None for those that the wheel contains.
        extras: The extras to install with the package.
        smoke: Expressions to evaluate, each in a process of its own.
        metadata_only: Whether the package contains no modules to import.
    """

    modules: tuple[str, ...] | None = None
    extras: tuple[str, ...] = ()
    smoke: tuple[str, ...] = ()
    metadata_only: bool = False


class VerifyConfig(TaskConfig):
    """Settings of `verify-install`.

    Attributes:
        metadata_only: Names or globs of packages that contain no modules to import, copied from `Config`.
    """

    smoke: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Expressions that must run without an error in the installed environment.", ListOf(Text())
    )
    modules: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Modules to import.", ListOf(Text()), otherwise="those of the wheel"
    )
    extras: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Extras that the package needs to be imported.", ListOf(Text())
    )
    skip: Mapping[str, str] = _by_package_setting("Packages to skip, with the reason.", Text())
    metadata_only: tuple[str, ...] = ()

    def checks(self, package: str) -> InstallChecks:
        """Return the checks that are made after the given package is installed."""
        return InstallChecks(
            modules=self.modules.get(package),
            extras=self.extras.get(package, ()),
            smoke=self.smoke.get(package, ()),
            metadata_only=matches_any_glob(package, self.metadata_only),
        )
