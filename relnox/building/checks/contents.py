"""Checks of the content of files: secrets with known file names or formats, and pointers of Git LFS.

A certain match is an error, but only a warning in tests and documentation, which often contain fake secrets.
Placeholders (`ghp_xxxx…`) are ignored. Findings never contain the secret itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from relnox.building.archives import Archive, iter_files, member_path
from relnox.errors import Level, Problem

_MAX_INSPECTED_BYTES = 1 << 20
"""The number of bytes at the start of each file that are searched for secrets."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
"""The first line of the files that git has instead of those that Git LFS stores."""
_MAX_POINTER_SIZE = 1024
_LFS_FIX = "git lfs install && git lfs pull (in CI: check out with LFS), then rebuild"

_SECRET_FILE_NAMES = {
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
_SECRET_FILE_PATHS = {
    ".aws/credentials": "credentials of a cloud",
    ".docker/config.json": "credentials of container registries",
    ".cargo/credentials.toml": "credentials of package indexes",
}
_KEY_STORE_SUFFIXES = (".p12", ".pfx", ".jks", ".keystore", ".kdbx")
_DOTENV_FILE = re.compile(
    r"\.env(?!\.(example|sample|template|tmpl|dist|defaults?|schema)$)(\..+)?", re.IGNORECASE
)
_SECRET_SETTING = re.compile(
    rb"(?im)^[ \t]*(?:export[ \t]+)?\w{0,99}"
    rb"(?:SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|(?:API|PRIVATE|ACCESS)_?KEY)"
    rb"\w{0,99}[ \t]*=[ \t]*[\"']?[^\s\"'$<#{]"
)
_SAMPLE_DIRECTORIES = frozenset(
    {"test", "tests", "testing", "testdata", "test_data", "fixtures", "doc", "docs", "example", "examples"}
)

_TEST_NAME = re.compile(r"(conf)?tests?[._-].*|.*[._-]tests?(\.[^.]+)?", re.IGNORECASE)
"""Names of test files and directories in any location, such as `test_creds` and `ssl_test.cc`."""

_TOKEN_DESCRIPTIONS = {
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
_TOKEN_PATTERN = re.compile(
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
_MIN_DISTINCT_BYTES = 8
_REVOKE_FIX = "exclude the file from the build, and revoke the secret if it was ever public"


def check_contents(archive: Archive, tracked_files: frozenset[str] | None) -> Iterator[Problem]:
    """Yield secrets and pointers of Git LFS; git tracks `tracked_files`, if known."""
    for name, content in iter_files(archive, _MAX_INSPECTED_BYTES):
        path = member_path(name)
        if content.startswith(_LFS_POINTER) and len(content) <= _MAX_POINTER_SIZE:
            message = f"{name} is a pointer of Git LFS, not the file itself"
            yield Problem("lfs-pointer-in-archive", message, _LFS_FIX, level=_level(path))
        by_file_name = _find_secrets_by_file_name(path, content, tracked_files)
        for description, is_certain in (*by_file_name, *_find_secrets_by_content(content)):
            level = _level(path) if is_certain else "warning"
            yield Problem("secret-in-archive", f"{name} {description}", _REVOKE_FIX, level=level)


def _level(path: PurePosixPath) -> Level:
    """Return `warning` if a file belongs to tests, documentation or examples, according to its path."""
    in_sample_directory = _SAMPLE_DIRECTORIES & {part.lower() for part in path.parts[:-1]}
    is_sample = in_sample_directory or any(map(_TEST_NAME.fullmatch, path.parts[1:] or path.parts))
    return "warning" if is_sample else "error"


def _find_secrets_by_file_name(
    path: PurePosixPath, content: bytes, tracked_files: frozenset[str] | None
) -> Iterator[tuple[str, bool]]:
    """Yield a clause that describes the secret that a file's name indicates, and whether it is certainly one."""
    kind = _SECRET_FILE_NAMES.get(path.name) or next(
        (kind for end, kind in _SECRET_FILE_PATHS.items() if str(path).endswith(end)), None
    )
    if kind is not None and content.strip():
        yield f"contains {kind} (according to its name)", True
    elif path.suffix.lower() in _KEY_STORE_SUFFIXES:
        yield "is a key store (according to its name)", False
    elif _DOTENV_FILE.fullmatch(path.name) is not None and content.strip():
        is_untracked = tracked_files is not None and "/".join(path.parts[1:]) not in tracked_files
        has_secret_setting = _SECRET_SETTING.search(content) is not None
        yield "contains local settings (according to its name)", has_secret_setting or is_untracked


def _find_secrets_by_content(content: bytes) -> Iterator[tuple[str, bool]]:
    for match in _TOKEN_PATTERN.finditer(content):
        is_placeholder = _PLACEHOLDER.search(match[0]) or len(set(match[0])) < _MIN_DISTINCT_BYTES
        if not is_placeholder and not _is_part_of_longer_word(content, match):
            line = content.count(b"\n", 0, match.start()) + 1
            kind = next(kind for start, kind in _TOKEN_DESCRIPTIONS.items() if match[0].startswith(start))
            yield f"contains {kind} (line {line})", True


def _is_part_of_longer_word(content: bytes, match: re.Match[bytes]) -> bool:
    """Return whether a match is next to a letter or digit, and so part of base64 data or a longer name."""
    start, end = match.span()
    around = content[max(start - 1, 0) : start], content[end : end + 1]
    return not match[0].startswith(b"-") and any(letter.isalnum() for letter in around)
