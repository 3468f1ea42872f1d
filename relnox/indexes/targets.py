"""Which index a name means. The target comes from relnox alone: no variable and no `.pypirc` moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from relnox.core.records import Record
from relnox.core.schema import did_you_mean
from relnox.errors import Refused

if TYPE_CHECKING:
    from relnox.core.config import Config

__all__ = ["EMBEDDED", "PRODUCTION", "TEST", "Target", "is_production_host", "resolve", "trusted_simple_url"]

EMBEDDED = "embedded"
PRODUCTION = "pypi"
TEST = "testpypi"


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
        Refused: There is no such index.
    """
    from twine import utils

    if name in config.indexes:
        own = config.indexes[name]
        return Target(
            name=name, upload_url=own.upload, simple_url=_with_slash(own.simple), production=own.production
        )
    known = {PRODUCTION: utils.DEFAULT_REPOSITORY, TEST: utils.TEST_REPOSITORY}
    if name not in known:
        raise Refused(
            f"there is no index called {name}",
            hint=did_you_mean(name, [*known, EMBEDDED, *config.indexes]),
        )
    upload = known[name]
    return Target(name=name, upload_url=upload, simple_url=_simple_beside(upload), production=name == PRODUCTION)


def trusted_simple_url(config: Config) -> str:
    """The simple API that third-party requirements are installed from."""
    if config.trusted_index is not None:
        return _with_slash(config.trusted_index)
    return resolve(PRODUCTION, config).simple_url


def is_production_host(target: Target, config: Config) -> bool:
    """Whether sending to this target would reach the production index, whatever it is called."""
    return target.host == resolve(PRODUCTION, config).host


def _simple_beside(upload: str) -> str:
    """The simple API that belongs to a public index's upload address (its host without `upload.`)."""
    parts = urlsplit(upload)
    return urlunsplit((parts.scheme, parts.netloc.removeprefix("upload."), "/simple/", "", ""))


def _with_slash(url: str) -> str:
    return url if url.endswith("/") else f"{url}/"
