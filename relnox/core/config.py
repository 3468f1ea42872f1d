"""`[tool.relnox]`: what a project says about its releases. A project that says nothing works too."""

from __future__ import annotations

from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from relnox.core import rules
from relnox.core.credential_variables import is_upload_credential_name, is_upload_setting_name
from relnox.core.names import normalized
from relnox.core.records import Record
from relnox.core.schema import Each, Flag, Number, Several, Table, Text, Texts
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relnox.core.options import Value
    from relnox.core.requirements import Policy, Siblings
    from relnox.core.schema import Kind
    from relnox.core.versioning import Scheme

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
    """A named index of the project's own: where files are sent, where they are read, whether that is for good."""

    upload: str
    simple: str
    production: bool = True


class TestConfig(Record, kw_only=True):
    """How the project's tests are run: words of a command, what it needs, variables for it."""

    __test__ = False  # no test class, whatever pytest makes of the name

    command: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})


class InstallChecks(Record, kw_only=True):
    """What is tried of a package that is installed.

    Attributes:
        modules: What is imported; None for what its wheel provides.
        scripts: Whether the functions behind its scripts are looked up.
        extras: Extras that are installed with it.
        requirements: Whether what it requires is installed; if not, requirements are not looked at.
        smoke: Expressions that are evaluated, each in a process of its own.
        metadata_only: Whether there is nothing to import in it, on purpose.
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
    """How packages are verified that are not verified as all others are, by normalised package name.

    See `VERIFY_KEYS` for what each attribute means; `metadata_only` is that of `Config`.
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
        """All packages that are named, each with a key that names it."""
        return {name: key for key in VERIFY_KEYS for name in getattr(self, key.replace("-", "_"))}

    def checks(self, package: str) -> InstallChecks:
        """The checks of one package."""
        usual = InstallChecks()
        return InstallChecks(
            modules=self.modules.get(package),
            scripts=self.scripts.get(package, usual.scripts),
            extras=self.extras.get(package, ()),
            requirements=package not in self.install_without_deps,
            smoke=self.smoke.get(package, ()),
            metadata_only=is_named(package, self.metadata_only),
            time_limit=self.time_limit.get(package, usual.time_limit),
        )


class PublishConfig(Record, kw_only=True):
    """Where the requirements of packages are looked for before they are published.

    Attributes:
        extra_indexes: Further indexes that users install from: names of the table `indexes`, or simple APIs.
        unchecked_requirements: Names of requirements, or globs, that no index is asked for.
    """

    extra_indexes: tuple[str, ...] = ()
    unchecked_requirements: tuple[str, ...] = ()


class VersionFileConfig(Record, kw_only=True):
    """A further place that states a version: a file, where in it, how often; 0 times for one that is none."""

    file: str
    pattern: str | None = None
    count: int = 1
    package: str | None = None
    scheme: Literal["pep440", "semver"] | None = None


class GroupConfig(Record, kw_only=True):
    """Packages, by pattern, of which all (`fixed`) or those that move at all (`linked`) get one version.

    Attributes:
        tag_format: The form of their tags, if it is another one than that of the other packages.
    """

    packages: tuple[str, ...]
    kind: Literal["fixed", "linked"] = "fixed"
    tag_format: str | None = None


class CommitsConfig(Record, kw_only=True):
    """Which types of Conventional Commits stand for which level; a breaking change is a major one always."""

    minor: tuple[str, ...] = ("feat",)
    patch: tuple[str, ...] = ("fix", "perf", "revert")
    major_version_zero: bool = True


Abi = Literal["cpython", "abi3", "none"]
"""What a platform wheel is bound to: one CPython, the stable ABI from one CPython on, or no Python at all."""


class WheelsConfig(Record, kw_only=True):
    """Which packages have a wheel for each platform, and for which; by default none has. See `core.wheels`."""

    packages: tuple[str, ...] = ()
    systems: tuple[str, ...] = ("manylinux", "musllinux", "macos", "windows")
    architectures: tuple[str, ...] = ("x86_64", "arm64")
    abi: Mapping[str, Abi] = MappingProxyType({})
    free_threaded: bool = False
    skip: tuple[str, ...] = ()


class ArchiveLimits(Record, kw_only=True):
    """How large an archive may be that is looked into: what is beyond is refused without reading on.

    Attributes:
        max_entries: Files, folders and links in it.
        max_unpacked: MiB that it unpacks to.
        max_ratio: How many times its own size it unpacks to; up to 64 MiB are always allowed.
    """

    max_entries: int = 100_000
    max_unpacked: int = 4096
    max_ratio: int = 100


class Config(Record, kw_only=True):
    """A project's settings. Each attribute is a key of `[tool.relnox]`; see `config_table` for their help."""

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
        """Whether a package is one of requirements alone, so that its wheel may be empty."""
        return is_named(package, self.metadata_only)

    def has_optional_extensions(self, package: str) -> bool:
        """Whether a package is released without its native modules as well."""
        return is_named(package, self.optional_extensions)

    @classmethod
    def parse(cls, data: Any, table: Table) -> Config:
        """Check the contents of `[tool.relnox]` and make a Config of them.

        Args:
            data: What TOML gave for the table.
            table: The known keys, tasks' options included; see `config_table`.

        Raises:
            Blocked: A key is unknown or a value is of the wrong kind; the key is named.
        """
        checked = table.check(data, "tool.relnox")
        _check_passed(checked.get("pass-env", ()))
        options = {name: checked.pop(name) for name in list(checked) if name in OPTION_TABLES}
        verify, publish = options.get("verify", {}), options.get("publish", {})
        build_commands = _by_package(options.get("build", {}).pop("commands", {}), "build.commands")
        metadata_only = tuple(map(normalized, checked.pop("metadata-only", ())))
        nested: dict[str, Any] = {
            "metadata_only": metadata_only,
            "indexes": {name: IndexConfig(**each) for name, each in checked.pop("indexes", {}).items()},
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
                name: GroupConfig(**{key.replace("-", "_"): value for key, value in each.items()})
                for name, each in checked.pop("groups", {}).items()
            },
            "version_files": tuple(
                VersionFileConfig(**each | {"file": each["file"].replace("\\", "/")})
                for each in checked.pop("version-files", ())
            ),
            "commits": CommitsConfig(
                **{key.replace("-", "_"): value for key, value in checked.pop("commits", {}).items()}
            ),
            "build_commands": build_commands,
            "wheels": _wheels(checked.pop("wheels", {})),
            "archives": ArchiveLimits(
                **{name.replace("-", "_"): each for name, each in checked.pop("archives", {}).items()}
            ),
            "options": options,
        }
        for key in ("fragments", "changelog-file"):
            if key in checked:
                checked[key] = checked[key].replace("\\", "/")
        return cls(**{name.replace("-", "_"): each for name, each in checked.items()}, **nested)


OPTION_TABLES = ("status", "bump", "build", "collect", "publish", "verify", "rehearse")
"""Tables that set options of tasks."""


def _each_package(help: str, kind: Kind) -> Each:  # noqa: A002 - as in `schema`
    """A table whose keys are names of packages."""
    return Each(help, kind, rules.distribution)


def config_table(option_tables: Mapping[str, Table]) -> Table:
    """The keys of `[tool.relnox]`.

    Args:
        option_tables: The tables of `OPTION_TABLES`, from the tasks' declared options.
    """
    keys: dict[str, Kind] = {
        "packages": Texts("Folders of the packages, as globs relative to the root"),
        "exclude": Texts("Folders that are no packages of this project, as globs relative to the root"),
        "metadata-only": Texts("Packages without modules, scripts and data, such as lists of requirements"),
        "versions": Text("Whether all packages share one version", ("lockstep", "independent")),
        "scheme": Text("How versions are spelled", ("pep440", "semver", "calver")),
        "calver-format": Text("The form of a calendar version", ("YYYY.MM.MICRO", "YYYY.MINOR")),
        "prerelease-start": Number("The first number of an alpha, beta or rc", most=1),
        "tag-format": Text(
            "A tag's name; {version}, {name}, {folder} and {tag-name} are filled in", rule=rules.tag_format
        ),
        "tag-names": _each_package(
            "What {tag-name} stands for, by package", Text("A name for tags", rule=rules.tag_name)
        ),
        "tag-formats": Each(
            "Other forms of tags, by package: its name, its folder, or a glob of either",
            Text("A tag's name, as in tag-format", rule=rules.tag_format),
        ),
        "branch": Text("The branch that releases are made from", rule=rules.branch),
        "remote": Text("The git remote that releases are pushed to", rule=rules.remote),
        "update-requirements": Text(
            "When a dependent's requirement moves with the package",
            ("out-of-range", "always", "exact", "never"),
        ),
        "sibling-bound": Text(
            "The bound that a requirement on another package of this project gets which names no version",
            ("keep", "at-least", "compatible", "exact"),
        ),
        "dependents": Text(
            "What a dependent is raised by when its published requirement has to move",
            ("major", "minor", "patch", "none"),
        ),
        "dependency-updates": _each_package(
            "Names of other repositories that move with a package of this one",
            Text("A package", rule=rules.distribution),
        ),
        "groups": Each(
            "Packages that share a version, by a name for them",
            Table(
                "A group of packages",
                {
                    "packages": Texts("Names or folders of packages, or globs of them; ! leaves out"),
                    "kind": Text(
                        "Whether all of them move, or those that move get one version", ("fixed", "linked")
                    ),
                    "tag-format": Text("The form of their tags, as in tag-format", rule=rules.tag_format),
                },
                required=("packages",),
            ),
        ),
        "version-files": Several(
            "Further places that state a version",
            Table(
                "A place",
                {
                    "file": Text("Path of the file, relative to the root", rule=rules.file_path),
                    "pattern": Text(
                        "A regular expression with a group called version; lines are lines", rule=rules.pattern
                    ),
                    "count": Number("How often it matches; 0: the file is no such place"),
                    "package": Text("Whose version it is"),
                    "scheme": Text("The scheme of the version in that file", ("pep440", "semver")),
                },
                required=("file",),
            ),
        ),
        "version-literals": Flag("Whether a literal __version__ in a package's own modules moves along"),
        "managed-by": Text("Another tool that moves the versions; bump then refuses"),
        "commits": Table(
            "Which types of Conventional Commits stand for which level",
            {
                "minor": Texts("Types of commits that add something"),
                "patch": Texts("Types of commits that mend something"),
                "major-version-zero": Flag("Whether levels shift down while a package is below 1.0"),
            },
        ),
        "fragments": Text(
            "Folder of change fragments; without it the levels come from the commits", rule=rules.file_path
        ),
        "changelog": Text(
            "What keeps the changelog; auto: towncrier or git-cliff where configured, else Keep a Changelog",
            ("auto", "keep-a-changelog", "towncrier", "git-cliff", "none"),
        ),
        "changelog-file": Text("The changelog, in the package's folder or else in the root", rule=rules.file_path),
        "changelog-prereleases": Flag(
            "Whether changelogs tell of prereleases, and fragments are used up for them"
        ),
        "commit-message": Text(
            "The message of a release commit; {version} and {packages} are filled in", rule=rules.message
        ),
        "trusted-index": Text("Simple API of the index that third-party requirements come from"),
        "build-index": Text(
            "The index that build requirements come from: its simple API, or a name from the table indexes; "
            "trusted-index if that is set, else what pip or uv are configured for"
        ),
        "pass-env": Texts("Variables that look like credentials, and that builds, tests and tools may see"),
        "on-visible-credentials": Text(
            "What happens where code of the project or of packages could read an upload credential of the "
            "programs that started relnox",
            ("warn", "refuse"),
        ),
        "indexes": Each(
            "Indexes of your own, by name",
            Table(
                "Where an index is",
                {
                    "upload": Text("Where files are sent"),
                    "simple": Text("Its simple API"),
                    "production": Flag("Whether what is sent there is for good: false for an index to try on"),
                },
                required=("upload", "simple"),
            ),
            rules.index_name,
        ),
        "targets": Each(
            "Which index a release goes to, by its tag as a glob, or by the kind of its version: final, "
            "prerelease, alpha, beta, rc, dev, post",
            Text("Name of an index"),
        ),
        "on-missing-credentials": Text(
            "What publishing comes to where nobody may upload: a failure, or nothing", ("fail", "skip")
        ),
        "test": Table(
            "How the project's tests are run",
            {
                "command": Texts("The command, word by word", first=rules.words),
                "requires": Texts("What the tests need beside the package, as requirements"),
                "env": Each("Variables for it", Text("A value"), rules.variable),
            },
        ),
        "wheels": Table(
            "Packages that are released with a wheel for each platform, and for which platforms",
            {
                "packages": Texts("Names of these packages, or globs of names"),
                "systems": Texts("Operating systems", ("manylinux", "musllinux", "macos", "windows")),
                "architectures": Texts(
                    "Processors, called alike on all systems",
                    ("x86_64", "arm64", "x86", "universal2", "armv7l", "ppc64le", "s390x", "riscv64"),
                ),
                "abi": _each_package(
                    "What a package's wheels are bound to, by package: each CPython (the default), the stable "
                    "ABI from the oldest one on, or none",
                    Text("An ABI", ("cpython", "abi3", "none")),
                ),
                "free-threaded": Flag("Whether free-threaded CPythons get wheels as well"),
                "skip": Texts("cibuildwheel's identifiers that are left out, as globs such as cp39-musllinux_*"),
            },
        ),
        "optional-extensions": Texts(
            "Packages whose native modules are optional, by name or glob: a wheel without them is released as well"
        ),
        "archives": Table(
            "How large wheels and sdists may be that are checked; larger ones are refused",
            {
                "max-entries": Number("Files, folders and links in an archive (default 100000)", most=10_000_000),
                "max-unpacked": Number("MiB that an archive unpacks to (default 4096)", most=1 << 20),
                "max-ratio": Number(
                    "How many times its own size an archive unpacks to, beyond 64 MiB (default 100)", most=2000
                ),
            },
        ),
    }
    return Table("How this project is released (relnox)", keys | dict(option_tables))


BUILD_KEYS: Mapping[str, Kind] = {
    "commands": _each_package(
        "The project's own command that makes a package's archives, by package; {output} is the folder for them",
        Texts("The command, word by word", first=rules.words),
    ),
}
"""Keys of `[tool.relnox.build]` that are no options of `build-all`."""

PUBLISH_KEYS: Mapping[str, Kind] = {
    "extra-indexes": Texts(
        "Further indexes that users install from, where requirements may be: names from the table indexes, or "
        "simple APIs"
    ),
    "unchecked-requirements": Texts("Requirements, or globs of names, that no index is asked for"),
}
"""Keys of `[tool.relnox.publish]` that are no options of `publish` and `publish-test`."""

VERIFY_KEYS: Mapping[str, Kind] = {
    "smoke": _each_package(
        "Expressions that must run in the installed environment, by package", Texts("Expressions")
    ),
    "modules": _each_package(
        "What to import instead of what the wheel provides, by package; nothing for an empty list",
        Texts("Modules"),
    ),
    "scripts": _each_package(
        "Whether the scripts of a package are looked into, by package", Flag("Whether they are")
    ),
    "extras": _each_package("Extras without which a package cannot be imported, by package", Texts("Extras")),
    "pythons": _each_package(
        "The only Pythons that a package is verified with, by package", Texts("Versions such as 3.12")
    ),
    "time-limit": _each_package(
        "Seconds for the imports of a package, and for each smoke expression; 300 if not said, by package",
        Number("Seconds"),
    ),
    "skip": _each_package("Why a package is not installed and tried, by package", Text("The reason")),
    "install-without-deps": Texts("Packages that are installed without what they require"),
}
"""Keys of `[tool.relnox.verify]` that are no options of `verify-install`."""


def is_named(package: str, globs: Iterable[str]) -> bool:
    """Whether one of some names or globs of names means a package."""
    return any(fnmatchcase(package, normalized(glob)) for glob in globs)


def _check_passed(names: tuple[str, ...]) -> None:
    """See that no variable is let through that files are uploaded with."""
    for name in names:
        if is_upload_credential_name(name) or is_upload_setting_name(name):
            raise Blocked(
                "todo",
                f"tool.relnox.pass-env names {name}, which is for uploads: no program may see it",
                fix=f"remove {name}; a build that needs a token of its own gets it in another variable",
            )


def _wheels(data: Mapping[str, Any]) -> WheelsConfig:
    stated = {name.replace("-", "_"): each for name, each in data.items()}
    return WheelsConfig(**stated | {"abi": _by_package(stated.get("abi", {}), "wheels.abi")})


def _verify(data: Mapping[str, Any], metadata_only: tuple[str, ...]) -> VerifyConfig:
    without_deps = tuple(map(normalized, data.get("install-without-deps", ())))
    tables = {
        key.replace("-", "_"): _by_package(each, f"verify.{key}")
        for key, each in data.items()
        if key != "install-without-deps"
    }
    return VerifyConfig(**tables, install_without_deps=without_deps, metadata_only=metadata_only)


def _by_package(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A table by normalized names of packages, each of which is there once."""
    spelled: dict[str, str] = {}
    for name in data:
        if (other := spelled.setdefault(normalized(name), name)) != name:
            raise Blocked("todo", f"tool.relnox.{key} names {other} twice, as {name} too", fix=f"remove {name}")
    return {normalized(name): each for name, each in data.items()}
