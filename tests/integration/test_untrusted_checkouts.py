"""A checkout of another author: tasks that only look read and write nothing outside of it."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, repository, single, write
from running import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from running import RunResult

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="links and pipes need POSIX"),
]

SECRET = "SECRETofTheUser0123456789"
MARKS = ("SECRET", "48151623.42.7")
VERSION_FILE = "[[tool.relnox.version-files]]\nfile = '{}'\npattern = '{} = (?P<version>.*)'\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Files of the user outside of the checkout, and a pipe and a large file."""
    home = tmp_path / "home"
    write(
        home,
        {
            ".pypirc": f"[pypi]\npassword = {SECRET}\n",
            "door": "code = 48151623.42.7\n",
            "notes/1.md": f"---\ndemo: minor\n---\n{SECRET}\n",
            "package/pyproject.toml": f'[project]\nname = "{SECRET}"\nversion = "48151623.42.7"\n',
            "CHANGELOG.md": f"# Changelog\n\n## [Unreleased]\n\n- {SECRET}\n",
        },
    )
    os.mkfifo(home / "pipe")
    with (home / "huge").open("wb") as sparse:
        sparse.truncate(100_000_000)
    return home


def checkout(home: Path, settings: str = "", **links: str) -> Path:
    """Return a checkout with these settings, and links from names (with `__` for dots) to files of the user."""
    root = single(home.parent / "checkout")
    path = root / "pyproject.toml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n[tool.relnox]\n{settings}", encoding="utf-8")
    for name, target in links.items():
        link = root / name.replace("__", ".")
        link.unlink(missing_ok=True)
        link.symlink_to(home / target)
    return repository(root)


def content(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "huge"
    }


def look(root: Path, home: Path, *task: str) -> RunResult:
    """Run a task, which must change nothing of the user and show nothing of it."""
    before = content(home)
    ran = run(root, "relnox", *task, "--reporter", "plain")
    assert content(home) == before
    assert not [mark for mark in MARKS if mark in ran.out + ran.err], ran.text
    return ran


LOOKING = (("status",), ("bump", "minor", "--dry-run", "--verbose"), ("build-all", "--dry-run"))
OUTSIDE: dict[str, Callable[[Path], Path]] = {
    "version file": lambda home: checkout(home, VERSION_FILE.format("v.txt", "code"), v__txt="door"),
    "credentials": lambda home: checkout(home, VERSION_FILE.format("v.txt", "password"), v__txt=".pypirc"),
    "below a linked directory": lambda home: checkout(home, VERSION_FILE.format("etc/door", "code"), etc="."),
    "listed package": lambda home: checkout(home, 'packages = [".", "other"]\n', other="package"),
    "pyproject": lambda home: checkout(home, pyproject__toml="package/pyproject.toml"),
    "huge file": lambda home: checkout(home, VERSION_FILE.format("v.txt", "v"), v__txt="huge"),
    "pipe": lambda home: checkout(home, VERSION_FILE.format("v.txt", "v"), v__txt="pipe"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_file_outside_the_checkout_is_refused(case: str, home: Path) -> None:
    root = OUTSIDE[case](home)
    for task in LOOKING:
        ran = look(root, home, *task)
        assert ran.code == 1, ran.text
        assert "a file outside of the checkout [file-changed]" in ran.err


@pytest.mark.parametrize("options", [("--dry-run",), (), ("--commit", "--tag")])
@pytest.mark.parametrize("target", ["CHANGELOG.md", "missing.md"])
def test_a_bump_neither_reads_nor_writes_through_a_changelog_that_is_a_link(
    target: str, options: tuple[str, ...], home: Path
) -> None:
    root = checkout(home, CHANGELOG__md=target)
    ran = look(root, home, "bump", "minor", *options)
    if target == "missing.md":
        assert (ran.code, (home / target).exists()) == (0, False), ran.text
        return
    assert (ran.code, "[file-changed]" in ran.err) == (1, True), ran.text
    assert git(root, "status", "--porcelain") == ""


def test_a_readme_that_is_a_link_shows_nothing(home: Path) -> None:
    root = checkout(home, README__md=".pypirc")
    for task in LOOKING:
        assert look(root, home, *task).code == 0


def test_gits_own_files_and_large_files_are_refused(home: Path) -> None:
    root = checkout(home, VERSION_FILE.format(".git/config", "bare"))
    assert "[file-changed]" in look(root, home, "status").err
    path = root / "pyproject.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(".git/config", "v.txt"), encoding="utf-8")
    shutil.copy(home / "huge", root / "v.txt")
    assert "it has more than 64 MiB [file-changed]" in look(root, home, "status").err


def test_a_link_within_the_checkout_is_followed(home: Path) -> None:
    root = checkout(home, VERSION_FILE.format("v.txt", "v"))
    write(root, {"real.txt": "v = 1.2.3\n"})
    (root / "v.txt").symlink_to("real.txt")
    commit_all(root)
    assert look(root, home, "status").code == 0
    assert look(root, home, "bump", "minor").code == 0
    assert (root / "real.txt").read_text() == "v = 1.3.0\n"
    assert (root / "v.txt").is_symlink()


@pytest.mark.parametrize("settings", ['[tool.relnox.build]\noutput = "../home"\n', ""], ids=["setting", "link"])
def test_settings_and_links_lead_the_output_to_no_place_outside(settings: str, home: Path) -> None:
    root = checkout(home, settings, **({} if settings else {"dist": "."}))
    ran = look(root, home, "build-all", "--clean")
    assert (ran.code, "[file-changed]" in ran.err) == (1, True), ran.text


@pytest.mark.network
def test_an_absolute_output_of_the_settings_is_used(home: Path) -> None:
    output = home.parent / "archives"
    root = checkout(home, f"[tool.relnox.build]\noutput = {json.dumps(str(output))}\n")
    assert look(root, home, "build-all").code == 0
    assert (output / "manifest.json").is_file()


@pytest.mark.network
@pytest.mark.parametrize("target", ["huge", "pipe", ".pypirc"])
def test_a_manifest_that_is_a_link_is_replaced_and_not_followed(target: str, home: Path) -> None:
    root = checkout(home)
    (root / "dist").mkdir()
    for name in ("manifest.json", "manifest.txt"):
        (root / "dist" / name).symlink_to(home / target)
    assert look(root, home, "build-all").code == 0
    assert json.loads((root / "dist/manifest.json").read_bytes())["artifacts"]
    assert not (root / "dist/manifest.json").is_symlink()
