"""Which index a name means. The target comes from relnox alone: no variable and no `.pypirc` moves it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from relnox.core.records import Record
from relnox.core.schema import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from urllib.parse import SplitResult

    from packaging.version import Version

    from relnox.core.config import Config

__all__ = [
    "EMBEDDED",
    "PRODUCTION",
    "TEST",
    "NoSuchIndex",
    "Target",
    "build_simple_url",
    "by_rule",
    "check",
    "extra_simple_urls",
    "is_production_host",
    "means",
    "origin",
    "passed_over",
    "resolve",
    "shown",
    "trusted_simple_url",
]

EMBEDDED = "embedded"
PRODUCTION = "pypi"
TEST = "testpypi"

_PORTS = {"http": 80, "https": 443}
_OTHERS_TARGETS = (
    "TWINE_REPOSITORY_URL",
    "TWINE_REPOSITORY",
    "UV_PUBLISH_URL",
    "UV_PUBLISH_INDEX",
    "PDM_PUBLISH_REPO",
    "HATCH_INDEX_REPO",
    "FLIT_INDEX_URL",
)
"""Variables that choose where other tools upload to."""
_KINDS: Mapping[str, Callable[[Version], bool]] = {
    "alpha": lambda version: version.pre is not None and version.pre[0] == "a",
    "beta": lambda version: version.pre is not None and version.pre[0] == "b",
    "rc": lambda version: version.pre is not None and version.pre[0] == "rc",
    "dev": lambda version: version.is_devrelease,
    "post": lambda version: version.is_postrelease and not version.is_prerelease,
    "prerelease": lambda version: version.is_prerelease,
    "final": lambda version: not version.is_prerelease,
}
"""Kinds of versions that a rule may name, the special ones first."""


class NoSuchIndex(Blocked):
    """The project's settings have no index of that name, and it is none of those that are known anyway."""


class Target(Record, kw_only=True):
    """An index.

    Attributes:
        name: What users call it.
        upload_url: Where files are sent (the "legacy" upload API).
        simple_url: Its simple repository API (PEP 503, PEP 691), with a slash at the end.
        production: Whether what is sent there is public for good.
    """

    name: str
    upload_url: str
    simple_url: str
    production: bool

    @property
    def host(self) -> str:
        """Host and port that files are sent to."""
        return urlsplit(self.upload_url).netloc


def resolve(name: str, config: Config) -> Target:
    """The index of that name; the embedded one is started elsewhere and has no address of its own.

    Raises:
        NoSuchIndex: There is none.
        Blocked: Its address is none that files and passwords may be sent to.
    """
    from twine import utils

    if name in config.indexes:
        own = config.indexes[name]
        return Target(
            name=name,
            upload_url=_address(own.upload, f"indexes.{name}.upload"),
            simple_url=_with_slash(_address(own.simple, f"indexes.{name}.simple")),
            production=own.production,
        )
    known = {PRODUCTION: utils.DEFAULT_REPOSITORY, TEST: utils.TEST_REPOSITORY}
    if name not in known:
        raise NoSuchIndex(
            "todo",
            f"there is no index called {name}",
            fix=did_you_mean(name, [*known, EMBEDDED, *config.indexes]),
        )
    upload = known[name]
    return Target(name=name, upload_url=upload, simple_url=_simple_beside(upload), production=name == PRODUCTION)


def check(config: Config) -> None:
    """Check the addresses of the settings before any of them is needed.

    Raises:
        Blocked: One of them is none that files and passwords may be sent to.
    """
    for name, own in config.indexes.items():
        _address(own.upload, f"indexes.{name}.upload")
        _address(own.simple, f"indexes.{name}.simple")
    if config.trusted_index is not None:
        _address(config.trusted_index, "trusted-index")
    for name in config.publish.extra_indexes:
        if "://" in name:
            _address(name, "publish.extra-indexes")
        else:
            resolve(name, config)


def by_rule(config: Config, tags: Mapping[str, tuple[str, Version] | None]) -> str:
    """The index that `[tool.relnox.targets]` has for a release that stands under tags.

    A rule for a pattern of tags goes before one for a kind of versions, and a special kind before a general one;
    of several patterns that match, the first that is written counts.

    Args:
        config: The project's settings; without rules it is the production index.
        tags: For each package that is published its tag and the version that it means; None where there is none.

    Raises:
        Blocked: A package has no tag, no rule is about it, or packages belong to different indexes.
    """
    if not config.targets:
        return PRODUCTION
    chosen: dict[str, str] = {}
    for package, found in tags.items():
        if found is None:
            raise Blocked(
                "todo",
                f"no tag of {package} stands at the commit that was built, and [tool.relnox.targets] goes by tags",
                fix="tag the release and build it, or say where it goes: --index NAME",
            )
        tag, version = found
        index = next(_indexes(config.targets, tag, version), None)
        if index is None:
            raise Blocked(
                "todo",
                f"no rule of [tool.relnox.targets] is about {tag}",
                fix='add one, such as prerelease = "testpypi", or say where it goes: --index NAME',
            )
        chosen.setdefault(index, f"{tag} to {index}")
    if len(chosen) > 1:
        raise Blocked(
            "todo",
            f"[tool.relnox.targets] sends {' and '.join(chosen.values())}",
            fix="publish them one after the other: --package NAME, or say where all go: --index NAME",
        )
    return next(iter(chosen), PRODUCTION)


def trusted_simple_url(config: Config) -> str:
    """The simple API that third-party requirements are installed from."""
    if config.trusted_index is not None:
        return _with_slash(_address(config.trusted_index, "trusted-index"))
    return resolve(PRODUCTION, config).simple_url


def extra_simple_urls(config: Config) -> dict[str, str]:
    """The further indexes that users install from: their simple APIs by name, or by host."""
    every = config.publish.extra_indexes
    return {
        origin(each) if "://" in each else each: _with_slash(each)
        if "://" in each
        else resolve(each, config).simple_url
        for each in every
    }


def build_simple_url(config: Config) -> str | None:
    """The simple API that build requirements come from; None where the settings leave it to the installer.

    Raises:
        Blocked: `build-index` is no index.
    """
    stated = config.build_index
    if stated is None:
        return None if config.trusted_index is None else trusted_simple_url(config)
    if "://" in stated:
        return _with_slash(_address(stated, "build-index"))
    return resolve(stated, config).simple_url


def is_production_host(target: Target, config: Config) -> bool:
    """Whether sending to this target would reach a production index, whatever it is called.

    The public production index is one under any of its names, whatever the settings call `pypi`.
    """
    from twine import utils

    known = [utils.DEFAULT_REPOSITORY, _simple_beside(utils.DEFAULT_REPOSITORY)]
    named = [each.upload for each in config.indexes.values() if each.production]
    return _place(target.upload_url) in {_place(each) for each in known} or origin(target.upload_url) in {
        origin(each) for each in named
    }


def origin(url: str) -> str:
    """Host and port of an address, for people and for comparing: no user, no password, no usual port.

    Of what is no address there is nothing to tell: the text is empty.
    """
    if not _place(url):
        return ""
    parts = urlsplit(url)
    usual = not _has_port(parts) or parts.port in (None, _PORTS.get(parts.scheme))
    return _place(url) if usual else f"{_place(url)}:{parts.port}"


def passed_over(target: Target, environment: Mapping[str, str]) -> Iterator[str]:
    """What a reader should know of variables that would make another tool upload somewhere else."""
    for name in _OTHERS_TARGETS:
        if (value := environment.get(name)) and not means(value, target):
            yield f"{name} names {shown(value)}, which does not count: files go to {target.name} ({target.host})"


def shown(value: str) -> str:
    """An address or a name that was meant for another tool, without what it may hold of a password."""
    return (origin(value) or "no address") if "://" in value else value


def means(value: str, target: Target) -> bool:
    """Whether an address or a name that was meant for another tool is this index."""
    return origin(value) == origin(target.upload_url) if "://" in value else value == target.name


def _indexes(rules: Mapping[str, str], tag: str, version: Version) -> Iterator[str]:
    yield from (index for rule, index in rules.items() if rule not in _KINDS and fnmatchcase(tag, rule))
    yield from (rules[kind] for kind, is_one in _KINDS.items() if kind in rules and is_one(version))


def _has_port(parts: SplitResult) -> bool:
    """Whether the port is a number that ports have, or the usual one."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _place(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:  # it is no address
        return ""


def _address(url: str, key: str) -> str:
    """An address as the settings state it, if it is one and keeps no password where everybody can read it."""
    # urlsplit drops control characters, and what sends a request would not.
    readable = url.isprintable() and " " not in url
    if not readable or not _place(url) or (parts := urlsplit(url)).scheme not in _PORTS or not _has_port(parts):
        raise Blocked(
            "todo", f"{key} is no address of an index", fix='write for example "https://packages.example.org/"'
        )
    if "@" in parts.netloc:
        raise Blocked(
            "todo",
            f"{key} holds a user name or a password for {origin(url)}",
            fix="take it out, and give it in a variable, in .pypirc or in the keyring",
        )
    return url


def _simple_beside(upload: str) -> str:
    """The simple API that belongs to a public index's upload address (its host without `upload.`)."""
    parts = urlsplit(upload)
    return urlunsplit((parts.scheme, parts.netloc.removeprefix("upload."), "/simple/", "", ""))


def _with_slash(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"
