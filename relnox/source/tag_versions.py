"""Detect versions that the build derives from git tags: by which plugin, and from which tags.

No file contains such a version, so that a bump only adds a tag. setuptools-scm, hatch-vcs, versioningit,
uv-dynamic-versioning, poetry-dynamic-versioning, pdm-backend, flit-scm and versioneer are detected by their
settings in pyproject.toml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from relnox.core.documents import strings_in, table_at
from relnox.core.packages import Package, VersionSource
from relnox.core.records import replace

_BASED_ON_DUNAMAI = ("uv-dynamic-versioning", "poetry-dynamic-versioning")
"""Plugins based on dunamai, whose default pattern requires tags to begin with `v`."""
_MATCH_OPTION = re.compile(r"--match[= ]['\"]?(?P<glob>[^'\" ]+)")
_DISTRIBUTION_NAME = re.compile(r"[A-Za-z0-9._-]+")


def detect_tag_version(package: Package, document: Mapping[str, Any]) -> Package:
    """Return the package; if its build derives the version from tags, its version source has the kind `tags`."""
    if (plugin := _find_version_plugin(package, document)) is None:
        return package
    name, settings = plugin
    key = tuple(islice(_find_tag_prefixes(name, settings), 1))
    return replace(package, source=VersionSource(kind="tags", file=package.pyproject, key=key, text=name))


def settings_for_own_tags(package: Package, prefix: str) -> str:
    """Return TOML settings, to show to the user, with which a package's build uses only tags with the prefix."""
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


def _find_version_plugin(package: Package, document: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the plugin that derives the version from tags, and its settings, or None if there is none."""
    tool = table_at(document, "tool")
    hatch, pdm = table_at(tool, "hatch", "version"), table_at(tool, "pdm", "version")
    build_requires = {
        name[0].lower().replace("_", "-")
        for requirement in strings_in(table_at(document, "build-system").get("requires"))
        if (name := _DISTRIBUTION_NAME.match(requirement))
    }
    source = hatch.get("source")
    if source == "vcs":
        return "hatch-vcs", {**table_at(hatch, "raw-options"), "tag-pattern": hatch.get("tag-pattern")}
    if source in ("versioningit", "uv-dynamic-versioning"):
        return source, table_at(tool, source)
    if pdm.get("source") == "scm":
        return "pdm, from the tags", pdm
    if table_at(tool, "poetry-dynamic-versioning").get("enable") is True:
        return "poetry-dynamic-versioning", table_at(tool, "poetry-dynamic-versioning")
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
    """Yield the tag prefix that each setting of a plugin implies, if any."""
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
