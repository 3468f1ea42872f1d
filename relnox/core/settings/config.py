"""The settings of a project, `[tool.relnox]`; all of them are optional."""

from __future__ import annotations

from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from relnox.core.names import normalized
from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.hook_settings import HooksConfig
from relnox.core.settings.patterns import PACKAGE, PACKAGE_GLOB, PACKAGE_PATTERN
from relnox.core.settings.release_lines import Lines
from relnox.core.settings.schema import (
    Flag,
    ListOf,
    Number,
    Settings,
    Table,
    TableOf,
    Text,
    fields_of,
    required,
    setting,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relnox.core.dependencies.requirements import Policy, Siblings
    from relnox.core.settings.release_lines import ReleaseLine
    from relnox.core.settings.schema import Field, Kind, Value
    from relnox.core.versions.versioning import Scheme

__all__ = [
    "Abi",
    "ArchiveLimits",
    "BuildConfig",
    "CommitsConfig",
    "Config",
    "GroupConfig",
    "IndexConfig",
    "InstallChecks",
    "PublishConfig",
    "TaskConfig",
    "TestConfig",
    "VerifyConfig",
    "VersionFileConfig",
    "WheelsConfig",
    "config_table",
]

Abi = Literal["cpython", "abi3", "none"]
"""The ABI of a platform wheel: one CPython version, the stable ABI, or none."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_DISTRIBUTION = Text(rule=rules.distribution, convert=normalized)
_PATH = Text(rule=rules.file_path, convert=lambda path: path.replace("\\", "/"))
_TEXTS = ListOf(Text())
_COMMAND = ListOf(Text(), first=rules.words)


def _by_package(kind: Kind) -> TableOf:
    """Return the kind of a table by package."""
    return TableOf(kind, keys=PACKAGE)


def _is_named(package: str, globs: Iterable[str]) -> bool:
    """Return whether a package matches one of some normalized names or globs."""
    return any(fnmatchcase(package, glob) for glob in globs)


# --- tables for one topic ------------------------------------------------------------------------------


class GroupConfig(Settings):
    """Packages that share a version."""

    packages: tuple[str, ...] = required(
        "Names or folders of packages, or globs of them; `!` excludes.", ListOf(PACKAGE_PATTERN)
    )
    kind: Literal["fixed", "linked"] = setting(
        "fixed",
        "`fixed`: all are bumped together; `linked`: those that are bumped get the same version.",
        choices=("fixed", "linked"),
    )
    tag_format: str | None = setting(
        None, "Their tag format.", rule=rules.tag_format, otherwise="that of the other packages"
    )


class VersionFileConfig(Settings):
    """A file with a version."""

    file: str = required("The path of the file, relative to the root.", _PATH)
    pattern: str | None = setting(
        None,
        "A regular expression with a group named `version`; `^` and `$` match at line ends.",
        rule=rules.pattern,
        otherwise="that of the file's format",
    )
    count: int = setting(1, "The number of matches; 0 excludes the file.")
    package: str | None = setting(
        None, "The package whose version it is.", otherwise="the package whose folder has the file"
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
    """An index of the project."""

    upload: str = required("The upload URL.")
    simple: str = required("The URL of the simple API.")
    production: bool = setting(True, "Whether it is a production index; `false` for a test index.")


class TestConfig(Settings):
    """How `build-all --test` runs the project's tests."""

    __test__ = False  # pytest would collect it by its name

    command: tuple[str, ...] = setting((), "The command, as a list of words.", _COMMAND)
    requires: tuple[str, ...] = setting((), "Additional requirements of the tests.")
    env: Mapping[str, str] = setting(
        _EMPTY, "Environment variables.", TableOf(Text(), keys=Text(rule=rules.variable))
    )


class WheelsConfig(Settings):
    """Packages with platform wheels, and their platforms.

    `core.release.wheels` makes the jobs from them.
    """

    packages: tuple[str, ...] = setting((), "Names of packages, or globs of names.", ListOf(PACKAGE_GLOB))
    systems: tuple[str, ...] = setting(
        ("manylinux", "musllinux", "macos", "windows"),
        "Operating systems.",
        choices=("manylinux", "musllinux", "macos", "windows"),
    )
    architectures: tuple[str, ...] = setting(
        ("x86_64", "arm64"),
        "Processor architectures; the names are the same on all systems.",
        choices=("x86_64", "arm64", "x86", "universal2", "armv7l", "ppc64le", "s390x", "riscv64"),
    )
    abi: Mapping[str, Abi] = setting(
        _EMPTY,
        "The ABI of wheels: a wheel for each CPython, the stable ABI of the oldest one, or none.",
        _by_package(Text(get_args(Abi))),
        otherwise='`"cpython"`',
    )
    free_threaded: bool = setting(False, "Whether free-threaded CPythons get wheels too.")
    skip: tuple[str, ...] = setting(
        (), "Identifiers of cibuildwheel to skip, as globs such as `cp39-musllinux_*`."
    )


class ArchiveLimits(Settings):
    """Limits for wheels and sdists: larger ones are rejected without reading further."""

    max_entries: int = setting(100_000, "Number of files, folders and links.", Number(10_000_000))
    max_unpacked: int = setting(4096, "Unpacked size in MiB.", Number(1 << 20))
    max_ratio: int = setting(
        100,
        "Unpacked size as a multiple of the archive's size; up to 64 MiB are always allowed.",
        Number(2000),
    )


# --- tables of tasks -----------------------------------------------------------------------------------


class TaskConfig(Settings):
    """Defaults for the options of a task.

    Attributes:
        options: Their values, by field name.
    """

    options: Mapping[str, Value] = _EMPTY


class BuildConfig(TaskConfig):
    """Settings of `build-all`."""

    commands: Mapping[str, tuple[str, ...]] = setting(
        _EMPTY,
        "The command that builds the archives of a package; `{output}` is the output folder.",
        _by_package(_COMMAND),
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
    """What is checked after a package is installed.

    Attributes:
        modules: Modules to import; None for those that its wheel provides.
        scripts: Whether the functions of its scripts are looked up.
        extras: Extras to install with it.
        requirements: Whether its requirements are installed and checked.
        smoke: Expressions to evaluate, each in its own process.
        metadata_only: Whether the package has nothing to import.
        time_limit: Seconds for all imports together, and for each expression.
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
        metadata_only: Packages with nothing to import, from `Config`.
    """

    smoke: Mapping[str, tuple[str, ...]] = setting(
        _EMPTY,
        "Expressions that must run without an error in the installed environment.",
        _by_package(_TEXTS),
    )
    modules: Mapping[str, tuple[str, ...]] = setting(
        _EMPTY, "Modules to import.", _by_package(_TEXTS), otherwise="those of the wheel"
    )
    scripts: Mapping[str, bool] = setting(
        _EMPTY, "Whether its scripts are checked.", _by_package(Flag()), otherwise="`true`"
    )
    extras: Mapping[str, tuple[str, ...]] = setting(
        _EMPTY, "Extras that the package needs to be imported.", _by_package(_TEXTS)
    )
    pythons: Mapping[str, tuple[str, ...]] = setting(
        _EMPTY,
        "The only Python versions to verify the package with, such as 3.12.",
        _by_package(_TEXTS),
        otherwise="those of the option `python`",
    )
    time_limit: Mapping[str, int] = setting(
        _EMPTY,
        "Seconds for all imports, and for each smoke expression.",
        _by_package(Number()),
        otherwise=f"`{InstallChecks.time_limit}`",
    )
    skip: Mapping[str, str] = setting(_EMPTY, "Packages to skip, with the reason.", _by_package(Text()))
    install_without_deps: tuple[str, ...] = setting(
        (), "Packages to install without their requirements.", ListOf(PACKAGE)
    )
    metadata_only: tuple[str, ...] = ()

    def checks(self, package: str) -> InstallChecks:
        """Return the checks for a package."""
        default = InstallChecks()
        return InstallChecks(
            modules=self.modules.get(package),
            scripts=self.scripts.get(package, default.scripts),
            extras=self.extras.get(package, ()),
            requirements=package not in self.install_without_deps,
            smoke=self.smoke.get(package, ()),
            metadata_only=_is_named(package, self.metadata_only),
            time_limit=self.time_limit.get(package, default.time_limit),
        )


# --- [tool.relnox] -------------------------------------------------------------------------------------


class Config(Settings):
    """Settings of relnox."""

    # packages and versions
    packages: tuple[str, ...] = setting(
        (),
        "Folders of packages, as globs relative to the root.",
        otherwise="members of the uv workspace, else the root, else a search",
    )
    exclude: tuple[str, ...] = setting((), "Folders to exclude from the packages, as globs relative to the root.")
    versions: Literal["lockstep", "independent"] | None = setting(
        None,
        "Whether all packages share one version.",
        choices=("lockstep", "independent"),
        otherwise="from the existing versions and tags",
    )
    scheme: Scheme = setting("pep440", "The version scheme.", choices=("pep440", "semver", "calver"))
    calver_format: str = setting(
        "YYYY.MM.MICRO", "The format of calendar versions.", choices=("YYYY.MM.MICRO", "YYYY.MINOR")
    )
    prerelease_start: int = setting(0, "The first number of an alpha, beta or rc.", Number(1))
    groups: Mapping[str, GroupConfig] = setting(
        _EMPTY, "Groups of packages that share a version, by name.", TableOf(Table(GroupConfig))
    )
    version_files: tuple[VersionFileConfig, ...] = setting(
        (), "Additional files with a version.", ListOf(Table(VersionFileConfig))
    )
    version_literals: bool = setting(
        True, "Whether a literal `__version__` in the modules of a package is bumped too."
    )
    update_requirements: Policy = setting(
        "out-of-range",
        "When the requirements of dependents are updated to a new version.",
        choices=("out-of-range", "always", "exact", "never"),
    )
    dependents: Literal["major", "minor", "patch", "none"] = setting(
        "patch",
        "The level by which a dependent is bumped when a published requirement of it is updated.",
        choices=("major", "minor", "patch", "none"),
    )
    sibling_bound: Siblings | None = setting(
        None,
        "The version bound that is added to requirements on packages of this project that have none.",
        choices=("keep", "at-least", "compatible", "exact"),
        otherwise="none is added, with a warning",
    )
    dependency_updates: Mapping[str, str] = setting(
        _EMPTY,
        "Packages of other repositories that have the version of a package of this one: "
        '`{ their-name = "package" }`.',
        TableOf(PACKAGE, keys=_DISTRIBUTION),
    )
    managed_by: str | None = setting(None, "Another tool that manages the versions; `bump` is then blocked.")

    # git and changelogs
    branch: tuple[ReleaseLine, ...] = setting(
        (),
        "The branches that releases are made from, as names or globs; a table bounds the versions of each: "
        '`{ main = ">=2", "release/1.x" = "<2" }`.',
        Lines(),
        otherwise="any",
    )
    remote: str = setting("origin", "The git remote that releases are pushed to.", rule=rules.remote)
    commit_message: str = setting(
        "Release {version}",
        "The message of release commits, with `{version}` and `{packages}`.",
        rule=rules.message,
    )
    pull_request_branch: str = setting(
        "relnox/release/{branch}",
        "The branch of release pull requests; `{branch}` is the one that they are merged into.",
        rule=rules.branch_template,
    )
    tag_format: str | None = setting(
        None,
        "The format of tags, with `{version}`, `{name}`, `{folder}` and `{tag-name}`.",
        rule=rules.tag_format,
        otherwise="that of the existing tags",
    )
    tag_names: Mapping[str, str] = setting(
        _EMPTY,
        "The value of `{tag-name}`, by package.",
        _by_package(Text(rule=rules.tag_name)),
        otherwise="the package's name",
    )
    tag_formats: Mapping[str, str] = setting(
        _EMPTY,
        "Tag formats of single packages, by name or folder, or a glob of either.",
        TableOf(Text(rule=rules.tag_format), keys=PACKAGE_PATTERN),
    )
    commits: CommitsConfig = setting(CommitsConfig(), "The level of each type of Conventional Commits.")
    fragments: str | None = setting(
        None, "The folder of change fragments.", _PATH, otherwise="none: levels come from commits"
    )
    changelog: Literal["auto", "keep-a-changelog", "towncrier", "git-cliff", "none"] = setting(
        "auto",
        "The changelog tool; `auto`: towncrier or git-cliff if configured, else Keep a Changelog.",
        choices=("auto", "keep-a-changelog", "towncrier", "git-cliff", "none"),
    )
    changelog_file: str = setting(
        "CHANGELOG.md", "The changelog, in the folder of the package or else in the root.", _PATH
    )
    changelog_prereleases: bool = setting(
        False, "Whether changelogs list prereleases, which consume their fragments."
    )

    # builds
    build_index: str | None = setting(
        None,
        "The index for build requirements: its simple API, or a name in the table `indexes`.",
        otherwise="`trusted-index`, else the configuration of pip or uv",
    )
    metadata_only: tuple[str, ...] = setting(
        (),
        "Packages without modules, scripts and data, such as metapackages, by name or glob.",
        ListOf(PACKAGE_GLOB),
    )
    optional_extensions: tuple[str, ...] = setting(
        (),
        "Packages whose native modules are optional, by name or glob: wheels without them are allowed.",
        ListOf(PACKAGE_GLOB),
    )
    wheels: WheelsConfig = setting(WheelsConfig(), "Packages with platform wheels, and their platforms.")
    archives: ArchiveLimits = setting(ArchiveLimits(), "Limits for wheels and sdists; larger ones are rejected.")
    test: TestConfig = setting(TestConfig(), "How `build-all --test` runs the project's tests.")
    pass_env: tuple[str, ...] = setting(
        (),
        "Variables that look like credentials and that builds, tests and tools may read.",
        rule=rules.passed_variable,
    )
    on_visible_credentials: Literal["warn", "refuse"] = setting(
        "warn",
        "What to do if code of the project or of packages could read an upload credential from the "
        "environment of a parent process.",
        choices=("warn", "refuse"),
    )

    # indexes and publishing
    indexes: Mapping[str, IndexConfig] = setting(
        _EMPTY,
        "Indexes of the project, by name.",
        TableOf(Table(IndexConfig), keys=Text(rule=rules.index_name)),
    )
    targets: Mapping[str, str] = setting(
        _EMPTY,
        "The index of a release, by a glob of its tag, or by the kind of its version: final, prerelease, alpha, "
        "beta, rc, dev, post.",
        TableOf(Text()),
    )
    trusted_index: str | None = setting(
        None, "The simple API of the index for third-party requirements.", otherwise="the public index"
    )
    on_missing_credentials: Literal["fail", "skip"] = setting(
        "fail",
        "What `publish` does without upload credentials: fail, or skip with exit code 0.",
        choices=("fail", "skip"),
    )

    hooks: HooksConfig = setting(HooksConfig(), "Programs that run at events of a release.")

    # tasks
    status: TaskConfig = setting(TaskConfig(), "Defaults for the options of `status`.")
    bump: TaskConfig = setting(TaskConfig(), "Defaults for the options of `bump`.")
    tag: TaskConfig = setting(TaskConfig(), "Defaults for the options of `auto-tag`.")
    build: BuildConfig = setting(BuildConfig(), "Settings of `build-all`, and defaults for its options.")
    collect: TaskConfig = setting(TaskConfig(), "Defaults for the options of `collect`.")
    publish: PublishConfig = setting(
        PublishConfig(), "Settings of `publish` and `publish-test`, and defaults for their options."
    )
    verify: VerifyConfig = setting(
        VerifyConfig(), "Settings of `verify-install`, by package, and defaults for its options."
    )
    rehearse: TaskConfig = setting(TaskConfig(), "Defaults for the options of `rehearse`.")

    @classmethod
    def parse(cls, data: Any, options: Mapping[str, Sequence[Field]] = _EMPTY) -> Config:
        """Validate and convert the content of `[tool.relnox]`.

        Args:
            data: The parsed TOML table.
            options: The options of tasks, by table; see `config_table`.

        Raises:
            Blocked: A key is unknown, or a value is not valid.
        """
        config: Config = config_table(options).check(data, "tool.relnox")
        return config

    def is_metadata_only(self, package: str) -> bool:
        """Return whether a package has requirements only, so that its wheel may be empty."""
        return _is_named(package, self.metadata_only)

    def has_optional_extensions(self, package: str) -> bool:
        """Return whether wheels of a package may lack its native modules."""
        return _is_named(package, self.optional_extensions)


def config_table(options: Mapping[str, Sequence[Field]]) -> Table:
    """Return the kind of `[tool.relnox]`.

    Args:
        options: The options of tasks by table, such as `build`.
    """
    fields = fields_of(Config)
    return Table(
        Config,
        tuple(field.with_options(options[field.key]) if field.key in options else field for field in fields),
    )
