"""The distributions installed in an environment, read from their files without running any code.

The files are those of PEP 376, PEP 610 and the specification "Recording installed projects".
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relnox.building.environments import VirtualEnvironment
from relnox.core.names import normalize_name
from relnox.core.records import Record


class InstalledDistribution(Record, kw_only=True):
    """An installed distribution.

    Attributes:
        direct_url: The content of `direct_url.json` (PEP 610); empty if the distribution came from an index.
        record_hashes: Maps each file in RECORD (its path in site-packages) to its hash, or to "" if it has none.
    """

    name: str
    version: str
    dist_info_directory: Path
    direct_url: Mapping[str, Any]
    record_hashes: Mapping[str, str]


def read_installed_distributions(environment: VirtualEnvironment) -> dict[str, InstalledDistribution]:
    """Return the distributions installed in an environment, by normalized name."""
    distributions = map(_read_distribution, sorted(environment.site_packages.glob("*.dist-info")))
    return {distribution.name: distribution for distribution in distributions}


def find_changed_files(distribution: InstalledDistribution) -> Iterator[str]:
    """Yield a message for each installed file that is missing or differs from its hash in RECORD."""
    for name, recorded_hash in distribution.record_hashes.items():
        path = distribution.dist_info_directory.parent / name
        try:
            content = path.read_bytes()
        except OSError:
            yield f"{name} is in RECORD, but is not installed"
            continue
        algorithm, _, digest = recorded_hash.partition("=")
        if digest and algorithm in hashlib.algorithms_available and not name.endswith(".pyc"):
            actual = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).decode()
            if actual.rstrip("=") != digest.rstrip("="):
                yield f"{name} differs from its hash in RECORD"


def _read_distribution(info: Path) -> InstalledDistribution:
    head = _read_text(info / "METADATA").partition("\n\n")[0].splitlines()
    fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head)}
    rows = csv.reader(_read_text(info / "RECORD").splitlines())
    return InstalledDistribution(
        name=normalize_name(fields.get("name", "")),
        version=fields.get("version", ""),
        dist_info_directory=info,
        direct_url=json.loads(_read_text(info / "direct_url.json") or "{}"),
        record_hashes={row[0]: row[1] for row in rows if len(row) > 1},
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
