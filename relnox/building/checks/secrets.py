"""Secrets in an archive: files that hold them by their name, and tokens and keys by their form.

What is certain is an error. It is a warning in folders of tests and documentation, where invented ones stand; and
what is an example by its looks (`ghp_xxxx…`) is none. A finding never repeats the secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.building.archives import path_of
from relnox.building.findings import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import PurePosixPath

    from relnox.building.findings import Found

__all__ = ["INSPECTED_BYTES", "check"]

INSPECTED_BYTES = 1 << 20
"""Of each file."""

_NAMES = {
    ".pypirc": "credentials of package indexes",
    ".netrc": "credentials of servers",
    "_netrc": "credentials of servers",
    ".git-credentials": "credentials of git",
    ".dockercfg": "credentials of container registries",
    "id_rsa": "a private SSH key",
    "id_dsa": "a private SSH key",
    "id_ecdsa": "a private SSH key",
    "id_ed25519": "a private SSH key",
}
_PATHS = {
    ".aws/credentials": "credentials of a cloud",
    ".docker/config.json": "credentials of container registries",
    ".cargo/credentials.toml": "credentials of package indexes",
}
_STORES = (".p12", ".pfx", ".jks", ".keystore", ".kdbx")
_SETTINGS = re.compile(r"\.env(?!\.(example|sample|template|tmpl|dist|defaults?|schema)$)(\..+)?", re.IGNORECASE)
_SETTING = re.compile(
    rb"(?im)^[ \t]*(?:export[ \t]+)?\w{0,99}"
    rb"(?:SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|(?:API|PRIVATE|ACCESS)_?KEY)"
    rb"\w{0,99}[ \t]*=[ \t]*[\"']?[^\s\"'$<#{]"
)
_PLAYGROUNDS = frozenset(
    {"test", "tests", "testing", "testdata", "test_data", "fixtures", "doc", "docs", "example", "examples"}
)

_OF_TESTS = re.compile(r"(conf)?tests?[._-].*|.*[._-]tests?(\.[^.]+)?", re.IGNORECASE)
"""Names of files and folders of tests, wherever they are: `test_creds`, `ssl_test.cc`."""

_TOKENS = {
    b"pypi-AgE": "an upload token of a package index",
    b"glpat-": "a GitLab token",
    b"g": "a GitHub token",
    b"A": "an AWS access key",
    b"xox": "a Slack token",
    b"npm_": "an npm token",
    b":_auth": "an npm token",
    b"sk_live_": "a Stripe key",
    b"-----BEGIN": "a private key",
}
_PATTERN = re.compile(
    rb"pypi-AgE[A-Za-z0-9_-]{60,}"
    rb"|gh[pousr]_[A-Za-z0-9]{36,}"
    rb"|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"
    rb"|glpat-[A-Za-z0-9_-]{20,}"
    rb"|A(?:KI|SI)A[A-Z2-7]{16}"
    rb"|xox[abeprs]-[0-9]{8,}-[A-Za-z0-9-]{16,}"
    rb"|npm_[A-Za-z0-9]{36}"
    rb"|:_authToken\s?=\s?[A-Za-z0-9_-]{20,}"
    rb"|sk_live_[A-Za-z0-9]{24,}"
    rb"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:[\s\"',+]|\\[rn]|[A-Z][A-Za-z-]+: [^\r\n]{1,80}[\r\n])+[A-Za-z0-9+/]{40,}"
)
"""Begins with a literal everywhere, and keeps no groups: ten times as fast as with them."""
_INVENTED = re.compile(rb"(?i)example|x{6}|\*{4}|0{8}|1234567|abcdefgh")
_FEWEST_CHARACTERS = 8
_REVOKE = "leave it out of the build, and revoke it if it was ever public"


def check(files: Iterable[tuple[str, bytes]], tracked: frozenset[str] | None) -> Iterator[Found]:
    """Every file that holds a secret.

    Args:
        files: The files of an archive: names and first bytes (`INSPECTED_BYTES`).
        tracked: The files that git tracks, relative to the package's folder; None outside git.
    """
    for name, content in files:
        path = path_of(name)
        for certain, said in (*_by_name(path, content, tracked), *_by_content(content)):
            playground = bool(_PLAYGROUNDS & {part.lower() for part in path.parts[:-1]})
            playground = playground or any(map(_OF_TESTS.fullmatch, path.parts[1:] or path.parts))
            yield (error if certain and not playground else warning)("todo", f"{name} {said}", _REVOKE)


def _by_name(path: PurePosixPath, content: bytes, tracked: frozenset[str] | None) -> Iterator[tuple[bool, str]]:
    """What a file's name says about it, and whether that is certain."""
    held = _NAMES.get(path.name) or next((held for end, held in _PATHS.items() if str(path).endswith(end)), None)
    if held is not None and content.strip():
        yield True, f"holds {held}, by its name"
    elif path.suffix.lower() in _STORES:
        yield False, "is a store of keys, by its name"
    elif _SETTINGS.fullmatch(path.name) is not None and content.strip():
        untracked = tracked is not None and "/".join(path.parts[1:]) not in tracked
        yield _SETTING.search(content) is not None or untracked, "holds settings of one machine, by its name"


def _by_content(content: bytes) -> Iterator[tuple[bool, str]]:
    """Tokens and keys in a file, by their form."""
    for found in _PATTERN.finditer(content):
        if not _is_invented(found[0]) and not _is_inside_a_word(content, found):
            line = content.count(b"\n", 0, found.start()) + 1
            held = next(held for start, held in _TOKENS.items() if found[0].startswith(start))
            yield True, f"holds {held}, in line {line}"


def _is_invented(token: bytes) -> bool:
    return _INVENTED.search(token) is not None or len(set(token)) < _FEWEST_CHARACTERS


def _is_inside_a_word(content: bytes, found: re.Match[bytes]) -> bool:
    """Whether letters go on before or behind a token that was found: base64, or a longer name."""
    start, end = found.span()
    around = content[max(start - 1, 0) : start], content[end : end + 1]
    return not found[0].startswith(b"-") and any(letter.isalnum() for letter in around)
