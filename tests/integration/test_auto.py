"""`--part auto` and the preflight checks of a bump, in real histories."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, git, remote_of, repository, single, write
from running import run_blocked_bump

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

AUTO = ("--part", "auto")
RELEASE = ("--commit", "--tag")
LOCKSTEP = '[tool.relnox]\npackages = ["packages/*"]\nversions = "lockstep"\n'
INDEPENDENT = '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n'
GROUP = '\n[tool.relnox.groups.both]\npackages = ["a", "b"]\nkind = "{kind}"\n'


def packages(root: Path, settings: str, needs: dict[str, str], version: str = "1.0.0") -> Path:
    """A repository of packages in `packages/NAME`, each with requirements, and no tag."""
    files = {"pyproject.toml": settings, "docs/index.md": "# All\n"}
    for name, dependencies in needs.items():
        files[f"packages/{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{dependencies}]\n\n{HATCHLING}'
        )
    return repository(write(root, files))


def change(root: Path, message: str, *files: str) -> str:
    """Commit a change of files."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.read_text() if path.exists() else ''}# {message[:4]}\n")
    return commit_all(root, message)


def moves(bump: Bump, root: Path, *options: str) -> dict[str, tuple[str, str]]:
    """Return the new version and the reason by package, from the plan of a dry run without problems."""
    file = root.parent / "plan.json"
    bump(root, *options, "--dry-run", "--plan", str(file), code=0)
    tables = json.loads(file.read_text(encoding="utf-8"))["tables"]
    return {name: (to, why) for table in tables for name, _, to, why in table["rows"]}


def versions(bump: Bump, root: Path, *options: str) -> dict[str, str]:
    return {name: to for name, (to, _) in moves(bump, root, *AUTO, *options).items()}


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """One package, released as 1.2.3."""
    root = repository(single(tmp_path / "demo"))
    git(root, "tag", "v1.2.3")
    return root


# --- one package ---------------------------------------------------------------------------------------


def test_a_release_from_the_commits_since_the_last_tag(demo: Path, bump: Bump) -> None:
    change(demo, "fix: one", "src/demo/one.py")
    change(demo, "docs: two", "README.md")
    change(demo, "feat(api): three\n\nWith a body.", "src/demo/three.py")
    assert moves(bump, demo, *AUTO) == {"demo": ("1.3.0", "minor: feat(api): three (and 2 more commits)")}
    bump(demo, *AUTO, *RELEASE, code=0)
    assert git(demo, "describe", "--tags") == "v1.3.0"
    again = bump(demo, *AUTO, *RELEASE, code=0)
    assert "nothing to release" in again.text
    assert git(demo, "tag").splitlines() == ["v1.2.3", "v1.3.0"]


HISTORIES: dict[str, tuple[tuple[str, ...], dict[tuple[str, ...], str | None]]] = {
    "tags of another branch": (
        ("git switch -c next", "feat!: x", "git tag v2.0.0", "git switch main", "fix: y"),
        {(): "1.2.4"},
    ),
    "commits of a merged branch, and no merge": (
        ("git switch -c topic", "feat: x", "git switch main", "fix: y", "git merge --no-ff -m feat!:merged topic"),
        {(): "1.3.0"},
    ),
    "a merged commit that is older than the tag": (
        (
            "git switch -c topic",
            "feat: x",
            "git switch main",
            "fix: y",
            "git tag v1.2.4",
            "git merge --no-ff topic",
        ),
        {(): "1.3.0"},
    ),
    "a revert": (("feat: x", "git tag --force v1.2.3", "git revert --no-edit HEAD"), {(): "1.2.4"}),
    "a revert of a revert": (
        ("feat: x", "git revert --no-edit HEAD", "git revert --no-edit HEAD"),
        {(): "1.3.0"},
    ),
    "prereleases of the same level": (
        ("feat: x", "git tag v1.3.0a0", "fix: y"),
        {("--pre", "alpha"): "1.3.0a1", ("--pre", "rc"): "1.3.0rc0", (): "1.3.0"},
    ),
    "a prerelease of a higher level": (
        ("feat: x", "git tag v1.3.0a0", "feat!: z"),
        {("--pre", "alpha"): "2.0.0a0"},
    ),
    "separators in a message": (("fix: a\x1eb", "fix: a\x1fb\n\nc\x1f\x1e"), {(): "1.2.4"}),
    "another script": (("fix: \xe4\U0001f40d",), {(): "1.2.4"}),
}
"""Commits and git commands after version 1.2.3, and the next versions by options."""


@pytest.mark.parametrize("history", HISTORIES)
def test_the_next_version_follows_from_the_history(demo: Path, bump: Bump, history: str) -> None:
    events, expected = HISTORIES[history]
    for number, event in enumerate(events):
        if not event.startswith("git "):
            change(demo, event, f"src/demo/m{number}.py")
            continue
        if (version := event.removeprefix("git tag v")) != event and "a" in version:
            text = (demo / "pyproject.toml").read_text()
            write(demo, {"pyproject.toml": text.replace("1.2.3", version)})
            commit_all(demo, f"chore: {version}")
        git(demo, *event.split()[1:])
    for options, following in expected.items():
        assert versions(bump, demo, *options) == ({} if following is None else {"demo": following})


def test_a_message_in_another_encoding_is_read(demo: Path, bump: Bump) -> None:
    git(demo, "config", "i18n.commitEncoding", "ISO-8859-1")
    (demo / "message").write_bytes(b"feat: \xfcml\xe4ut\n")
    (demo / "src/demo/x.py").touch()
    git(demo, "add", "src")
    git(demo, "commit", "--quiet", "--file", "message")
    assert moves(bump, demo, *AUTO) == {"demo": ("1.3.0", "minor: feat: \xfcml\xe4ut")}


@pytest.mark.parametrize("name", ["src/demo/a b.py", "src/demo/\xfc.py", 'src/demo/"q".py', "src/demo/a\nb.py"])
def test_any_file_name_belongs_to_its_package(tmp_path: Path, bump: Bump, name: str) -> None:
    root = packages(tmp_path / "many", INDEPENDENT, {"a": "", "b": ""})
    git(root, "tag", "a-v1.0.0")
    git(root, "tag", "b-v1.0.0")
    change(root, "fix: x", f"packages/b/{name}")
    assert versions(bump, root) == {"b": "1.0.1"}


@pytest.mark.parametrize(
    ("key", "value"), [("log.showSignature", "true"), ("diff.renames", "copies"), ("core.quotePath", "true")]
)
def test_git_settings_for_output_have_no_effect(tmp_path: Path, bump: Bump, key: str, value: str) -> None:
    root = packages(tmp_path / "many", INDEPENDENT, {"a": "", "b": ""})
    change(root, "chore: begin", "packages/a/long.py")
    git(root, "tag", "a-v1.0.0")
    git(root, "tag", "b-v1.0.0")
    git(root, "config", key, value)
    git(root, "mv", "packages/a/long.py", "packages/b/long.py")
    commit_all(root, "fix: moved from one to the other")
    assert versions(bump, root) == {"a": "1.0.1", "b": "1.0.1"}


# --- versions that are raised by hand, and those that were never released ------------------------------


def test_a_version_raised_by_hand_is_tagged_as_it_is(demo: Path, bump: Bump) -> None:
    text = (demo / "pyproject.toml").read_text()
    write(demo, {"pyproject.toml": text.replace("1.2.3", "1.5.0")})
    head = commit_all(demo, "chore: begin 1.5")
    bump(demo, *AUTO, *RELEASE, code=0)
    assert git(demo, "rev-parse", "v1.5.0^{}", "HEAD").splitlines() == [head, head]
    assert "nothing to release" in bump(demo, *AUTO, *RELEASE).text


@pytest.mark.parametrize("tagged", [False, True])
def test_a_requested_prerelease_is_not_a_final_release(tmp_path: Path, bump: Bump, *, tagged: bool) -> None:
    # Neither for a version that was never released, nor for one that was raised by hand.
    root = repository(single(tmp_path / "demo"))
    if tagged:
        git(root, "tag", "v1.0.0")
    ran = bump(root, *AUTO, "--pre", "rc", *RELEASE)
    assert "v1.2.3" not in git(root, "tag").splitlines(), ran.text


def test_a_version_from_tags_is_bumped_by_commits(tmp_path: Path, bump: Bump) -> None:
    root = write(
        tmp_path / "scm",
        {
            "pyproject.toml": """\
                [build-system]
                requires = ["setuptools", "setuptools-scm"]
                build-backend = "setuptools.build_meta"

                [project]
                name = "scm"
                dynamic = ["version"]

                [tool.setuptools_scm]
                """
        },
    )
    repository(root)
    assert "nothing to release" in bump(root, *AUTO, "--tag").text
    git(root, "tag", "v1.0.0")
    change(root, "feat: x", "scm.py")
    bump(root, *AUTO, "--tag", code=0)
    assert git(root, "describe", "--tags") == "v1.1.0"


# --- several packages ----------------------------------------------------------------------------------


def test_lockstep_uses_the_highest_level_of_any_package(tmp_path: Path, bump: Bump) -> None:
    root = packages(tmp_path / "many", LOCKSTEP, {"a": "", "b": '"a==1.0.0"', "c": ""})
    git(root, "tag", "v1.0.0")
    change(root, "fix: x", "packages/a/x.py")
    change(root, "feat: y", "packages/b/y.py")
    found = moves(bump, root, *AUTO)
    assert found["b"] == ("1.1.0", "minor: feat: y")
    assert {to for to, _ in found.values()} == {"1.1.0"}
    bump(root, *AUTO, *RELEASE, code=0)
    assert git(root, "tag").splitlines() == ["v1.0.0", "v1.1.0"]
    assert '"a==1.1.0"' in (root / "packages/b/pyproject.toml").read_text()


def test_files_of_no_package_request_no_bump(tmp_path: Path, bump: Bump) -> None:
    root = packages(tmp_path / "many", LOCKSTEP, {"a": "", "b": ""})
    git(root, "tag", "v1.0.0")
    change(root, "feat!: x", "docs/index.md", "packages/README.md")
    assert versions(bump, root) == {}


def released(root: Path, *names: str) -> Path:
    for name in names:
        git(root, "tag", f"{name}-v1.0.0")
    return root


def test_packages_are_bumped_by_their_own_commits_with_dependents(tmp_path: Path, bump: Bump) -> None:
    needs = {"a": "", "b": '"a<1.1"', "c": '"b==1.0.0"', "d": '"a>=1"'}
    root = released(packages(tmp_path / "many", INDEPENDENT, needs), *needs)
    change(root, "feat: both", "packages/a/x.py", "packages/d/x.py")
    assert moves(bump, root, *AUTO) == {
        "a": ("1.1.0", "minor: feat: both"),
        "b": ("1.0.1", "its requirement on a changes"),
        "c": ("1.0.1", "its requirement on b changes"),
        "d": ("1.1.0", "minor: feat: both"),
    }
    assert versions(bump, root, "--package", "d") == {"d": "1.1.0"}
    bump(root, *AUTO, *RELEASE, code=0)
    assert "nothing to release" in bump(root, *AUTO, *RELEASE).text


def test_packages_have_their_own_last_tags(tmp_path: Path, bump: Bump) -> None:
    root = packages(tmp_path / "many", INDEPENDENT, {"a": "", "b": "", "c": ""})
    released(root, "a")
    change(root, "feat: x", "packages/a/x.py", "packages/b/x.py")
    released(root, "b")
    change(root, "fix: y", "packages/a/y.py", "packages/b/y.py")
    assert moves(bump, root, *AUTO) == {
        "a": ("1.1.0", "minor: feat: x (and 1 more commit)"),
        "b": ("1.0.1", "patch: fix: y"),
    }
    # Whether c is new, or has tags of another form, is not clear: it is not released unless it is named.
    assert "c: no tag found (c-v…); for a first release: --package c" in bump(root, *AUTO, "--dry-run").text
    assert moves(bump, root, *AUTO, "--package", "c") == {"c": ("1.0.0", "no tag yet")}


def test_a_package_at_the_root_owns_the_remaining_files(tmp_path: Path, bump: Bump) -> None:
    settings = '[tool.relnox]\npackages = [".", "packages/*"]\nversions = "independent"\n'
    root = packages(
        tmp_path / "many",
        f'[project]\nname = "root"\nversion = "1.0.0"\n\n{HATCHLING}{settings}',
        {"a": "", "ab": ""},
    )
    released(root, "a", "ab", "root")
    change(root, "fix: x", "packages/a/x.py")
    assert versions(bump, root) == {"a": "1.0.1"}
    change(root, "feat: y", "src/y.py", "packages/README.md")
    assert versions(bump, root) == {"a": "1.0.1", "root": "1.1.0"}


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("fixed", AUTO, {"a": "1.1.0", "b": "1.1.0"}),
        ("linked", AUTO, {"b": "1.1.0"}),
        ("fixed", ("--part", "patch", "--package", "a"), {"a": "1.0.1", "b": "1.0.1"}),
    ],
)
def test_levels_of_groups(
    tmp_path: Path, bump: Bump, kind: str, options: tuple[str, ...], expected: dict[str, str]
) -> None:
    root = packages(tmp_path / kind, INDEPENDENT + GROUP.format(kind=kind), {"a": "", "b": "", "c": ""})
    released(root, "a", "b", "c")
    change(root, "feat: y", "packages/b/y.py")
    assert {name: to for name, (to, _) in moves(bump, root, *options).items()} == expected
    change(root, "fix: x", "packages/a/x.py")
    assert versions(bump, root) == {"a": "1.1.0", "b": "1.1.0"}
    if kind == "fixed":  # also for packages that are not named
        assert versions(bump, root, "--package", "a") == {"a": "1.1.0", "b": "1.1.0"}
    assert bump(root, *AUTO, *RELEASE).code == 0
    assert "nothing to release" in bump(root, *AUTO, *RELEASE).text


def test_a_package_that_is_new_in_a_fixed_group_can_be_released(tmp_path: Path, bump: Bump) -> None:
    # It was given the group's version; the others have released that already.
    root = packages(tmp_path / "many", INDEPENDENT + GROUP.format(kind="fixed"), {"a": "", "b": ""})
    released(root, "a")
    change(root, "chore: begin b", "packages/b/x.py")
    bump(root, *AUTO, "--package", "b", *RELEASE, code=0)
    assert any(tag.startswith("b-v") for tag in git(root, "tag").splitlines())


# --- what auto cannot work with ------------------------------------------------------------------------


def test_before_the_first_commit_a_package_was_never_released(tmp_path: Path, bump: Bump) -> None:
    root = single(tmp_path / "demo")
    git(root, "init", "--quiet")
    assert versions(bump, root) == {"demo": "1.2.3"}
    ran = bump(root, *AUTO, *RELEASE, code=1)
    assert "the git repository has no commit yet (needed for --commit and --tag)" in ran.err


def test_a_project_in_a_subdirectory_counts_its_own_files_only(tmp_path: Path, bump: Bump) -> None:
    top = write(tmp_path / "mono", {"other/x.txt": ""})
    single(top / "py th\xf6n")
    repository(top)
    git(top, "tag", "v1.2.3")
    project = top / "py th\xf6n"
    change(top, "feat: elsewhere", "other/x.txt", "src/demo/no.py")
    assert versions(bump, project) == {}
    change(top, "fix: here", "py th\xf6n/src/demo/x.py")
    write(top, {"other/x.txt": "not committed"})
    assert versions(bump, project) == {"demo": "1.2.4"}
    bump(project, *AUTO, *RELEASE, code=0)
    assert git(top, "describe", "--tags") == "v1.2.4"


# --- guards --------------------------------------------------------------------------------------------


MINOR = ("--part", "minor", *RELEASE)


def other_clone(root: Path, directory: Path) -> Path:
    """Another clone of the remote."""
    git(root, "push", "--quiet", "--tags", "origin", "main")
    git(directory, "clone", "--quiet", str(remote_of(root)), "other")
    return directory / "other"


def test_a_maintenance_branch_is_released_below_a_newer_tag(demo: Path, bump: Bump) -> None:
    change(demo, "feat!: x", "x.txt")
    git(demo, "tag", "v2.0.0")
    git(demo, "switch", "--quiet", "--create", "1.x", "v1.2.3")
    change(demo, "fix: y", "y.txt")
    bump(demo, *AUTO, *RELEASE, "--push", code=0)
    assert git(remote_of(demo), "describe", "--tags", "1.x") == "v1.2.4"


def test_dirty_files_of_other_packages_do_not_block(tmp_path: Path, bump: Bump) -> None:
    needs = {"a": "", "b": '"a==1.0.0"', "c": ""}
    root = released(packages(tmp_path / "many", INDEPENDENT, needs), *needs)
    change(root, "chore: begin", "packages/abc.md", *(f"packages/{name}/x.py" for name in needs))
    others = ("docs/index.md", "packages/abc.md", "packages/c/x.py")
    for name in others:
        write(root, {name: "mine"})
    bump(root, "--package", "a", *MINOR, code=0)
    assert sorted(git(root, "status", "--porcelain").split()[1::2]) == [*others]
    (root / "packages/b/x.py").write_text("mine")  # it moves along
    said = run_blocked_bump(bump, root, "--package", "a", "--again", *MINOR)
    assert "uncommitted changes: packages/b/x.py" in said


def test_all_problems_are_listed_and_each_option_ignores_its_own(demo: Path, tmp_path: Path, bump: Bump) -> None:
    write(
        demo, {"pyproject.toml": (demo / "pyproject.toml").read_text() + '\n[tool.relnox]\nbranch = "release"\n'}
    )
    commit_all(demo, "chore: set the branch")
    git(demo, "tag", "v2.0.0")
    other = other_clone(demo, tmp_path)
    change(other, "fix: theirs", "theirs.txt")
    git(other, "push", "--quiet")
    git(demo, "fetch", "--quiet")
    (demo / "README.md").write_text("mine\n")
    problems = (
        "uncommitted changes: README.md",
        "branch main is not a release branch ([tool.relnox] branch: release",
        "demo 1.3.0 is not higher than the last release (v2.0.0)",
        "origin has commits on main that this checkout does not have",
    )
    said = run_blocked_bump(bump, demo, *MINOR)
    assert "bump is blocked by 4 problems" in said
    assert all(words in said for words in problems)
    said = run_blocked_bump(bump, demo, *MINOR, "--allow-branch")
    assert "bump is blocked by 3 problems" in said
    said = run_blocked_bump(bump, demo, *MINOR, "--allow-branch", "--allow-dirty")
    assert "bump is blocked by 2 problems" in said
    assert all(words in said for words in problems[2:])
    git(demo, "rebase", "--quiet", "--autostash", "origin/main")
    options = ("--to", "1.3.0", "--allow-lower", "--allow-branch", "--allow-dirty")
    ran = bump(demo, *options, *RELEASE, code=0)
    assert f"--allow-branch ignores: {problems[1]}" in ran.text
    assert f"--allow-dirty ignores: {problems[0]}" in ran.text
    assert git(demo, "status", "--porcelain") == "M README.md"


def test_a_tag_without_a_bump_contains_all_changes(tmp_path: Path, bump: Bump) -> None:
    # A version from tags needs no commit; a changelog that is edited for it does, or the tag lacks the edit.
    root = write(
        tmp_path / "scm",
        {
            "pyproject.toml": '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n',
            "CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n",
        },
    )
    repository(root)
    git(root, "tag", "v1.0.0")
    ran = bump(root, "--part", "minor", "--tag")
    if ran.code == 0:
        assert "1.1.0" in git(root, "show", "v1.1.0:CHANGELOG.md")
        assert git(root, "status", "--porcelain") == ""
    else:
        assert "--commit" in ran.err
        assert git(root, "tag") == "v1.0.0"


def test_a_post_release_that_was_set_by_hand_is_not_silent(tmp_path: Path, bump: Bump) -> None:
    root = repository(single(tmp_path / "demo", "1.9.0"))
    git(root, "tag", "v1.9.0")
    file = root / "pyproject.toml"
    write(root, {"pyproject.toml": file.read_text().replace("1.9.0", "1.9.0.post0"), "src/demo/new.py": "\n"})
    commit_all(root, "feat: something")
    ran = bump(root, "--part", "auto", code=0)
    assert "demo 1.9.0.post0: released as it is, whatever the commits ask for" in ran.text
    assert "no file changes: --commit --tag releases what is there" in ran.text
    ran = bump(root, "--part", "auto", "--commit", code=1)
    assert "fix: add --tag to tag the current version" in ran.text
    assert bump(root, "--part", "auto", "--commit", "--tag").code == 0
    assert git(root, "tag", "--points-at", "HEAD") == "v1.9.0.post0"


def test_an_unclear_tag_format_is_reported_with_what_follows_from_it(demo: Path, bump: Bump) -> None:
    git(demo, "tag", "--delete", "v1.2.3")
    git(demo, "tag", "python_1.0.0")
    write(demo, {"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n- more\n\n## [1.2.3]\n\n- one\n"})
    commit_all(demo, "docs: changelog")
    said = run_blocked_bump(bump, demo, *AUTO, *RELEASE)
    assert "[tag-format-unknown]" in said
    assert "[changelog-invalid]" in said
