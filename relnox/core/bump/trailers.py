"""The trailers of commits and tags, which say what they release: the only record of a bump.

`Release: NAME VERSION` is in the message of a release commit and of its tags, once for each package, and
`Development: NAME VERSION` in that of the commit that starts the next development versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from relnox.core.bump.version_bumps import VersionBump

RELEASE, DEVELOPMENT = "Release", "Development"
_TRAILER = re.compile(rf"(?m)^({RELEASE}|{DEVELOPMENT}): (\S+) (\S+)[ \t]*$")
_LAST_PARAGRAPH_OF_TRAILERS = re.compile(r"\n\n(?:[A-Za-z0-9-]+: .*\n)*[A-Za-z0-9-]+: .*\Z")


def add_trailers(message: str, key: str, bumps: Iterable[VersionBump]) -> str:
    """Return a message with a trailer for each bump, in the same paragraph as trailers that it has already."""
    message = message.rstrip()
    separator = "\n" if _LAST_PARAGRAPH_OF_TRAILERS.search(message) else "\n\n"
    return message + separator + "\n".join(f"{key}: {bump.package.name} {bump.after}" for bump in bumps)


def read_trailers(message: str, key: str = RELEASE) -> dict[str, Version]:
    """Return the versions in the trailers of a message, by package; other lines may follow them."""
    versions = {}
    for own_key, name, text in _TRAILER.findall(message.partition("\n")[2]):
        try:
            version = Version(text)
        except InvalidVersion:  # written by a person
            continue
        if own_key == key:
            versions[name] = version
    return versions
