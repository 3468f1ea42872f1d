"""Ask an environment's own Python whether what is installed there works; see `relnox.building.probe`."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from relnox import process, syntax_trees
from relnox.building import probe
from relnox.core.records import Record
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from relnox.building.environments import Environment

__all__ = ["ProbeFailure", "ProbeResult", "run_probe"]

_TAIL = 8
"""How many of the last lines that were printed somebody reads."""
_MARK = "RELNOX_PROBE"


class ProbeFailure(Record, kw_only=True):
    """Something that does not work.

    Attributes:
        message: What, and how it shows.
        where: The line of installed code that it came from, if it came from one.
        lacks: The module that could not be found, if that is it.
    """

    message: str
    where: str | None = None
    lacks: str | None = None


class ProbeResult(Record, kw_only=True):
    """What the environment's Python told.

    Attributes:
        faults: What does not work, in order.
        imported: Every imported module, and the `__version__` that it states.
        scripts: Scripts whose functions are there.
        standard: Names of the standard library's modules; empty before Python 3.10.
        printed: The last lines that were printed.
    """

    faults: tuple[ProbeFailure, ...] = ()
    imported: Mapping[str, str | None] = MappingProxyType({})
    scripts: tuple[str, ...] = ()
    standard: frozenset[str] = frozenset()
    printed: tuple[str, ...] = ()


def run_probe(  # noqa: PLR0913 - what a question needs
    environment: Environment,
    request: Mapping[str, Any],
    *,
    folder: Path,
    variables: Mapping[str, str],
    time_limit: float,
    on_line: Callable[[str], None],
) -> ProbeResult:
    """Ask, and end whatever the answer leaves running.

    Args:
        environment: Whose Python is asked.
        request: See `relnox.building.probe`.
        folder: An empty folder to work in.
        variables: Environment variables for it.
        time_limit: Seconds.
        on_line: Called with each line that is printed.
    """
    asked, answered, empty = folder / "request", folder / "answer", folder / "empty"
    asked.write_text(ascii(dict(request)), encoding="utf-8")
    answered.touch()
    empty.mkdir()
    printed: deque[str] = deque(maxlen=_TAIL)
    mark = token_hex(16)
    ended = None

    def heard(line: str) -> None:
        printed.append(line)
        on_line(line)

    try:
        ran = process.run(
            [environment.python, "-I", "-X", "faulthandler", Path(probe.__file__), asked, answered],
            cwd=empty,
            env={**environment.variables(variables), _MARK: mark},
            timeout=time_limit,
            on_line=heard,
            leaves_nothing=True,
        )
        if ran.returncode != 0:
            ended = f"ends the interpreter with {_status(ran.returncode)}"
    except Failed:
        ended = f"does not end within {time_limit:g} s"
    finally:
        _end_marked(mark)
    lines = [syntax_trees.literal(line) for line in answered.read_text(encoding="utf-8").splitlines()]
    return _answer(lines, ended, tuple(printed))


def _answer(lines: Iterable[Mapping[str, Any]], ended: str | None, printed: tuple[str, ...]) -> ProbeResult:
    faults: list[ProbeFailure] = []
    imported: dict[str, str | None] = {}
    scripts: list[str] = []
    standard: frozenset[str] = frozenset()
    doing, done = "the start of its Python", False
    for line in lines:
        match line:
            case {"doing": what}:
                doing = what
            case {"done": True}:
                done = True
            case {"fault": message}:
                faults.append(ProbeFailure(message=message, where=line.get("where"), lacks=line.get("lacks")))
            case {"imported": name, "states": version}:
                imported[name] = version
            case {"script": name}:
                scripts.append(name)
            case {"standard": names}:
                standard = frozenset(names)
            case _:
                raise ValueError(f"{line} is no line of an answer")
    if done and ended is not None:
        faults.append(ProbeFailure(message=f"everything was tried, but the end of it {ended}"))
    elif not done:
        faults.append(ProbeFailure(message=f"{doing} {ended or 'ends the interpreter (os._exit?)'}"))
    return ProbeResult(
        faults=tuple(faults), imported=imported, scripts=tuple(scripts), standard=standard, printed=printed
    )


def _end_marked(mark: str) -> None:
    """End processes that bear a mark: daemons leave the group they were started in, but keep its variables."""
    if sys.platform != "linux":
        return
    wanted = f"{_MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:  # it is somebody else's, or is gone
            continue


def _status(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"status {returncode}"
