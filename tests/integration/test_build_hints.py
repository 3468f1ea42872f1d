"""What failed builds and tests of packages propose: the requirement, where it goes, and the line to write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import HATCHLING, repository, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy


def built(root: Path, *options: str) -> str:
    ran = run_in_process(root, "build-all", *options, code=2)
    return ran.err


def test_the_fix_for_a_missing_build_requirement(tmp_path: Path) -> None:
    in_tree(tmp_path, hook="import yaml")
    output = built(tmp_path)
    assert "module yaml is not installed in the build environment (house.py, line " in output
    assert "add the distribution that has yaml to [build-system] requires in the pyproject.toml of home" in output


def test_the_fix_for_an_unusable_cache_does_not_blame_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", "/dev/null")
    write(tmp_path, {"pyproject.toml": f'{HATCHLING}[project]\nname = "home"\nversion = "1.0"\n', "home.py": ""})
    output = built(tmp_path)
    assert "Failed to initialize cache" in output
    assert "fix: set UV_CACHE_DIR to a directory that you can write to" in output
    assert "index is reachable" not in output


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_the_fix_for_a_link_out_of_the_package_is_to_copy_the_file(tmp_path: Path) -> None:
    root = in_tree(tmp_path / "a/home")
    house = root / "backend/house.py"
    code = house.read_text()
    assert "add(path.as_posix(), path.read_bytes())" in code
    house.write_text(
        code.replace("add(path.as_posix(), path.read_bytes())", 'archive.add(path, f"{STEM}/{path}")')
    )
    (tmp_path / "notice.txt").write_text("Notice")
    (root / "notice.py").symlink_to("../../notice.txt")
    output = built(root)
    assert "contains a link to a target outside the sdist: 'home-1.0/notice.py' -> '../../notice.txt'" in output
    assert "fix: copy the file into the package, in place of the link" in output


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ('"python", "check.py"', "nowhere_at_all"),
        ('"python", "-m", "nowhere_at_all"', "nowhere_at_all"),
        ('"python", "-m", "pytest", "-q"', "pytest"),
        ('"nowhere-at-all", "check.py"', "nowhere-at-all"),
    ],
)
def test_the_fix_for_tests_names_the_setting_with_the_missing_requirement(
    tmp_path: Path, command: str, missing: str
) -> None:
    in_tree(tmp_path)
    settings = f"[tool.relnox.test]\ncommand = [{command}]\n"
    pyproject = (tmp_path / "pyproject.toml").read_text()
    write(tmp_path, {"check.py": "import nowhere_at_all", "pyproject.toml": pyproject + settings})

    output = built(tmp_path, "--test")

    assert f"fix: add the distribution that has {missing} to [tool.relnox.test] requires" in output
    assert "failing tests" not in output


def test_the_fix_names_a_file_missing_from_the_sdist(tmp_path: Path) -> None:
    root = repository(in_tree(tmp_path, hook="open('table.csv')"))
    (root / "table.csv").touch()
    assert "include table.csv in the sdist of home, from which the wheel is built" in built(root)


def test_the_fix_names_a_missing_program(tmp_path: Path) -> None:
    in_tree(tmp_path, hook="""sys.exit("error: command 'x86_64-gcc' failed: No such file or directory")""")
    assert "install x86_64-gcc, or add its directory to PATH (the build of home runs it)" in built(tmp_path)
