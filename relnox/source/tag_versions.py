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

__all__ = ["recognised", "remedy"]

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


def remedy(package: Package, prefix: str) -> str:
    """How the backend of a package is told to look at its own tags alone.

    Args:
        package: A package whose version comes from tags.
        prefix: What its tags begin with.
    """
    glob = f"{prefix}*"
    described = f"git_describe_command = \"git describe --dirty --tags --long --match '{glob}'\""
    match package.source.text:
        case "hatch-vcs":
            setting = f"[tool.hatch.version.raw-options] {described}"
        case "setuptools-scm" | "flit-scm":
            setting = f"[tool.setuptools_scm] {described}"
        case "versioningit":
            setting = f'[tool.versioningit.vcs] match = ["{glob}"]'
        case "uv-dynamic-versioning" | "poetry-dynamic-versioning":
            setting = f'[tool.{package.source.text}] pattern-prefix = "{prefix.removesuffix("v")}"'
        case "versioneer":
            setting = f'[tool.versioneer] tag_prefix = "{prefix}"'
        case "pdm, from the tags":
            setting = f'[tool.pdm.version] tag_filter = "{glob}"'
        case _:
            return ""
    return f"let the backend look at tags of {package.name} alone, in {package.pyproject}: {setting}"


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
