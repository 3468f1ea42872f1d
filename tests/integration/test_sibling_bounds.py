"""Requirements on siblings: those without a version, and pins that are ahead."""

from __future__ import annotations

import re
import tomllib
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, git, repository, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy


def workspace(directory: Path, requirement: str, base: str = "1.4.2", top: str = "2.0.0") -> Path:
    """The package top, which requires the package base."""
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n'}
    for name, version, needs in (("base", base, ""), ("top", top, f'"{requirement}"')):
        head = f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{needs}]\n\n{HATCHLING}'
        files[f"packages/{name}/pyproject.toml"] = head
        files[f"packages/{name}/src/{name}/__init__.py"] = ""
    return repository(write(directory, files))


def required(root: Path) -> str:
    """What top requires."""
    document = tomllib.loads((root / "packages/top/pyproject.toml").read_text())
    (need,) = document["project"]["dependencies"]
    return str(need)


def test_a_requirement_without_a_version_gives_a_note(tmp_path: Path, bump: Bump) -> None:
    root = workspace(tmp_path / "two", "base")
    ran = bump(root, "--package", "top", "--part", "minor", "--commit", code=0)
    assert required(root) == "base"
    words = "requirements on siblings without a version: top on base"
    assert words in ran.text
    assert words in run_in_process(root, "build-all", "--dry-run").text


@pytest.mark.parametrize(
    ("before", "part", "version"),
    [
        *((text, "minor", "1.5.0") for text in ("base>=3.0", "base==3.0", "base~=3.1", "base>=3,<4", "base>1.5")),
        ("base>1.4.2", "post", "1.4.2.post1"),  # which PEP 440 does not take for higher there
    ],
)
def test_a_requirement_that_is_ahead_is_not_lowered(
    tmp_path: Path, bump: Bump, before: str, part: str, version: str
) -> None:
    root = workspace(tmp_path / "two", before)
    said = run_blocked_bump(bump, root, "--package", "base", "--part", part, "--commit")
    message = f"'{before}' requires a newer version than base {version}, and would be lowered"
    assert f"packages/top/pyproject.toml: {message}" in said
    assert bump(root, "--package", "base", "--to", "3.1.0", "--commit").code == 0


TOOLS = """
[tool.uv]
constraint-dependencies = ["base<1.5", "third<1.5"]
dev-dependencies = ['base == 1.4.2 ; python_version > "3"']

[tool.pdm.dev-dependencies]
test = ["base~=1.4.0"]

[[tool.hatch.envs.all.overrides]]
extra-dependencies = ["base[x]>=1.4.2,<1.5"]

[tool.other]
oldest = ["base==1.0.0"]
words = ["base==", "base", "base>1.4: no requirement", "base=={version}"]
"""


def test_requirements_in_tables_of_other_tools_are_updated_if_they_allow_the_current_version(
    tmp_path: Path, bump: Bump
) -> None:
    root = workspace(tmp_path / "two", "base>=1.4")
    file = root / "packages/top/pyproject.toml"
    file.write_text(before := file.read_text() + TOOLS)
    commit_all(root)
    assert bump(root, "--package", "base", "--part", "minor", "--commit").code == 0
    changes = {"base<1.5": "base<1.6", "base == 1.4.2": "base == 1.5.0", "~=1.4.0": "~=1.5.0"}
    changes["[x]>=1.4.2,<1.5"] = "[x]>=1.5.0,<1.6"
    for old, new in changes.items():
        before = before.replace(f"{old} ", f"{new} ").replace(f'{old}"', f'{new}"')
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("requirement", "top", "is_named"),
    [
        ("base>=2.0.0rc0,<3", "2.0.1rc0", True),
        ("base==2.0.0rc0", "2.0.1rc0", True),  # it changes, and so its package gets the next prerelease
        ("base>=1.4", "2.0.1rc0", False),
        ("base>=2.0.0rc0,<3", "2.0.1", False),
    ],
)
def test_a_prerelease_that_waited_for_a_final_version_is_named(
    tmp_path: Path, bump: Bump, requirement: str, top: str, *, is_named: bool
) -> None:
    root = workspace(tmp_path / "two", requirement, base="2.0.0rc0", top=top)
    ran = bump(root, "--package", "base", "--part", "release", "--commit", code=0)
    message = (
        r"top 2\.0\.1rc[01] is a prerelease that requires base 2\.0\.0; to finish it: relnox bump .*--package top"
    )
    assert bool(re.search(message, ran.text)) == is_named


@pytest.mark.parametrize(
    ("file", "options", "is_named"),
    [
        ("packages/base/src/base/__init__.py", ("--package", "top", "--part", "minor"), True),
        ("packages/base/src/base/__init__.py", ("--part", "auto", "--package", "top"), True),
        ("packages/base/src/base/__init__.py", ("--all", "--part", "minor"), False),
        ("README.md", ("--package", "top", "--part", "minor"), False),
    ],
)
def test_a_sibling_with_unreleased_commits_is_named(
    tmp_path: Path, bump: Bump, file: str, options: tuple[str, ...], *, is_named: bool
) -> None:
    root = workspace(tmp_path / "two", "base>=1.4")
    for tag in ("base-v1.4.2", "top-v2.0.0"):
        git(root, "tag", tag)
    for number, name in enumerate((file, "packages/top/src/top/__init__.py")):
        write(root, {name: f"new = {number}\n"})
        commit_all(root, "feat: more" if name != file else "refactor: other")
    message = "top may need base as it is here, but base has 1 commit since base-v1.4.2 that no release has"
    assert (message in run_in_process(root, "status").text) == (file != "README.md")
    ran = bump(root, *options, "--commit", "--tag", code=0)
    assert (message in ran.text) == is_named


@pytest.mark.parametrize("pin", ["their-lib == 0.41b0.dev", "their-lib===0.41b0.dev0", "Their_Lib==0.41b0.dev0"])
def test_a_pin_on_another_repository_at_the_development_version_is_blocked_until_it_is_declared(
    tmp_path: Path, bump: Bump, pin: str
) -> None:
    root = workspace(tmp_path / "two", pin, top="0.41b0.dev0")
    options = ("--package", "top", "--to", "0.41b0", "--commit")
    said = run_blocked_bump(bump, root, *options)
    assert f"top requires '{pin}' (the development version of this project" in said
    settings = said.partition("add to pyproject.toml:\n")[2].partition("or else")[0]
    assert 'their-lib = "top"' in settings
    file = root / "pyproject.toml"
    file.write_text(file.read_text() + dedent(settings))
    commit_all(root)
    assert bump(root, *options).code == 0
    assert required(root) == re.sub("0.41b0.*", "0.41b0", pin)


@pytest.mark.parametrize("pin", ["their-lib==0.40b0", "their-lib>=0.41b0.dev0", "their-lib==0.41b1.dev0"])
def test_other_requirements_on_other_repositories_block_nothing(tmp_path: Path, bump: Bump, pin: str) -> None:
    root = workspace(tmp_path / "two", pin, top="0.41b0.dev0")
    assert bump(root, "--package", "top", "--to", "0.41b0", "--commit").code == 0
    assert required(root) == pin


def test_a_lowered_version_lowers_its_requirements(tmp_path: Path, bump: Bump) -> None:
    root = workspace(tmp_path / "two", "base==1.4.2")
    assert bump(root, "--package", "base", "--to", "1.3.0", "--allow-lower", "--commit").code == 0
    assert required(root) == "base==1.3.0"
