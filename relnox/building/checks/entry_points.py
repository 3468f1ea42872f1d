"""The entry points of a wheel, in the form that installers read ("Entry points specification")."""

from __future__ import annotations

import re
from configparser import ConfigParser
from configparser import Error as ConfigError
from typing import TYPE_CHECKING

from relnox.building.archives import file_content, info_file
from relnox.building.findings import error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.findings import Found

__all__ = ["check"]

_LIMIT = 1 << 20
_GROUP = re.compile(r"\w+(\.\w+)*")
_REFERENCE = re.compile(
    r"[^\W\d]\w*(\.[^\W\d]\w*)*(?P<attribute>\s*:\s*[^\W\d]\w*(\.[^\W\d]\w*)*)?\s*(\[[^\[\]]*\])?"
)
_SCRIPTS = ("console_scripts", "gui_scripts")
_HINT = 'write it as in [project.scripts] demo = "demo.cli:main"'


def check(archive: Archive) -> Iterator[Found]:
    """Every entry point that an installer stumbles over."""
    name = info_file(archive, "entry_points.txt")
    if name is None:
        return
    text = file_content(archive, name, _LIMIT).decode("utf-8", "replace")
    parser = ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names are case-sensitive
    try:
        parser.read_string(text)
    except ConfigError as told:
        yield error("todo", f"entry_points.txt cannot be read: {str(told).splitlines()[0]}", _HINT)
        return
    for group in parser.sections():
        if _GROUP.fullmatch(group) is None:
            yield error("todo", f"{group!r} is no name for a group of entry points", "letters, digits, _ and dots")
        for key, value in parser.items(group):
            yield from _entry(group, key, value)


def _entry(group: str, name: str, value: str) -> Iterator[Found]:
    reference = _REFERENCE.fullmatch(value)
    if group in _SCRIPTS and ("/" in name or "\\" in name or name in ("", ".", "..")):
        yield error(
            "todo",
            f"the script {name!r} would be installed outside the folder of scripts",
            "name it without a path",
        )
    if reference is None:
        yield error("todo", f"the entry point {name} = {value!r} names no module and object", _HINT)
    elif group in _SCRIPTS and reference["attribute"] is None:
        yield error("todo", f"the script {name} = {value!r} names no function", _HINT)
