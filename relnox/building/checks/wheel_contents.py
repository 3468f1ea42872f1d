"""Runs check-wheel-contents, if it is installed (`pip install 'relnox[check]'`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.building.findings import format_names, warning
from relnox.core.planning import fixes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

_CHECKED_ELSEWHERE = ("W007", "W008")
"""Codes for empty wheels, which `completeness` checks with regard to the project's settings."""


def run_check_wheel_contents(archive: Archive) -> Iterator[Finding]:
    """Yield the failures of check-wheel-contents as warnings, skipping wheels that it cannot read."""
    try:
        from check_wheel_contents.checker import WheelChecker
        from check_wheel_contents.contents import WheelContents
        from check_wheel_contents.errors import WheelValidationError
    except ImportError:
        return
    try:
        failed = WheelChecker().check_contents(WheelContents.from_wheel(archive.path))
    except WheelValidationError:
        return
    except Exception as problem:  # noqa: BLE001 - a bug of an optional tool must not fail the build
        yield warning(
            "check-wheel-contents-failed",
            f"check-wheel-contents cannot read the wheel ({problem})",
            fixes.install_command("relnox[check]", upgrade=True),
        )
        return
    for failure in failed:
        if failure.check.name in _CHECKED_ELSEWHERE:
            continue
        files = f": {format_names(failure.args)}" if failure.args else ""
        yield warning(
            "check-wheel-contents",
            f"check-wheel-contents {failure.check.name}: {failure.check.value}{files}",
            "fix the build configuration (the README of check-wheel-contents explains the codes)",
        )
