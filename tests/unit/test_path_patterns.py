"""Patterns for files mean what they mean for git, and bad ones are rejected when settings are read."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relnox.core.settings.config import Config
from relnox.core.settings.patterns import file_pattern_regex, is_file_included
from relnox.errors import Blocked

if TYPE_CHECKING:
    from pathlib import Path

FILES = (
    "a",
    "b.md",
    "docs/a",
    "docs/b.md",
    "docs/deep/c.md",
    "libs/core/docs/a",
    "libs/core/tests/test_a.py",
    "libs/core/[x].txt",
    "libs/a b",
    "proto/v1/a.proto",
    "proto/a.proto",
    "uv.lock",
    "x*y",
    "ü/é.md",
)
PATTERNS = (
    "a",
    "/a",
    "*.md",
    "docs",
    "docs/",
    "/docs/",
    "docs/**",
    "**/docs",
    "**/docs/**",
    "docs/*",
    "docs/**/c.md",
    "libs/*/docs",
    "libs/**/test_*.py",
    "proto/**/*.proto",
    "**/*.proto",
    "proto/v[0-9]/",
    "proto/v[!1]/",
    "proto/v[^2]",
    "/?.md",
    "[a-c]",
    r"libs/core/\[x\].txt",
    r"x\*y",
    "x*y",
    "**",
    "*",
    "/**",
    "a**",
    "l**s/core",
    "libs/a b",
    "é.md",
    "**/[]x]",
    "libs/core/[[]x].txt",
    "[a-]",
    r"\#a",
    r"\!a",
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("patterns")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root


def ignored_by_git(root: Path, pattern: str, files: tuple[str, ...]) -> set[str]:
    """The files that git ignores with this pattern alone."""
    (root / ".gitignore").write_text(f"{pattern}\n", encoding="utf-8")
    words = ["git", "check-ignore", "--no-index", "-z", "--stdin"]
    ran = subprocess.run(words, cwd=root, input="\0".join(files).encode(), capture_output=True, check=False)
    assert ran.returncode in (0, 1), ran.stderr
    return {name for name in ran.stdout.decode().split("\0") if name}


def matched(pattern: str, files: tuple[str, ...] = FILES) -> set[str]:
    return {file for file in files if file_pattern_regex(pattern).fullmatch(file)}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_git_ignores(repository: Path, pattern: str) -> None:
    assert matched(pattern) == ignored_by_git(repository, pattern, FILES)


NAMES = st.sampled_from(["a", "b", "ab", "a.b", "-", "[", "^", "a-b"])
PARTS = st.sampled_from(
    ["a", "b", "*", "?", "**", "a*", "*b", "[ab]", "[!a]", "[a-b]", "[^a-]", r"\*", r"\[", "a?b", "[]-]"]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(PARTS, min_size=1, max_size=4),
    ends=st.tuples(st.sampled_from(["", "/"]), st.sampled_from(["", "/"])),
    files=st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), min_size=5, max_size=20, unique=True),
)
def test_any_pattern_matches_what_git_ignores(
    repository: Path, parts: list[str], ends: tuple[str, str], files: list[str]
) -> None:
    pattern = f"{ends[0]}{'/'.join(parts)}{ends[1]}"
    assert matched(pattern, tuple(files)) == ignored_by_git(repository, pattern, tuple(files))


@pytest.mark.parametrize(
    ("patterns", "file", "included"),
    [
        ((), "a", None),
        (("b",), "a", None),
        (("a",), "a", True),
        (("!a",), "a", False),
        (("a/", "!*.md"), "a/b.md", False),
        (("!*.md", "a/"), "a/b.md", True),
        (("!docs/", "docs/api/"), "docs/api/x", True),  # unlike in a .gitignore
    ],
)
def test_the_last_match_decides(patterns: tuple[str, ...], file: str, included: bool | None) -> None:
    assert is_file_included(patterns, file) is included


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "!",
        "/",
        "!/",
        " a",
        "a ",
        "a\n",
        "a\x1b",
        "../a",
        "a/../b",
        "./a",
        "a//b",
        "#a",
        "a\\",
        "a\\/b",
        "[",
        "[a",
        "[z-a]",
        "[[:alpha:]]",
        "a/[!]",
        "!![",
    ],
)
def test_bad_patterns_are_rejected(pattern: str) -> None:
    with pytest.raises(Blocked, match=r"paths\.core\[0\] = .* is not valid") as error:
        Config.parse({"paths": {"core": [pattern]}})
    assert error.value.code == "value-invalid"
