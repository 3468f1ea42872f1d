"""Rules for strings in the settings, which are checked when the settings are read.

A rule is a function that returns a `RuleViolation` for an invalid string, and None for a valid one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core.credential_variables import is_upload_credential_name, is_upload_setting_name
from relnox.core.names import is_valid
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[str], "RuleViolation | None"]

TAG_FIELDS = re.compile(r"\{([^{}]*)\}")
"""Matches the fields of a tag format, such as `{version}`."""

_KNOWN_FIELDS = frozenset({"version", "name", "directory"})
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")
_MAX_PART = 240
"""The maximum size in bytes of a part of a ref: file systems allow 255, and the name of git's lock is longer."""
_MAX_NAME = 900
_WILDCARDS = re.compile(r"[*?]")
_PREDEFINED_INDEXES = ("pypi", "testpypi", "embedded")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RuleViolation(Record):
    """The result of a rule for an invalid value: why it is invalid, and how to correct it."""

    why: str
    fix: str


def ref_name_violation(name: str) -> str | None:
    """Return why git rejects a name of a tag or branch (git-check-ref-format), or None if the name is valid."""
    parts = name.split("/")
    if match := _FORBIDDEN.search(name):
        return f"a git ref cannot contain {match[0]!r}"
    if any("\ud800" <= char <= "\udfff" for char in name):
        return "a git ref must be UTF-8"
    if "" in parts:
        return "a git ref cannot begin or end with a slash, or contain two in a row"
    if any(part.startswith(".") or part.endswith(".lock") for part in parts):
        return "no part of a git ref may begin with a dot or end with .lock"
    if ".." in name or "@{" in name or name.endswith("."):
        return "a git ref cannot contain '..' or '@{', or end with a dot"
    if name.startswith("-") or name == "HEAD":
        return "a tag or a branch cannot begin with a dash or be HEAD"
    if any(len(part.encode()) > _MAX_PART for part in parts) or len(name.encode()) > _MAX_NAME:
        return f"it is longer than file systems allow ({len(name)} characters)"
    return None


def tag_format_violation(text: str) -> RuleViolation | None:
    """Check that a tag format has `{version}` once, no unknown fields, and results in tags that git accepts."""
    fix = 'for example: tag-format = "{name}-v{version}"'
    fields = TAG_FIELDS.findall(text)
    if fields.count("version") != 1 or not set(fields) <= _KNOWN_FIELDS:
        return RuleViolation("it must contain {version} once, and may contain {name} or {directory}", fix)
    sample = TAG_FIELDS.sub(lambda field: "1.0" if field[1] == "version" else "name", text)
    why = ref_name_violation(sample)
    return None if why is None else RuleViolation(f"git rejects the tag {sample!r}: {why}", fix)


def branch_violation(text: str) -> RuleViolation | None:
    """Check that a text is a valid branch name, or a glob of names with `*` and `?`."""
    why = ref_name_violation(_WILDCARDS.sub("x", text))
    return None if why is None else RuleViolation(f"git rejects it: {why}", 'for example: branch = "main"')


def version_bounds_violation(text: str) -> RuleViolation | None:
    """Check that a text is a version specifier with final releases only; an empty one allows any version."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # imported lazily: it is slow to import
    from packaging.version import InvalidVersion, Version

    fix = 'for example: branch = { main = ">=2", "release/1.x" = "<2" }'
    try:
        limits = [Version(specifier.version.removesuffix(".*")) for specifier in SpecifierSet(text)]
    except (InvalidSpecifier, InvalidVersion):
        return RuleViolation("it is not a version specifier (PEP 440)", fix)
    if "===" in text:
        return RuleViolation("=== compares texts, not versions", fix)
    if other := [str(limit) for limit in limits if str(limit) != limit.base_version]:
        return RuleViolation(
            f"{other[0]} is not a final release (a prerelease or post-release belongs to the line of its final "
            "release)",
            fix,
        )
    return None


def remote_violation(text: str) -> RuleViolation | None:
    """Check that a text is the name of a git remote, not a URL: only names have remote-tracking branches."""
    if ref_name_violation(text) is None:
        return None
    return RuleViolation(
        "it is not the name of a remote", 'git remote add upstream URL, and set remote = "upstream"'
    )


def document_violation(text: str) -> RuleViolation | None:
    """Check that a text names a document to read or write; `-` stands for standard input or output."""
    return None if text.strip() else RuleViolation("it names no file", "name a file, or - for standard output")


def file_path_violation(text: str) -> RuleViolation | None:
    """Check that a text is a relative path of a file or directory below the project's root."""
    fix = "use a path relative to the project's directory, with slashes"
    if not text.strip("/. "):
        return RuleViolation("it names no file or directory of the project", fix)
    if _CONTROL.search(text):
        return RuleViolation("it contains control characters", fix)
    if text.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", text):
        return RuleViolation("it is an absolute path", fix)
    if ".." in re.split(r"[/\\]", text):
        return RuleViolation("it leads out of the project's directory", fix)
    return None


def message_violation(text: str) -> RuleViolation | None:
    """Check that a commit message is not empty."""
    if text.strip():
        return None
    return RuleViolation("git requires a commit message", 'for example: commit-message = "Release {version}"')


def pattern_violation(text: str) -> RuleViolation | None:
    """Check that a text is a regular expression with a group named `version` or `value`."""
    fix = 'for example: pattern = \'^version = "(?P<version>[^"]+)"\''
    try:
        groups = re.compile(text, re.MULTILINE).groupindex
    except (re.error, RecursionError, OverflowError) as error:
        return RuleViolation(f"it is not a regular expression ({error})", fix)
    return None if {"version", "value"} & groups.keys() else RuleViolation("it has no group called version", fix)


def distribution_name_violation(text: str) -> RuleViolation | None:
    """Check that a text is a valid package name."""
    return None if is_valid(text) else RuleViolation("it is not a valid package name", "use the name in [project]")


def index_name_violation(text: str) -> RuleViolation | None:
    """Check that a text is a valid name of an index."""
    if text.upper() == "FORGE":
        return RuleViolation("the variable RELNOX_FORGE_TOKEN holds the token of the forge", "rename the index")
    if text.lower() in _PREDEFINED_INDEXES:
        reason = f"{text.lower()} is predefined, and its credentials belong to its own address"
        return RuleViolation(reason, "rename the index")
    if re.fullmatch(r"\w[\w.-]*", text):
        return None
    return RuleViolation("only letters, digits, '-', '_' and '.' are allowed", "rename the index")


def variable_name_violation(text: str) -> RuleViolation | None:
    """Check that a text can be the name of an environment variable."""
    if text and "=" not in text and not _CONTROL.search(text):
        return None
    return RuleViolation("it is not a valid variable name", "for example: env = { NAME = 'value' }")


def passed_variable_violation(text: str) -> RuleViolation | None:
    """Check the name of a variable that programs of the project may read: not one with an upload credential."""
    if variable_name_violation(text) is not None:
        return RuleViolation("it is not a valid variable name", 'for example: pass-env = ["NAME"]')
    if is_upload_credential_name(text) or is_upload_setting_name(text):
        return RuleViolation(
            "no program may read an upload credential",
            f"remove {text}; if a build needs a token, pass it in another variable",
        )
    return None


def python_version_violation(text: str) -> RuleViolation | None:
    """Check that a text is the major and minor version of a Python."""
    if re.fullmatch(r"3\.\d{1,3}", text, re.ASCII):
        return None
    return RuleViolation("it is not a Python version", "use the major and minor version, such as 3.12")


def command_violation(text: str) -> RuleViolation | None:
    """Check that the first word of a command, which names the program, is not empty."""
    if text.strip():
        return None
    return RuleViolation("the program is missing", 'for example: ["python", "-m", "pytest"]')
