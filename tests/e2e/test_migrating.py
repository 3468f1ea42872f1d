"""The files and commands of docs/migrating.md, in projects like those that the page is about."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from projects import commit_all, git, python, repository, write

PAGE = (Path(__file__).parents[2] / "docs" / "migrating.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def settings_and_programs(section: str) -> dict[str, str]:
    """The files of a section, by path."""
    blocks = re.findall(r"^```(?:toml|python)\n# (\S+)\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)
    return dict(blocks)


def commands(section: str) -> list[str]:
    return re.findall(r"^\$ (.*)$", SECTIONS[section], re.MULTILINE)


def run(root: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the page."""
    program, *words = shlex.split(line)
    if program == "git":
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    return python(root, "-m", program, *words)


PACKAGING = {
    "pyproject.toml": """\
[build-system]
requires = ["flit_core >=3.12"]
build-backend = "flit_core.buildapi"

[project]
name = "packaging"
dynamic = ["version", "description"]

""",
    "src/packaging/__init__.py": '"""Core utilities."""\n\n__version__ = "26.4.dev0"\n',
    "CHANGELOG.rst": (
        "Changelog\n---------\n\n*unreleased*\n~~~~~~~~~~~~\n\n* Something.\n\n"
        "26.3 - 2026-08-03\n~~~~~~~~~~~~~~~~~\n\n* Before.\n"
    ),
    ".gitignore": "/dist/\n/.nox/\n__pycache__/\n",
}


@pytest.fixture
def packaging(tmp_path: Path) -> Path:
    """A project like pypa/packaging, with the settings of the page."""
    files = settings_and_programs("pypa/packaging")
    assert list(files) == ["pyproject.toml", "tasks/check_release.py", "noxfile.py"]
    files["pyproject.toml"] = PACKAGING["pyproject.toml"] + files["pyproject.toml"]
    root = repository(write(tmp_path / "project", {**PACKAGING, **files}))
    git(root, "tag", "26.3", "HEAD")
    commit_all(write(root, {"src/packaging/tags.py": "TAGS = 1\n"}), "tags")
    remote = tmp_path / "pypa" / "packaging.git"
    remote.parent.mkdir()
    git(tmp_path, "clone", "--quiet", "--bare", str(root), str(remote))
    git(root, "remote", "remove", "origin")
    git(root, "remote", "add", "upstream", str(remote))
    git(root, "push", "--quiet", "upstream", "main", "26.3")
    return root


def test_packaging_is_released(packaging: Path) -> None:
    """All but the build, for which flit would be downloaded."""
    lines = commands("pypa/packaging")
    assert lines.pop(1) == "nox -s build-all"
    for line in lines:
        ran = run(packaging, line)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert git(packaging, "log", "--format=%s", "-2").splitlines() == ["Bump for 26.5.dev0", "Bump for 26.4"]
    assert git(packaging, "for-each-ref", "--format=%(subject)", "refs/tags/26.4") == "packaging 26.4"
    changelog = git(packaging, "show", "26.4:CHANGELOG.rst")
    assert re.search(
        r"\*unreleased\*\n~{12}\n\n26\.4 - \d{4}-\d\d-\d\d\n~{17}\n\n\* Something\.\n\n26\.3 - ", changelog
    ), changelog
    assert '__version__ = "26.4"' in git(packaging, "show", "26.4:src/packaging/__init__.py")
    assert '__version__ = "26.5.dev0"' in git(packaging, "show", "upstream/main:src/packaging/__init__.py")
    remote = git(packaging, "ls-remote", "upstream", "refs/tags/26.4^{}")
    assert remote.split()[0] == git(packaging, "rev-parse", "HEAD^")


def test_rules_of_packaging_stop_a_bump(packaging: Path) -> None:
    head = git(packaging, "rev-parse", "HEAD")
    assert "26.4.1 is not of the form YY.N" in run(packaging, "nox -s bump -- 26.4.1").stderr
    git(packaging, "switch", "--quiet", "--create", "other")
    assert "[branch-not-allowed]" in run(packaging, "nox -s bump -- 26.4").stderr
    git(packaging, "switch", "--quiet", "main")
    assert (git(packaging, "rev-parse", "HEAD"), git(packaging, "status", "--porcelain")) == (head, "")


ANTSIBULL = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "antsibull-nox"
dynamic = ["version"]

[tool.hatch.version]
path = "src/antsibull_nox/__init__.py"

[tool.hatch.build.targets.wheel]
packages = ["src/antsibull_nox"]

""",
    "src/antsibull_nox/__init__.py": '"""Sessions."""\n\n__version__ = "1.9.0.post0"\n',
    "CHANGELOG.md": "# Changelog\n",
    "changelogs/fragments/.keep": "",
    ".gitignore": "/dist/\n/.nox/\n__pycache__/\n",
}
CHANGELOG_TOOL = f"""#!{sys.executable}
import pathlib, sys
version = sys.argv[sys.argv.index("--version") + 1]
fragment = pathlib.Path("changelogs/fragments", version + ".yml")
changelog = pathlib.Path("CHANGELOG.md")
changelog.write_text(changelog.read_text() + f"\\n## {{version}}\\n\\n" + fragment.read_text())
fragment.unlink()
"""


@pytest.fixture
def antsibull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project like antsibull-nox, with the settings of the page; the changelog tool is a small one."""
    files = settings_and_programs("antsibull-nox")
    assert list(files) == ["pyproject.toml", "tools/release_changelog.py", "noxfile.py"]
    files["pyproject.toml"] = ANTSIBULL["pyproject.toml"] + files["pyproject.toml"]
    root = repository(write(tmp_path / "project", {**ANTSIBULL, **files}))
    tool = write(tmp_path / "programs", {"antsibull-changelog": CHANGELOG_TOOL}) / "antsibull-changelog"
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    return root


def test_antsibull_nox_is_bumped(antsibull: Path) -> None:
    first, *_, last = commands("antsibull-nox")
    missing = run(antsibull, first)
    assert missing.returncode == 1
    assert "write and commit changelogs/fragments/1.10.0.yml" in missing.stderr
    commit_all(
        write(antsibull, {"changelogs/fragments/1.10.0.yml": "release_summary: All new.\n"}), "Prepare 1.10.0."
    )
    for line in (first, last):
        ran = run(antsibull, line)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    subjects = git(antsibull, "log", "--format=%s", "-3").splitlines()
    assert subjects == ["Release 1.10.0.post0.", "Release 1.10.0.", "Prepare 1.10.0."]
    assert git(antsibull, "show", "--name-only", "--format=", "HEAD^").split() == [
        "CHANGELOG.md",
        "changelogs/fragments/1.10.0.yml",
        "src/antsibull_nox/__init__.py",
    ]
    assert git(antsibull, "show", "1.10.0:CHANGELOG.md").endswith("## 1.10.0\n\nrelease_summary: All new.")
    assert git(antsibull, "for-each-ref", "--format=%(subject)", "refs/tags/1.10.0") == "antsibull-nox 1.10.0"
    assert git(antsibull, "tag", "--points-at", "HEAD") == ""
