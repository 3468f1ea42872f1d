"""Versions that the build derives from git tags: by which plugin, from which tags, and whether they are right.

No file contains such a version, so that a bump only adds a tag. setuptools-scm, hatch-vcs, versioningit,
uv-dynamic-versioning, poetry-dynamic-versioning, pdm-backend, flit-scm and versioneer are detected by their
settings in pyproject.toml. Most of them read the nearest tag, whichever package it belongs to: in a workspace
where each package has its own tags, they may take the version of a sibling unless their settings say which tags
to read.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from packaging.version import InvalidVersion, Version

from relnox.core.documents import strings_in, table_at
from relnox.core.packages import Package, VersionSource
from relnox.core.records import Record, replace
from relnox.core.tags import TagFormat, split_tag
from relnox.errors import Level, Problem

POETRY_PLUGIN = "poetry-dynamic-versioning"
_BASED_ON_DUNAMAI = ("uv-dynamic-versioning", POETRY_PLUGIN)
"""Plugins based on dunamai, whose default pattern requires tags to begin with `v`."""
_MATCH_OPTION = re.compile(r"--match[= ]['\"]?(?P<glob>[^'\" ]+)")
_DISTRIBUTION_NAME = re.compile(r"[A-Za-z0-9._-]+")
_VERSION_VARIABLE = re.compile(
    r"(SETUPTOOLS_SCM|VCS_VERSIONING|HATCH_VCS)_PRETEND_VERSION(_FOR_\w+)?"
    r"|PDM_BUILD_SCM_VERSION|PBR_VERSION|(POETRY|UV)_DYNAMIC_VERSIONING_BYPASS"
)
"""Environment variables whose value build backends take as the version, instead of that of tags."""
_SET_VERSION_OR_TAG = "set the version of the tag, or tag the commit that has this version"


def detect_tag_source(package: Package, pyproject: Mapping[str, Any]) -> Package:
    """Return the package, with a source of kind `tags` if its build derives the version from git tags.

    `pyproject` is its parsed pyproject.toml, which decides that. Otherwise, the package is returned unchanged.
    """
    if (plugin := _find_version_plugin(package, pyproject)) is None:
        return package
    name, settings = plugin
    key = tuple(islice(_find_tag_prefixes(name, settings), 1))
    return replace(package, source=VersionSource(kind="tags", file=package.pyproject, key=key, text=name))


def settings_for_own_tags(package: Package, prefix: str) -> str:
    """Return TOML to put into a package's pyproject.toml, so that its build reads only tags with this prefix.

    The build must derive the version from tags.
    """
    expression = f"^{re.escape(prefix).replace(chr(92) + '-', '-')}(?P<version>.+)$"
    describe = f'["git", "describe", "--dirty", "--tags", "--long", "--match", "{prefix}*"]'
    match package.source.text.partition(",")[0]:
        case "hatch-vcs":
            lines = [
                "[tool.hatch.version]",
                'source = "vcs"',
                f"tag-pattern = '{expression}'",
                "[tool.hatch.version.raw-options]",
                'root = "{up}"',
                f"git_describe_command = {describe}",
            ]
        case "pdm":
            lines = [
                "[tool.pdm.version]",
                'source = "scm"',
                f"tag_filter = '{prefix}*'",
                f"tag_regex = '{expression}'",
            ]
        case "versioningit":
            lines = [
                "[tool.versioningit.vcs]",
                'method = "git"',
                f'match = ["{prefix}*"]',
                "[tool.versioningit.tag2version]",
                f'rmprefix = "{prefix}"',
            ]
        case "uv-dynamic-versioning" | "poetry-dynamic-versioning" as plugin:
            lines = [f"[tool.{plugin}]", f'pattern-prefix = "{prefix.removesuffix("v")}"']
        case "versioneer":
            lines = ["[tool.versioneer]", f'tag_prefix = "{prefix}"']
        case _:  # setuptools-scm, and flit-scm, which reads the same table
            lines = [
                "[tool.setuptools_scm]",
                'root = "{up}"',
                f"tag_regex = '{expression}'",
                f"git_describe_command = {describe}",
            ]
    up = "/".join(".." for part in package.directory.split("/") if part != ".") or "."
    return "\n".join([f"# {package.pyproject}", *(line.replace("{up}", up) for line in lines)])


def _find_version_plugin(package: Package, pyproject: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the name and the settings of the plugin that derives the version from git tags, or None.

    `pyproject` is the parsed pyproject.toml of the package, which also contains the settings.
    """
    tool = table_at(pyproject, "tool")
    hatch, pdm = table_at(tool, "hatch", "version"), table_at(tool, "pdm", "version")
    build_requires = {
        name[0].lower().replace("_", "-")
        for requirement in strings_in(table_at(pyproject, "build-system").get("requires"))
        if (name := _DISTRIBUTION_NAME.match(requirement))
    }
    source = hatch.get("source")
    if source == "vcs":
        return "hatch-vcs", {**table_at(hatch, "raw-options"), "tag-pattern": hatch.get("tag-pattern")}
    if source in ("versioningit", "uv-dynamic-versioning"):
        return source, table_at(tool, source)
    if pdm.get("source") == "scm":
        return "pdm, from the tags", pdm
    if table_at(tool, POETRY_PLUGIN).get("enable") is True:
        return POETRY_PLUGIN, table_at(tool, POETRY_PLUGIN)
    provider = str(table_at(tool, "scikit-build", "metadata", "version").get("provider", ""))
    if "setuptools_scm" in tool or "setuptools-scm" in build_requires or provider.endswith("setuptools_scm"):
        return "setuptools-scm", table_at(tool, "setuptools_scm")
    if "versioningit" in tool:
        return "versioningit", table_at(tool, "versioningit")
    if package.backend.startswith("flit_scm"):
        return "flit-scm", table_at(tool, "setuptools_scm")
    if "versioneer" in tool:
        return "versioneer", table_at(tool, "versioneer")
    return None


def _find_tag_prefixes(plugin: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the prefixes of tags that a plugin's settings require, one for each setting that implies any.

    "" means that tags begin with the version. If the settings allow any tag, nothing is yielded.
    """
    if plugin in _BASED_ON_DUNAMAI and settings.get("pattern", "default") == "default":
        yield f"{settings.get('pattern-prefix', '')}v"
    for key in ("pattern-prefix", "tag_prefix"):
        if isinstance(text := settings.get(key), str) and text:
            yield text
    if isinstance(text := table_at(settings, "tag2version").get("rmprefix"), str):
        yield text
    command = settings.get("git_describe_command") or settings.get("describe_command")
    command = command or table_at(settings, "scm", "git").get("describe_command")
    command_line = command if isinstance(command, str) else " ".join(strings_in(command))
    globs = [match["glob"] for match in _MATCH_OPTION.finditer(command_line)]
    globs += strings_in(table_at(settings, "vcs").get("match"))
    globs += [text] if isinstance(text := settings.get("tag_filter"), str) else []
    for glob in globs:
        prefix = re.split(r"[*?\[]", glob, maxsplit=1)[0]
        if prefix or glob.startswith("[0-9]"):
            yield prefix
    for key in ("tag_regex", "tag-pattern", "pattern"):
        if isinstance(text := settings.get(key), str) and "(" in text:
            prefix = _literal_prefix(text)
            if prefix or re.match(r"\^?\((?:\?P<version>)?\\d", text):
                yield prefix


def _literal_prefix(expression: str) -> str:
    """Return the literal text at the start of a regular expression; an optional `v` counts as part of it."""
    prefix = ""
    expression = expression.lstrip("^")
    for match in re.finditer(r"\\(?P<escaped>[^A-Za-z0-9])|(?P<plain>[A-Za-z0-9_/@=-])|.", expression):
        letter = match["escaped"] or match["plain"]
        next_letter = expression[match.end() : match.end() + 1]
        if letter is None or next_letter in ("*", "{") or (next_letter == "?" and letter != "v"):
            break
        prefix += letter
        if next_letter in ("?", "+"):
            break
    return prefix


class CommitTag(Record, kw_only=True):
    """A tag of the commit that is built.

    Attributes:
        package: The name of the package that it belongs to, or an empty string.
        version: The version in it, or None if it has none.
    """

    name: str
    package: str
    version: Version | None


class CommitTags(Record, kw_only=True):
    """The tags of the commit that is built, from the view of one package.

    Attributes:
        package_tag: The package's own tag, with the highest version, or None if it has none at this commit.
        other_tags: The tags that do not belong to the package.
        is_version_derived: Whether the backend derives the package's version from tags.
        remedy: How to configure the backend to read only the package's own tags; empty if `is_version_derived` is
            false.
    """

    package_tag: CommitTag | None
    other_tags: tuple[CommitTag, ...] = ()
    is_version_derived: bool
    remedy: str = ""


def classify_tags_of_commit(
    package: str, tags: Iterable[str], formats: Mapping[str, TagFormat], *, is_version_derived: bool, remedy: str
) -> CommitTags:
    """Divide all tags of a commit into those of `package` and others.

    `formats` maps the names of all packages to their tag formats; `is_version_derived` and `remedy` are fields of
    the result.
    """
    here = sorted(tags)
    latest = formats[package].latest_tag(here)
    own = None if latest is None else CommitTag(name=latest[0], package=package, version=latest[1])
    others = []
    for tag in here:
        if formats[package].parse(tag) is None:
            owner = next((name for name, tag_format in formats.items() if tag_format.parse(tag) is not None), "")
            _, version = ("", formats[owner].parse(tag)) if owner else split_tag(tag) or ("", None)
            others.append(CommitTag(name=tag, package=owner, version=version))
    return CommitTags(
        package_tag=own, other_tags=tuple(others), is_version_derived=is_version_derived, remedy=remedy
    )


def find_version_variable(variables: Mapping[str, str], version: Version) -> str:
    """Return the name of an environment variable that makes build backends use this version, or "".

    `variables` is the environment. Those that count are `SETUPTOOLS_SCM_PRETEND_VERSION`, `PBR_VERSION` and
    similar.
    """
    for name, value in sorted(variables.items()):
        if _VERSION_VARIABLE.fullmatch(name) is not None:
            with contextlib.suppress(InvalidVersion):
                if Version(value) == version:
                    return name
    return ""


def version_mismatch_problem(
    package: str, version: Version, tags: CommitTags, *, variable: str = ""
) -> Problem | None:
    """Return the problem if a built archive's version contradicts the tags of its commit, or else None.

    If the package has a tag there, any other version is an error. If it has none, only a version that is derived
    from tags, and is neither a dev release nor a local one, contradicts: an error if another package has a tag
    with this version, and otherwise a warning. `variable` is the environment variable that set the version, if
    any: then the fix is to unset it.
    """
    tag = tags.package_tag
    if tag is not None and tag.version == version:
        return None
    if tag is None and (not tags.is_version_derived or version.is_devrelease or version.local is not None):
        return None
    other = next((tag for tag in tags.other_tags if tag.version == version), None)
    owner = f" of {other.package}" if other is not None and other.package else ""
    origin = "" if other is None else f" (as tag {other.name}{owner})"
    level: Level = "error"
    fix = tags.remedy if other is not None and tags.remedy else _SET_VERSION_OR_TAG
    if tag is not None:
        why = f"{origin}, but tag {tag.name} of this commit has {tag.version}"
    elif owner:
        why = f"{origin}, but {package} has no tag at this commit"
    elif other is not None:
        level, why = "warning", f"{origin}, but by tag-format that tag does not belong to {package}"
        fix = 'set tag-format in [tool.relnox], or versions = "lockstep" for common tags'
    else:
        level, why = "warning", ", but no tag of this commit has it"
        fix = "run git fetch --tags, and check that no environment variable or fallback sets the version"
    message = f"its version is {version}{why}"
    return Problem("release-version-differs", message, f"unset {variable}" if variable else fix, level=level)
