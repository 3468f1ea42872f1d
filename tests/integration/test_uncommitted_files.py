"""Untracked files are named in notes; an untracked module that is imported blocks a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from backends import READING
from projects import commit_all, git, repository, single, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

MINOR = ("--part", "minor", "--commit", "--tag")


@pytest.mark.parametrize(
    ("code", "new"),
    [
        ("from demo.helper import x\n", "helper.py"),
        ("from . import helper\n", "helper.py"),
        ("from .helper import (\n    x,\n)\n", "helper.py"),
        ("import demo.helper\n", "helper.py"),
        ("def f():\n    from .parts.one import x\n", "parts/one.py"),
        ("from demo.parts import (\n    one,\n)\n", "parts/__init__.py"),
        ("from demo.template import x\n", "template/__init__.py"),
    ],
)
def test_an_untracked_module_that_is_imported_is_a_problem(
    tmp_path: Path, bump: Bump, code: str, new: str
) -> None:
    root = repository(write(single(tmp_path / "demo"), {"src/demo/__init__.py": code}))
    write(root, {f"src/demo/{new}": "x = 1\n"})
    words = f"src/demo/__init__.py imports src/demo/{new}"
    said = run_blocked_bump(bump, root, *MINOR)
    assert words in said
    assert f"git add src/demo/{new}" in said
    built = run_in_process(root, "build-all", "--dry-run", code=1)
    assert words in built.text
    commit_all(root)
    assert bump(root, *MINOR).code == 0


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    from ._build import x\nexcept ImportError:\n    x = 1\n",
        "x = '_build'\n",
        "import _build\n",
        "from other import _build\n",
    ],
)
def test_an_untracked_module_that_is_not_imported_gives_a_note(tmp_path: Path, bump: Bump, code: str) -> None:
    root = repository(write(single(tmp_path / "demo"), {"src/demo/__init__.py": code}))
    write(root, {"src/demo/_build.py": "x = 2\n"})
    ran = bump(root, *MINOR, code=0)
    assert "src/demo/_build.py is untracked and not part of the release" in ran.text
    message = run_in_process(root, "build-all", "--dry-run").text
    assert "src/demo/_build.py is not committed, and not built" in message


@pytest.mark.parametrize(
    ("code", "hook", "code_of_build"),
    [
        ("from . import _gen\n", "", 2),
        ("from ._gen import x\n", "", 2),
        ("import demo._gen\n", "", 2),
        ("from . import _gen\n", "import pathlib; pathlib.Path('src/demo/_gen.py').write_text('')", 0),
        ("try:\n    from . import _gen\nexcept ImportError:\n    pass\n", "", 0),
        ("_gen = 1\n", "", 0),
    ],
)
def test_an_ignored_module_that_is_imported_is_a_problem_unless_the_build_generates_it(
    tmp_path: Path, code: str, hook: str, code_of_build: int
) -> None:
    run = f"[[tool.relnox.hooks.before-build]]\nrun = ['python', '-c', \"{hook}\"]\n" if hook else ""
    files = {
        "pyproject.toml": '[project]\nname = "demo"\nversion = "1.0"\n\n'
        '[build-system]\nrequires = []\nbuild-backend = "reading"\nbackend-path = ["backend"]\n\n' + run,
        "backend/reading.py": READING,
        ".gitignore": "dist/\n_gen.py\n",
        "src/demo/__init__.py": code,
    }
    root = repository(write(tmp_path / "demo", files))
    write(root, {"src/demo/_gen.py": "x = 1\n"})
    ran = run_in_process(root, "build-all", code=code_of_build)
    message = "lacks src/demo/_gen.py, which src/demo/__init__.py imports (git ignores it"
    assert (message in ran.err) == (code_of_build != 0)


def test_a_renamed_directory_keeps_its_history(tmp_path: Path, bump: Bump) -> None:
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["libs/*"]\nversions = "independent"\n'}
    for name in ("one", "two"):
        files[f"libs/{name}/pyproject.toml"] = f'[project]\nname = "{name}"\nversion = "1.0.0"\n'
        files[f"libs/{name}/src/{name}/__init__.py"] = f'"""The package {name}."""\n'
    root = repository(write(tmp_path / "many", files))
    git(root, "tag", "one-v1.0.0")
    git(root, "tag", "two-v1.0.0")
    write(root, {"libs/one/src/one/more.py": "x = 1\n"})
    commit_all(root, "feat: more of one")
    git(root, "mv", "libs/one", "libs/first")
    commit_all(root, "chore: move")
    git(root, "mv", "libs/first", "libs/uno")
    commit_all(root, "chore: move again")
    write(root, {"libs/first/note.txt": "another thing in the old place\n"})
    commit_all(root, "feat: nothing of a package")
    message = run_in_process(root, "status").text
    assert "3 commits" in message, message
    bump(root, "--part", "auto", "--commit", "--tag", code=0)
    assert git(root, "tag").split() == ["one-v1.0.0", "one-v1.1.0", "two-v1.0.0"]
