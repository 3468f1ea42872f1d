"""What a text in the settings must be like to work where it is used: why it cannot, and the fix.

A rule is a function from a text to an `InvalidValue`, or None. The rules are checked when the settings are read,
before anything is changed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from relnox.core.names import is_valid

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[str], "InvalidValue | None"]

__all__ = [
    "TAG_FIELDS",
    "InvalidValue",
    "branch",
    "distribution",
    "file_path",
    "index_name",
    "message",
    "pattern",
    "ref_name",
    "remote",
    "tag_format",
    "tag_name",
    "variable",
    "words",
]

TAG_FIELDS = re.compile(r"\{([^{}]*)\}")
"""Fields of a tag format."""

_KNOWN_FIELDS = frozenset({"version", "name", "folder", "tag-name"})
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")
_LONGEST_PART = 240
"""Bytes of a folder or file below refs/, which also have a lock file: file systems have 255."""
_LONGEST_NAME = 900
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class InvalidValue(NamedTuple):
    """Why a value cannot work, and the fix."""

    why: str
    fix: str


def ref_name(name: str) -> str | None:
    """Why git does not accept a name of a tag or a branch, or None (git-check-ref-format)."""
    parts = name.split("/")
    if found := _FORBIDDEN.search(name):
        return f"a git ref cannot contain {found[0]!r}"
    if any("\ud800" <= char <= "\udfff" for char in name):
        return "a git ref is text in UTF-8"
    if "" in parts:
        return "a git ref has no empty part: no slash at the start, at the end or twice"
    if any(part.startswith(".") or part.endswith(".lock") for part in parts):
        return "no part of a git ref begins with a dot or ends with .lock"
    if ".." in name or "@{" in name or name.endswith("."):
        return "a git ref contains no '..' and no '@{', and does not end with a dot"
    if name.startswith("-") or name == "HEAD":
        return "a tag or a branch does not begin with a dash and is not HEAD"
    if any(len(part.encode()) > _LONGEST_PART for part in parts) or len(name.encode()) > _LONGEST_NAME:
        return f"it is longer than file systems allow ({len(name)} characters)"
    return None


def tag_format(text: str) -> InvalidValue | None:
    """Check a format of tags with sample values."""
    fix = 'write for example tag-format = "{name}-v{version}"'
    fields = TAG_FIELDS.findall(text)
    if fields.count("version") != 1 or not set(fields) <= _KNOWN_FIELDS:
        return InvalidValue("it must hold {version} once, and may hold {name}, {folder} or {tag-name}", fix)
    sample = TAG_FIELDS.sub(lambda field: "1.0" if field[1] == "version" else "name", text)
    why = ref_name(sample)
    return None if why is None else InvalidValue(f"git would not accept the tag {sample!r}: {why}", fix)


def tag_name(text: str) -> InvalidValue | None:
    """Check what stands for a package in its tags."""
    why = ref_name(f"a{text}a") if text else "it is empty"
    return None if why is None else InvalidValue(why, "write a name such as core")


def branch(text: str) -> InvalidValue | None:
    """Check the name of a branch."""
    why = ref_name(text)
    return (
        None
        if why is None
        else InvalidValue(f"git has no such branch: {why}", 'write for example branch = "main"')
    )


def remote(text: str) -> InvalidValue | None:
    """Check the name of a remote, which may be a URL or a path as well."""
    if text.strip() == text and text and not text.startswith("-") and not _CONTROL.search(text):
        return None
    return InvalidValue("git has no such remote", 'write for example remote = "origin"; "git remote" lists them')


def file_path(text: str) -> InvalidValue | None:
    """Check a path of a file or a folder below the project's root."""
    fix = "write a path relative to the project's folder, with slashes"
    if not text.strip("/. "):
        return InvalidValue("it names no file or folder of the project", fix)
    if _CONTROL.search(text):
        return InvalidValue("a path has no control characters", fix)
    if text.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", text):
        return InvalidValue("it is an absolute path", fix)
    if ".." in re.split(r"[/\\]", text):
        return InvalidValue("it leads out of the project's folder", fix)
    return None


def message(text: str) -> InvalidValue | None:
    """Check the message of a commit."""
    if text.strip():
        return None
    return InvalidValue(
        "git makes no commit without a message", 'write for example commit-message = "Release {version}"'
    )


def pattern(text: str) -> InvalidValue | None:
    """Check a regular expression with a group called version, or value."""
    fix = 'write for example pattern = \'^version = "(?P<version>[^"]+)"\''
    try:
        groups = re.compile(text, re.MULTILINE).groupindex
    except (re.error, RecursionError, OverflowError) as error:
        return InvalidValue(f"it is not a regular expression ({error})", fix)
    return None if {"version", "value"} & groups.keys() else InvalidValue("it has no group called version", fix)


def distribution(text: str) -> InvalidValue | None:
    """Check the name of a package."""
    return (
        None
        if is_valid(text)
        else InvalidValue("it is not the name of a package", "write its name, as in [project]")
    )


def index_name(text: str) -> InvalidValue | None:
    """Check the name of an index."""
    if re.fullmatch(r"\w[\w.-]*", text):
        return None
    return InvalidValue("it is not a name of letters, digits, '-', '_' and '.'", "rename the index")


def variable(text: str) -> InvalidValue | None:
    """Check the name of an environment variable."""
    if text and "=" not in text and not _CONTROL.search(text):
        return None
    return InvalidValue("it is not the name of a variable", "write for example env = { NAME = 'value' }")


def words(text: str) -> InvalidValue | None:
    """Check the first word of a command."""
    return (
        None
        if text.strip()
        else InvalidValue("a program has a name", 'write for example ["python", "-m", "pytest"]')
    )
