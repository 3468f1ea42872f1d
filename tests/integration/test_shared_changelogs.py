"""Changelogs that one tool at the root writes for several packages, and releases without changes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, repository, single, write

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

MINOR = ("--part", "minor", "--commit", "--tag")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that write their arguments into the changelog that they name, or into NEWS.md."""
    for name in ("towncrier", "git-cliff"):
        script = (
            "import pathlib, sys\n"
            "to = [word[9:] for word in sys.argv if word.startswith('--output=')] or ['NEWS.md']\n"
            "ignored = pathlib.Path('.cliffignore')\n"
            "words = [*sys.argv[1:], *(ignored.read_text().split() if ignored.exists() else ())]\n"
            "pathlib.Path(to[0]).write_text(chr(10).join(words) + chr(10))\n"
        )
        path = write(tmp_path / "programs", {name: f"#!{sys.executable}\n{script}"}) / name
        path.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "programs"), os.environ["PATH"]]))


def many(directory: Path, settings: str) -> Path:
    """Three packages with versions of their own and settings at the root."""
    files = {
        "pyproject.toml": f'[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n{settings}',
        "NEWS.md": "News\n",
    }
    for name in ("a", "b", "c"):
        files[f"packages/{name}/pyproject.toml"] = f'[project]\nname = "{name}"\nversion = "1.0.0"\n'
    return repository(write(directory, files))


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("packages", "groups", "version"),
    [
        (("a",), "", "a 1.1.0"),
        (("a", "b"), "", "a 1.1.0, b 1.1.0"),
        (("a",), '[tool.relnox.groups.both]\npackages = ["a", "b"]\n', "both 1.1.0"),
        (
            ("a", "c"),
            (
                '[tool.relnox.groups.main]\npackages = ["a", "b"]\n'
                '[tool.relnox.tag-formats]\na = "v{version}"\nb = "v{version}"\n'
            ),
            "1.1.0, c 1.1.0",
        ),
        (("a",), '[tool.relnox.groups.all]\npackages = ["*"]\n', "1.1.0"),
    ],
)
def test_towncrier_at_the_root_lists_independent_packages_and_groups(
    tmp_path: Path, bump: Bump, packages: tuple[str, ...], groups: str, version: str
) -> None:
    root = many(tmp_path / "many", f'{groups}[tool.towncrier]\nfilename = "NEWS.md"\n')
    ran = bump(root, *(word for name in packages for word in ("--package", name)), *MINOR)
    assert ran.code == 0, ran.text
    assert f"--version={version}\n" in (root / "NEWS.md").read_text()


@pytest.mark.usefixtures("tools")
def test_git_cliff_at_the_root_writes_the_changelog_of_each_package(tmp_path: Path, bump: Bump) -> None:
    root = many(tmp_path / "many", "[tool.git-cliff.changelog]\n")
    write(root, {"packages/a/a.py": "", ".cliffignore": "# ours\n"})
    commit_all(root, "feat: of a")
    of_a = git(root, "rev-parse", "HEAD")
    ran = bump(root, "--package", "a", "--package", "b", *MINOR)
    assert ran.code == 0, ran.text
    for name in ("a", "b"):
        assert (root / f"packages/{name}/CHANGELOG.md").read_text().splitlines() == [
            f"--tag={name}-v1.1.0",
            f"--tag-pattern=^{name}\\-v[0-9]",
            f"--output=packages/{name}/CHANGELOG.md",
            "#",
            "ours",
            *([of_a] if name == "b" else []),
        ]
    assert (root / "NEWS.md").read_text() == "News\n"
    assert (root / ".cliffignore").read_text() == "# ours\n"


@pytest.mark.usefixtures("tools")
def test_git_cliff_gets_the_paths_that_release_a_package(tmp_path: Path, bump: Bump) -> None:
    paths = '[tool.relnox.paths]\na = ["/proto/", "!docs/", "API.md"]\n'
    root = many(tmp_path / "many", f"{paths}[tool.git-cliff.changelog]\n")
    commits = {}
    for file in ("proto/a", "packages/a/docs/a", "packages/a/docs/API.md", "packages/b/docs/a", "README.md"):
        write(root, {file: "x"})
        commit_all(root, "feat: it")
        commits[file] = git(root, "rev-parse", "HEAD")
    assert bump(root, "--package", "a", "--package", "b", *MINOR).code == 0
    left_out = {name: set((root / f"packages/{name}/CHANGELOG.md").read_text().split()) for name in ("a", "b")}
    assert {file for file, commit in commits.items() if commit not in left_out["a"]} == {
        "proto/a",
        "packages/a/docs/API.md",
    }
    assert {file for file, commit in commits.items() if commit not in left_out["b"]} == {"packages/b/docs/a"}


@pytest.mark.usefixtures("tools")
def test_prereleases_are_not_listed(tmp_path: Path, bump: Bump) -> None:
    root = many(tmp_path / "many", "[tool.towncrier]\n")
    assert bump(root, "--all", "--pre", "rc", *MINOR).code == 0
    assert (root / "NEWS.md").read_text() == "News\n"


def test_a_release_without_changes_gets_no_section(tmp_path: Path, bump: Bump) -> None:
    text = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n## [1.2.3] - 2026-01-01\n\n- It.\n"
    root = repository(write(single(tmp_path / "demo"), {"CHANGELOG.md": text}))
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert (root / "CHANGELOG.md").read_text() == text
    assert "CHANGELOG.md: no section for this release (Unreleased is empty)" in ran.text


def test_all_skips_packages_that_were_never_tagged(tmp_path: Path, bump: Bump) -> None:
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n'}
    for name in ("a", "b", "c"):
        files[f"packages/{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'
            f'tag_regex = "^{name}-v(?P<version>.*)$"\n'
            f'git_describe_command = "git describe --dirty --tags --long --match {name}-v*"\n'
        )
    root = repository(write(tmp_path / "many", files))
    git(root, "tag", "a-v1.0.0")
    write(root, {"packages/a/more.py": ""})
    commit_all(root)
    ran = bump(root, "--all", "--part", "minor", "--tag")
    assert ran.code == 0, ran.text
    assert git(root, "tag").split() == ["a-v1.0.0", "a-v1.1.0"]
    assert "b, c: skipped, no tag to derive a version from" in ran.text
    assert f"relnox bump --project {root} --package b --to 0.1.0 --tag" in ran.text
    assert bump(root, "--package", "b", "--to", "0.1.0", "--tag").code == 0
    assert "b-v0.1.0" in git(root, "tag").split()
