"""The entry points of a wheel, in the form that installers read ("Entry points specification")."""

from __future__ import annotations

import re
from configparser import ConfigParser
from configparser import Error as ConfigError
from typing import TYPE_CHECKING

from relnox.building.archives import find_dist_info_file, read_file
from relnox.building.findings import error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

__all__ = ["check_entry_points"]

_MAX_BYTES = 1 << 20
_GROUP = re.compile(r"\w+(\.\w+)*")
_REFERENCE = re.compile(
    r"[^\W\d]\w*(\.[^\W\d]\w*)*(?P<attribute>\s*:\s*[^\W\d]\w*(\.[^\W\d]\w*)*)?\s*(\[[^\[\]]*\])?"
)
_SCRIPTS = ("console_scripts", "gui_scripts")
_FIX = 'write it as in [project.scripts] demo = "demo.cli:main"'


def check_entry_points(archive: Archive) -> Iterator[Finding]:
    """Find entry points that installers cannot handle."""
    name = find_dist_info_file(archive, "entry_points.txt")
    if name is None:
        return
    text = read_file(archive, name, _MAX_BYTES).decode("utf-8", "replace")
    parser = ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names are case-sensitive
    try:
        parser.read_string(text)
    except ConfigError as problem:
        first_line = str(problem).splitlines()[0]
        yield error("entry-point-invalid", f"entry_points.txt cannot be parsed: {first_line}", _FIX)
        return
    for group in parser.sections():
        if _GROUP.fullmatch(group) is None:
            yield error(
                "entry-point-invalid",
                f"entry point group {group!r} has an invalid name",
                "use only letters, digits, _ and dots",
            )
        for key, value in parser.items(group):
            yield from _entry(group, key, value)


def _entry(group: str, name: str, value: str) -> Iterator[Finding]:
    reference = _REFERENCE.fullmatch(value)
    if group in _SCRIPTS and ("/" in name or "\\" in name or name in ("", ".", "..")):
        yield error(
            "script-outside-folder",
            f"script {name!r} would be installed outside the scripts folder",
            "remove the path from its name",
        )
    if reference is None:
        yield error(
            "entry-point-invalid",
            f"entry point {name} = {value!r} is not an object reference (module:object)",
            _FIX,
        )
    elif group in _SCRIPTS and reference["attribute"] is None:
        yield error("entry-point-invalid", f"script {name} = {value!r} names no function", _FIX)
