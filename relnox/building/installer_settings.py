"""The constraint files for builds, and environment variables that restrict an installer to one index."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SOURCE_VARIABLES = re.compile(
    r"PIP_(CONFIG_FILE|CONSTRAINT|EXTRA_INDEX_URL|FIND_LINKS|INDEX_URL|NO_INDEX|REQUIREMENT)"
    r"|UV_(BUILD_CONSTRAINT|CONFIG_FILE|CONSTRAINT|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|INDEX\w*|NO_INDEX|OVERRIDE)",
    re.ASCII,
)
"""Names of variables that change which packages an installer selects, or where it gets them from."""
_EXTERNAL_CONSTRAINT = re.compile(r"\S\s*@\s*\w|://|^-(?!-hash=)")
"""A constraint that names a URL, or a line of a constraint file with an option other than `--hash`."""


def use_only_index(variables: Mapping[str, str], index_url: str) -> dict[str, str]:
    """Return `variables`, changed so that an installer uses only this index (a simple API URL).

    Unlike options, variables also apply to the builds that an installer runs for sdists.
    """
    others = {name: value for name, value in variables.items() if not _SOURCE_VARIABLES.fullmatch(name)}
    # [tool.uv.sources] of an sdist may name another index.
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index_url}
    return others | pip | {"UV_NO_CONFIG": "1", "UV_NO_SOURCES": "1", "UV_DEFAULT_INDEX": index_url}


def find_constraint_files(variables: Mapping[str, str], directory: Path) -> tuple[tuple[str, str], ...]:
    """Return the constraint files for builds, each as its path or URL and the variable that names it.

    Relative paths are resolved in `directory`. The variables are read by pip in `python -m build`, by pip in its
    builds, and by `uv build`, in this order; relnox applies all of them with either installer.
    """
    files = [
        (file if "://" in file else str(directory / file), name)
        for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_BUILD_CONSTRAINT")
        for file in variables.get(name, "").split()
    ]
    return tuple(dict.fromkeys(files))


def find_external_constraints(files: Iterable[str], requirements: Iterable[str]) -> Iterator[str]:
    """Yield the constraints in `files` and `requirements` that refer to a location other than the index.

    A constraint file that is itself a URL is yielded, since its content is not known.
    """
    yield from (requirement for requirement in requirements if "@" in requirement)
    for file in files:
        try:
            text = "" if "://" in file else Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # the installer reports the problem
        lines = (line.partition(" #")[0].strip() for line in text.splitlines())
        if "://" in file:
            yield file
        yield from (line for line in lines if not line.startswith("#") and _EXTERNAL_CONSTRAINT.search(line))
