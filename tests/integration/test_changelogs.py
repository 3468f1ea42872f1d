"""What a release says: changelogs that relnox edits, and those that towncrier and git-cliff write."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, everything, git, repository, write

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--commit", "--tag")
MINOR = ("--part", "minor", *RELEASE)


def project(name: str, version: str, more: str = "") -> str:
    return f'[project]\nname = "{name}"\nversion = "{version}"\n\n{HATCHLING}\n{more}'


def single(root: Path, more: str = "", **files: str) -> Path:
    """One package at 1.0.0, tagged; a text that begins with `->` is a link."""
    links = {name: text.removeprefix("-> ") for name, text in files.items() if text.startswith("-> ")}
    texts = {name: text for name, text in files.items() if name not in links}
    write(root, {"pyproject.toml": project("demo", "1.0.0", more), "src/demo.py": "", **texts})
    for name, target in links.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(target)
    repository(root)
    git(root, "tag", "v1.0.0")
    return root


def many(root: Path, settings: str, names: str = "ab", **files: str) -> Path:
    """Packages at 1.0.0 below the root."""
    packages = {f"packages/{name}/pyproject.toml": project(name, "1.0.0") for name in names}
    top = f'[tool.relnox]\npackages = ["packages/*"]\n{settings}\n'
    return repository(write(root, {"pyproject.toml": top, **packages, **files}))


def in_commit(root: Path) -> list[str]:
    """Files that the last commit changed, except the settings of packages."""
    names = git(root, "show", "--format=", "--name-only", "--no-renames").splitlines()
    return sorted(name for name in names if not name.endswith("pyproject.toml"))


def text_of(root: Path, name: str) -> str:
    """The text of a file, with TODAY instead of the days of this century."""
    return re.sub(r"20[0-9]{2}-(?!01-01)[0-9]{2}-[0-9]{2}", "TODAY", (root / name).read_text())


# --- changelogs that relnox edits ------------------------------------------------------------------------

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- One.\n\n## [1.0.0] - 2026-01-01\n\n- Begun.\n"
RELEASED = CHANGELOG.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [1.1.0] - TODAY\n")
PLAIN = "# Changes\n\n1.0.0 was the first.\n"
EMPTY = CHANGELOG.replace("- One.\n", "")
BY_HAND = CHANGELOG.replace("[Unreleased]", "1.1.0")
NO_HEADING = "no section for this release (no heading Unreleased above the last version"


def test_the_changelog_is_updated_in_the_same_commit(tmp_path: Path, bump: Bump) -> None:
    root = single(tmp_path / "demo", **{"CHANGELOG.md": CHANGELOG})
    bump(root, *MINOR, code=0)
    assert text_of(root, "CHANGELOG.md") == RELEASED
    assert in_commit(root) == ["CHANGELOG.md"]
    assert git(root, "status", "--porcelain") == ""
    assert bump(root, "--undo").code == 0
    assert (root / "CHANGELOG.md").read_text() == CHANGELOG


FILE = 'changelog-file = "{}"'.format


@pytest.mark.parametrize(
    ("settings", "files", "edited", "note"),
    [
        # any usual name, and the usual directories
        *(("", {name: CHANGELOG}, name, "") for name in ("CHANGES.md", "docs/history.md", "ChangeLog.txt")),
        ("", {"News": CHANGELOG}, "News", ""),
        ("", {"HISTORY.rst": "1.1.0 (unreleased)\n==================\n\n- x\n"}, "HISTORY.rst", ""),
        ("", {"CHANGES.md": CHANGELOG, "CHANGELOG.md": PLAIN}, "CHANGES.md", ""),
        ("", {"CHANGELOG.md": "-> docs/changes.md", "docs/changes.md": CHANGELOG}, "docs/changes.md", ""),
        ("", {"CHANGELOG.md": CHANGELOG, "docs/changelog.md": "-> ../CHANGELOG.md"}, "CHANGELOG.md", ""),
        ("", {"CHANGELOG.md": CHANGELOG, "src/vendored/CHANGELOG.md": CHANGELOG}, "CHANGELOG.md", ""),
        (
            *("", {"CHANGELOG.md": CHANGELOG, "docs/news.md": CHANGELOG}, "CHANGELOG.md"),
            "docs/news.md: unreleased changes stay; to release them instead of those in the other changelog, set",
        ),
        # the settings
        (FILE("docs/news.md"), {"CHANGELOG.md": CHANGELOG, "docs/news.md": CHANGELOG}, "docs/news.md", ""),
        (FILE(".//OTHER.md"), {"CHANGELOG.md": CHANGELOG, "OTHER.md": CHANGELOG}, "OTHER.md", ""),
        (FILE("OTHER.md"), {"CHANGELOG.md": CHANGELOG}, None, "no changelog changes: there is no OTHER.md"),
        ('changelog = "keep-a-changelog"', {}, None, "no changelog changes: there is no CHANGELOG.md"),
        ('changelog = "none"', {"CHANGELOG.md": CHANGELOG}, None, ""),
        ("", {}, None, ""),
        # nothing to add, and why
        ("", {"CHANGELOG.md": PLAIN}, None, f"CHANGELOG.md: {NO_HEADING}"),
        ("", {"NEWS.rst": "1.0.0\n=====\n\n- y\n"}, None, f"NEWS.rst: {NO_HEADING}"),
        ("", {"CHANGELOG.md": EMPTY}, None, "no section for this release (nothing is under Unreleased)"),
        ("", {"NEWS": "## 1.5.0 (unreleased)\n"}, None, "(its first heading is 1.5.0 (unreleased), of another"),
        ("", {"CHANGELOG.md": BY_HAND}, None, ""),
    ],
)  # fmt: skip
def test_which_changelog_lists_a_release_and_a_note_on_those_that_do_not(  # noqa: PLR0917 - a table
    settings: str, files: dict[str, str], edited: str | None, note: str, tmp_path: Path, bump: Bump
) -> None:
    root = single(tmp_path / "demo", f"[tool.relnox]\n{settings}\n", **files)
    ran = bump(root, *MINOR, code=0)
    assert in_commit(root) == [edited] * (edited is not None)
    assert edited is None or "1.1.0" in text_of(root, edited)
    assert len(re.findall("^note:", ran.err, re.MULTILINE)) == bool(note), ran.err
    assert note in ran.err


def test_a_final_release_lists_and_compares_what_is_new_since_the_last_final_one(
    tmp_path: Path, bump: Bump
) -> None:
    text = f"{CHANGELOG}\n[Unreleased]: https://github.com/o/r/compare/v1.0.0...HEAD\n"
    root = single(tmp_path / "demo", **{"CHANGELOG.md": text})
    for options in (("--part", "minor", "--pre", "rc"), ("--part", "pre")):
        assert bump(root, *options, *RELEASE).code == 0
        assert in_commit(root) == []
    assert bump(root, "--part", "release", *RELEASE).code == 0
    after = text_of(root, "CHANGELOG.md")
    assert after.startswith(RELEASED)
    assert "[1.1.0]: https://github.com/o/r/compare/v1.0.0...v1.1.0\n" in after
    assert "[Unreleased]: https://github.com/o/r/compare/v1.1.0...HEAD\n" in after


# --- changelogs of several packages ------------------------------------------------------------------------

GROUP = 'versions = "independent"\n[tool.relnox.groups.all]\npackages = ["a", "b"]\nkind = "{}"'.format
OWN = 'versions = "independent"'
STAY = "CHANGELOG.md is not changed, its entries stay"


@pytest.mark.parametrize(
    ("names", "settings", "files", "edited", "note"),
    [
        ("ab", OWN, {"packages/a/NEWS.md": CHANGELOG, "NEWS.md": PLAIN}, "packages/a/NEWS.md", ""),
        ("ab", 'versions = "lockstep"', {"CHANGELOG.md": CHANGELOG}, "CHANGELOG.md", ""),
        ("ab", f'versions = "lockstep"\n{FILE("./NEWS.md")}', {"NEWS.md": CHANGELOG}, "NEWS.md", ""),
        ("a", "", {"CHANGES.md": CHANGELOG}, "CHANGES.md", ""),
        ("a", OWN, {"CHANGELOG.md": CHANGELOG}, "CHANGELOG.md", ""),
        ("ab", GROUP("fixed"), {"CHANGELOG.md": CHANGELOG}, "CHANGELOG.md", ""),
        ("ab", GROUP("linked"), {"CHANGELOG.md": CHANGELOG}, None, STAY),
        ("ab", OWN, {"CHANGELOG.md": CHANGELOG}, None, "to list a in one, add packages/a/CHANGELOG.md"),
        ("ab", OWN, {"CHANGELOG.md": EMPTY}, None, ""),
    ],
)  # fmt: skip
def test_which_changelog_lists_packages_of_a_workspace(  # noqa: PLR0917 - a table
    names: str, settings: str, files: dict[str, str], edited: str | None, note: str, tmp_path: Path, bump: Bump
) -> None:
    root = many(tmp_path / "many", settings, names, **files)
    if "lockstep" in settings:
        git(root, "tag", "v1.0.0")
    ran = bump(root, *MINOR, *(["--package", "a"] if "independent" in settings else []), code=0)
    assert in_commit(root) == [edited] * (edited is not None)
    assert edited is None or text_of(root, edited) == RELEASED
    assert note in ran.err
    assert ("not changed" in ran.err) == bool(note)


def test_one_note_for_all_changelogs_that_stay_for_one_reason(tmp_path: Path, bump: Bump) -> None:
    names = "abcdefgh"
    root = many(tmp_path / "many", OWN, names, **{f"packages/{name}/CHANGES.md": PLAIN for name in names})
    ran = bump(root, "--all", *MINOR, code=0)
    assert ran.err.count(NO_HEADING) == 1
    assert "packages/a/CHANGES.md, packages/b/CHANGES.md, " in ran.err
    assert " and 4 more: no section" in ran.err


def test_the_changelog_of_a_package_at_the_root_is_not_that_of_others(tmp_path: Path, bump: Bump) -> None:
    root = many(tmp_path, "", "a", **{"CHANGELOG.md": CHANGELOG})
    top = '[tool.relnox]\npackages = [".", "packages/*"]\nversions = "independent"\n'
    write(root, {"pyproject.toml": project("top", "1.0.0", top)})
    commit_all(root)
    ran = bump(root, "--package", "a", *MINOR, code=0)
    assert in_commit(root) == []
    assert "CHANGELOG.md is not changed" not in ran.err


# --- change files of other tools ---------------------------------------------------------------------------

FRAGMENT = "A wonder.\n"
SCRIV = '[tool.scriv]\nfragment_directory = "pending"\nchangelog = "docs/history.rst"\n'
NAMED = '[tool.relnox]\nchangelog = "keep-a-changelog"\n'
CHANGIE = "changesDir: .pending\nunreleasedDir: next\nchangelogPath: CHANGELOG.md\n"


@pytest.mark.parametrize(
    ("more", "files", "note"),
    [
        ("", {"changelog.d/1.md": ""}, "changelog.d: 1 change file of scriv not released (1.md; "),
        (SCRIV, {"pending/1.rst": FRAGMENT, "docs/history.rst": "1.0\n===\n"}, "scriv collect --version 1.1.0"),
        ("", {"setup.cfg": "[scriv]\nfragment_directory = notes/new\n", "notes/new/a.md": ""}, "notes/new: 1"),
        ("", {".changie.yaml": CHANGIE, ".pending/next/a.yaml": ""}, ".pending/next: 1 change file of changie"),
        ("", {".changes/unreleased/a.yaml": "kind: Fixed\n"}, "changie batch 1.1.0 && changie merge"),
        ("", {".changeset/config.json": "{}", ".changeset/a.md": "", ".changeset/b.md": ""}, ".changeset: 2 "),
        ("", {"newsfragments/1.fix": "", "src/x/newsfragments/2.fix": ""}, "src/x/newsfragments: 1 change file"),
        ("", {"docs/towncrier.toml": '[tool.towncrier]\ndirectory = "new"\n', "new/1.fix": ""}, "new: 1 change"),
        (f'{NAMED}[tool.towncrier]\nfilename = "NEWS"\n', {"newsfragments/1.fix": ""}, "of towncrier"),
        # none are pending, or they are not to be released
        (SCRIV, {"pending/README.rst": "", "pending/new.rst.j2": "", "pending/.gitkeep": ""}, ""),
        ("", {".changeset/config.json": "{}", ".changeset/README.md": "x"}, ""),
        ("", {"changelog.d": "a file"}, ""),
        ('[tool.scriv]\nfragment_directory = "../.."\n', {"README.md": "x"}, ""),
        ('[tool.relnox]\nchangelog = "none"\n', {"changelog.d/1.md": FRAGMENT}, ""),
    ],
)  # fmt: skip
def test_change_files_that_are_not_released_are_named(
    more: str, files: dict[str, str], note: str, tmp_path: Path, bump: Bump
) -> None:
    root = single(tmp_path / "demo", more, **files)
    assert "change file" not in bump(root, "--pre", "rc", *RELEASE).err
    ran = bump(root, "--part", "minor", *RELEASE, code=0)
    assert note in ran.err
    assert ("change file" in ran.err) == bool(note)


# --- tools of others, played by scripts ----------------------------------------------------------------

TOWNCRIER = '[tool.towncrier]\ndirectory = "changes"\nfilename = "NEWS.md"\npackage = "demo"\n'
GIT_CLIFF = "[tool.git-cliff.changelog]\n"
TOOLS = pytest.mark.parametrize(("name", "settings"), [("towncrier", TOWNCRIER), ("git-cliff", GIT_CLIFF)])
ARGUMENTS = """
to = [word[9:] for word in sys.argv if word.startswith('--output=')] or ['NEWS.md']
ignored = pathlib.Path('.cliffignore')
words = [*sys.argv[1:], *(ignored.read_text().split() if ignored.exists() else ())]
pathlib.Path(to[0]).write_text(chr(10).join(words) + chr(10))
"""
"""A script that writes its arguments into the changelog that they name, or into NEWS.md."""


def tool(directory: Path, name: str, script: str) -> None:
    """Create a program in a directory."""
    write(directory, {name: f"#!{sys.executable}\nimport pathlib, sys\n{script}\n"})
    (directory / name).chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory at the front of PATH."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(directory), os.environ["PATH"]]))
    return directory


@pytest.fixture
def tools(path: Path) -> None:
    """Programs that write their arguments."""
    for name in ("towncrier", "git-cliff"):
        tool(path, name, ARGUMENTS)


def test_changes_of_a_tool_are_part_of_the_plan_and_the_commit(tmp_path: Path, bump: Bump, path: Path) -> None:
    # One of the fragments is a link to another one.
    removed = "[file.unlink() for file in pathlib.Path('changes').iterdir()]"
    tool(path, "towncrier", f"pathlib.Path('NEWS.md').write_text(' '.join(sys.argv[1:]))\n{removed}")
    files = {"changes/1.feature": "One.\n", "changes/2.feature": "-> 1.feature", "NEWS.md": "News\n"}
    root = single(tmp_path / "demo", TOWNCRIER, **files)
    before = everything(root)
    ran = bump(root, *MINOR, "--dry-run", code=0)
    assert "+build --yes --version=1.1.0" in ran.out
    assert everything(root) == before
    ran = bump(root, *MINOR, code=0)
    assert "note:" not in ran.err
    assert in_commit(root) == ["NEWS.md", "changes/1.feature", "changes/2.feature"]
    assert text_of(root, "NEWS.md") == "build --yes --version=1.1.0 --date=TODAY --name=Demo"
    assert git(root, "status", "--porcelain") == ""
    assert bump(root, "--undo").code == 0
    assert (root / "NEWS.md").read_text() == "News\n"
    assert (root / "changes/1.feature").read_text() == "One.\n"
    assert (root / "changes/2.feature").readlink().name == "1.feature"
    assert everything(root) == before


EARLIER = "# News\r\n\r\n## v1.0.0\r\n\r\n- by hand\r\n\r\n## v0.9\r\n\r\n- older than the tool\r\n"


@TOOLS
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("# News\n\n## v1.1.0\n\n- new\n\n## v1.0.0 - 2026-01-01\n\n- from commits\n", ""),
        (EARLIER.replace("\r\n", "\n").replace("## v1.0.0", "## v1.1.0\n\n- new\n\n## v1.0.0"), ""),
        ("## v1.1.0\n", 'rewrites NEWS.md: the section "v1.0.0" of an earlier release would be lost'),
    ],
)
def test_a_tool_does_not_change_what_the_changelog_says_about_earlier_releases(  # noqa: PLR0917 - a table
    tmp_path: Path, bump: Bump, path: Path, name: str, settings: str, text: str, error: str
) -> None:
    tool(path, name, f"pathlib.Path('NEWS.md').write_text({text!r})")
    root = single(tmp_path / "demo", settings)
    (root / "NEWS.md").write_bytes(EARLIER.encode())
    commit_all(root)
    ran = bump(root, *MINOR)
    assert ran.code == bool(error), ran.text
    assert error in ran.err
    expected = EARLIER if error else EARLIER.replace("## v1.0.0", "## v1.1.0\r\n\r\n- new\r\n\r\n## v1.0.0")
    assert (root / "NEWS.md").read_bytes() == expected.encode()
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.parametrize("file", ["NEWS.md", "new/NEWS.md"])
def test_the_first_changelog_that_a_tool_writes_is_committed(
    tmp_path: Path, bump: Bump, path: Path, file: str
) -> None:
    script = f"file = pathlib.Path({file!r}); file.parent.mkdir(exist_ok=True); file.write_text('News' + chr(10))"
    tool(path, "towncrier", script)
    root = single(tmp_path / "demo", TOWNCRIER)
    before = everything(root)
    bump(root, *MINOR, code=0)
    assert in_commit(root) == [file]
    assert git(root, "status", "--porcelain") == ""
    assert bump(root, "--undo").code == 0
    assert everything(root) == before
    assert not (root / file).exists()


@TOOLS
@pytest.mark.parametrize("is_installed", [True, False])
def test_a_tool_that_fails_or_is_missing_is_reported_and_nothing_is_bumped(
    tmp_path: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch, name: str, settings: str, *, is_installed: bool
) -> None:
    programs = tmp_path / "bare"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git") or "")
    if is_installed:
        tool(programs, name, "pathlib.Path('NEWS.md').write_text('half'); sys.exit('no such template')")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    root = single(tmp_path / "demo", settings)
    before = everything(root)
    ran = bump(root, *MINOR)
    assert ran.code == (2 if is_installed else 1), ran.text
    assert ("no such template" if is_installed else f"install {name}, or add its directory to PATH") in ran.err
    assert everything(root) == before
    # A prerelease does not need it.
    assert bump(root, "--part", "minor", "--pre", "alpha", *RELEASE).code == 0


@pytest.mark.usefixtures("tools")
def test_uncommitted_work_is_not_overwritten_if_it_is_allowed(tmp_path: Path, bump: Bump) -> None:
    # The tool has seen what is committed only.
    root = single(tmp_path / "demo", TOWNCRIER, **{"NEWS.md": "News\n"})
    (root / "NEWS.md").write_text("News, and a paragraph of mine\n")
    assert bump(root, *MINOR).code == 1
    ran = bump(root, *MINOR, "--allow-dirty")
    kept = (root / "NEWS.md").read_text(), git(root, "show", "HEAD:NEWS.md")
    assert any("a paragraph of mine" in text for text in kept), ran.text


@pytest.mark.usefixtures("tools")
def test_a_tool_is_run_for_the_packages_that_are_configured_for_it(tmp_path: Path, bump: Bump) -> None:
    files = {"packages/a/towncrier.toml": TOWNCRIER, "packages/a/NEWS.md": "News\n"}
    root = many(tmp_path / "many", OWN, **files, **{"packages/b/CHANGELOG.md": CHANGELOG})
    for options, changed in (
        (("--package", "a"), ["packages/a/NEWS.md"]),
        (("--package", "b"), ["packages/b/CHANGELOG.md"]),
        (("--all",), ["packages/a/NEWS.md"]),
    ):
        assert bump(root, *options, *MINOR).code == 0
        assert in_commit(root) == changed


@pytest.mark.usefixtures("tools")
def test_git_cliff_needs_no_settings_if_it_is_named(tmp_path: Path, bump: Bump) -> None:
    root = single(tmp_path / "demo", '[tool.relnox]\nchangelog = "git-cliff"\n')
    assert bump(root, *MINOR).code == 0
    assert in_commit(root) == ["CHANGELOG.md"]


# --- one tool at the root for several packages -----------------------------------------------------------


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("packages", "groups", "version"),
    [
        ("a", "", "a 1.1.0"),
        ("ab", "", "a 1.1.0, b 1.1.0"),
        ("a", '[tool.relnox.groups.both]\npackages = ["a", "b"]\n', "both 1.1.0"),
        (
            *("ac", '[tool.relnox.groups.main]\npackages = ["a", "b"]\n'),
            "1.1.0, c 1.1.0",
        ),
        ("a", '[tool.relnox.groups.all]\npackages = ["*"]\n', "1.1.0"),
    ],
)
def test_towncrier_at_the_root_lists_independent_packages_and_groups(
    tmp_path: Path, bump: Bump, packages: str, groups: str, version: str
) -> None:
    if "," in version and groups:
        groups += '[tool.relnox.tag-formats]\na = "v{version}"\nb = "v{version}"\n'
    settings = f'{OWN}\n{groups}[tool.towncrier]\nfilename = "NEWS.md"\n'
    root = many(tmp_path / "many", settings, "abc", **{"NEWS.md": "News\n"})
    options = [word for name in packages for word in ("--package", name)]
    assert bump(root, *options, "--pre", "rc", *MINOR).code == 0
    assert (root / "NEWS.md").read_text() == "News\n"  # prereleases are not listed
    bump(root, *options, "--part", "release", *RELEASE, code=0)
    assert f"--version={version}\n" in (root / "NEWS.md").read_text()


@pytest.mark.usefixtures("tools")
def test_git_cliff_at_the_root_writes_the_changelog_of_each_package(tmp_path: Path, bump: Bump) -> None:
    files = {"NEWS.md": "News\n", ".cliffignore": "# ours\n"}
    root = many(tmp_path / "many", f"{OWN}\n{GIT_CLIFF}", "abc", **files)
    write(root, {"packages/a/a.py": ""})
    commit_all(root, "feat: of a")
    of_a = git(root, "rev-parse", "HEAD")
    bump(root, "--package", "a", "--package", "b", *MINOR, code=0)
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
    ran = bump(root, "--all", "--part", "minor", "--tag", code=0)
    assert git(root, "tag").split() == ["a-v1.0.0", "a-v1.1.0"]
    assert "b, c: skipped, no tag to derive a version from" in ran.text
    assert f"relnox bump --project {root} --package b --to 0.1.0 --tag" in ran.text
    assert bump(root, "--package", "b", "--to", "0.1.0", "--tag").code == 0
    assert "b-v0.1.0" in git(root, "tag").split()


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
def real_tools(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tools can be found."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(installed), os.environ["PATH"]]))


@pytest.mark.network
def test_the_real_towncrier(tmp_path: Path, bump: Bump, real_tools: None) -> None:
    settings = f'{TOWNCRIER}title_format = "## {{version}} ({{project_date}})"\n'
    files = {
        "changes/+one.feature.md": "A wonder.\n",
        "changes/12.bugfix.md": "A repair.\n",
        "NEWS.md": "# News\n\n<!-- towncrier release notes start -->\n\n## 1.0.0\n\nBegun.\n",
    }
    root = single(tmp_path / "demo", settings, **files)
    assert bump(root, "--part", "minor", "--pre", "beta", *RELEASE).code == 0
    assert in_commit(root) == []
    bump(root, *MINOR, code=0)
    assert in_commit(root) == ["NEWS.md", "changes/+one.feature.md", "changes/12.bugfix.md"]
    text = text_of(root, "NEWS.md")
    assert "## 1.1.0 (TODAY)" in text
    assert text.index("A wonder.") < text.index("A repair.") < text.index("## 1.0.0")
    assert git(root, "status", "--porcelain") == ""
    assert bump(root, "--undo").code == 0
    assert (root / "NEWS.md").read_text() == files["NEWS.md"]
    assert (root / "changes/12.bugfix.md").exists()


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
def test_the_real_git_cliff(tmp_path: Path, bump: Bump, real_tools: None, output: str) -> None:
    news = "docs/news.md" if output else "CHANGELOG.md"
    root = single(tmp_path / "demo", CLIFF + output, **{news: "# News\n"})
    (root / "src/demo.py").write_text("x = 1\n")
    commit_all(root, "feat: a wonder")
    assert bump(root, "--part", "auto", "--pre", "rc", *RELEASE).code == 0
    assert in_commit(root) == []
    (root / "src/demo.py").write_text("x = 2\n")
    commit_all(root, "fix: a repair")
    bump(root, "--part", "auto", *RELEASE, code=0)
    assert in_commit(root) == [news]
    text = (root / news).read_text()
    assert text.index("## v1.1.0\n") < text.index("a repair") < text.index("a wonder")
    assert git(root, "status", "--porcelain") == ""


@pytest.mark.network
@pytest.mark.parametrize("own_settings", [False, True])
def test_the_real_git_cliff_in_a_workspace_with_paths(
    tmp_path: Path, bump: Bump, real_tools: None, *, own_settings: bool
) -> None:
    """Each changelog has the commits that release its package, under the tags of the package."""
    rules = '[tool.relnox.paths]\na = ["/proto/", "!docs/", "API.md"]\n'
    files: dict[str, str] = {}
    if own_settings:
        settings = CLIFF.replace("tool.git-cliff.", "")
        files |= {f"packages/{name}/cliff.toml": settings for name in ("a", "b")}
    root = many(tmp_path / "many", f"{OWN}\n{rules}{'' if own_settings else CLIFF}", **files)
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
    bump(root, "--package", "a", "--package", "b", *MINOR, code=0)
    assert in_commit(root) == ["packages/a/CHANGELOG.md", "packages/b/CHANGELOG.md"]
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
    bump(root, "--package", "a", *MINOR, code=0)
    assert sections("a") == [["a-v1.2.0", "packages/a/more.py"], first]
    assert sections("b") == others
