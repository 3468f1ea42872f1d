"""Platform wheels: checks of the Python versions they support."""

from __future__ import annotations

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename


def is_installable_on(wheel: str, python: str) -> bool:
    """Return whether a Python version (`3.12`) can install a wheel, according to the wheel's file name."""
    version = [int(part) for part in python.split(".")[:2]]
    tags = parse_wheel_filename(wheel)[3]
    platforms = {tag.platform for tag in tags}
    compatible = {*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)}
    return not compatible.isdisjoint(tags)
