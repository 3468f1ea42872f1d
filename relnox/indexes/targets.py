"""The indexes of a project by name, which only its settings define, not environment variables or `.pypirc`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urljoin, urlsplit, urlunsplit

from packaging.version import Version

from relnox.core import fixes
from relnox.core.settings.config import Config
from relnox.core.text import suggest_name
from relnox.errors import Blocked
from relnox.system.addresses import PORTS, URL_WITH_LOGIN, url_problem

EMBEDDED = "embedded"
PRODUCTION = "pypi"
TEST = "testpypi"

_IS_OF_KIND: Mapping[str, Callable[[Version], bool]] = {
    "alpha": lambda version: version.pre is not None and version.pre[0] == "a",
    "beta": lambda version: version.pre is not None and version.pre[0] == "b",
    "rc": lambda version: version.pre is not None and version.pre[0] == "rc",
    "dev": lambda version: version.is_devrelease,
    "post": lambda version: version.is_postrelease and not version.is_prerelease,
    "prerelease": lambda version: version.is_prerelease,
    "final": lambda version: not version.is_prerelease,
}
"""Maps the kinds of versions in `[tool.relnox.targets]`, from specific to general, to their conditions."""


class UnknownIndex(Blocked):
    """The error for an index name that is neither in the project's settings nor predefined."""


class Target:
    """A package index by its name, addresses and rules.

    Attributes:
        name: The name of the index in settings and options.
        upload_url: The URL of the "legacy" upload API; empty for none.
        simple_url: The URL of the simple repository API (PEP 503, PEP 691), with a slash at the end.
        production: Whether uploads are permanently public.
        has_public_rules: Whether it accepts only what PyPI accepts, as the embedded index does.
        in_lockstep: Whether the packages of the project are only bumped together; commands in fixes then name
            none.
    """

    def __init__(self, name: str, upload_url: str, simple_url: str, *, public_rules: bool = False) -> None:
        self.name = name
        self.upload_url = upload_url
        self.simple_url = simple_url if simple_url.endswith("/") else f"{simple_url}/"
        self.production = False
        self.has_public_rules = public_rules or name == EMBEDDED or self.public_name is not None
        self.in_lockstep = False

    @property
    def host(self) -> str:
        """The host of the upload API, with the port if the URL has one."""
        return urlsplit(self.upload_url).netloc

    @property
    def public_name(self) -> str | None:
        """The name `pypi` or `testpypi` if uploads go there, whatever `name` is; None for other indexes."""
        host = _host_of_url(self.upload_url)
        for name, url in _public_upload_urls().items():
            if host in (_host_of_url(url), _host_of_url(_public_simple_url(url))):
                return name
        return None

    def release_page_url(self, package: str, version: Version) -> str:
        """Return the URL of a release on PyPI or TestPyPI, or of the project's simple page on another index.

        It is empty for the embedded index.
        """
        if self.name == EMBEDDED:
            return ""
        path = f"../project/{package}/{version}/" if self.public_name is not None else f"{package}/"
        return urljoin(self.simple_url, path)

    def yank_page_url(self, package: str, version: Version) -> str:
        """Return the URL of the page on which an owner yanks a release; empty unless it is PyPI or TestPyPI."""
        path = f"../manage/project/{package}/release/{version}/"
        return urljoin(self.simple_url, path) if self.public_name is not None else ""

    def rebuild_command(self, package: str, version: str) -> str:
        """Return text for a fix: the command that bumps a package to a version, and the one that builds.

        If the packages are only bumped together, it bumps all.
        """
        selected = () if self.in_lockstep else ("--package", package)
        bump = fixes.task_command("bump", "--to", version, *selected, "--commit", "--tag")
        return f"{bump}, then: {fixes.task_command('build-all')}"

    def matches_name_or_url(self, value: str) -> bool:
        """Return whether the name or URL of an index, from the settings of another tool, means this index.

        A URL means it if host and port are those of the upload URL.
        """
        return host_and_port(value) == host_and_port(self.upload_url) if "://" in value else value == self.name


def find_target(name: str, config: Config) -> Target:
    """Return the index with a name: one of the settings, `pypi` or `testpypi`.

    It is a production index if it is PyPI, also under another name, or if it has the upload host of an index with
    the setting `production`.

    Raises:
        UnknownIndex: There is no such index, or it is the embedded index, whose URLs are not known here.
    """
    public = _public_upload_urls()
    if name in public:
        target = Target(name, public[name], _public_simple_url(public[name]))
    elif name in config.indexes:
        own = config.indexes[name]
        target = Target(name, own.upload, own.simple, public_rules=own.public_rules)
    else:
        raise _unknown_index_error(f"unknown index {name}", name, [*public, EMBEDDED, *config.indexes])
    production = {host_and_port(settings.upload) for settings in config.indexes.values() if settings.production}
    target.production = target.public_name == PRODUCTION or host_and_port(target.upload_url) in production
    target.in_lockstep = config.versions == "lockstep"
    return target


def check_index_settings(config: Config) -> None:
    """Check the names and URLs of all indexes in the settings.

    Raises:
        UnknownIndex: A setting names an index that does not exist.
        Blocked: A URL is not valid, or contains a login; or a rule in `[tool.relnox.targets]` can match no version
            or tag.
    """
    for name, settings in config.indexes.items():
        _check_index_url(settings.upload, f"[tool.relnox.indexes.{name}] upload")
        _check_index_url(settings.simple, f"[tool.relnox.indexes.{name}] simple")
    if config.trusted_index is not None:
        _check_index_url(config.trusted_index, "[tool.relnox] trusted-index")
    names = [PRODUCTION, TEST, *config.indexes, EMBEDDED]
    for rule, name in config.targets.items():
        if rule not in _IS_OF_KIND and re.fullmatch(r"[a-zA-Z_-]+", rule):  # the tag of no version
            message = f"{rule} in [tool.relnox.targets] is neither a kind of versions nor a tag"
            raise Blocked("setting-invalid", message, suggest_name(rule, _IS_OF_KIND))
        if name not in names:
            raise _unknown_index_error(f"unknown index {name} in [tool.relnox.targets] {rule}", name, names)


def select_index_by_tags(config: Config, tags: Mapping[str, tuple[str, Version] | None]) -> str:
    """Return the name of the index that `[tool.relnox.targets]` selects for packages.

    It is `pypi` without rules or packages. Rules for tag patterns, in the order of the settings, precede rules for
    kinds of versions, from specific to general. `tags` maps each package to its tag and the version in it, or to
    None if it has no tag.

    Raises:
        Blocked: A package has no tag, no rule matches a tag, or the rules select several indexes.
    """
    if not config.targets:
        return PRODUCTION
    selected_indexes: dict[str, str] = {}
    for package, tag_and_version in tags.items():
        if tag_and_version is None:
            raise Blocked(
                "release-not-tagged",
                f"{package} has no tag at the commit that was built (required by [tool.relnox.targets])",
                fix="tag the release and rebuild it, or pass --index NAME",
            )
        tag, version = tag_and_version
        index = next(_indexes_by_precedence(config.targets, tag, version), None)
        if index is None:
            rule = 'prerelease = "testpypi"' if version.is_prerelease else 'final = "pypi"'
            raise Blocked(
                "setting-invalid",
                f"no rule of [tool.relnox.targets] matches {tag}",
                fix=f"add a rule: [tool.relnox.targets] {rule}; or pass --index NAME",
            )
        selected_indexes.setdefault(index, f"{tag} to {index}")
    if len(selected_indexes) > 1:
        raise Blocked(
            "packages-not-selected",
            f"packages go to different indexes ([tool.relnox.targets]: {', '.join(selected_indexes.values())})",
            fix="publish them separately: --package NAME, or pass --index NAME",
        )
    return next(iter(selected_indexes), PRODUCTION)


def _indexes_by_precedence(rules: Mapping[str, str], tag: str, version: Version) -> Iterator[str]:
    """Yield the names of the indexes whose rule matches a tag or its version, by precedence.

    `rules` maps patterns of tags and kinds of versions, such as `final`, to indexes; patterns come first.
    """
    yield from (index for rule, index in rules.items() if rule not in _IS_OF_KIND and fnmatchcase(tag, rule))
    yield from (rules[kind] for kind, is_of_kind in _IS_OF_KIND.items() if kind in rules and is_of_kind(version))


def trusted_simple_url(config: Config) -> str:
    """Return the URL of the simple API from which third-party requirements are installed.

    It is that of the setting `trusted-index`, by default PyPI's.
    """
    if config.trusted_index is None:
        return find_target(PRODUCTION, config).simple_url
    return Target("trusted-index", "", config.trusted_index).simple_url


def build_simple_url(config: Config) -> str | None:
    """Return the URL of the simple API for build requirements, or None if the installer's own settings decide.

    It is that of the setting `trusted-index`; None without this setting.
    """
    return None if config.trusted_index is None else trusted_simple_url(config)


def host_and_port(url: str) -> str:
    """Return the host of a URL, with its port if that is not the default; an empty string if it is not valid."""
    host = _host_of_url(url)
    with contextlib.suppress(ValueError):  # the port is not valid
        parts = urlsplit(url)
        if host and parts.port and parts.port != PORTS.get(parts.scheme):
            return f"{host}:{parts.port}"
    return host


def name_or_host(value: str) -> str:
    """Return a text for messages: the name of an index unchanged, or of a URL only the host and port.

    `value` is the name or the URL. An invalid URL becomes `an invalid URL`.
    """
    return (host_and_port(value) or "an invalid URL") if "://" in value else value


def _host_of_url(url: str) -> str:
    """Return the host of a URL without the port, or an empty string if the URL is not valid."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _check_index_url(url: str, key: str) -> None:
    """Raise `Blocked` if the URL in a setting is invalid, or has a login, since settings are committed.

    `key` is the name of the setting, for messages.
    """
    problem = url_problem(url)
    if problem == URL_WITH_LOGIN:
        raise Blocked(
            "credentials-for-other-index",
            f"{key} contains a user name or a password for {host_and_port(url)}",
            fix="remove it from the URL; uploads read it from TWINE_PASSWORD, ~/.pypirc or the keyring, downloads "
            "from ~/.netrc",
        )
    if problem or not url.isprintable():
        raise Blocked(
            "value-invalid",
            f"{key} is not a valid index URL ({problem or 'contains invisible characters'})",
            fix='set it to a URL such as "https://packages.example.org/"',
        )


def _unknown_index_error(message: str, name: str, names: Sequence[str]) -> UnknownIndex:
    """Return the error for an unknown index `name`, whose fix suggests the most similar one of `names`."""
    return UnknownIndex("index-unknown", message, fix=suggest_name(name, names))


def _public_upload_urls() -> Mapping[str, str]:
    """Return the upload URLs of PyPI and TestPyPI, by the names `pypi` and `testpypi`."""
    from twine import utils  # slow to import, and most tasks upload nothing

    return {PRODUCTION: utils.DEFAULT_REPOSITORY, TEST: utils.TEST_REPOSITORY}


def _public_simple_url(upload: str) -> str:
    """Return the URL of the simple API for the upload URL of PyPI or TestPyPI (the host without `upload.`)."""
    parts = urlsplit(upload)
    return urlunsplit((parts.scheme, parts.netloc.removeprefix("upload."), "/simple/", "", ""))
