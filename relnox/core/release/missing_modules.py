"""Suggestions for a missing module: the distribution that provides it, or the extra that requires it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core.names import normalize_name, requirement_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_DISTRIBUTION_BY_MODULE = {
    "Crypto": "pycryptodome",
    "Cython": "Cython",
    "PIL": "Pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "distutils": "setuptools",
    "git": "GitPython",
    "google.protobuf": "protobuf",
    "grpc": "grpcio",
    "grpc_tools": "grpcio-tools",
    "jwt": "PyJWT",
    "mesonpy": "meson-python",
    "mypyc": "mypy",
    "pdm.backend": "pdm-backend",
    "pkg_resources": "setuptools<81",
    "poetry.core": "poetry-core",
    "skbuild": "scikit-build",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Maps modules to their distributions where the names differ."""

_UNKNOWN_HATCH_PLUGIN = re.compile(
    r"Unknown (?P<kind>version source|version scheme|build hook|metadata hook|builder)(?: plugin)?: [`'\"]?"
    r"(?P<name>[\w.-]+)"
)
_HATCH_PLUGINS = {
    "nodejs": "hatch-nodejs-version",
    "uv-dynamic-versioning": "uv-dynamic-versioning",
    "versioningit": "versioningit",
}

_EXTRA_MARKER = re.compile(r"\bextra\s*==\s*['\"](?P<name>[^'\"]+)['\"]")


def guess_distribution(module: str) -> str:
    """Return the name of the distribution that probably provides a module."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next(
        (_DISTRIBUTION_BY_MODULE[name] for name in names if name in _DISTRIBUTION_BY_MODULE),
        normalize_name(parts[0]),
    )


def candidate_modules(lines: Iterable[str], missing: str) -> tuple[str, ...]:
    """Return the full names of the modules that a failed import may have needed, the longest name first.

    If no package in a namespace is installed, Python reports the namespace itself as `missing`. The full name is
    therefore read from the import statement in the lines of the traceback.
    """
    statement = re.compile(
        rf"\b(?:from|import)\s+(?P<module>{re.escape(missing)}(?:\.\w+)*)(?:\s+import\s+\(?\s*(?P<name>\w+))?"
    )
    statements = [match for line in lines if (match := statement.search(line)) is not None]
    if not statements:
        return (missing,)
    module, name = statements[-1]["module"], statements[-1]["name"]
    return tuple(dict.fromkeys([*([f"{module}.{name}"] if name else []), module, missing]))


def missing_hatch_plugin(line: str) -> str | None:
    """Return the distribution of the plugin that hatchling reports as unknown in a line; None for other lines."""
    if (match := _UNKNOWN_HATCH_PLUGIN.search(line)) is None:
        return None
    name = match["name"].rstrip(".")
    return _HATCH_PLUGINS.get(name, name if name.startswith("hatch") else f"hatch-{normalize_name(name)}")


def extra_providing(module: str, requires: Iterable[str]) -> str | None:
    """Return the extra that installs the distribution of a module, according to `Requires-Dist`, or None."""
    names = {requirement_name(guess_distribution(module)), normalize_name(module.partition(".")[0])}
    for requirement in requires:
        if requirement_name(requirement) in names:
            marker = requirement.partition(";")[2]
            if (match := _EXTRA_MARKER.search(marker)) is not None:
                return match["name"]
    return None
