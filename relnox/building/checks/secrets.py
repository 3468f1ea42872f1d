"""Checks for secrets in archives: files with known names, and tokens and keys with known formats.

A certain match is an error, but only a warning in tests and documentation, which often contain fake secrets.
Placeholders (`ghp_xxxx…`) are ignored. Findings never contain the secret itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.building.archives import member_path
from relnox.building.findings import error
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import PurePosixPath

    from relnox.building.findings import Finding

INSPECTED_BYTES = 1 << 20
"""The number of bytes at the start of each file that are searched for secrets."""

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
_KEY_STORES = (".p12", ".pfx", ".jks", ".keystore", ".kdbx")
_DOTENV = re.compile(r"\.env(?!\.(example|sample|template|tmpl|dist|defaults?|schema)$)(\..+)?", re.IGNORECASE)
_SECRET_SETTING = re.compile(
    rb"(?im)^[ \t]*(?:export[ \t]+)?\w{0,99}"
    rb"(?:SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|(?:API|PRIVATE|ACCESS)_?KEY)"
    rb"\w{0,99}[ \t]*=[ \t]*[\"']?[^\s\"'$<#{]"
)
_SAMPLE_FOLDERS = frozenset(
    {"test", "tests", "testing", "testdata", "test_data", "fixtures", "doc", "docs", "example", "examples"}
)

_TEST_NAME = re.compile(r"(conf)?tests?[._-].*|.*[._-]tests?(\.[^.]+)?", re.IGNORECASE)
"""Names of test files and folders in any location, such as `test_creds` and `ssl_test.cc`."""

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
"""A pattern for tokens and keys; it is fast because each alternative begins with a literal, and has no groups."""
_PLACEHOLDER = re.compile(rb"(?i)example|x{6}|\*{4}|0{8}|1234567|abcdefgh")
_MIN_DISTINCT = 8
_REVOKE = "exclude it from the build, and revoke it if it was ever public"


def find_secrets(files: Iterable[tuple[str, bytes]], tracked: frozenset[str] | None) -> Iterator[Finding]:
    """Yield the files that contain a secret.

    Args:
        files: Names of files and their first bytes (`INSPECTED_BYTES`).
        tracked: The files that git tracks; see `Expected`.
    """
    for name, content in files:
        path = member_path(name)
        for certain, description in (
            *_secrets_by_file_name(path, content, tracked),
            *_secrets_by_content(content),
        ):
            sample = bool(_SAMPLE_FOLDERS & {part.lower() for part in path.parts[:-1]})
            sample = sample or any(map(_TEST_NAME.fullmatch, path.parts[1:] or path.parts))
            finding = error("secret-in-archive", f"{name} {description}", _REVOKE)
            yield finding if certain and not sample else replace(finding, level="warning")


def _secrets_by_file_name(
    path: PurePosixPath, content: bytes, tracked: frozenset[str] | None
) -> Iterator[tuple[bool, str]]:
    """Yield a description of the secret that a file's name indicates, preceded by whether it is certain."""
    secret = _NAMES.get(path.name) or next((kind for end, kind in _PATHS.items() if str(path).endswith(end)), None)
    if secret is not None and content.strip():
        yield True, f"contains {secret} (by its name)"
    elif path.suffix.lower() in _KEY_STORES:
        yield False, "is a key store (by its name)"
    elif _DOTENV.fullmatch(path.name) is not None and content.strip():
        untracked = tracked is not None and "/".join(path.parts[1:]) not in tracked
        yield _SECRET_SETTING.search(content) is not None or untracked, "contains local settings (by its name)"


def _secrets_by_content(content: bytes) -> Iterator[tuple[bool, str]]:
    """Yield True (it is certain) and a description for each token or key in a file."""
    for match in _PATTERN.finditer(content):
        if not _is_placeholder(match[0]) and not _is_inside_a_word(content, match):
            line = content.count(b"\n", 0, match.start()) + 1
            secret = next(secret for start, secret in _TOKENS.items() if match[0].startswith(start))
            yield True, f"contains {secret} (line {line})"


def _is_placeholder(token: bytes) -> bool:
    return _PLACEHOLDER.search(token) is not None or len(set(token)) < _MIN_DISTINCT


def _is_inside_a_word(content: bytes, match: re.Match[bytes]) -> bool:
    """Return whether a match is next to a letter or digit, and so part of base64 data or a longer name."""
    start, end = match.span()
    around = content[max(start - 1, 0) : start], content[end : end + 1]
    return not match[0].startswith(b"-") and any(letter.isalnum() for letter in around)
