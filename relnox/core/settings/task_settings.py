"""Settings in the tables of tasks that are not defaults of their options; most of them are by package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.kinds import Flag, ListOf, Number, TableOf, Text
from relnox.core.settings.patterns import PACKAGE_NAME, matches_any_glob
from relnox.core.settings.schema import EMPTY, Settings, setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.core.settings.kinds import Kind
    from relnox.core.settings.schema import Value

_TEXTS = ListOf(Text())
PYTHON_VERSIONS = ListOf(Text(rule=rules.python_version_violation))
"""The kind of a list of Python versions."""


def _by_package_setting(help: str, kind: Kind, *, otherwise: str = "") -> Any:  # noqa: A002 - as in argparse and invoke
    """Declare a setting that is a table with a value for each package."""
    return setting(EMPTY, help, TableOf(kind, keys=PACKAGE_NAME), otherwise=otherwise)


class TaskConfig(Settings):
    """Defaults for the options of a task.

    Attributes:
        options: The defaults that the settings contain, by field name.
    """

    options: Mapping[str, Value] = EMPTY


class BuildConfig(TaskConfig):
    """Settings of `build-all`."""

    commands: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "The command that builds the archives of a package; `{output}` is the output folder.",
        ListOf(Text(), first=rules.command_violation, may_be_empty=False),
        otherwise="the build backend",
    )


class PublishConfig(TaskConfig):
    """Settings of `publish` and `publish-test`."""

    extra_indexes: tuple[str, ...] = setting(
        (),
        "Additional indexes that users install from, to look requirements up: names in the table `indexes`, or "
        "simple APIs.",
    )
    unchecked_requirements: tuple[str, ...] = setting((), "Requirements that are not looked up, by name or glob.")


class InstallChecks(Record, kw_only=True):
    """The checks that are made after a package is installed.

    Attributes:
        modules: The modules to import, or None for those that the wheel contains.
        scripts: Whether the functions that the package's scripts call are looked up.
        extras: The extras to install with the package.
        requirements: Whether the requirements of the package are installed and checked.
        smoke: Expressions to evaluate, each in a process of its own.
        metadata_only: Whether the package contains no modules to import.
        time_limit: The time limit in seconds for all imports together, and for each expression.
    """

    modules: tuple[str, ...] | None = None
    scripts: bool = True
    extras: tuple[str, ...] = ()
    requirements: bool = True
    smoke: tuple[str, ...] = ()
    metadata_only: bool = False
    time_limit: int = 300


class VerifyConfig(TaskConfig):
    """Settings of `verify-install`.

    Attributes:
        metadata_only: Names or globs of packages that contain no modules to import, copied from `Config`.
    """

    smoke: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Expressions that must run without an error in the installed environment.",
        _TEXTS,
    )
    modules: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Modules to import.", _TEXTS, otherwise="those of the wheel"
    )
    scripts: Mapping[str, bool] = _by_package_setting(
        "Whether its scripts are checked.", Flag(), otherwise="`true`"
    )
    extras: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Extras that the package needs to be imported.", _TEXTS
    )
    pythons: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "The only Python versions to verify the package with, such as 3.12.",
        PYTHON_VERSIONS,
        otherwise="those of the option `python`",
    )
    time_limit: Mapping[str, int] = _by_package_setting(
        "Seconds for all imports, and for each smoke expression.",
        Number(),
        otherwise=f"`{InstallChecks.time_limit}`",
    )
    skip: Mapping[str, str] = _by_package_setting("Packages to skip, with the reason.", Text())
    install_without_deps: tuple[str, ...] = setting(
        (), "Packages to install without their requirements.", ListOf(PACKAGE_NAME)
    )
    metadata_only: tuple[str, ...] = ()

    def checks(self, package: str) -> InstallChecks:
        """Return the checks that are made after the given package is installed."""
        return InstallChecks(
            modules=self.modules.get(package),
            scripts=self.scripts.get(package, InstallChecks.scripts),
            extras=self.extras.get(package, ()),
            requirements=package not in self.install_without_deps,
            smoke=self.smoke.get(package, ()),
            metadata_only=matches_any_glob(package, self.metadata_only),
            time_limit=self.time_limit.get(package, InstallChecks.time_limit),
        )
