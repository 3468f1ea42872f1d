"""What is installed in an environment: its distributions, read from their files, and checks that run its Python.

The files are those of PEP 376, PEP 610 and the specification "Recording installed projects".
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from relnox.building import installation_check_script
from relnox.building.environments import VirtualEnvironment
from relnox.core.packages import normalize_name
from relnox.core.records import Record
from relnox.errors import Failed
from relnox.system import process, syntax_trees

_MAX_OUTPUT_LINES = 8
"""The number of output lines, counted from the end, that an error shows."""


class InstalledDistribution(Record, kw_only=True):
    """A distribution in an environment, as its `.dist-info` directory describes it.

    Attributes:
        name: Normalized name (PEP 503); empty, as is the version, if the metadata is missing.
        direct_url: The content of `direct_url.json` (PEP 610); empty if the distribution came from an index.
        record_hashes: Maps each file in RECORD (relative to site-packages) to its hash (`sha256=…`), or to "".
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


def changed_file_messages(distribution: InstalledDistribution) -> Iterator[str]:
    """Yield a message for each file in RECORD that is missing, or that differs from its hash there, if it has one.

    Bytecode (`.pyc`) may differ.
    """
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
    """Read a `.dist-info` directory; what its missing files would contain is empty in the result."""
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
    """Return the text of a file, or an empty string if it is missing.

    Bytes that are not UTF-8, as in the metadata of some old packages, are kept like those in file names (PEP 383).
    """
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


class InstallationCheckFailure(Record, kw_only=True):
    """A failed check of an installed package.

    Attributes:
        location: The line of installed code that raised the error (`FILE, line N`), or None if it is unknown.
        missing_module: The module that could not be found, or None if the error is another one.
    """

    message: str
    location: str | None = None
    missing_module: str | None = None


class InstallationCheckResult(Record, kw_only=True):
    """The results of the checks in one environment.

    Attributes:
        failures: Empty if all checks passed.
        versions: Maps each imported module to its `__version__`, or to None if it has none.
        scripts: The names of the scripts whose functions exist.
        output: The last lines of output.
    """

    failures: tuple[InstallationCheckFailure, ...] = ()
    versions: Mapping[str, str | None] = MappingProxyType({})
    scripts: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


def run_installation_checks(  # noqa: PLR0913 - what checks need
    environment: VirtualEnvironment,
    request: Mapping[str, Any],
    *,
    directory: Path,
    variables: Mapping[str, str],
    time_limit: float,
    on_line: Callable[[str], None],
) -> InstallationCheckResult:
    """Run the checks of a request in an environment, and kill the processes that they leave running.

    `installation_check_script` describes requests. `directory`, which must be empty, gets temporary files. A check
    that fails, or a time limit (seconds, for all checks) that is exceeded, is a failure in the result and raises
    nothing. The checks run with the environment variables `variables`, changed to activate `environment`;
    `on_line` is called with each line of output.
    """
    script = Path(installation_check_script.__file__)
    request_file, result_file, empty = directory / "request", directory / "result", directory / "empty"
    request_file.write_text(ascii(dict(request)), encoding="utf-8")
    result_file.touch()
    empty.mkdir()
    output: deque[str] = deque(maxlen=_MAX_OUTPUT_LINES)
    early_end = None

    def handle_line(line: str) -> None:
        output.append(line)
        on_line(line)

    try:
        completed = process.run(
            [environment.python, "-I", "-B", "-X", "faulthandler", script, request_file, result_file],
            cwd=empty,
            env=environment.activated_variables(variables),
            timeout=time_limit,
            on_line=handle_line,
            kill_leftovers=True,
        )
        if status := completed.returncode:
            reason = f"signal {-status}" if status < 0 else f"status {status}"
            early_end = f"ends the interpreter with {reason}"
    except Failed:
        early_end = f"does not end within {time_limit:g} s"
    lines = [syntax_trees.literal_eval(line) for line in result_file.read_text(encoding="utf-8").splitlines()]
    return _parse_result(lines, early_end, tuple(output))


def _parse_result(
    lines: Iterable[Mapping[str, Any]], early_end: str | None, output: tuple[str, ...]
) -> InstallationCheckResult:
    """Return the result that the lines of the script's result file describe, and add `output` to it.

    `early_end` is a clause on how its process failed (`ends the interpreter with status 1`), or None.
    """
    failures: list[InstallationCheckFailure] = []
    versions: dict[str, str | None] = {}
    scripts: list[str] = []
    running, is_done = "the start of its Python", False
    for line in lines:
        match line:
            case {"running": title}:
                running = title
            case {"done": True}:
                is_done = True
            case {"failure": message}:
                location, missing_module = line.get("location"), line.get("missing_module")
                failures.append(
                    InstallationCheckFailure(message=message, location=location, missing_module=missing_module)
                )
            case {"imported": name, "version": version}:
                versions[name] = version
            case {"script": name}:
                scripts.append(name)
            case _:
                raise ValueError(f"{line} is not a line of the result")
    if is_done and early_end is not None:
        failures.append(InstallationCheckFailure(message=f"all checks ran, but Python's exit {early_end}"))
    elif not is_done:
        early_end = early_end or "ends the interpreter without an error (such as os._exit)"
        failures.append(InstallationCheckFailure(message=f"{running} {early_end}"))
    return InstallationCheckResult(
        failures=tuple(failures), versions=versions, scripts=tuple(scripts), output=output
    )
