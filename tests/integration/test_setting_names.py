"""Settings that name packages or directories: what means nothing is refused, with what was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, repository, write
from running import open_project, run_in_process

from relnox.core.version_groups import find_version_groups
from relnox.errors import Blocked

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.heavy

DIRECTORIES = ("libs/core", "libs/client", "libs/internal-tools", "tools/cli")


def workspace(root: Path, settings: str = "", *, packages: str = '["libs/*", "tools/*"]') -> Path:
    """Packages called demo-DIRECTORY, and settings."""
    files = {"pyproject.toml": f"[tool.relnox]\npackages = {packages}\n{settings}"}
    for directory in DIRECTORIES:
        name = directory.rpartition("/")[2]
        files[f"{directory}/pyproject.toml"] = f'[project]\nname = "demo-{name}"\nversion = "1.0"\n\n{HATCHLING}'
    extras = "\n[project.optional-dependencies]\nfast_io = []\n"
    files["libs/core/pyproject.toml"] = files["libs/core/pyproject.toml"].replace("\n\n", f"\n{extras}\n", 1)
    return write(root, files | {"libs/core/docs/index.md": ""})


@pytest.mark.parametrize(
    "settings",
    [
        'verify.extras = { demo-core = ["Fast.IO"] }',
        'changelog-file = "docs/changes.md"',
        'changelog-file = "libs/core/docs/changes.md"',
        'changelog-file = "CHANGES"',
    ],
)
def test_an_extra_in_any_spelling_and_a_changelog_to_come_are_accepted(tmp_path: Path, settings: str) -> None:
    root = repository(workspace(tmp_path / "demo", settings + "\n"))
    run_in_process(root, "status", code=0)


def test_extras_that_a_backend_computes_are_not_checked(tmp_path: Path) -> None:
    root = workspace(tmp_path / "demo", 'verify.extras = { demo-cli = ["any"], demo-client = ["old"] }\n')
    for directory, old, new in (
        ("tools/cli", "[project]\n", '[project]\ndynamic = ["optional-dependencies"]\n'),
        ("libs/client", "[project]\n", "[tool.poetry.extras]\nold = []\n\n[project]\n"),
    ):
        path = root / directory / "pyproject.toml"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    run_in_process(repository(root), "status", code=0)


@pytest.mark.parametrize(
    ("settings", "message", "fix"),
    [
        ('exclude = ["lib/core"]', "'lib/core' in [tool.relnox] exclude matches no directory", "libs/core"),
        ('exclude = ["libs/intrnal-*"]', "'libs/intrnal-*' in [tool.relnox] exclude", "libs/internal-tools"),
        (
            'metadata-only = ["demo-cor"]',
            "'demo-cor' in [tool.relnox] metadata-only matches no package",
            "demo-core",
        ),
        (
            'optional-extensions = ["demo-c*", "demo-clien"]',
            "'demo-clien' in [tool.relnox] optional-extensions matches",
            "demo-client",
        ),
        ('groups.a.packages = ["demo-cor"]', "'demo-cor' in [tool.relnox.groups.a] packages", "demo-core"),
        (
            'groups.a.packages = ["libs/*", "!libs/clint"]',
            "'!libs/clint' in [tool.relnox.groups.a]",
            "libs/client",
        ),
        ('tag-formats = { "demo-clii" = "v{version}" }', "'demo-clii' in [tool.relnox] tag-formats", "demo-cli"),
        ('verify.smoke = { demo-cor = ["1"] }', "'demo-cor' in [tool.relnox.verify] smoke", "demo-core"),
        ("verify.modules = { demo-cor = [] }", "'demo-cor' in [tool.relnox.verify] modules", "demo-core"),
        (
            'build.commands = { demo-cor = ["make", "{output}"] }',
            "'demo-cor' in [tool.relnox.build] commands",
            "demo-core",
        ),
        ("wheels = { demo-cor = [] }", "'demo-cor' in [tool.relnox] wheels", "demo-core"),
        (
            'verify.extras = { demo-core = ["Fast_io", "fats-io"] }',
            "'fats-io' in [tool.relnox.verify] extras: demo-core has no such extra",
            "fast-io",
        ),
        (
            'changelog-file = "dosc/changes.md"',
            "changelog-file = 'dosc/changes.md' is in a directory that neither the root nor a package has",
            "docs",
        ),
    ],
)
def test_what_means_nothing_is_refused_with_what_was_meant(
    tmp_path: Path, settings: str, message: str, fix: str
) -> None:
    root = repository(workspace(tmp_path / "demo", settings + "\n"))
    ran = run_in_process(root, "status", code=1)
    assert message in ran.err
    assert f"did you mean {fix}?" in ran.err


@pytest.mark.parametrize(
    ("listed", "fix"), [('["lib/*", "tools/*"]', "libs/*"), ('["libs/*", "tools/clli"]', "tools/cli")]
)
def test_a_listed_directory_that_is_not_there_is_refused_with_the_one_that_is(
    tmp_path: Path, listed: str, fix: str
) -> None:
    with pytest.raises(Blocked, match="matches no directory with a pyproject") as caught:
        _ = open_project(workspace(tmp_path, packages=listed)).workspace
    assert caught.value.fix == f"did you mean {fix}?"


@pytest.mark.parametrize(
    "exclude", ["dist", "build", ".venv", "generated", "libs/*/fixtures", "libs\\\\internal-*", "./libs/core/"]
)
def test_directories_that_are_only_made_later_and_other_ways_to_write_one_are_fine(
    tmp_path: Path, exclude: str
) -> None:
    files = {".gitignore": "/generated/\n", "libs/core/fixtures/x.txt": ""}
    root = repository(write(workspace(tmp_path / "demo", f'exclude = ["{exclude}"]\n'), files))
    names = {package.name for package in open_project(root).workspace.packages}
    left_out = (
        {"demo-internal-tools"} if "internal" in exclude else {"demo-core"} if "core" in exclude[:12] else set()
    )
    assert names == {"demo-core", "demo-client", "demo-internal-tools", "demo-cli"} - left_out


def test_backslashes_are_slashes(tmp_path: Path) -> None:
    settings = (
        'exclude = ["libs\\\\internal-tools"]\ngroups.a.packages = ["libs\\\\c*"]\n'
        'changelog-file = "docs\\\\new"\n\n[[tool.relnox.version-files]]\nfile = "libs\\\\core\\\\v.py"\n'
    )
    root = write(
        workspace(tmp_path, settings, packages='["libs\\\\*", "tools\\\\cli"]'),
        {"libs/core/v.py": "__version__ = '1.0'\n"},
    )
    project = open_project(root)
    assert {package.directory for package in project.workspace.packages} == {
        "libs/core",
        "libs/client",
        "tools/cli",
    }
    assert [place.file for place in project.workspace.by_name["demo-core"].other_locations] == ["libs/core/v.py"]
    assert project.config.changelog_file == "docs/new"


@pytest.mark.parametrize(
    ("patterns", "members"),
    [
        ('["libs/*", "!libs/internal-*"]', ["demo-client", "demo-core"]),
        ('["!demo-cli"]', ["demo-client", "demo-core", "demo-internal-tools"]),
        ('["demo-*", "!libs/*", "demo-core"]', ["demo-cli", "demo-core"]),
        ('["demo-cli", "libs/core"]', ["demo-cli", "demo-core"]),
    ],
)
def test_groups_with_exclusions(tmp_path: Path, patterns: str, members: list[str]) -> None:
    project = open_project(workspace(tmp_path, f"groups.a.packages = {patterns}\n"))
    (group,) = [track for track in find_version_groups(project.workspace, project.config) if track.name == "a"]
    assert [package.name for package in group.packages] == members
