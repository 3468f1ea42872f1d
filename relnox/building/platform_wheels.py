"""Platform wheels: checks of the Python versions they support, and repair of Linux wheels with auditwheel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from relnox.core.text import format_count
from relnox.errors import Failed
from relnox.system import process
from relnox.system.environment_variables import search_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_TIMEOUT = 600.0


def is_installable_on(wheel: str, python: str) -> bool:
    """Return whether a Python version (`3.12`) can install a wheel, according to the wheel's file name."""
    version = [int(part) for part in python.split(".")[:2]]
    tags = parse_wheel_filename(wheel)[3]
    platforms = {tag.platform for tag in tags}
    compatible = {*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)}
    return not compatible.isdisjoint(tags)


def repair_linux_wheel(
    wheel: Path, into: Path, variables: Mapping[str, str], on_line: Callable[[str], None]
) -> Path:
    """Repair a `linux_…` wheel with auditwheel, and return the path of the repaired wheel.

    auditwheel copies the libraries that the wheel needs into it, and gives it a manylinux or musllinux tag, since
    the public index rejects `linux_…`. Other wheels are not changed. If auditwheel is not installed, the wheel is
    not changed either, and the check of its platform tag reports it later. A failed
    repair raises `Failed`.
    """
    from importlib.util import find_spec

    platforms = {tag.platform for tag in parse_wheel_filename(wheel.name)[3]}
    if not all(platform.startswith("linux_") for platform in platforms) or find_spec("auditwheel") is None:
        return wheel
    before = set(into.iterdir())
    process.run(
        [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", into, wheel],
        env={**variables, "PATH": search_path(variables)},  # for patchelf
        timeout=_TIMEOUT,
        on_line=on_line,
    ).check(
        f"auditwheel repair {wheel.name}",
        fix="build on a system with older libraries, for example with cibuildwheel",
    )
    repaired_wheels = [path for path in set(into.iterdir()) - before if path.suffix == ".whl" and path != wheel]
    if len(repaired_wheels) != 1:
        raise Failed(
            "build-failed",
            f"{wheel.name}: auditwheel wrote {format_count(len(repaired_wheels), 'wheel')} instead of one",
            fix=f"inspect the wheel: auditwheel show {wheel.name}",
        )
    wheel.unlink()
    return repaired_wheels[0]
