"""Rules for strings in the settings, which are checked when the settings are read.

A rule is a function that returns a problem for an invalid string, and None for a valid one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from relnox.core.credential_variables import is_upload_credential_name, is_upload_setting_name
from relnox.core.packages import is_valid_name
from relnox.errors import Blocked

Rule = Callable[[str], Blocked | None]

TAG_FIELDS = re.compile(r"\{([^{}]*)\}")
"""Matches the fields of a tag format or commit message, such as `{version}`."""
_KNOWN_FIELDS = frozenset({"version", "name", "directory"})
_MESSAGE_FIELDS = ("version", "packages")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")
_MAX_PART = 240
"""The maximum size in bytes of a part of a ref: file systems allow 255, and the name of git's lock is longer."""
_MAX_NAME = 900
_PREDEFINED_INDEXES = ("pypi", "testpypi", "embedded")
GROWTH = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?(%|kB|MB|GB)", re.ASCII | re.IGNORECASE)
"""Matches how much larger a file may become: a number, and percent or a unit of bytes."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _invalid_value(why: str, fix: str) -> Blocked:
    """Return the error with the message `why`, before which `Text.check_text` writes the setting and its value."""
    return Blocked("value-invalid", why, fix)


def _rule(is_valid: Callable[[str], object], why: str, fix: str) -> Rule:
    """Return a rule: a function that returns None for a string if `is_valid` returns something true for it.

    For any other string, the rule returns an error with the message `why` and the fix.
    """
    return lambda text: None if is_valid(text) else _invalid_value(why, fix)


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


def tag_format_problem(text: str) -> Blocked | None:
    """Return the problem with a tag format, or None if it is valid.

    It must have `{version}` once, may have `{name}` and `{directory}`, and must give tags that git accepts.
    """
    fix = 'for example: tag-format = "{name}-v{version}"'
    fields = TAG_FIELDS.findall(text)
    if fields.count("version") != 1 or not set(fields) <= _KNOWN_FIELDS or _has_single_brace(text):
        return _invalid_value("it must contain {version} once, and may contain {name} or {directory}", fix)
    sample = TAG_FIELDS.sub(lambda field: "1.0" if field[1] == "version" else "name", text)
    why = ref_name_violation(sample)
    return None if why is None else _invalid_value(f"git rejects the tag {sample!r}: {why}", fix)


def _has_single_brace(text: str) -> bool:
    """Return whether a tag format has a brace that belongs to no field."""
    return not {"{", "}"}.isdisjoint(TAG_FIELDS.sub("", text))


def branch_problem(text: str) -> Blocked | None:
    """Return the problem with the name of a branch, or a glob of names with `*` and `?`; None if it is valid."""
    why = ref_name_violation(re.sub(r"[*?]", "x", text))
    return None if why is None else _invalid_value(f"git rejects it: {why}", 'for example: branch = "main"')


def version_bounds_problem(text: str) -> Blocked | None:
    """Return the problem with a version specifier (PEP 440), or None if it is valid.

    It may be empty. All versions in it must be final releases, and `===` is not allowed.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # imported lazily: it is slow to import
    from packaging.version import InvalidVersion, Version

    fix = 'for example: branch = { main = ">=2", "release/1.x" = "<2" }'
    try:
        limits = [Version(specifier.version.removesuffix(".*")) for specifier in SpecifierSet(text)]
    except (InvalidSpecifier, InvalidVersion):
        return _invalid_value("it is not a version specifier (PEP 440)", fix)
    if "===" in text:
        return _invalid_value("=== compares texts, not versions", fix)
    if other := [str(limit) for limit in limits if str(limit) != limit.base_version]:
        why = "is not a final release (a prerelease or post-release belongs to the line of its final release)"
        return _invalid_value(f"{other[0]} {why}", fix)
    return None


def file_path_problem(text: str) -> Blocked | None:
    """Return the problem with a path, or None if it is relative and below the project's root, as it must be."""
    fix = "use a path relative to the project's directory, with slashes"
    if not text.strip("/. "):
        return _invalid_value("it names no file or directory of the project", fix)
    if _CONTROL.search(text):
        return _invalid_value("it contains control characters", fix)
    if text.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", text):
        return _invalid_value("it is an absolute path", fix)
    if ".." in re.split(r"[/\\]", text):
        return _invalid_value("it leads out of the project's directory", fix)
    return None


def version_pattern_problem(text: str) -> Blocked | None:
    """Return the problem with a regular expression for versions, or None if it is valid.

    It must have a group named `version` or `value`.
    """
    fix = 'for example: pattern = \'^version = "(?P<version>[^"]+)"\''
    try:
        groups = re.compile(text, re.MULTILINE).groupindex
    except (re.error, RecursionError, OverflowError) as error:
        return _invalid_value(f"it is not a regular expression ({error})", fix)
    return None if {"version", "value"} & groups.keys() else _invalid_value("it has no group called version", fix)


def index_name_problem(text: str) -> Blocked | None:
    """Return the problem with a name that the settings give an index, or None if it is valid.

    It must consist of word characters, `-` and `.`. The names of predefined indexes, such as `pypi`, and `forge`
    are not allowed.
    """
    why = None
    if text.upper() == "FORGE":
        why = "the variable RELNOX_FORGE_TOKEN holds the token of the forge"
    elif (name := re.sub(r"[\W_]", "", text.lower())) in _PREDEFINED_INDEXES:
        why = f"{name} is predefined, and its credentials belong to its own address"
    elif not re.fullmatch(r"\w[\w.-]*", text):
        why = "only letters, digits, '-', '_' and '.' are allowed"
    return None if why is None else _invalid_value(why, "rename the index")


def passed_variable_problem(text: str) -> Blocked | None:
    """Return the problem with the name of a variable to pass to programs, or None if it is valid.

    Variables that hold an upload credential or configure an upload tool are not allowed.
    """
    if variable_name_problem(text) is not None:
        return _invalid_value("it is not a valid variable name", 'for example: pass-env = ["NAME"]')
    if is_upload_credential_name(text) or is_upload_setting_name(text):
        fix = f"remove {text}; if a build needs a token, pass it in another variable"
        return _invalid_value("no program may read an upload credential", fix)
    return None


def requirement_problem(text: str) -> Blocked | None:
    """Return the problem with a requirement (PEP 508) to install, or None if it is valid.

    A text that begins with `-`, `.` or `/` is valid without a further check: it is an option of the installer or a
    path.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # imported lazily: it is slow to import

    try:
        Requirement(text)
    except InvalidRequirement as error:
        if not text.startswith(("-", ".", "/")):
            return _invalid_value(
                f"it is not a requirement ({str(error).splitlines()[0]})", 'for example: "pytest>=8"'
            )
    return None


def expression_problem(text: str) -> Blocked | None:
    """Return the problem with a text that must be a Python expression, or None if it is one."""
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        fix = "write an expression such as \"demo.main(['--version'])\"; modules that it names are imported"
        return _invalid_value(f"it is not an expression of Python ({getattr(error, 'msg', error)})", fix)
    return None


growth_problem = _rule(GROWTH.fullmatch, "it is no growth of a file", 'for example: max-growth = "20%" or "2 MB"')
command_problem = _rule(str.strip, "the program is missing", 'for example: ["python", "-m", "pytest"]')
distribution_name_problem = _rule(is_valid_name, "it is not a valid package name", "use the name in [project]")
commit_type_problem = _rule(
    re.compile(r"\w[\w-]*").fullmatch, "it is not the type of a Conventional Commit", 'for example: "feat"'
)
document_problem = _rule(str.strip, "it names no file", "name a file, or - for standard output")


def commit_message_problem(text: str) -> Blocked | None:
    """Return the problem with a commit message, or None if it is valid.

    It must not be empty, and may have the fields `{version}` and `{packages}` but no others.
    """
    if not text.strip():
        return _invalid_value("git requires a commit message", 'for example: commit-message = "Release {version}"')
    if unknown := [field for field in TAG_FIELDS.findall(text) if field not in _MESSAGE_FIELDS]:
        return _invalid_value(f"{{{unknown[0]}}} is not a field", "use {version} and {packages}")
    if _has_single_brace(text):
        return _invalid_value("a brace in it is no part of a field", "use {version} and {packages}")
    return None


web_address_problem = _rule(
    lambda text: not text or re.fullmatch(r"https?://[^\s()<>\"']+", text),
    "it is not the address of a page",
    'for example: link = "https://example.org/checklist"',
)
module_problem = _rule(
    lambda text: all(part.isidentifier() for part in text.split(".")),
    "it is not the name of a module",
    'write it as in an import statement, such as "acme.tools"',
)
python_version_problem = _rule(
    re.compile(r"3\.\d{1,3}", re.ASCII).fullmatch,
    "it is not a Python version",
    "use the major and minor version, such as 3.12",
)
remote_problem = _rule(  # not a URL: only names have remote-tracking branches
    lambda text: ref_name_violation(text) is None,
    "it is not the name of a remote",
    'git remote add upstream URL, and set remote = "upstream"',
)
variable_name_problem = _rule(
    lambda text: text and "=" not in text and not _CONTROL.search(text),
    "it is not a valid variable name",
    "for example: env = { NAME = 'value' }",
)
