"""The programs of docs/python-api.md, as they are documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from projects import git, python, repository, single, write

PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A released project."""
    root = single(tmp_path / "demo")
    write(root, {".gitignore": "/program.py\n"})
    repository(root)
    git(root, "tag", "v1.2.3")
    return root


def said(demo: Path, program: str) -> list[str]:
    """Run a program of the page in a project, and return its lines."""
    write(demo, {"program.py": program})
    ran = python(demo, "program.py", code=0)
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_a_plan_is_shown_and_run(demo: Path) -> None:
    lines = said(demo, PROGRAMS[0])
    assert lines[0] == "demo 1.2.3"
    assert "tag v1.3.0" in lines
    assert lines[-1] == "0"
    assert git(demo, "tag", "--points-at", "HEAD") == "v1.3.0"


def test_an_error_has_a_code_a_message_and_a_fix(demo: Path) -> None:
    (line,) = said(demo, PROGRAMS[1])
    assert re.fullmatch(r"manifest-missing .* relnox build-all.* 1", line), line
