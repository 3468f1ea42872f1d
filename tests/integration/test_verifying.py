"""The file of a release that is installed on a Python."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from packaging.tags import sys_tags

from relnox.steps.fetch_release import select_archive

if TYPE_CHECKING:
    from relnox.building.archives import Archive

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = str(next(sys_tags()))
ELSEWHERE = "cp311-cp311-win_arm64" if sys.platform != "win32" else "cp311-cp311-macosx_11_0_arm64"


def archives(*names: str) -> list[Archive]:
    kinds = [("wheel" if name.endswith(".whl") else "sdist", name) for name in names]
    return cast("list[Archive]", [SimpleNamespace(kind=kind, path=Path(name)) for kind, name in kinds])


@pytest.mark.parametrize(
    ("names", "python", "expected"),
    [
        (["demo-1.tar.gz", "demo-1-py3-none-any.whl"], PYTHON, "demo-1-py3-none-any.whl"),
        (["demo-1.tar.gz", f"demo-1-{ELSEWHERE}.whl"], PYTHON, "demo-1.tar.gz"),
        ([f"demo-1-{ELSEWHERE}.whl", f"demo-1-{HERE}.whl"], PYTHON, f"demo-1-{HERE}.whl"),
        (["demo-1.tar.gz", "demo-1-cp38-none-any.whl"], "3.8", "demo-1-cp38-none-any.whl"),
        (["demo-1.tar.gz", "demo-1-cp313-none-any.whl"], "3.8", "demo-1.tar.gz"),
        (["demo-1-py3-none-any.whl", "demo-1-cp38-none-any.whl"], "3.8", "demo-1-cp38-none-any.whl"),
    ],
)
def test_the_best_compatible_wheel_or_else_the_sdist_is_installed(
    names: list[str], python: str, expected: str
) -> None:
    assert select_archive(archives(*names), "demo", python).path.name == expected
