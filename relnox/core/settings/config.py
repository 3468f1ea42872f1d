"""The settings of a project, `[tool.relnox]`; all of them are optional."""

from __future__ import annotations

from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from relnox.core.credential_variables import is_upload_credential_name, is_upload_setting_name
from relnox.core.names import normalized
from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.schema import Flag, ListOf, Number, Table, TableOf, Text, Texts
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relnox.core.dependencies.requirements import Policy, Siblings
    from relnox.core.settings.options import Value
    from relnox.core.settings.schema import Kind
    from relnox.core.versions.versioning import Scheme

__all__ = [
    "BUILD_KEYS",
    "OPTION_TABLES",
    "PUBLISH_KEYS",
    "VERIFY_KEYS",
    "Abi",
    "ArchiveLimits",
    "CommitsConfig",
    "Config",
    "GroupConfig",
    "IndexConfig",
    "InstallChecks",
    "PublishConfig",
    "TestConfig",
    "VerifyConfig",
    "VersionFileConfig",
    "WheelsConfig",
    "config_table",
]


class IndexConfig(Record, kw_only=True):
    """An index of the project: its upload URL, its simple API, and whether it is a production index."""

    upload: str
    simple: str
    production: bool = True


class TestConfig(Record, kw_only=True):
    """How the project's tests are run: command, requirements and environment variables."""

    __test__ = False  # pytest would collect it by its name

    command: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})


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


class VerifyConfig(Record, kw_only=True):
    """Settings of `verify-install` for single packages, by normalized name.

    `VERIFY_KEYS` describes the attributes; `metadata_only` is that of `Config`.
    """

    smoke: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    modules: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    scripts: Mapping[str, bool] = MappingProxyType({})
    extras: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    pythons: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    time_limit: Mapping[str, int] = MappingProxyType({})
    skip: Mapping[str, str] = MappingProxyType({})
    install_without_deps: tuple[str, ...] = ()
    metadata_only: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """The named packages, each with a key that names it."""
        return {name: key for key in VERIFY_KEYS for name in getattr(self, key.replace("-", "_"))}

    def checks(self, package: str) -> InstallChecks:
        """Return the checks for a package."""
        default = InstallChecks()
        return InstallChecks(
            modules=self.modules.get(package),
            scripts=self.scripts.get(package, default.scripts),
            extras=self.extras.get(package, ()),
            requirements=package not in self.install_without_deps,
            smoke=self.smoke.get(package, ()),
            metadata_only=is_named(package, self.metadata_only),
            time_limit=self.time_limit.get(package, default.time_limit),
        )


class PublishConfig(Record, kw_only=True):
    """Where requirements are looked up before publishing.

    Attributes:
        extra_indexes: Additional indexes that users install from: names in the table `indexes`, or simple APIs.
        unchecked_requirements: Requirements that are not looked up, by name or glob.
    """

    extra_indexes: tuple[str, ...] = ()
    unchecked_requirements: tuple[str, ...] = ()


class VersionFileConfig(Record, kw_only=True):
    """A file with a version: the pattern that matches it, and how often it matches; 0 excludes the file."""

    file: str
    pattern: str | None = None
    count: int = 1
    package: str | None = None
    scheme: Literal["pep440", "semver"] | None = None


class GroupConfig(Record, kw_only=True):
    """Packages that share a version: all are bumped (`fixed`), or those with changes (`linked`).

    Attributes:
        tag_format: Their tag format, if it differs from that of the other packages.
    """

    packages: tuple[str, ...]
    kind: Literal["fixed", "linked"] = "fixed"
    tag_format: str | None = None


class CommitsConfig(Record, kw_only=True):
    """The level of each type of Conventional Commits; a breaking change is always major."""

    minor: tuple[str, ...] = ("feat",)
    patch: tuple[str, ...] = ("fix", "perf", "revert")
    major_version_zero: bool = True


Abi = Literal["cpython", "abi3", "none"]
"""The ABI of a platform wheel: one CPython version, the stable ABI, or none."""


class WheelsConfig(Record, kw_only=True):
    """Packages with platform wheels, and their platforms. See `core.release.wheels`."""

    packages: tuple[str, ...] = ()
    systems: tuple[str, ...] = ("manylinux", "musllinux", "macos", "windows")
    architectures: tuple[str, ...] = ("x86_64", "arm64")
    abi: Mapping[str, Abi] = MappingProxyType({})
    free_threaded: bool = False
    skip: tuple[str, ...] = ()


class ArchiveLimits(Record, kw_only=True):
    """Limits for archives: larger ones are rejected without reading further.

    Attributes:
        max_entries: Files, folders and links.
        max_unpacked: Unpacked size in MiB.
        max_ratio: Unpacked size as a multiple of the archive's size; up to 64 MiB are always allowed.
    """

    max_entries: int = 100_000
    max_unpacked: int = 4096
    max_ratio: int = 100


class Config(Record, kw_only=True):
    """The settings of a project. Each attribute is a key of `[tool.relnox]`, which `config_table` describes."""

    packages: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    metadata_only: tuple[str, ...] = ()
    versions: Literal["lockstep", "independent"] | None = None
    scheme: Scheme = "pep440"
    calver_format: str = "YYYY.MM.MICRO"
    prerelease_start: int = 0
    tag_format: str | None = None
    tag_names: Mapping[str, str] = MappingProxyType({})
    tag_formats: Mapping[str, str] = MappingProxyType({})
    branch: str | None = None
    remote: str = "origin"
    update_requirements: Policy = "out-of-range"
    sibling_bound: Siblings | None = None
    dependents: Literal["major", "minor", "patch", "none"] = "patch"
    dependency_updates: Mapping[str, str] = MappingProxyType({})
    groups: Mapping[str, GroupConfig] = MappingProxyType({})
    version_files: tuple[VersionFileConfig, ...] = ()
    version_literals: bool = True
    managed_by: str | None = None
    commits: CommitsConfig = CommitsConfig()
    fragments: str | None = None
    changelog: Literal["auto", "keep-a-changelog", "towncrier", "git-cliff", "none"] = "auto"
    changelog_file: str = "CHANGELOG.md"
    changelog_prereleases: bool = False
    commit_message: str = "Release {version}"
    trusted_index: str | None = None
    build_index: str | None = None
    pass_env: tuple[str, ...] = ()
    on_visible_credentials: Literal["warn", "refuse"] = "warn"
    indexes: Mapping[str, IndexConfig] = MappingProxyType({})
    targets: Mapping[str, str] = MappingProxyType({})
    on_missing_credentials: Literal["fail", "skip"] = "fail"
    test: TestConfig = TestConfig()
    publish: PublishConfig = PublishConfig()
    verify: VerifyConfig = VerifyConfig()
    wheels: WheelsConfig = WheelsConfig()
    archives: ArchiveLimits = ArchiveLimits()
    optional_extensions: tuple[str, ...] = ()
    build_commands: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    options: Mapping[str, Mapping[str, Value]] = MappingProxyType({})

    def is_metadata_only(self, package: str) -> bool:
        """Return whether a package has requirements only, so that its wheel may be empty."""
        return is_named(package, self.metadata_only)

    def has_optional_extensions(self, package: str) -> bool:
        """Return whether wheels of a package may lack its native modules."""
        return is_named(package, self.optional_extensions)

    @classmethod
    def parse(cls, data: Any, table: Table) -> Config:
        """Validate the content of `[tool.relnox]`.

        Args:
            data: The parsed TOML table.
            table: The schema, including the options of tasks; see `config_table`.

        Raises:
            Blocked: A key is unknown, or a value is not valid.
        """
        checked = table.check(data, "tool.relnox")
        _check_passed(checked.get("pass-env", ()))
        options = {name: checked.pop(name) for name in list(checked) if name in OPTION_TABLES}
        verify, publish = options.get("verify", {}), options.get("publish", {})
        build_commands = _by_package(options.get("build", {}).pop("commands", {}), "build.commands")
        metadata_only = tuple(map(normalized, checked.pop("metadata-only", ())))
        nested: dict[str, Any] = {
            "metadata_only": metadata_only,
            "indexes": {name: IndexConfig(**index) for name, index in checked.pop("indexes", {}).items()},
            "test": TestConfig(**checked.pop("test", {})),
            "publish": PublishConfig(
                **{key.replace("-", "_"): publish.pop(key) for key in PUBLISH_KEYS if key in publish}
            ),
            "verify": _verify({key: verify.pop(key) for key in VERIFY_KEYS if key in verify}, metadata_only),
            "tag_names": _by_package(checked.pop("tag-names", {}), "tag-names"),
            "dependency_updates": {
                name: normalized(package)
                for name, package in _by_package(
                    checked.pop("dependency-updates", {}), "dependency-updates"
                ).items()
            },
            "groups": {
                name: GroupConfig(**{key.replace("-", "_"): value for key, value in group.items()})
                for name, group in checked.pop("groups", {}).items()
            },
            "version_files": tuple(
                VersionFileConfig(**entry | {"file": entry["file"].replace("\\", "/")})
                for entry in checked.pop("version-files", ())
            ),
            "commits": CommitsConfig(
                **{key.replace("-", "_"): value for key, value in checked.pop("commits", {}).items()}
            ),
            "build_commands": build_commands,
            "wheels": _wheels(checked.pop("wheels", {})),
            "archives": ArchiveLimits(
                **{name.replace("-", "_"): value for name, value in checked.pop("archives", {}).items()}
            ),
            "options": options,
        }
        for key in ("fragments", "changelog-file"):
            if key in checked:
                checked[key] = checked[key].replace("\\", "/")
        return cls(**{name.replace("-", "_"): value for name, value in checked.items()}, **nested)


OPTION_TABLES = ("status", "bump", "build", "collect", "publish", "verify", "rehearse")
"""Tables of task options."""


def _by_package_table(help: str, kind: Kind) -> TableOf:  # noqa: A002 - as in `schema`
    """Return the schema of a table whose keys are package names."""
    return TableOf(help, kind, rules.distribution)


def config_table(option_tables: Mapping[str, Table]) -> Table:
    """Return the schema of `[tool.relnox]`.

    Args:
        option_tables: The tables of `OPTION_TABLES`, generated from the options of tasks.
    """
    keys: dict[str, Kind] = {
        "packages": Texts("Folders of packages, as globs relative to the root"),
        "exclude": Texts("Folders to exclude from the packages, as globs relative to the root"),
        "metadata-only": Texts("Packages without modules, scripts and data, such as metapackages"),
        "versions": Text("Whether all packages share one version", ("lockstep", "independent")),
        "scheme": Text("The version scheme", ("pep440", "semver", "calver")),
        "calver-format": Text("The format of calendar versions", ("YYYY.MM.MICRO", "YYYY.MINOR")),
        "prerelease-start": Number("The first number of an alpha, beta or rc", maximum=1),
        "tag-format": Text(
            "The format of tags, with {version}, {name}, {folder} and {tag-name}", rule=rules.tag_format
        ),
        "tag-names": _by_package_table(
            "The value of {tag-name}, by package", Text("A name for tags", rule=rules.tag_name)
        ),
        "tag-formats": TableOf(
            "Tag formats of single packages, by name or folder, or a glob of either",
            Text("A tag format", rule=rules.tag_format),
        ),
        "branch": Text("The branch that releases are made from", rule=rules.branch),
        "remote": Text("The git remote that releases are pushed to", rule=rules.remote),
        "update-requirements": Text(
            "When the requirements of dependents are updated to a new version",
            ("out-of-range", "always", "exact", "never"),
        ),
        "sibling-bound": Text(
            "The version bound that is added to requirements on packages of this project that have none",
            ("keep", "at-least", "compatible", "exact"),
        ),
        "dependents": Text(
            "The level by which a dependent is bumped when a published requirement of it is updated",
            ("major", "minor", "patch", "none"),
        ),
        "dependency-updates": _by_package_table(
            "Packages of other repositories that have the version of a package of this one, by name",
            Text("A package", rule=rules.distribution),
        ),
        "groups": TableOf(
            "Groups of packages that share a version, by name",
            Table(
                "A group of packages",
                {
                    "packages": Texts("Names or folders of packages, or globs of them; ! excludes"),
                    "kind": Text(
                        "fixed: all are bumped together; linked: those that are bumped get the same version",
                        ("fixed", "linked"),
                    ),
                    "tag-format": Text("Their tag format", rule=rules.tag_format),
                },
                required=("packages",),
            ),
        ),
        "version-files": ListOf(
            "Additional files with a version",
            Table(
                "A file with a version",
                {
                    "file": Text("Path of the file, relative to the root", rule=rules.file_path),
                    "pattern": Text(
                        "A regular expression with a group named version; ^ and $ match at line ends",
                        rule=rules.pattern,
                    ),
                    "count": Number("The number of matches; 0 excludes the file"),
                    "package": Text("The package whose version it is"),
                    "scheme": Text("The version scheme in this file", ("pep440", "semver")),
                },
                required=("file",),
            ),
        ),
        "version-literals": Flag("Whether a literal __version__ in the modules of a package is bumped too"),
        "managed-by": Text("Another tool that manages the versions; bump then fails"),
        "commits": Table(
            "The level of each type of Conventional Commits",
            {
                "minor": Texts("Commit types for the level minor"),
                "patch": Texts("Commit types for the level patch"),
                "major-version-zero": Flag(
                    "Whether levels are one lower below 1.0: breaking changes are minor, features patch"
                ),
            },
        ),
        "fragments": Text(
            "Folder of change fragments; without it, levels come from commits", rule=rules.file_path
        ),
        "changelog": Text(
            "The changelog tool; auto: towncrier or git-cliff if configured, else Keep a Changelog",
            ("auto", "keep-a-changelog", "towncrier", "git-cliff", "none"),
        ),
        "changelog-file": Text(
            "The changelog, in the folder of the package or else in the root", rule=rules.file_path
        ),
        "changelog-prereleases": Flag("Whether changelogs list prereleases, which consume their fragments"),
        "commit-message": Text(
            "The message of release commits, with {version} and {packages}", rule=rules.message
        ),
        "trusted-index": Text("Simple API of the index for third-party requirements"),
        "build-index": Text(
            "The index for build requirements: its simple API, or a name in the table indexes; default: "
            "trusted-index, else the configuration of pip or uv"
        ),
        "pass-env": Texts("Variables that look like credentials and that builds, tests and tools may read"),
        "on-visible-credentials": Text(
            "What to do if code of the project or of packages could read an upload credential from the "
            "environment of a parent process",
            ("warn", "refuse"),
        ),
        "indexes": TableOf(
            "Custom indexes, by name",
            Table(
                "An index",
                {
                    "upload": Text("Its upload URL"),
                    "simple": Text("Its simple API"),
                    "production": Flag("Whether it is a production index; false for a test index"),
                },
                required=("upload", "simple"),
            ),
            rules.index_name,
        ),
        "targets": TableOf(
            "The index of a release, by a glob of its tag, or by the kind of its version: final, prerelease, "
            "alpha, beta, rc, dev, post",
            Text("Name of an index"),
        ),
        "on-missing-credentials": Text(
            "What publish does without upload credentials: fail, or skip with exit code 0", ("fail", "skip")
        ),
        "test": Table(
            "How the project's tests are run",
            {
                "command": Texts("The command, as a list of words", first=rules.words),
                "requires": Texts("Additional requirements of the tests"),
                "env": TableOf("Environment variables", Text("A value"), rules.variable),
            },
        ),
        "wheels": Table(
            "Packages with platform wheels, and their platforms",
            {
                "packages": Texts("Names of packages, or globs of names"),
                "systems": Texts("Operating systems", ("manylinux", "musllinux", "macos", "windows")),
                "architectures": Texts(
                    "Processor architectures; the names are the same on all systems",
                    ("x86_64", "arm64", "x86", "universal2", "armv7l", "ppc64le", "s390x", "riscv64"),
                ),
                "abi": _by_package_table(
                    "The ABI of wheels, by package: a wheel for each CPython (the default), the stable ABI of the "
                    "oldest one, or none",
                    Text("An ABI", ("cpython", "abi3", "none")),
                ),
                "free-threaded": Flag("Whether free-threaded CPythons get wheels too"),
                "skip": Texts("Identifiers of cibuildwheel to skip, as globs such as cp39-musllinux_*"),
            },
        ),
        "optional-extensions": Texts(
            "Packages whose native modules are optional, by name or glob: wheels without them are allowed"
        ),
        "archives": Table(
            "Limits for wheels and sdists; larger ones are rejected",
            {
                "max-entries": Number("Number of files, folders and links (default 100000)", maximum=10_000_000),
                "max-unpacked": Number("Unpacked size in MiB (default 4096)", maximum=1 << 20),
                "max-ratio": Number(
                    "Unpacked size as a multiple of the archive's size, beyond 64 MiB (default 100)", maximum=2000
                ),
            },
        ),
    }
    return Table("Settings of relnox", keys | dict(option_tables))


BUILD_KEYS: Mapping[str, Kind] = {
    "commands": _by_package_table(
        "The command that builds the archives of a package, by package; {output} is the output folder",
        Texts("The command, as a list of words", first=rules.words),
    ),
}
"""Keys of `[tool.relnox.build]` that are not options of `build-all`."""

PUBLISH_KEYS: Mapping[str, Kind] = {
    "extra-indexes": Texts(
        "Additional indexes that users install from, to look requirements up: names in the table indexes, or "
        "simple APIs"
    ),
    "unchecked-requirements": Texts("Requirements that are not looked up, by name or glob"),
}
"""Keys of `[tool.relnox.publish]` that are not options of `publish` and `publish-test`."""

VERIFY_KEYS: Mapping[str, Kind] = {
    "smoke": _by_package_table(
        "Expressions that must run without an error in the installed environment, by package", Texts("Expressions")
    ),
    "modules": _by_package_table(
        "Modules to import instead of those that the wheel provides, by package",
        Texts("Modules"),
    ),
    "scripts": _by_package_table("Whether scripts are checked, by package", Flag("Whether they are checked")),
    "extras": _by_package_table("Extras that a package needs to be imported, by package", Texts("Extras")),
    "pythons": _by_package_table(
        "The Python versions to verify a package with, by package", Texts("Versions such as 3.12")
    ),
    "time-limit": _by_package_table(
        "Seconds for all imports, and for each smoke expression, by package (default 300)",
        Number("Seconds"),
    ),
    "skip": _by_package_table("Packages to skip, with the reason", Text("The reason")),
    "install-without-deps": Texts("Packages to install without their requirements"),
}
"""Keys of `[tool.relnox.verify]` that are not options of `verify-install`."""


def is_named(package: str, globs: Iterable[str]) -> bool:
    """Return whether a package matches one of some names or globs."""
    return any(fnmatchcase(package, normalized(glob)) for glob in globs)


def _check_passed(names: tuple[str, ...]) -> None:
    """Check that no variable for uploads is in `pass-env`."""
    for name in names:
        if is_upload_credential_name(name) or is_upload_setting_name(name):
            raise Blocked(
                "upload-credential-passed",
                f"tool.relnox.pass-env contains {name} (an upload credential, which no program may read)",
                fix=f"remove {name}; if a build needs a token, pass it in another variable",
            )


def _wheels(data: Mapping[str, Any]) -> WheelsConfig:
    values = {name.replace("-", "_"): value for name, value in data.items()}
    return WheelsConfig(**values | {"abi": _by_package(values.get("abi", {}), "wheels.abi")})


def _verify(data: Mapping[str, Any], metadata_only: tuple[str, ...]) -> VerifyConfig:
    without_deps = tuple(map(normalized, data.get("install-without-deps", ())))
    tables = {
        key.replace("-", "_"): _by_package(table, f"verify.{key}")
        for key, table in data.items()
        if key != "install-without-deps"
    }
    return VerifyConfig(**tables, install_without_deps=without_deps, metadata_only=metadata_only)


def _by_package(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a table by normalized names of packages, which must be unique."""
    names: dict[str, str] = {}
    for name in data:
        if (other := names.setdefault(normalized(name), name)) != name:
            raise Blocked(
                "duplicate-setting", f"tool.relnox.{key} names {other} twice, as {name} too", fix=f"remove {name}"
            )
    return {normalized(name): value for name, value in data.items()}
