"""A failed build leaves nothing that can be published, even if an earlier build succeeded."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import repository, write
from running import run
from warm import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

pytestmark = pytest.mark.heavy

PUBLISH = ("relnox", "publish", "--index", "embedded")

WITH_TESTS = """
[tool.relnox.test]
command = ["python", "{check}"]
"""
WITH_GENERATOR = """
[[tool.relnox.hooks.before-build]]
run = ["python", "{check}"]
"""


def project(root: Path, more: str = "") -> tuple[Path, Path]:
    """A package that can be built, and a script outside of it that more settings run; so far it succeeds."""
    in_tree(root)
    check = root.parent / "check.py"
    check.touch()
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    write(root, {"pyproject.toml": text + more.format(check=check), ".gitignore": "dist/\n"})
    return repository(root), check


def build(root: Path, *options: str) -> RunResult:
    return run(root, "relnox", "build-all", *options)


def assert_nothing_can_be_published(root: Path) -> None:
    assert not (root / "dist/manifest.json").exists()
    assert not (root / "dist/BUILD_MANIFEST.txt").exists()
    published = run(root, *PUBLISH, code=1)
    assert "manifest-missing" in published.err


@pytest.mark.parametrize(
    ("more", "options"),
    [(WITH_TESTS, ("--test",)), (WITH_GENERATOR, ())],
    ids=["tests", "before-build hook"],
)
def test_failing_tests_and_hooks_leave_no_earlier_manifest(
    more: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    root, check = project(tmp_path / "home", more)
    assert build(root, *options).code == 0
    check.write_text("raise SystemExit(3)\n", encoding="utf-8")

    failed = build(root, *options)

    assert failed.code == 2, failed.text
    assert_nothing_can_be_published(root)
    check.write_text("", encoding="utf-8")
    assert build(root, *options).code == 0
    assert run(root, *PUBLISH).code == 0


def test_a_killed_build_leaves_no_earlier_manifest(tmp_path: Path) -> None:
    root, check = project(tmp_path / "home", WITH_GENERATOR)
    assert build(root).code == 0
    started = tmp_path / "started"
    check.write_text(f"import time; print(file=open({str(started)!r}, 'w')); time.sleep(60)\n", encoding="utf-8")
    words = [sys.executable, "-m", "relnox", "build-all"]
    with subprocess.Popen(words, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as relnox:
        wait_for(started)
        relnox.send_signal(signal.SIGKILL)
    assert_nothing_can_be_published(root)


def test_a_blocked_build_changes_nothing(tmp_path: Path) -> None:
    root, _ = project(tmp_path / "home")
    assert build(root).code == 0
    before = (root / "dist/manifest.json").read_bytes()
    assert build(root, "--test").code == 1  # no tests are configured
    write(root, {"pyproject.toml": (root / "pyproject.toml").read_text(encoding="utf-8") + "\n"})
    assert build(root).code == 1  # it is not committed
    assert (root / "dist/manifest.json").read_bytes() == before
