"""The settings of a project, `[tool.relnox]`; all of them are optional."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias, get_args

from relnox.core.packages import Package, normalize_name
from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.checklist import ITEM, ManualItem, Severity
from relnox.core.settings.patterns import (
    DISTRIBUTION_NAME,
    PACKAGE_GLOB,
    PACKAGE_NAME,
    PACKAGE_PATTERN,
    PATH_PATTERN,
    matches_any_glob,
    matches_package,
    normalize_path,
)
from relnox.core.settings.release_lines import ReleaseLine, ReleaseLineSetting
from relnox.core.settings.schema import (
    EMPTY,
    Field,
    ListOf,
    Number,
    SettingKind,
    Settings,
    Table,
    TableOf,
    Text,
    Value,
    fields_of,
    required_setting,
    setting,
)
from relnox.core.text import suggest_name
from relnox.core.versions.semver_compat import Scheme
from relnox.errors import Blocked

UpdatePolicy: TypeAlias = Literal["out-of-range", "always", "exact", "never"]
"""When a requirement is rewritten, and how.

- `out-of-range`: only if it excludes the new version; its lower bounds are then raised, too.
- `always`: pins and lower bounds always become the new version; upper bounds are raised if necessary.
- `exact`: always; the whole range is replaced by `==` and the new version.
- `never`: not at all.

A requirement without a version stays without one under every policy.
"""


PATH = Text(rule=rules.file_path_problem, convert=lambda path: posixpath.normpath(path.replace("\\", "/")))
"""The kind of a setting that is a path below the root; its value is a normalized POSIX path."""


class GroupConfig(Settings):
    """Packages that are bumped together, or that share a version."""

    packages: tuple[str, ...] = required_setting(
        "Names or directories of packages, or globs of them; `!` excludes.", ListOf(PACKAGE_PATTERN)
    )
    kind: Literal["fixed", "linked"] = setting(
        "fixed",
        "`fixed`: all are bumped together; `linked`: those that are bumped get the same version.",
        choices=("fixed", "linked"),
    )


class VersionFileConfig(Settings):
    """A file that contains the version of a package, and that relnox does not find by itself."""

    file: str = required_setting("The path of the file, relative to the root.", PATH)
    pattern: str | None = setting(
        None,
        "A regular expression with a group named `version`; `^` and `$` match at line ends.",
        rule=rules.version_pattern_problem,
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


_COMMIT_TYPES = ListOf(Text(rule=rules.commit_type_problem))


class CommitsConfig(Settings):
    """The level of each type of Conventional Commits; a breaking change is always major."""

    minor: tuple[str, ...] = setting(("feat",), "Commit types for the level minor.", _COMMIT_TYPES)
    patch: tuple[str, ...] = setting(("fix", "perf", "revert"), "Commit types for the level patch.", _COMMIT_TYPES)
    major_version_zero: bool = setting(
        True, "Whether levels are one lower below 1.0: breaking changes are minor, features patch."
    )


class IndexConfig(Settings):
    """A package index besides PyPI and TestPyPI; tasks use it with `--index NAME`."""

    upload: str = required_setting("The upload URL.")
    simple: str = required_setting("The URL of the simple API.")
    production: bool = setting(True, "Whether it is a production index; `false` for a test index.")
    public_rules: bool = setting(False, "Whether archives must follow the rules of the public index.")


class TestConfig(Settings):
    """How `build-all --test` runs the project's tests."""

    __test__ = False  # pytest would collect it by its name

    command: tuple[str, ...] = setting(
        (), "The command, as a list of words.", ListOf(Text(), first=rules.command_problem)
    )
    requires: tuple[str, ...] = setting(
        (), "Additional requirements of the tests.", ListOf(Text(rule=rules.requirement_problem))
    )
    env: Mapping[str, str] = setting(
        EMPTY, "Environment variables.", TableOf(Text(), keys=Text(rule=rules.variable_name_problem))
    )


def _by_package_setting(help: str, kind: SettingKind, *, otherwise: str = "") -> Any:  # noqa: A002 - as in argparse and invoke
    """Declare a setting that is a table: it maps package names to values of this kind.

    See `Field` for the other arguments.
    """
    return setting(EMPTY, help, TableOf(kind, keys=PACKAGE_NAME), otherwise=otherwise)


class TaskConfig(Settings):
    """Defaults for the options of a task.

    Attributes:
        options: The values that the table sets, by field name.
    """

    options: Mapping[str, Value] = EMPTY


class BuildConfig(TaskConfig):
    """Settings of `build-all`."""

    commands: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "The command that builds the archives of a package; `{output}` is the output directory.",
        ListOf(Text(), first=rules.command_problem, may_be_empty=False, contains="{output}"),
        otherwise="the build backend",
    )


class InstallChecks(Record, kw_only=True):
    """The checks that are made after a package is installed.

    Attributes:
        modules: The modules to import (none if empty), or None for those that the wheel contains.
        extras: The extras with which the package is installed for these checks.
        smoke: Expressions to evaluate, each in a process of its own.
        metadata_only: Whether the package contains no modules to import.
    """

    modules: tuple[str, ...] | None = None
    extras: tuple[str, ...] = ()
    smoke: tuple[str, ...] = ()
    metadata_only: bool = False


class VerifyConfig(TaskConfig):
    """Settings of `verify-install`."""

    smoke: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Expressions that must run without an error in the installed environment.",
        ListOf(Text(rule=rules.expression_problem)),
    )
    modules: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Modules to import.", ListOf(Text(rule=rules.module_problem)), otherwise="those of the wheel"
    )
    extras: Mapping[str, tuple[str, ...]] = _by_package_setting(
        "Extras that the package needs to be imported.", ListOf(Text())
    )
    skip: Mapping[str, str] = _by_package_setting("Packages to skip, with the reason.", Text())

    def install_checks(self, package: str, *, metadata_only: bool) -> InstallChecks:
        """Return the checks that these settings define for a package; `metadata_only`: it contains no modules."""
        return InstallChecks(
            modules=self.modules.get(package),
            extras=self.extras.get(package, ()),
            smoke=self.smoke.get(package, ()),
            metadata_only=metadata_only,
        )


class ForgeReleaseConfig(TaskConfig):
    """Settings of `forge-release`, and defaults for its options."""

    latest: str | None = setting(
        None,
        "The package whose highest final version is the latest release of the repository.",
        PACKAGE_NAME,
        otherwise="the packages if all share one tag, else none",
    )


class CheckConfig(TaskConfig):
    """Settings of `check`."""

    severity: Mapping[str, Severity] = setting(
        EMPTY,
        "What a problem of an item is, by the item's name.",
        TableOf(Text(choices=get_args(Severity)), keys=ITEM),
        otherwise="that of [checks.md](checks.md)",
    )
    environments: tuple[str, ...] = setting(
        (),
        "The environments of the forge whose jobs publish.",
        otherwise="`pypi`, if the repository has it",
    )
    test_index: str = setting("testpypi", "The index that the archives were tried on.")
    storage_limit: int | None = setting(
        None,
        "The storage of each project on the index, in MB (1,000,000 bytes).",
        Number(),
        otherwise="that of the public index, 10 GiB",
    )
    manual: tuple[ManualItem, ...] = setting(
        (), "What a person checks: title, link, before or after publishing.", ListOf(Table(ManualItem))
    )


HookEvent = Literal["edit-bump", "before-build", "before-publish", "after-publish"]
"""The events at which hooks run."""


class Hook(Settings):
    """A program that runs at an event of a release."""

    run: tuple[str, ...] = required_setting(
        "The program and its arguments, without a shell.",
        ListOf(Text(), first=rules.command_problem, may_be_empty=False),
    )
    env: Mapping[str, str] = setting(
        EMPTY,
        "Environment variables.",
        TableOf(Text(), keys=Text(rule=rules.variable_name_problem)),
    )
    time_limit: int = setting(900, "Seconds until it is killed, with all processes that it started.")

    @property
    def command(self) -> str:
        """The command line of the hook, for messages."""
        return shlex.join(self.run)


_HOOKS = ListOf(Table(Hook))


class HooksConfig(Settings):
    """Programs that run at events of a release; a list of tables for each event."""

    edit_bump: tuple[Hook, ...] = setting(
        (), "In a copy of the checkout with the new versions: its edits become part of the bump.", _HOOKS
    )
    before_build: tuple[Hook, ...] = setting(
        (), "In the exported commit, before packages are built: it writes files that git ignores.", _HOOKS
    )
    before_publish: tuple[Hook, ...] = setting((), "Before the first upload, such as tests.", _HOOKS)
    after_publish: tuple[Hook, ...] = setting((), "When all files are verified on the index.", _HOOKS)

    @property
    def by_event(self) -> dict[HookEvent, tuple[Hook, ...]]:
        """The hooks of each event that has any, in the order of the events."""
        events: tuple[HookEvent, ...] = get_args(HookEvent)
        hooks = {event: getattr(self, event.replace("-", "_")) for event in events}
        return {event: of_event for event, of_event in hooks.items() if of_event}


class CiConfig(Settings):
    """The workflow files that `ci` writes."""

    trigger: Literal["tag", "release", "merge"] | None = setting(
        None,
        "What starts a release: a pushed tag, a published release page, or a merge that changes a version (the "
        "run tags it).",
        choices=("tag", "release", "merge"),
        otherwise='`"merge"` for several packages or release pull requests, else `"tag"`',
    )
    publish_job: Literal["relnox", "nox"] = setting(
        "relnox",
        "What the job that publishes runs: relnox alone, without a checkout; or the nox session of the project, "
        "hooks included.",
        choices=("relnox", "nox"),
    )
    tokens: Mapping[str, str] = setting(
        EMPTY,
        "The secret with the token of an index, by index; an index without one uses Trusted Publishing.",
        TableOf(Text(rule=rules.variable_name_problem)),
    )
    workflows: tuple[str, ...] = setting(
        ("release", "checks", "verify-public"),
        "What is written: `release`; `checks` of pull requests; a `release-pull-request` that is kept up to date; "
        "`verify-public`, which installs the newest releases once a week.",
        ListOf(Text(("release", "checks", "release-pull-request", "verify-public"))),
    )
    python: str | None = setting(
        None,
        "The Python that jobs run on, such as 3.13.",
        Text(rule=rules.python_version_problem),
        otherwise="the runner's",
    )


class DiffConfig(Settings):
    """What `publish` allows to change since the last release of a package on a production index."""

    max_growth: str | None = setting(
        None,
        "How much larger than in the last release a file may be, such as `20%` or `2 MB`.",
        rule=rules.growth_problem,
        otherwise="any size",
    )
    top_level: tuple[str, ...] = setting(
        (),
        "Modules, packages and data directories (`data/share`) that a wheel may install at its top level although "
        "that of the last release did not.",
    )


class Config(Settings):
    """The settings in the table `[tool.relnox]` of pyproject.toml.

    Attributes:
        is_written: Whether pyproject.toml has the table.
    """

    is_written: bool = False

    # packages and versions
    packages: tuple[str, ...] = setting(
        (),
        "Directories of packages, as globs relative to the root.",
        otherwise="members of the uv workspace, else the root, else a search",
    )
    exclude: tuple[str, ...] = setting(
        (), "Directories to exclude from the packages, as globs relative to the root."
    )
    versions: Literal["lockstep", "independent"] | None = setting(
        None,
        "Whether all packages share one version.",
        choices=("lockstep", "independent"),
        otherwise='`"independent"`',
    )
    scheme: Scheme = setting("pep440", "The version scheme.", choices=get_args(Scheme))
    prerelease_start: int = setting(0, "The first number of an alpha, beta or rc.", Number(1))
    groups: Mapping[str, GroupConfig] = setting(
        EMPTY, "Groups of packages that share a version, by name.", TableOf(Table(GroupConfig))
    )
    version_files: tuple[VersionFileConfig, ...] = setting(
        (), "Additional files with a version.", ListOf(Table(VersionFileConfig))
    )
    version_literals: bool = setting(
        True,
        "Whether a literal `__version__` in the modules of a package, and its version in tables of other "
        "release tools in pyproject.toml, are bumped too.",
    )
    update_requirements: UpdatePolicy = setting(
        "out-of-range",
        "When the requirements of dependents are updated to a new version.",
        choices=get_args(UpdatePolicy),
    )
    dependents: Literal["major", "minor", "patch", "none"] = setting(
        "patch",
        "The level by which a dependent is bumped when a published requirement of it is updated.",
        choices=("major", "minor", "patch", "none"),
    )
    dependency_updates: Mapping[str, str] = setting(
        EMPTY,
        "Packages of other repositories that have the version of a package of this one: "
        '`{ their-name = "package" }`.',
        TableOf(PACKAGE_NAME, keys=DISTRIBUTION_NAME),
    )
    managed_by: str | None = setting(None, "Another tool that manages the versions; `bump` is then blocked.")

    # git and changelogs
    branch: tuple[ReleaseLine, ...] = setting(
        (),
        "The release branches, as names or globs; a table bounds the versions of each: "
        '`{ main = ">=2", "release/1.x" = "<2" }`.',
        ReleaseLineSetting(),
        otherwise="any",
    )
    remote: str = setting("origin", "The git remote that releases are pushed to.", rule=rules.remote_problem)
    commit_message: str = setting(
        "Release {version}",
        "The message of release commits, with `{version}` and `{packages}`.",
        rule=rules.commit_message_problem,
    )
    tag_format: str | None = setting(
        None,
        "The format of tags, with `{version}`, `{name}` and `{directory}`.",
        rule=rules.tag_format_problem,
        otherwise="the usual form that all existing tags have",
    )
    tag_formats: Mapping[str, str] = setting(
        EMPTY,
        "Tag formats of single packages, by name or directory, or a glob of either.",
        TableOf(Text(rule=rules.tag_format_problem), keys=PACKAGE_PATTERN),
    )
    paths: Mapping[str, tuple[str, ...]] = setting(
        EMPTY,
        "Files whose changes release packages, by name or directory, or a glob of either: patterns as in a "
        ".gitignore, relative to the root; `!` excludes, and the last match decides.",
        TableOf(ListOf(PATH_PATTERN), keys=PACKAGE_PATTERN),
        otherwise="the files in the directory of the package, except lock files",
    )
    commits: CommitsConfig = setting(CommitsConfig(), "The level of each type of Conventional Commits.")
    changelog: Literal["auto", "keep-a-changelog", "towncrier", "git-cliff", "none"] = setting(
        "auto",
        "The changelog tool; `auto`: towncrier or git-cliff if configured, else Keep a Changelog.",
        choices=("auto", "keep-a-changelog", "towncrier", "git-cliff", "none"),
    )
    changelog_file: str | None = setting(
        None,
        "The changelog, in the directory of the package, or else in the root if all packages have one version.",
        PATH,
        otherwise="a file of a usual name, such as CHANGELOG.md, CHANGES.rst or docs/history.md",
    )

    # builds
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
    wheels: Mapping[str, tuple[str, ...]] = setting(
        EMPTY,
        "The platform wheels that other jobs build for a package, as identifiers of cibuildwheel such as "
        "`cp{312,313}-manylinux_x86_64`; an empty list for a package that is released without wheels.",
        TableOf(ListOf(Text()), keys=PACKAGE_NAME),
        otherwise="one wheel, `py3-none-any`",
    )
    fake_secrets: tuple[str, ...] = setting(
        (),
        "Files in archives whose keys and tokens are not secret, as globs for the end of their paths, such as "
        "`certs/*.key` of a test server.",
    )
    test: TestConfig = setting(TestConfig(), "How `build-all --test` runs the project's tests.")
    pass_env: tuple[str, ...] = setting(
        (),
        "Variables that look like credentials and that builds, tests and tools may read.",
        rule=rules.passed_variable_problem,
    )
    on_visible_credentials: Literal["warn", "refuse"] = setting(
        "warn",
        "What to do if upload credentials are set in the environment of a task that runs code of the project or "
        "of packages and uploads nothing.",
        choices=("warn", "refuse"),
    )

    # indexes and publishing
    indexes: Mapping[str, IndexConfig] = setting(
        EMPTY,
        "Indexes of the project, by name.",
        TableOf(Table(IndexConfig), keys=Text(rule=rules.index_name_problem)),
    )
    targets: Mapping[str, str] = setting(
        EMPTY,
        "The index of a release, by a glob of its tag, or by the kind of its version: final, prerelease, alpha, "
        "beta, rc, dev, post.",
        TableOf(Text()),
    )
    trusted_index: str | None = setting(
        None,
        "The simple API of the index for third-party requirements, those of builds included.",
        otherwise="the public index; for build requirements, the configuration of uv",
    )

    diff: DiffConfig = setting(
        DiffConfig(), "What `publish` allows to change since the last release of a package on a production index."
    )
    hooks: HooksConfig = setting(HooksConfig(), "Programs that run at events of a release.")

    # tasks
    status: TaskConfig = setting(TaskConfig(), "Defaults for the options of `status`.")
    check: CheckConfig = setting(CheckConfig(), "Settings of `check`, and defaults for its options.")
    bump: TaskConfig = setting(TaskConfig(), "Defaults for the options of `bump`.")
    tag: TaskConfig = setting(TaskConfig(), "Defaults for the options of `auto-tag`.")
    build: BuildConfig = setting(BuildConfig(), "Settings of `build-all`, and defaults for its options.")
    collect: TaskConfig = setting(TaskConfig(), "Defaults for the options of `collect`.")
    publish: TaskConfig = setting(TaskConfig(), "Defaults for the options of `publish` and `publish-test`.")
    verify: VerifyConfig = setting(
        VerifyConfig(), "Settings of `verify-install`, by package, and defaults for its options."
    )
    forge_release: ForgeReleaseConfig = setting(
        ForgeReleaseConfig(), "Settings of `forge-release`, and defaults for its options."
    )
    release: TaskConfig = setting(TaskConfig(), "Defaults for the options of `release`.")
    rehearse: TaskConfig = setting(TaskConfig(), "Defaults for the options of `rehearse`.")
    ci: CiConfig = setting(CiConfig(), "The workflow files that `ci` writes.")

    @classmethod
    def parse(cls, data: Any, options: Mapping[str, Sequence[Field]] = EMPTY) -> Config:
        """Validate and convert `data`, the parsed table `[tool.relnox]`.

        `options` maps the keys of tables in it, such as `build`, to the options of tasks that they may set.

        Raises:
            Blocked: A key is unknown, or a value is invalid.
        """
        config: Config = config_table(options).check(data, "tool.relnox")
        return cls(**vars(config), is_written=True)

    @property
    def follows_public_rules(self) -> bool:
        """Whether the rules of PyPI for uploads apply to every index that a release may go to."""
        names = set(self.targets.values()) or {name for name, own in self.indexes.items() if own.production}
        return all(name not in self.indexes or self.indexes[name].public_rules for name in names)

    def has_optional_extensions(self, package: str) -> bool:
        """Return whether wheels of a package are allowed even if its native modules were not built."""
        return matches_any_glob(package, self.optional_extensions)


def config_table(options: Mapping[str, Sequence[Field]]) -> Table:
    """Return the `SettingKind` that validates `[tool.relnox]` and converts it to a `Config`.

    `options` maps the keys of tables in it, such as `build`, to the options of tasks that they may set.
    """
    fields = (
        field.accepting_options(options[field.key]) if field.key in options else field
        for field in fields_of(Config)
    )
    return Table(Config, tuple(fields))


def check_package_names(config: Config, packages: Sequence[Package]) -> None:
    """Check that all packages and extras that the settings name exist.

    Raises:
        Blocked: A name or pattern in the settings matches none of `packages`, or a package lacks an extra.
    """
    for kind, text, where in _texts_in_setting(Table(Config), config, "tool.relnox"):
        if kind is PACKAGE_NAME or kind is PACKAGE_GLOB:
            matches = any(fnmatchcase(package.name, text) for package in packages)
        elif kind is PACKAGE_PATTERN:
            matches = any(matches_package(text.removeprefix("!"), package) for package in packages)
        else:
            continue
        if not matches:
            names = {package.name for package in packages}
            if kind is PACKAGE_PATTERN:
                names |= {package.directory for package in packages}
            raise Blocked(
                "package-unknown",
                f"{text!r} in {where} matches no package of this workspace",
                fix=suggest_name(normalize_path(text.removeprefix("!")), names),
            )
    for package in packages:
        for extra in config.verify.extras.get(package.name, ()):
            if package.extras is not None and (name := normalize_name(extra)) not in package.extras:
                raise Blocked(
                    "setting-invalid",
                    f"{extra!r} in [tool.relnox.verify] extras: {package.name} has no such extra",
                    suggest_name(name, package.extras) if package.extras else "remove it",
                )


def _texts_in_setting(
    kind: SettingKind, value: Any, table: str, key: str = ""
) -> Iterator[tuple[SettingKind, str, str]]:
    """Yield the kind, the text and the place (`[tool.relnox.build] commands`) of each string in a setting.

    `kind` and `value` are those of the setting; arbitrary keys of tables in it are strings, too. The setting is
    `key` of the table with the dotted name `table`, or that table itself if `key` is empty.
    """
    match kind:
        case Text():
            yield kind, value, f"[{table}] {key}"
        case ListOf(item=item):
            for element in value:
                yield from _texts_in_setting(item, element, table, key)
        case TableOf(item=item, keys=keys):
            for name, element in value.items():
                yield keys, name, f"[{table}] {key}"
                if isinstance(item, Table):
                    yield from _texts_in_setting(item, element, f"{table}.{key}.{name}")
                else:
                    yield from _texts_in_setting(item, element, table, key)
        case Table():
            inner = f"{table}.{key}" if key else table
            for field in fields_of(type(value)):
                if value.is_set(field.name):
                    yield from _texts_in_setting(field.kind, getattr(value, field.name), inner, field.key)
        case _:
            pass
