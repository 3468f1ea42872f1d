"""The settings of a project, `[tool.relnox]`; all of them are optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from relnox.core.settings import rules
from relnox.core.settings.config_tables import (
    PATH,
    BuildConfig,
    CommitsConfig,
    GroupConfig,
    IndexConfig,
    PublishConfig,
    TaskConfig,
    TestConfig,
    VerifyConfig,
    VersionFileConfig,
)
from relnox.core.settings.hook_settings import HooksConfig
from relnox.core.settings.kinds import ListOf, Number, TableOf, Text
from relnox.core.settings.patterns import (
    DISTRIBUTION_NAME,
    PACKAGE_GLOB,
    PACKAGE_NAME,
    PACKAGE_PATTERN,
    PATH_PATTERN,
    matches_any_glob,
)
from relnox.core.settings.release_lines import ReleaseLine, ReleaseLineSetting
from relnox.core.settings.schema import EMPTY, Field, Settings, Table, fields_of, setting
from relnox.core.versions.semver_compat import Scheme

UpdatePolicy: TypeAlias = Literal["out-of-range", "always", "exact", "never"]
"""When a requirement is rewritten, and how.

- `out-of-range`: only if it excludes the new version; its lower bounds are then raised, too.
- `always`: pins and lower bounds always become the new version; upper bounds are raised if necessary.
- `exact`: always; the whole range is replaced by `==` and the new version.
- `never`: not at all.

A requirement without a version stays without one under every policy.
"""


class Config(Settings):
    """The settings in the table `[tool.relnox]` of pyproject.toml."""

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
    scheme: Scheme = setting("pep440", "The version scheme.", choices=("pep440", "semver", "calver"))
    prerelease_start: int = setting(0, "The first number of an alpha, beta or rc.", Number(1))
    groups: Mapping[str, GroupConfig] = setting(
        EMPTY, "Groups of packages that share a version, by name.", TableOf(Table(GroupConfig))
    )
    version_files: tuple[VersionFileConfig, ...] = setting(
        (), "Additional files with a version.", ListOf(Table(VersionFileConfig))
    )
    version_literals: bool = setting(
        True, "Whether a literal `__version__` in the modules of a package is bumped too."
    )
    update_requirements: UpdatePolicy = setting(
        "out-of-range",
        "When the requirements of dependents are updated to a new version.",
        choices=("out-of-range", "always", "exact", "never"),
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
    remote: str = setting("origin", "The git remote that releases are pushed to.", rule=rules.remote_violation)
    commit_message: str = setting(
        "Release {version}",
        "The message of release commits, with `{version}` and `{packages}`.",
        rule=rules.message_violation,
    )
    tag_format: str | None = setting(
        None,
        "The format of tags, with `{version}`, `{name}` and `{directory}`.",
        rule=rules.tag_format_violation,
        otherwise="the usual form that all existing tags have",
    )
    tag_formats: Mapping[str, str] = setting(
        EMPTY,
        "Tag formats of single packages, by name or directory, or a glob of either.",
        TableOf(Text(rule=rules.tag_format_violation), keys=PACKAGE_PATTERN),
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
    changelog_file: str = setting(
        "CHANGELOG.md",
        "The changelog, in the directory of the package, or else in the root if all packages have one version.",
        PATH,
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
    test: TestConfig = setting(TestConfig(), "How `build-all --test` runs the project's tests.")
    pass_env: tuple[str, ...] = setting(
        (),
        "Variables that look like credentials and that builds, tests and tools may read.",
        rule=rules.passed_variable_violation,
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
        TableOf(Table(IndexConfig), keys=Text(rule=rules.index_name_violation)),
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
    def parse(cls, data: Any, options: Mapping[str, Sequence[Field]] = EMPTY) -> Config:
        """Validate and convert the content of `[tool.relnox]`; for the options of tasks see `config_table`.

        Raises:
            Blocked: A key is unknown, or a value is invalid.
        """
        config: Config = config_table(options).check(data, "tool.relnox")
        return config

    def is_metadata_only(self, package: str) -> bool:
        """Return whether a package may have an empty wheel, because it only has requirements."""
        return matches_any_glob(package, self.metadata_only)

    def has_optional_extensions(self, package: str) -> bool:
        """Return whether wheels of a package may be built without its native modules."""
        return matches_any_glob(package, self.optional_extensions)


def config_table(options: Mapping[str, Sequence[Field]]) -> Table:
    """Return the kind of the table `[tool.relnox]`, which validates its content.

    `options` are those whose defaults a table such as `build` may set, by the name of that table.
    """
    fields = (
        field.with_options(options[field.key]) if field.key in options else field for field in fields_of(Config)
    )
    return Table(Config, tuple(fields))
