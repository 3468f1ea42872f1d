"""Literal versions in a package's own modules are bumped too; outdated ones are reported before a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, git, repository, single, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

MINOR = ("--part", "minor", "--commit", "--tag")


def demo(tmp_path: Path, files: dict[str, str], *, git_too: bool = True) -> Path:
    """The package demo 1.2.3 with more files."""
    root = write(single(tmp_path / "demo"), files)
    return repository(root) if git_too else root


@pytest.mark.parametrize("git_too", [True, False])
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("src/demo/__init__.py", '"""Demo."""\n\n__version__ = "1.2.3"  # the same\n'),
        ("src/demo/__about__.py", "__version__: str = '1.2.3'\n"),
        ("src/demo/version.py", 'VERSION = "1.2.3"\n'),
        ("src/demo/_version.py", 'version = "1.2.3"\r\n'),
        ("demo/__init__.py", '__version__ = "1.2.3"\n'),
    ],
)
def test_a_literal_is_updated_with_a_note(
    tmp_path: Path, bump: Bump, file: str, text: str, *, git_too: bool
) -> None:
    root = demo(tmp_path, {file: text}, git_too=git_too)
    ran = bump(root, "--part", "minor", code=0)
    assert (root / file).read_bytes() == text.replace("1.2.3", "1.3.0").encode()
    assert f"in {file} changes as well; to leave it unchanged: [tool.relnox] version-literals = false" in ran.text


def test_two_literals_are_in_one_note_one_commit_and_undone_together(tmp_path: Path, bump: Bump) -> None:
    text = '__version__ = "1.2.3"\n'
    root = demo(tmp_path, {"src/demo/__init__.py": text, "src/demo/other.py": text})
    ran = bump(root, *MINOR, code=0)
    assert "src/demo/other.py change as well; to leave them unchanged: [tool.relnox] version-" in ran.text
    assert git(root, "show", "HEAD:src/demo/__init__.py") == '__version__ = "1.3.0"'
    assert bump(root, "--undo").code == 0
    assert (root / "src/demo/__init__.py").read_text() == text


def with_tables(tmp_path: Path, tables: str) -> Path:
    root = single(tmp_path / "demo")
    write(root, {"pyproject.toml": (root / "pyproject.toml").read_text() + tables})
    return repository(root)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('[tool.commitizen]\nversion = "1.2.3"  # by hand\n', "tool.commitizen.version"),
        ("[tool.bumpversion]\ncurrent_version = '1.2.3'\n", "tool.bumpversion.current_version"),
        ('[tool.tbump]\nversion = { current = "1.2.3" }\n', "tool.tbump.version.current"),
        ('[tool.poetry]\nname = "demo"\nversion = "1.2.3"\n', "tool.poetry.version"),
    ],
)
def test_the_version_in_a_table_of_another_release_tool_is_updated_with_a_note(
    tmp_path: Path, bump: Bump, table: str, key: str
) -> None:
    root = with_tables(tmp_path, table)
    ran = bump(root, *MINOR, code=0)
    assert table.replace("1.2.3", "1.3.0") in (root / "pyproject.toml").read_text()
    assert f"{key} in pyproject.toml changes as well; to leave it unchanged: [tool.relnox] version-" in ran.text


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('[tool.other]\nversion = "1.2.3"\n', "tool.other.version"),
        ('[tool.deploy.app]\ncurrent-version = "1.2.3"\n', "tool.deploy.app.current-version"),
        ('[tool.commitizen]\nversion = "1.2.2"\n', None),
        ('[tool.poetry.dependencies]\nsix = { version = "1.2.3" }\n', None),
        ('[tool.uv]\nrequired-version = "1.2.3"\n', None),
    ],
)
def test_a_version_in_a_table_that_relnox_does_not_know_is_named(
    tmp_path: Path, bump: Bump, table: str, key: str | None
) -> None:
    root = with_tables(tmp_path, table)
    ran = bump(root, *MINOR, code=0)
    assert table in (root / "pyproject.toml").read_text()
    assert ("as well, and is not changed" in ran.text) == (key is not None)
    assert key is None or f"{key} in pyproject.toml is 1.2.3 as well" in ran.text


DECOYS = {
    "a number of thousands of digits": f"__version__ = '{'9' * 5000}'\n",
    "in a branch": 'try:\n    import importlib.metadata\nexcept ImportError:\n    __version__ = "1.2.3"\n',
    "in a call": 'deprecated(version="1.2.3")\nprint("1.2.3")\n',
    "another name": '__build__ = "1.2.3"\nAPI_VERSION = "1.2.3"\n',
    "a number": "__version__ = 0x010203\n",
    "twice": '__version__ = "1.2.3"\n__version__ = "1.2.3" + extra\n',
    "in a text": '"""\n__version__ = "1.2.3"\n"""\n',
    "in a class": 'class A:\n    version = "1.2.3"\n',
    "a tuple": "version_info = (1, 2, 3)\n",
}


@pytest.mark.parametrize("text", DECOYS.values(), ids=DECOYS)
def test_similar_code_is_unchanged(tmp_path: Path, bump: Bump, text: str) -> None:
    root = demo(tmp_path, {"src/demo/__init__.py": text})
    bump(root, *MINOR, code=0)
    assert (root / "src/demo/__init__.py").read_text() == text


@pytest.mark.parametrize(
    "file",
    [
        *("tests/demo/__init__.py", "docs/conf.py", "examples/demo/__init__.py"),
        *("src/demo/_vendor/six/__init__.py", "src/demo/vendored/six/__init__.py"),
    ],
)
def test_modules_of_other_packages_are_unchanged(tmp_path: Path, bump: Bump, file: str) -> None:
    root = demo(tmp_path, {file: '__version__ = "1.2.3"\n', "src/demo/_vendor/__init__.py": ""})
    bump(root, *MINOR, code=0)
    assert (root / file).read_text() == '__version__ = "1.2.3"\n'


def test_an_outdated_literal_is_reported_by_bump_build_and_status(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path, {"src/demo/__init__.py": '__version__ = "1.2.2"\n'})
    said = run_blocked_bump(bump, root, *MINOR)
    assert "1.2.2: src/demo/__init__.py" in said
    built = run_in_process(root, "build-all", "--dry-run", code=1)
    assert "1.2.2: src/demo/__init__.py" in built.text
    assert "1.2.2: src/demo/__init__.py" in run_in_process(root, "status").text
    assert bump(root, "--to", "1.3.0", "--commit").code == 0
    assert (root / "src/demo/__init__.py").read_text() == '__version__ = "1.3.0"\n'


@pytest.mark.parametrize(
    "text", ['__version__ = "0.0.0"\n', '__version__ = "unknown"\n', 'VERSION = "7"\n', "__version__ = VERSION\n"]
)
def test_placeholders_and_other_versions_do_not_count_as_outdated(tmp_path: Path, bump: Bump, text: str) -> None:
    root = demo(tmp_path, {"src/demo/__init__.py": text})
    assert bump(root, *MINOR).code == 0
    assert (root / "src/demo/__init__.py").read_text() == text


def test_a_plugin_inside_has_a_version_of_its_own(tmp_path: Path, bump: Bump) -> None:
    files = {"src/demo/__init__.py": "", "src/demo/plugin/__init__.py": '__version__ = "0.4"\n'}
    assert bump(demo(tmp_path, files), *MINOR).code == 0


def test_literals_can_be_disabled(tmp_path: Path, bump: Bump) -> None:
    root = demo(tmp_path, {"src/demo/__init__.py": '__version__ = "1.2.3"\n'})
    write(
        root,
        {"pyproject.toml": (root / "pyproject.toml").read_text() + "\n[tool.relnox]\nversion-literals = false\n"},
    )
    commit_all(root)
    bump(root, *MINOR, code=0)
    assert (root / "src/demo/__init__.py").read_text() == '__version__ = "1.2.3"\n'


def test_each_package_has_its_own_literals(tmp_path: Path, bump: Bump) -> None:
    files = {
        "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n',
    }
    for number, name in enumerate(("one", "two"), 1):
        head = f'[project]\nname = "{name}"\nversion = "1.0.{number}"\n\n'
        files |= {
            f"packages/{name}/pyproject.toml": head + HATCHLING,
            f"packages/{name}/src/{name}/__init__.py": f'__version__ = "1.0.{number}"\n',
        }
    root = repository(write(tmp_path / "many", files))
    bump(root, "--package", "one", *MINOR, code=0)
    assert (root / "packages/one/src/one/__init__.py").read_text() == '__version__ = "1.1.0"\n'
    assert (root / "packages/two/src/two/__init__.py").read_text() == '__version__ = "1.0.2"\n'
