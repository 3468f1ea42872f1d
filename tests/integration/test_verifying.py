"""Which file of a release is installed where."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from packaging.tags import sys_tags

from relnox.errors import Failed
from relnox.executor.verifying import _installable

if TYPE_CHECKING:
    from relnox.building.archives import Archive

HERE = str(next(sys_tags()))
ELSEWHERE = "cp311-cp311-win_arm64" if sys.platform != "win32" else "cp311-cp311-macosx_11_0_arm64"


def fetched(*names: str) -> list[Archive]:
    kinds = [("wheel" if name.endswith(".whl") else "sdist", name) for name in names]
    return cast("list[Archive]", [SimpleNamespace(kind=kind, path=Path(name)) for kind, name in kinds])


@pytest.mark.parametrize(
    ("names", "python", "chosen"),
    [
        (["demo-1.tar.gz", "demo-1-py3-none-any.whl"], "", "demo-1-py3-none-any.whl"),
        (["demo-1.tar.gz", f"demo-1-{ELSEWHERE}.whl"], "", "demo-1.tar.gz"),
        ([f"demo-1-{ELSEWHERE}.whl", f"demo-1-{HERE}.whl"], "", f"demo-1-{HERE}.whl"),
        (["demo-1.tar.gz", "demo-1-cp38-none-any.whl"], "3.8", "demo-1-cp38-none-any.whl"),
        (["demo-1.tar.gz", "demo-1-cp313-none-any.whl"], "3.8", "demo-1.tar.gz"),
        (["demo-1-py3-none-any.whl", "demo-1-cp38-none-any.whl"], "3.8", "demo-1-cp38-none-any.whl"),
    ],
)
def test_a_wheel_that_fits_is_installed_and_else_the_sdist(names: list[str], python: str, chosen: str) -> None:
    assert _installable(fetched(*names), "demo", python).path.name == chosen


def test_a_release_that_fits_nowhere_here_is_told() -> None:
    with pytest.raises(Failed, match="demo: no file fits this machine"):
        _installable(fetched(f"demo-1-{ELSEWHERE}.whl"), "demo", "")
