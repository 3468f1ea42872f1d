"""Checks of the files in an archive: their names, links, what git tracks, secrets, and pointers of Git LFS.

A certain secret is an error, but only a warning in tests and documentation, which often contain fake secrets.
Placeholders (`ghp_xxxx…`) are ignored. Messages never contain the secret itself.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from relnox.building.archives import COPY_FILE_FIX, EXCLUDE_SETTINGS, Archive, iter_files, member_path, read_file
from relnox.building.checks.expected import ExpectedArchive, format_names, index_rejection, warning
from relnox.core.documents import parse_toml, table_at
from relnox.core.release import public_index
from relnox.errors import Problem

_RENAME_FIX = f"rename it, or exclude it: {EXCLUDE_SETTINGS}"
_INCLUDE_FIX = "include it: [tool.hatch.build.targets.sdist] include (hatchling), MANIFEST.in (setuptools)"
_CONTROL_CHARACTERS = "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffd-\uffff]"
"""Control characters, direction overrides, and code points that are not characters."""
_UNSAFE_NAMES = {
    "has control characters": _CONTROL_CHARACTERS,
    "has a backslash (a path separator on Windows)": r"\\",
    "is absolute": "^/",
    "points outside the archive (..)": r"(^|/)\.\.(/|$)",
    "contains a Windows drive letter": "(^|/)[A-Za-z]:",
}
_GENERATED_FILES = re.compile(
    r"PKG-INFO|setup\.cfg|.*\.egg-info(/.*)?|Cargo\.lock|pyproject\.toml\.orig"
    r"|(.*/)?(_version|__version__|version|_about|__about__|_scm_version|_build_config)\.pyi?"
    r"|(.*/)?[^/]+_pb2(_grpc)?\.pyi?"
    r"|(LICEN[CS]E|COPYING|NOTICE|AUTHORS|README)[^/]*|\.(git|hg)ignore",  # from a parent directory
    re.IGNORECASE,
)
MAX_INSPECTED_BYTES = 1 << 20
"""The number of bytes at the start of each file that are searched for secrets."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
"""The first line of the files that git has instead of those that Git LFS stores."""
_MAX_POINTER_SIZE = 1024
_SECRET_FILES = {
    r"(.*/)?\.pypirc|.*\.cargo/credentials\.toml": "credentials of package indexes",
    r"(.*/)?[._]netrc": "credentials of servers",
    r"(.*/)?\.git-credentials": "credentials of git",
    r"(.*/)?\.dockercfg|.*\.docker/config\.json": "credentials of container registries",
    r".*\.aws/credentials": "credentials of a cloud",
    r"(.*/)?id_(rsa|dsa|ecdsa|ed25519)": "a private SSH key",
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
_TEST_DIRECTORIES = frozenset({"test", "tests", "testing"})
_SAMPLE_DIRECTORIES = _TEST_DIRECTORIES | {
    *("testdata", "test_data", "fixtures", "doc", "docs", "example", "examples"),
}
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
_TOKEN = re.compile(
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


def find_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for names and links of members, and for the layout and the files of an sdist."""
    yield from _member_name_problems(archive)
    yield from _link_problems(archive)
    if archive.kind == "sdist":
        yield from _layout_problems(archive, expected)
        yield from _tracked_file_problems(archive, expected)


def _member_name_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for names of members that are unsafe, or that clash when they are unpacked."""
    for name in archive.member_names:
        for description, pattern in _UNSAFE_NAMES.items():
            if re.search(pattern, name):
                yield Problem("archive-invalid", f"member name {description}: {name!r}", _RENAME_FIX)
                break
    files = Counter(entry.name for entry in archive.entries if entry.kind != "directory")
    paths = set(map(member_path, archive.member_names))
    directories = {str(parent) for path in paths for parent in path.parents}
    for name, count in files.items():
        if count > 1:
            yield Problem("archive-invalid", f"contains {name!r} {count} times", _RENAME_FIX)
        if name in directories:
            yield Problem("archive-invalid", f"contains {name!r} as a file and as a directory", _RENAME_FIX)
    if archive.kind == "wheel" and all("linux" in platform for platform in archive.platforms):
        return  # Linux distinguishes all names
    first: dict[str, str] = {}
    for name in (name.rstrip("/") for name in archive.member_names):
        if (other := first.setdefault(unicodedata.normalize("NFC", name).casefold(), name)) != name:
            yield Problem(
                "archive-invalid",
                f"member names differ in case or Unicode form only: {other!r} and {name!r}",
                "rename one of them (Windows and macOS cannot store both)",
            )


def _link_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for special files and links; links that stay inside an sdist are only warnings."""
    for entry in archive.entries:
        link = f"{entry.name!r} -> {entry.link_target!r}"
        start = posixpath.dirname(entry.name) if entry.kind == "symlink" else ""
        target = posixpath.normpath(posixpath.join(start, entry.link_target))
        if entry.kind == "special":
            message = f"contains a device, a pipe or a sparse file: {entry.name!r}"
            yield Problem("archive-invalid", message, f"exclude it: {EXCLUDE_SETTINGS}")
        elif entry.kind not in ("symlink", "hardlink"):
            continue
        elif archive.kind == "wheel":
            yield Problem("archive-invalid", f"contains a symbolic link: {entry.name!r}", COPY_FILE_FIX)
        elif not target.startswith(f"{''.join(member_path(entry.name).parts[:1])}/"):  # PEP 706
            message = f"contains a link to a target outside the sdist: {link}"
            yield Problem("archive-invalid", message, COPY_FILE_FIX)
        else:
            yield warning("archive-invalid", f"contains a link: {link}", COPY_FILE_FIX)


def _layout_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for the layout of an sdist (PEP 625), and for a missing pyproject.toml or license file."""
    tops = {parts[0] for name in archive.member_names if (parts := member_path(name).parts)}
    if len(tops) > 1:
        yield index_rejection(
            "archive-invalid",
            f"top-level entries are {', '.join(sorted(tops))} instead of a single directory "
            "(rejected by the public index)",
            "configure the build backend to put all files into one directory (PEP 625)",
        )
    files = _paths_below_top_level(archive)
    if "pyproject.toml" not in files:
        if "setup.py" in files and "pyproject.toml" not in (expected.tracked_files or ()):
            message = "pyproject.toml is missing (builds from setup.py alone are deprecated)"
            yield warning("archive-content", message, f"create it, and {_INCLUDE_FIX}")
        else:
            message = "pyproject.toml is missing (the sdist cannot be built as the project is)"
            yield Problem("archive-content", message, _INCLUDE_FIX)
    license_files = table_at(read_pyproject(archive), "project").get("license-files")
    for name in license_files if isinstance(license_files, list) else ():
        if not isinstance(name, str) or set(name) & set("*?[") or ".." in (path := PurePosixPath(name)).parts:
            continue
        if path.as_posix() not in files:  # some backends ignore that
            yield Problem(
                "license-file-missing",
                f"{name} is missing (listed in [project] license-files)",
                f"{_INCLUDE_FIX}; or remove it from [project] license-files",
            )


def _tracked_file_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for untracked files in an sdist, and for tracked modules that its packages lack.

    Files that build backends generate, and missing tests, do not count. Nothing is checked if
    `expected.tracked_files` is None.
    """
    if expected.tracked_files is None:
        return
    files = _paths_below_top_level(archive)
    extra = files - _parent_directories(files) - expected.tracked_files - {""}
    if untracked := {name for name in extra if not is_generated_file(name)}:
        yield warning(
            "archive-content",
            f"contains files that git does not track: {format_names(untracked)}",
            f"exclude them: {EXCLUDE_SETTINGS}; or add them to git",
        )
    packages = {str(member_path(name).parent) for name in files if name.endswith("/__init__.py")}
    missing = {
        name
        for name in expected.tracked_files - files
        if name.endswith(".py")
        and not _TEST_DIRECTORIES.intersection(member_path(name).parts)
        and not packages.isdisjoint(_parent_directories([name]))
    }
    if generated := missing & expected.generated_files:
        yield Problem(
            "archive-content",
            f"lacks modules that a before-build hook generated: {format_names(generated)}",
            "include these modules in the build configuration (hatchling leaves out what .gitignore matches: "
            "[tool.hatch.build] artifacts), or do not ignore them",
        )
    if others := missing - expected.generated_files:
        yield warning(
            "archive-content",
            f"lacks modules of a package that it contains: {format_names(others)}",
            "include these modules in the build configuration, or exclude them by name",
        )


def is_generated_file(path: str) -> bool:
    """Return whether a file of an archive is by its path one that build backends generate, or copy from elsewhere.

    `path` has no top-level directory of an sdist. Such a file need not be tracked by git.
    """
    return _GENERATED_FILES.fullmatch(path) is not None


def read_pyproject(sdist: Archive) -> Mapping[str, Any]:
    """Return the pyproject.toml of an sdist, or an empty mapping if it is missing or invalid."""
    files = [name for name in sdist.member_names if name.count("/") == 1 and name.endswith("/pyproject.toml")]
    try:
        return parse_toml(read_file(sdist, files[0]).decode()) if files else {}
    except (ValueError, RecursionError):
        return {}


def _paths_below_top_level(archive: Archive) -> set[str]:
    """Return the paths of all members of an sdist, relative to its top-level directory (which itself is "")."""
    return {"/".join(member_path(member).parts[1:]) for member in archive.member_names}


def _parent_directories(paths: Iterable[str]) -> set[str]:
    """Return all directories above these paths, including `.`."""
    return {str(parent) for path in paths for parent in member_path(path).parents}


def unwanted_content_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for secrets, by file names or known formats, for pointers of Git LFS, and for encrypted code.

    The first MiB of each file is searched. Secrets in files that match `expected.fake_secrets` are left out.
    """
    tracked_files = expected.tracked_files if archive.kind == "sdist" else None
    for name, content in iter_files(archive, MAX_INSPECTED_BYTES):
        path = member_path(name)
        certain: Callable[[str, str, str], Problem] = warning if is_test_or_documentation(path) else Problem
        if content.startswith(_LFS_POINTER) and len(content) <= _MAX_POINTER_SIZE:
            message = f"{name} is a pointer of Git LFS, not the file itself"
            fix = "git lfs install && git lfs pull; or check out with LFS in CI"
            yield certain("lfs-pointer-in-archive", message, fix)
        for program, pattern in public_index.ENCRYPTED_CODE.items():
            if pattern.search(content):
                message = f"{name} is encrypted by {program} (rejected by the public index)"
                yield index_rejection(
                    "archive-content", message, "release the code itself, or publish to another index"
                )
        if any(map(path.match, expected.fake_secrets)):
            continue
        for clause, is_certain in find_secrets(path, content, tracked_files):
            parts = path.parts[1:] if archive.kind == "sdist" else path.parts  # without the version in its name
            fix = (
                "exclude the file from the build, and revoke the secret if it was ever public; or, if it is none: "
                f'[tool.relnox] fake-secrets = ["{"/".join(parts[-2:])}"]'
            )
            yield (certain if is_certain else warning)("secret-in-archive", f"{name} {clause}", fix)


def is_test_or_documentation(path: PurePosixPath) -> bool:
    """Return whether a file belongs to tests or documentation, which often contain fake secrets."""
    return bool(_SAMPLE_DIRECTORIES & {part.lower() for part in path.parts[:-1]}) or any(
        map(_TEST_NAME.fullmatch, path.parts[1:] or path.parts)
    )


def find_secrets(
    path: PurePosixPath, content: bytes, tracked_files: frozenset[str] | None = None
) -> Iterator[tuple[str, bool]]:
    """Yield a clause on each secret in a file (`contains a GitLab token (line 3)`), and whether that is certain.

    `path` begins with a top-level directory, as in an sdist. `tracked_files` has the paths below that directory
    that git tracks, or is None if they are not known. For a dotenv file, it is certain if git does not track the
    file, or if the file sets a password, token or key.
    """
    yield from _secrets_by_file_name(path, content, tracked_files)
    yield from ((clause, True) for clause in _secrets_by_content(content))


def _secrets_by_file_name(
    path: PurePosixPath, content: bytes, tracked_files: frozenset[str] | None
) -> Iterator[tuple[str, bool]]:
    """Yield at most one clause on the secret that a file has according to its name, and whether that is certain.

    The arguments are those of `find_secrets`.
    """
    kinds = (kind for pattern, kind in _SECRET_FILES.items() if re.fullmatch(pattern, str(path)))
    if content.strip() and (kind := next(kinds, None)) is not None:
        yield f"contains {kind} (according to its name)", True
    elif path.suffix.lower() in _KEY_STORE_SUFFIXES:
        yield "is a key store (according to its name)", False
    elif _DOTENV_FILE.fullmatch(path.name) is not None and content.strip():
        is_untracked = tracked_files is not None and "/".join(path.parts[1:]) not in tracked_files
        has_secret_setting = _SECRET_SETTING.search(content) is not None
        yield "contains local settings (according to its name)", has_secret_setting or is_untracked


def _secrets_by_content(content: bytes) -> Iterator[str]:
    """Yield a clause on each token or private key in a file, such as `contains a GitLab token (line 3)`.

    Placeholders are left out.
    """
    for match in _TOKEN.finditer(content):
        start, end = match.span()
        around = content[max(start - 1, 0) : start], content[end : end + 1]
        if any(letter.isalnum() for letter in around) and not match[0].startswith(b"-"):
            continue  # part of base64 data, or of a longer name
        if not _PLACEHOLDER.search(match[0]) and len(set(match[0])) >= _MIN_DISTINCT_BYTES:
            kind = next(kind for begin, kind in _TOKEN_DESCRIPTIONS.items() if match[0].startswith(begin))
            line = content.count(b"\n", 0, start) + 1
            yield f"contains {kind} (line {line})"
