"""Which requirement a missing module means, and where it is to be added."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core.names import normalized, requirement_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["candidate_modules", "distribution_for", "extra_providing", "hatch_plugin"]

_DISTRIBUTIONS = {
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
"""Distributions that are not called like the module that they bring."""

_HATCH_PLUGIN = re.compile(
    r"Unknown (?P<kind>version source|version scheme|build hook|metadata hook|builder)(?: plugin)?: [`'\"]?"
    r"(?P<name>[\w.-]+)"
)
_HATCH_PLUGINS = {
    "nodejs": "hatch-nodejs-version",
    "uv-dynamic-versioning": "uv-dynamic-versioning",
    "versioningit": "versioningit",
}

_EXTRA = re.compile(r"\bextra\s*==\s*['\"](?P<name>[^'\"]+)['\"]")


def distribution_for(module: str) -> str:
    """The distribution that most likely brings a module."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((_DISTRIBUTIONS[name] for name in names if name in _DISTRIBUTIONS), normalized(parts[0]))


def candidate_modules(lines: Iterable[str], missing: str) -> tuple[str, ...]:
    """What was to be candidate_modules when a module was missing, the longest name first, the module itself last.

    Where no package of a namespace is installed, Python says that the namespace is missing.

    Args:
        lines: A traceback.
        missing: The module that it names.
    """
    statement = re.compile(
        rf"\b(?:from|import)\s+(?P<module>{re.escape(missing)}(?:\.\w+)*)(?:\s+import\s+\(?\s*(?P<name>\w+))?"
    )
    statements = [found for line in lines if (found := statement.search(line)) is not None]
    if not statements:
        return (missing,)
    module, name = statements[-1]["module"], statements[-1]["name"]
    return tuple(dict.fromkeys([*([f"{module}.{name}"] if name else []), module, missing]))


def hatch_plugin(line: str) -> str | None:
    """The distribution of a plugin that hatchling says it does not know; None for another line."""
    if (found := _HATCH_PLUGIN.search(line)) is None:
        return None
    name = found["name"].rstrip(".")
    return _HATCH_PLUGINS.get(name, name if name.startswith("hatch") else f"hatch-{normalized(name)}")


def extra_providing(module: str, requires: Iterable[str]) -> str | None:
    """The extra of a package that requires what brings a module; None where none of them does.

    Args:
        module: The module.
        requires: The package's `Requires-Dist`.
    """
    wanted = {requirement_name(distribution_for(module)), normalized(module.partition(".")[0])}
    for each in requires:
        if requirement_name(each) in wanted and (found := _EXTRA.search(each.partition(";")[2])) is not None:
            return found["name"]
    return None
