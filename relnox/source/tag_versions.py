"""Versions that a build derives from git's tags: who does, and what tags it looks at.

There is no text to edit then: a bump is a tag. setuptools-scm, hatch-vcs, versioningit, uv-dynamic-versioning,
poetry-dynamic-versioning, pdm-backend, flit-scm and versioneer are known by their settings in pyproject.toml.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from relnox.core.packages import VersionSource
from relnox.core.records import replace
from relnox.source.pyproject import strings, table_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.core.packages import Package

__all__ = ["recognised", "settings_for_own_tags"]

_BY_DUNAMAI = ("uv-dynamic-versioning", "poetry-dynamic-versioning")
"""Those that leave it to dunamai, whose default pattern wants a `v`."""
_MATCH = re.compile(r"--match[= ]['\"]?(?P<glob>[^'\" ]+)")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9._-]+")


def recognised(package: Package, document: Mapping[str, Any]) -> Package:
    """The package, with a source of kind `tags` if its version comes from tags; else as it was."""
    provider = _provider(package, document)
    if provider is None:
        return package
    name, settings = provider
    key = tuple(islice(_prefixes(name, settings), 1))
    return replace(package, source=VersionSource(kind="tags", file=package.pyproject, key=key, text=name))


def settings_for_own_tags(package: Package, before: str) -> str:
    """Settings by which a package's backend looks only at tags that begin with a text, as TOML with their file."""
    expression = f"^{re.escape(before).replace(chr(92) + '-', '-')}(?P<version>.+)$"
    describe = f'["git", "describe", "--dirty", "--tags", "--long", "--match", "{before}*"]'
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
                f"tag_filter = '{before}*'",
                f"tag_regex = '{expression}'",
            ]
        case "versioningit":
            lines = [
                "[tool.versioningit.vcs]",
                'method = "git"',
                f'match = ["{before}*"]',
                "[tool.versioningit.tag2version]",
                f'rmprefix = "{before}"',
            ]
        case "uv-dynamic-versioning" | "poetry-dynamic-versioning" as plugin:
            lines = [f"[tool.{plugin}]", f'pattern-prefix = "{before.removesuffix("v")}"']
        case "versioneer":
            lines = ["[tool.versioneer]", f'tag_prefix = "{before}"']
        case _:  # setuptools-scm, and flit-scm, which reads the same table
            lines = [
                "[tool.setuptools_scm]",
                'root = "{up}"',
                f"tag_regex = '{expression}'",
                f"git_describe_command = {describe}",
            ]
    up = "/".join(".." for part in package.folder.split("/") if part != ".") or "."
    return "\n".join([f"# {package.pyproject}", *(line.replace("{up}", up) for line in lines)])


def _provider(package: Package, document: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Who derives the version, and the settings that choose its tags."""
    tool = table_at(document, "tool")
    hatch, pdm = table_at(tool, "hatch", "version"), table_at(tool, "pdm", "version")
    needs = {
        found[0].lower().replace("_", "-")
        for each in strings(table_at(document, "build-system").get("requires"))
        if (found := _DISTRIBUTION.match(each))
    }
    match hatch.get("source"):
        case "vcs":
            return "hatch-vcs", {**table_at(hatch, "raw-options"), "tag-pattern": hatch.get("tag-pattern")}
        case "versioningit":
            return "versioningit", table_at(tool, "versioningit")
        case "uv-dynamic-versioning":
            return "uv-dynamic-versioning", table_at(tool, "uv-dynamic-versioning")
        case _:
            pass
    if pdm.get("source") == "scm":
        return "pdm, from the tags", pdm
    if table_at(tool, "poetry-dynamic-versioning").get("enable") is True:
        return "poetry-dynamic-versioning", table_at(tool, "poetry-dynamic-versioning")
    provider = str(table_at(tool, "scikit-build", "metadata", "version").get("provider", ""))
    if "setuptools_scm" in tool or "setuptools-scm" in needs or provider.endswith("setuptools_scm"):
        return "setuptools-scm", table_at(tool, "setuptools_scm")
    if "versioningit" in tool:
        return "versioningit", table_at(tool, "versioningit")
    if package.backend.startswith("flit_scm"):
        return "flit-scm", table_at(tool, "setuptools_scm")
    if "versioneer" in tool:
        return "versioneer", table_at(tool, "versioneer")
    return None


def _prefixes(provider: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """What tags begin with, by each setting that says so."""
    if provider in _BY_DUNAMAI and settings.get("pattern", "default") == "default":
        yield f"{settings.get('pattern-prefix', '')}v"
    for key in ("pattern-prefix", "tag_prefix"):
        if isinstance(text := settings.get(key), str) and text:
            yield text
    if isinstance(text := table_at(settings, "tag2version").get("rmprefix"), str):
        yield text
    described = settings.get("git_describe_command") or settings.get("describe_command")
    described = described or table_at(settings, "scm", "git").get("describe_command")
    words = described if isinstance(described, str) else " ".join(strings(described))
    globs = [found["glob"] for found in _MATCH.finditer(words)]
    globs += strings(table_at(settings, "vcs").get("match"))
    globs += [text] if isinstance(text := settings.get("tag_filter"), str) else []
    for glob in globs:
        before = re.split(r"[*?\[]", glob, maxsplit=1)[0]
        if before or glob.startswith("[0-9]"):
            yield before
    for key in ("tag_regex", "tag-pattern", "pattern"):
        if isinstance(text := settings.get(key), str) and "(" in text:
            before = _literal_start(text)
            if before or re.match(r"\^?\((?:\?P<version>)?\\d", text):
                yield before


def _literal_start(expression: str) -> str:
    """The text that everything a regular expression matches begins with; an optional `v` is taken as there."""
    text = ""
    for found in re.finditer(r"\\(?P<escaped>[^A-Za-z0-9])|(?P<plain>[A-Za-z0-9_/@=-])|.", expression.lstrip("^")):
        letter = found["escaped"] or found["plain"]
        follows = expression.lstrip("^")[found.end() : found.end() + 1]
        if letter is None or follows in ("*", "{") or (follows == "?" and letter != "v"):
            break
        text += letter
        if follows in ("?", "+"):
            break
    return text
