"""What a release tells: Keep a Changelog by relnox itself, towncrier and git-cliff by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest
from projects import HATCHLING, commit_all, git, repository, write

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--commit", "--tag")
MINOR = ("--part", "minor", *RELEASE)


class State(NamedTuple):
    """All that a bump that failed or was refused must leave as it was."""

    refs: str
    status: str


def state(root: Path) -> State:
    return State(git(root, "for-each-ref"), git(root, "status", "--porcelain"))


def project(name: str, version: str, more: str = "") -> str:
    return f'[project]\nname = "{name}"\nversion = "{version}"\n\n{HATCHLING}\n{more}'


def single(root: Path, more: str = "", **files: str) -> Path:
    """One package at 1.0.0, tagged."""
    repository(write(root, {"pyproject.toml": project("demo", "1.0.0", more), "src/demo.py": "", **files}))
    git(root, "tag", "v1.0.0")
    return root


def two(root: Path, versions: str, files: dict[str, str], settings: str = "") -> Path:
    """Two packages at 1.0.0, in lockstep or independent."""
    head = f'[tool.relnox]\npackages = ["packages/*"]\nversions = "{versions}"\n{settings}\n'
    packages = {f"packages/{name}/pyproject.toml": project(name, "1.0.0") for name in ("a", "b")}
    return repository(write(root, {"pyproject.toml": head, **packages, **files}))


def in_commit(root: Path) -> list[str]:
    """Files that the last commit changed."""
    return sorted(git(root, "show", "--format=", "--name-only", "--no-renames").splitlines())


def dated(text: str, *days: str) -> set[str]:
    """A text for each of the days that it may have been written on."""
    return {text.replace("TODAY", day) for day in days}


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


# --- Keep a Changelog ----------------------------------------------------------------------------------

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- One.\n\n## [1.0.0] - 2026-01-01\n\n- Begun.\n"
RELEASED = CHANGELOG.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [1.1.0] - TODAY\n")


def test_the_changelog_is_updated_in_the_same_commit(tmp_path: Path, bump: Bump) -> None:
    root = single(tmp_path / "demo", **{"CHANGELOG.md": CHANGELOG})
    begun = today()
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert (root / "CHANGELOG.md").read_text() in dated(RELEASED, begun, today())
    assert in_commit(root) == ["CHANGELOG.md", "pyproject.toml"]
    assert git(root, "status", "--porcelain") == ""
    assert bump(root, "--undo").code == 0
    assert (root / "CHANGELOG.md").read_text() == CHANGELOG


def test_a_prerelease_is_listed_in_the_changelog_of_the_final_release(tmp_path: Path, bump: Bump) -> None:
    root = single(tmp_path / "demo", **{"CHANGELOG.md": CHANGELOG})
    for options in (("--part", "minor", "--pre", "rc"), ("--part", "pre")):
        assert bump(root, *options, *RELEASE).code == 0
        assert in_commit(root) == ["pyproject.toml"]
    begun = today()
    assert bump(root, "--part", "release", *RELEASE).code == 0
    assert (root / "CHANGELOG.md").read_text() in dated(RELEASED, begun, today())


def test_a_final_release_is_compared_with_the_last_final_one(tmp_path: Path, bump: Bump) -> None:
    text = f"{CHANGELOG}\n[Unreleased]: https://github.com/o/r/compare/v1.0.0...HEAD\n"
    root = single(tmp_path / "demo", **{"CHANGELOG.md": text})
    for options in (("--part", "minor", "--pre", "rc"), ("--part", "pre")):
        assert bump(root, *options, *RELEASE).code == 0
        file = root / "CHANGELOG.md"
        file.write_text(file.read_text().replace("## [Unreleased]\n", "## [Unreleased]\n\n- More.\n"))
        commit_all(root, "fix: more")
    assert bump(root, "--part", "release", *RELEASE).code == 0
    links = (root / "CHANGELOG.md").read_text()
    assert "[1.1.0]: https://github.com/o/r/compare/v1.0.0...v1.1.0\n" in links
    assert "[Unreleased]: https://github.com/o/r/compare/v1.1.0...HEAD\n" in links


def test_each_package_has_its_own_changelog(tmp_path: Path, bump: Bump) -> None:
    files = {f"packages/{name}/CHANGELOG.md": CHANGELOG for name in ("a", "b")}
    root = two(tmp_path / "many", "independent", files | {"CHANGELOG.md": CHANGELOG})
    begun = today()
    assert bump(root, "--package", "a", *MINOR).code == 0
    assert in_commit(root) == ["packages/a/CHANGELOG.md", "packages/a/pyproject.toml"]
    assert (root / "packages/a/CHANGELOG.md").read_text() in dated(RELEASED, begun, today())


def test_in_lockstep_one_changelog_lists_all_packages_once(tmp_path: Path, bump: Bump) -> None:
    root = two(tmp_path / "many", "lockstep", {"CHANGELOG.md": CHANGELOG})
    git(root, "tag", "v1.0.0")
    begun = today()
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert (root / "CHANGELOG.md").read_text() in dated(RELEASED, begun, today())


def test_the_name_of_the_changelog_is_a_setting(tmp_path: Path, bump: Bump) -> None:
    text = CHANGELOG.replace("[", "").replace("]", "")
    settings = '[tool.relnox]\nchangelog-file = "docs/changes.md"\n'
    root = single(tmp_path / "demo", settings, **{"docs/changes.md": text, "CHANGELOG.md": CHANGELOG})
    assert bump(root, *MINOR).code == 0
    assert in_commit(root) == ["docs/changes.md", "pyproject.toml"]
    root = single(tmp_path / "none", '[tool.relnox]\nchangelog = "none"\n', **{"CHANGELOG.md": CHANGELOG})
    assert bump(root, *MINOR).code == 0
    assert in_commit(root) == ["pyproject.toml"]


@pytest.mark.parametrize(
    ("settings", "noted"),
    [
        ('changelog-file = "HISTORY.md"', True),
        ('changelog = "keep-a-changelog"', False),
        ('changelog-file = "OTHER.md"', False),
        ("", False),
    ],
)
def test_a_changelog_that_is_named_and_not_edited_is_noted(
    settings: str, noted: bool, tmp_path: Path, bump: Bump
) -> None:
    files = {"CHANGELOG.md": "# Changes\n\n1.0.0 was the first.\n", "OTHER.md": CHANGELOG}
    root = single(tmp_path / "demo", f"[tool.relnox]\n{settings}\n", **files)
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert ("no changelog changes: there is no " in ran.err) is noted, ran.text


def below(directory: Path, settings: str, *names: str, **files: str) -> Path:
    """A repository whose packages are all in directories below the root, released as 1.0.0."""
    texts = {"pyproject.toml": f'[tool.relnox]\npackages = ["packages/*"]\n{settings}', **files}
    for name in names:
        texts[f"packages/{name}/pyproject.toml"] = f'[project]\nname = "{name}"\nversion = "1.0.0"\n'
    return repository(write(directory, texts))


GROUP = '[tool.relnox.groups.all]\npackages = ["a", "b"]\nkind = "{}"\n'


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        ("a", ""),
        ("a", 'versions = "independent"\n'),
        ("ab", 'versions = "independent"\n' + GROUP.format("fixed")),
    ],
)
def test_the_changelog_of_the_root_is_that_of_packages_with_one_version(
    names: str, settings: str, tmp_path: Path, bump: Bump
) -> None:
    root = below(tmp_path / "demo", settings, *names, **{"CHANGELOG.md": CHANGELOG})
    begun = today()
    ran = bump(root, "--package", "a", *MINOR) if "independent" in settings else bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert in_commit(root) == ["CHANGELOG.md", *(f"packages/{name}/pyproject.toml" for name in names)]
    assert (root / "CHANGELOG.md").read_text() in dated(RELEASED, begun, today())


@pytest.mark.parametrize("settings", ["", GROUP.format("linked")])
@pytest.mark.parametrize("changelog", [CHANGELOG, CHANGELOG.replace("- One.\n", "")])
def test_the_changelog_of_the_root_stays_if_packages_have_versions_of_their_own(
    settings: str, changelog: str, tmp_path: Path, bump: Bump
) -> None:
    root = below(
        tmp_path / "demo", f'versions = "independent"\n{settings}', "a", "b", **{"CHANGELOG.md": changelog}
    )
    ran = bump(root, "--package", "a", *MINOR)
    assert ran.code == 0, ran.text
    assert (root / "CHANGELOG.md").read_text() == changelog
    assert ("CHANGELOG.md is not changed, its entries stay" in ran.err) == ("- One." in changelog), ran.text
    assert ("to list a in one, add packages/a/CHANGELOG.md" in ran.err) == ("- One." in changelog)


def test_the_changelog_of_a_package_at_the_root_is_not_that_of_others(tmp_path: Path, bump: Bump) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "top"\nversion = "1.0.0"\n'
        '[tool.relnox]\npackages = [".", "packages/*"]\nversions = "independent"\n',
        "packages/a/pyproject.toml": '[project]\nname = "a"\nversion = "1.0.0"\n',
        "CHANGELOG.md": CHANGELOG,
    }
    root = repository(write(tmp_path / "demo", files))
    ran = bump(root, "--package", "a", *MINOR)
    assert ran.code == 0, ran.text
    assert in_commit(root) == ["packages/a/pyproject.toml"]
    assert "CHANGELOG.md is not changed" not in ran.err


@pytest.mark.parametrize(
    ("heading", "is_edited"),
    [("1.1.0 (unreleased)", True), ("1.0.1 (unreleased)", True), ("1.5.0 (unreleased)", False)],
)
def test_a_heading_of_the_version_that_is_not_released_yet_gets_its_date(
    heading: str, is_edited: bool, tmp_path: Path, bump: Bump
) -> None:
    text = f"# Changes\n\n## {heading}\n\n- x\n\n## 1.0.0 (2026-01-01)\n\n- First.\n"
    files = {"pyproject.toml": project("demo", "1.0.1.dev1"), "CHANGELOG.md": text}
    root = repository(write(tmp_path / "demo", files))
    begun = today()
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    expected = text.replace(heading, "1.1.0 (TODAY)") if is_edited else text
    assert (root / "CHANGELOG.md").read_text() in dated(expected, begun, today())
    assert ("CHANGELOG.md is not changed" in ran.err) != is_edited


def test_a_changelog_without_a_heading_for_unreleased_changes_is_noted(tmp_path: Path, bump: Bump) -> None:
    root = single(tmp_path / "demo", **{"CHANGELOG.md": "# Changes\n\n## 1.0.0\n\n- First.\n"})
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert "CHANGELOG.md is not changed (no heading for unreleased changes)" in ran.err
    root = single(tmp_path / "none", '[tool.relnox]\nchangelog = "none"\n', **{"CHANGELOG.md": "# Changes\n"})
    assert "CHANGELOG.md is not changed" not in bump(root, *MINOR).err


@pytest.mark.parametrize("name", ["./CHANGELOG.md", ".//CHANGELOG.md"])
def test_another_spelling_of_the_name_of_the_common_changelog(name: str, tmp_path: Path, bump: Bump) -> None:
    root = two(tmp_path / "many", "lockstep", {"CHANGELOG.md": CHANGELOG}, f'changelog-file = "{name}"')
    git(root, "tag", "v1.0.0")
    begun = today()
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert (root / "CHANGELOG.md").read_text() in dated(RELEASED, begun, today())


def test_a_version_that_is_in_the_changelog_already_is_rejected_with_the_file(tmp_path: Path, bump: Bump) -> None:
    root = single(tmp_path / "demo", **{"CHANGELOG.md": CHANGELOG.replace("1.0.0", "1.1.0")})
    before = state(root)
    ran = bump(root, *MINOR)
    assert ran.code == 1
    assert "CHANGELOG.md: " in ran.err
    assert state(root) == before


# --- tools of others, played by scripts ----------------------------------------------------------------

TOWNCRIER = '[tool.towncrier]\ndirectory = "changes"\nfilename = "NEWS.md"\npackage = "demo"\n'


def tool(directory: Path, name: str, script: str) -> Path:
    """A program of a name, to be found in a directory."""
    write(directory, {name: f"#!{sys.executable}\nimport pathlib, sys\n{script}\n"})
    (directory / name).chmod(0o755)
    return directory


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory at the front of PATH."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(directory), os.environ["PATH"]]))
    return directory


NEWS = "pathlib.Path('NEWS.md').write_text(' '.join(sys.argv[1:]) + chr(10))\n"


def test_changes_of_a_tool_are_part_of_the_plan_and_the_commit(tmp_path: Path, bump: Bump, path: Path) -> None:
    tool(path, "towncrier", f"{NEWS}pathlib.Path('changes/1.feature').unlink()")
    root = single(tmp_path / "demo", TOWNCRIER, **{"changes/1.feature": "One.\n", "NEWS.md": "News\n"})
    before = state(root)
    ran = bump(root, *MINOR, "--dry-run")
    assert ran.code == 0, ran.text
    assert "+build --yes --version=1.1.0" in ran.out
    assert state(root) == before
    begun = today()
    assert bump(root, *MINOR).code == 0
    assert in_commit(root) == ["NEWS.md", "changes/1.feature", "pyproject.toml"]
    assert (root / "NEWS.md").read_text() in dated("build --yes --version=1.1.0 --date=TODAY\n", begun, today())
    assert git(root, "status", "--porcelain") == ""
    assert bump(root, "--undo").code == 0
    assert (root / "NEWS.md").read_text() == "News\n"
    assert (root / "changes/1.feature").read_text() == "One.\n"


EARLIER = "# News\r\n\r\n## v1.0.0\r\n\r\n- by hand\r\n\r\n## v0.9\r\n\r\n- older than the tool\r\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("git-cliff", "# News\n\n## v1.1.0\n\n- new\n\n## v1.0.0 - 2026-01-01\n\n- from commits\n"),
        ("towncrier", EARLIER.replace("\r\n", "\n").replace("## v1.0.0", "## v1.1.0\n\n- new\n\n## v1.0.0")),
    ],
)
def test_a_tool_does_not_change_what_the_changelog_says_about_earlier_releases(
    tmp_path: Path, bump: Bump, path: Path, name: str, text: str
) -> None:
    tool(path, name, f"pathlib.Path('NEWS.md').write_text({text!r})")
    settings = TOWNCRIER if name == "towncrier" else "[tool.git-cliff.changelog]\n"
    root = single(tmp_path / "demo", settings)
    (root / "NEWS.md").write_bytes(EARLIER.encode())
    commit_all(root)
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    expected = EARLIER.replace("## v1.0.0", "## v1.1.0\r\n\r\n- new\r\n\r\n## v1.0.0")
    assert (root / "NEWS.md").read_bytes() == expected.encode()


@pytest.mark.parametrize("name", ["towncrier", "git-cliff"])
def test_a_tool_that_leaves_out_the_last_release_is_blocked(
    tmp_path: Path, bump: Bump, path: Path, name: str
) -> None:
    tool(path, name, "pathlib.Path('NEWS.md').write_text('## v1.1.0' + chr(10))")
    settings = TOWNCRIER if name == "towncrier" else "[tool.git-cliff.changelog]\n"
    root = single(tmp_path / "demo", settings, **{"NEWS.md": EARLIER})
    before = state(root)
    ran = bump(root, *MINOR)
    assert ran.code == 1, ran.text
    assert f'{name} rewrites NEWS.md: the section "v1.0.0" would be replaced' in ran.err
    assert state(root) == before


@pytest.mark.parametrize("file", ["NEWS.md", "new/NEWS.md"])
def test_the_first_changelog_that_a_tool_writes_is_committed(
    tmp_path: Path, bump: Bump, path: Path, file: str
) -> None:
    script = f"file = pathlib.Path({file!r}); file.parent.mkdir(exist_ok=True); file.write_text('News' + chr(10))"
    tool(path, "towncrier", script)
    root = single(tmp_path / "demo", TOWNCRIER)
    before = state(root)
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert in_commit(root) == [file, "pyproject.toml"]
    assert git(root, "status", "--porcelain") == ""
    assert bump(root, "--undo").code == 0
    assert state(root) == before
    assert not (root / file).exists()


def test_a_prerelease_does_not_run_the_tool(tmp_path: Path, bump: Bump, path: Path) -> None:
    tool(path, "towncrier", "sys.exit('started')")
    root = single(tmp_path / "demo", TOWNCRIER)
    ran = bump(root, "--part", "minor", "--pre", "alpha", *RELEASE)
    assert ran.code == 0, ran.text
    assert in_commit(root) == ["pyproject.toml"]


@pytest.mark.parametrize("name", ["towncrier", "git-cliff"])
def test_a_failing_tool_is_reported_with_its_output_and_nothing_is_bumped(
    tmp_path: Path, bump: Bump, path: Path, name: str
) -> None:
    tool(path, name, "pathlib.Path('NEWS.md').write_text('half'); sys.exit('no such template')")
    root = single(tmp_path / "demo", TOWNCRIER if name == "towncrier" else "[tool.git-cliff.changelog]\n")
    before = state(root)
    ran = bump(root, *MINOR)
    assert ran.code == 2, ran.text
    assert name in ran.err
    assert "no such template" in ran.err
    assert state(root) == before


@pytest.mark.parametrize("name", ["towncrier", "git-cliff"])
def test_a_missing_tool_is_reported_and_nothing_is_bumped(
    tmp_path: Path, bump: Bump, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bare"
    programs.mkdir()
    (programs / "git").symlink_to(git_program())
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    root = single(tmp_path / "demo", TOWNCRIER if name == "towncrier" else "[tool.git-cliff.changelog]\n")
    before = state(root)
    ran = bump(root, *MINOR)
    assert ran.code == 1, ran.text
    assert f"install {name}; " in ran.err
    assert state(root) == before


def git_program() -> str:
    import shutil

    found = shutil.which("git")
    assert found is not None
    return found


def test_uncommitted_work_is_not_overwritten_if_it_is_allowed(tmp_path: Path, bump: Bump, path: Path) -> None:
    # The tool has seen what is committed only.
    tool(path, "towncrier", NEWS)
    root = single(tmp_path / "demo", TOWNCRIER, **{"NEWS.md": "News\n"})
    (root / "NEWS.md").write_text("News, and a paragraph of mine\n")
    assert bump(root, *MINOR).code == 1
    ran = bump(root, *MINOR, "--allow-dirty")
    kept = (root / "NEWS.md").read_text(), git(root, "show", "HEAD:NEWS.md")
    assert any("a paragraph of mine" in text for text in kept), ran.text


def mixed(root: Path) -> Path:
    """Two packages: one with a changelog written by towncrier, one with a changelog and no tool."""
    two(root, "independent", {})
    write(root, {"packages/a/towncrier.toml": TOWNCRIER, "packages/a/NEWS.md": "News\n"})
    write(root, {"packages/b/CHANGELOG.md": CHANGELOG})
    commit_all(root)
    return root


def test_a_tool_is_run_for_the_packages_that_are_configured_for_it(tmp_path: Path, bump: Bump, path: Path) -> None:
    tool(path, "towncrier", NEWS)
    root = mixed(tmp_path / "many")
    assert bump(root, "--package", "a", *MINOR).code == 0
    assert in_commit(root) == ["packages/a/NEWS.md", "packages/a/pyproject.toml"]
    assert bump(root, "--package", "b", *MINOR).code == 0
    assert in_commit(root) == ["packages/b/CHANGELOG.md", "packages/b/pyproject.toml"]


def test_packages_with_a_tool_and_without_are_released_together(tmp_path: Path, bump: Bump, path: Path) -> None:
    tool(path, "towncrier", NEWS)
    root = mixed(tmp_path / "many")
    assert bump(root, "--all", *MINOR).code == 0
    assert in_commit(root) == [
        "packages/a/NEWS.md",
        "packages/a/pyproject.toml",
        "packages/b/CHANGELOG.md",
        "packages/b/pyproject.toml",
    ]


def test_a_tool_that_is_configured_by_name_is_required(tmp_path: Path, bump: Bump, path: Path) -> None:
    # git-cliff needs no settings of its own.
    tool(path, "git-cliff", NEWS)
    root = single(tmp_path / "demo", '[tool.relnox]\nchangelog = "git-cliff"\n')
    ran = bump(root, *MINOR)
    assert ran.code != 0 or in_commit(root) == ["NEWS.md", "pyproject.toml"], ran.text


# --- the tools themselves ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with both tools."""
    directory = tmp_path_factory.mktemp("tools") / "env"
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    pip = [str(directory / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "towncrier", "git-cliff"], check=True)
    return directory / "bin"


@pytest.fixture
def tools(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tools can be found."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(installed), os.environ["PATH"]]))


@pytest.mark.network
def test_the_real_towncrier(tmp_path: Path, bump: Bump, tools: None) -> None:
    settings = f'{TOWNCRIER}title_format = "## {{version}} ({{project_date}})"\n'
    files = {
        "changes/+one.feature.md": "A wonder.\n",
        "changes/12.bugfix.md": "A repair.\n",
        "NEWS.md": "# News\n\n<!-- towncrier release notes start -->\n\n## 1.0.0\n\nBegun.\n",
    }
    root = single(tmp_path / "demo", settings, **files)
    assert bump(root, "--part", "minor", "--pre", "beta", *RELEASE).code == 0
    assert in_commit(root) == ["pyproject.toml"]
    begun = today()
    ran = bump(root, *MINOR)
    assert ran.code == 0, ran.text
    assert in_commit(root) == ["NEWS.md", "changes/+one.feature.md", "changes/12.bugfix.md", "pyproject.toml"]
    text = (root / "NEWS.md").read_text()
    assert any(head in text for head in dated("## 1.1.0 (TODAY)", begun, today()))
    assert text.index("A wonder.") < text.index("A repair.") < text.index("## 1.0.0")
    assert git(root, "status", "--porcelain") == ""
    assert bump(root, "--undo").code == 0
    assert (root / "NEWS.md").read_text() == files["NEWS.md"]
    assert (root / "changes/12.bugfix.md").exists()


@pytest.mark.network
def test_towncrier_in_the_directories_of_packages(tmp_path: Path, bump: Bump, tools: None) -> None:
    root = two(tmp_path / "many", "independent", {})
    for name in ("a", "b"):
        settings = TOWNCRIER.replace('package = "demo"\n', f'name = "{name}"\n')
        fragment = f"packages/{name}/changes/1.feature.md"
        write(root, {f"packages/{name}/towncrier.toml": settings, fragment: f"Of {name}.\n"})
        write(root, {f"packages/{name}/NEWS.md": "# News\n"})
    commit_all(root)
    ran = bump(root, "--package", "b", *MINOR)
    assert ran.code == 0, ran.text
    directory = "packages/b"
    assert in_commit(root) == [
        f"{directory}/NEWS.md",
        f"{directory}/changes/1.feature.md",
        f"{directory}/pyproject.toml",
    ]
    assert "Of b." in (root / directory / "NEWS.md").read_text()


CLIFF = """\
[tool.git-cliff.changelog]
body = '''
## {% if version %}{{ version }}{% else %}unreleased{% endif %}
{% for commit in commits %}- {{ commit.message }}
{% endfor %}
'''
"""


@pytest.mark.network
@pytest.mark.parametrize("output", ["", 'output = "docs/news.md"\n'])
def test_the_real_git_cliff(tmp_path: Path, bump: Bump, tools: None, output: str) -> None:
    news = "docs/news.md" if output else "CHANGELOG.md"
    root = single(tmp_path / "demo", CLIFF + output, **{news: "# News\n"})
    (root / "src/demo.py").write_text("x = 1\n")
    commit_all(root, "feat: a wonder")
    assert bump(root, "--part", "auto", "--pre", "rc", *RELEASE).code == 0
    assert in_commit(root) == ["pyproject.toml"]
    (root / "src/demo.py").write_text("x = 2\n")
    commit_all(root, "fix: a repair")
    ran = bump(root, "--part", "auto", *RELEASE)
    assert ran.code == 0, ran.text
    assert in_commit(root) == sorted([news, "pyproject.toml"])
    text = (root / news).read_text()
    assert text.index("## v1.1.0\n") < text.index("a repair") < text.index("a wonder")
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.network
@pytest.mark.parametrize("own_settings", [False, True])
def test_the_real_git_cliff_in_a_workspace_with_paths(
    tmp_path: Path, bump: Bump, tools: None, *, own_settings: bool
) -> None:
    """Each changelog has the commits that release its package, under the tags of the package."""
    rules = '[tool.relnox.paths]\na = ["/proto/", "!docs/", "API.md"]\n'
    files: dict[str, str] = {}
    if own_settings:
        settings = CLIFF.replace("tool.git-cliff.", "")
        files |= {f"packages/{name}/cliff.toml": settings for name in ("a", "b")}
    root = two(tmp_path / "many", "independent", files, rules + ("" if own_settings else CLIFF))
    for name in ("a", "b"):
        git(root, "tag", f"{name}-v1.0.0")

    def change(*files: str) -> None:
        for file in files:
            text = (root / file).read_text() if (root / file).exists() else ""
            write(root, {file: f"{text}# {len(text)}\n"})
        commit_all(root, f"feat: {' and '.join(files)}")

    def sections(name: str) -> list[list[str]]:
        blocks = (root / f"packages/{name}/CHANGELOG.md").read_text().split("## ")
        return [[line.removeprefix("- ") for line in block.split("\n") if line] for block in blocks[1:-1]]

    for file in (
        "packages/a/a.py",
        "packages/b/b.py",
        "proto/a",
        "packages/a/docs/x",
        "packages/b/docs/x",
        "README",
    ):
        change(file)
    change("packages/a/docs/x", "packages/a/a.py")
    change("packages/a/docs/API.md")
    git(root, "tag", "b-v1.0.5")  # on a commit that changes neither package
    change("packages/b/late.py")
    ran = bump(root, "--package", "a", "--package", "b", *MINOR)
    assert ran.code == 0, ran.text
    changed = {f"packages/{name}/{file}" for name in ("a", "b") for file in ("CHANGELOG.md", "pyproject.toml")}
    assert set(in_commit(root)) == changed
    first = [
        "a-v1.1.0",
        "packages/a/a.py",
        "proto/a",
        "packages/a/docs/x and packages/a/a.py",
        "packages/a/docs/API.md",
    ]
    assert sections("a") == [first]
    others = [["b-v1.1.0", "packages/b/late.py"], ["b-v1.0.5", "packages/b/b.py", "packages/b/docs/x"]]
    assert sections("b") == others
    change("packages/a/more.py")
    ran = bump(root, "--package", "a", *MINOR)
    assert ran.code == 0, ran.text
    assert sections("a") == [["a-v1.2.0", "packages/a/more.py"], first]
    assert sections("b") == others


@pytest.mark.network
def test_a_tool_that_rejects_its_settings_is_reported(tmp_path: Path, bump: Bump, tools: None) -> None:
    root = single(tmp_path / "demo", '[tool.towncrier]\ndirectory = "changes"\ntemplate = "no/such.md"\n')
    before = state(root)
    ran = bump(root, *MINOR)
    assert ran.code == 2, ran.text
    assert "towncrier" in ran.err
    assert state(root) == before
