"""check-wheel-contents, where it is installed (`pip install 'relnox[check]'`)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from relnox.building.findings import few, warning
from relnox.core import fixes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.findings import Found

__all__ = ["check"]

_DECIDED_HERE = ("W007", "W008")
"""Empty wheels: see `completeness`, which knows what the project allows."""


def check(archive: Archive) -> Iterator[Found]:
    """What check-wheel-contents says about a wheel; what makes a wheel invalid is for the other checks to tell."""
    if not _is_installed():
        return
    from check_wheel_contents.checker import WheelChecker
    from check_wheel_contents.contents import WheelContents
    from check_wheel_contents.errors import WheelValidationError

    try:
        failed = WheelChecker().check_contents(WheelContents.from_wheel(archive.path))
    except WheelValidationError:
        return
    except Exception as broken:  # noqa: BLE001 - a guest, whose faults must not end a build
        yield warning(
            "todo", f"check-wheel-contents cannot read it: {broken}", fixes.install("relnox[check]", upgrade=True)
        )
        return
    for each in failed:
        if each.check.name in _DECIDED_HERE:
            continue
        places = f": {few(each.args)}" if each.args else ""
        yield warning(
            "todo",
            f"check-wheel-contents {each.check.name}: {each.check.value}{places}",
            "its README tells what each code means; what does the build configuration include?",
        )


@cache
def _is_installed() -> bool:
    try:
        import check_wheel_contents.checker  # noqa: F401 - it is asked whether that works
    except ImportError:
        return False
    return True
