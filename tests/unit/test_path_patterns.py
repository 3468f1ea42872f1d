"""Patterns for files: the last one that matches decides, and bad ones are rejected when settings are read."""

from __future__ import annotations

import pytest

from relnox.core.settings.config import Config
from relnox.core.settings.patterns import is_file_included
from relnox.errors import Blocked


@pytest.mark.parametrize(
    ("patterns", "file", "included"),
    [
        ((), "a", None),
        (("b",), "a", None),
        (("a",), "a", True),
        (("a",), "docs/a", True),
        (("/a",), "docs/a", None),
        (("docs/*",), "docs/deep/c.md", True),
        (("proto/**/*.proto",), "proto/a.proto", True),
        (("proto/v[!1]/",), "proto/v1/a.proto", None),
        ((r"\!a",), "!a", True),
        (("!a",), "a", False),
        (("a/", "!*.md"), "a/b.md", False),
        (("!*.md", "a/"), "a/b.md", True),
        (("!docs/", "docs/api/"), "docs/api/x", True),  # unlike in a .gitignore
    ],
)
def test_the_last_match_decides(patterns: tuple[str, ...], file: str, included: bool | None) -> None:
    assert is_file_included(patterns, file) is included


@pytest.mark.parametrize("pattern", ["", "!", "/", "../a", "a/../b", "./a", "#a"])
def test_bad_patterns_are_rejected(pattern: str) -> None:
    with pytest.raises(Blocked, match=r"paths\.core\[0\] = .* is not valid") as error:
        Config.parse({"paths": {"core": [pattern]}})
    assert error.value.code == "value-invalid"
