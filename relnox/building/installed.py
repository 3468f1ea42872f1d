"""What is installed in an environment, read from its files: nothing of it is run.

The files are those of PEP 376, PEP 610 and the specification "Recording installed projects".
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from typing import TYPE_CHECKING, Any

from relnox.core.names import normalized
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relnox.building.environments import Environment

__all__ = ["Installed", "damages", "look"]


class Installed(Record, kw_only=True):
    """A distribution that is installed.

    Attributes:
        name: Normalised name (PEP 503).
        version: As its metadata states it.
        info: Its folder of metadata.
        origin: Where it came from, if that was no index (PEP 610).
        record: The hashes of its files by name, relative to where modules are; empty where RECORD tells none.
    """

    name: str
    version: str
    info: Path
    origin: Mapping[str, Any]
    record: Mapping[str, str]


def look(environment: Environment) -> dict[str, Installed]:
    """All distributions of an environment, by name."""
    found = (_read(info) for info in sorted(environment.modules.glob("*.dist-info")))
    return {each.name: each for each in found}


def damages(distribution: Installed, wheel: Mapping[str, str]) -> Iterator[str]:
    """Installed files that are not as RECORD tells them, the installed one or the wheel's own.

    Args:
        distribution: What is installed.
        wheel: What the wheel's own RECORD tells, as `modules.record` gives it.
    """
    for name, expected in {**distribution.record, **wheel}.items():
        path = distribution.info.parent / name
        try:
            content = path.read_bytes()
        except OSError:
            yield f"{name} is in RECORD, but not installed"
            continue
        mode, _, digest = expected.partition("=")
        if digest and mode in hashlib.algorithms_available and not name.endswith(".pyc"):
            found = base64.urlsafe_b64encode(hashlib.new(mode, content).digest()).decode()
            if found.rstrip("=") != digest.rstrip("="):
                yield f"{name} is not the file that RECORD tells of"


def _read(info: Path) -> Installed:
    head = _text(info / "METADATA").partition("\n\n")[0].splitlines()
    stated = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head)}
    rows = csv.reader(_text(info / "RECORD").splitlines())
    return Installed(
        name=normalized(stated.get("name", "")),
        version=stated.get("version", ""),
        info=info,
        origin=json.loads(_text(info / "direct_url.json") or "{}"),
        record={row[0]: row[1] for row in rows if len(row) > 1},
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
