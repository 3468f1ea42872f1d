"""All graphs of four and five packages, each fault at each package: none is public before what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from test_order_of_publication import FAULTS, no_package_is_public_before_those_that_it_needs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("what", FAULTS)
def test_no_package_is_public_before_those_that_it_needs(
    what: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_package_is_public_before_those_that_it_needs(what, size, tmp_path, monkeypatch)
