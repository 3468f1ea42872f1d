"""Tag formats: a bump continues the form of existing tags and does not invent one."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, git, remote_of, repository, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

PATCH = ("--part", "patch", "--commit", "--tag")


def static(name: str, version: str, needs: str = "") -> str:
    return f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{needs}]\n\n{HATCHLING}'


def scm(name: str, backend: str = "setuptools-scm") -> str:
    """A package whose backend takes the version from any tag."""
    head = f'[project]\nname = "{name}"\ndynamic = ["version"]\n\n[build-system]\n'
    if backend == "pdm":
        backend = 'requires = ["pdm-backend"]\nbuild-backend = "pdm.backend"\n'
        return f'{head}{backend}\n[tool.pdm.version]\nsource = "scm"\n'
    if backend == "versioningit":
        requires = '"setuptools>=77", "versioningit"'
        return f'{head}requires = [{requires}]\nbuild-backend = "setuptools.build_meta"\n\n[tool.versioningit]\n'
    if backend == "hatch-vcs":
        return (
            f'{head}requires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n\n'
            '[tool.hatch.version]\nsource = "vcs"\nraw-options.root = "../.."\n'
        )
    return (
        f'{head}requires = ["setuptools>=77", "setuptools-scm"]\nbuild-backend = "setuptools.build_meta"\n\n'
        '[tool.setuptools_scm]\nroot = "../.."\n'
    )


SAME = {"libs/a": static("a", "1.0.0"), "libs/b": static("b", "1.0.0")}


def monorepo(root: Path, packages: dict[str, str], *tags: str, settings: str | None = None) -> Path:
    """A repository of packages in directories, with tags on its first commit."""
    files = {f"{directory}/pyproject.toml": text for directory, text in packages.items()}
    for directory in packages:
        files[f"{directory}/{directory.rpartition('/')[2].replace('-', '_')}.py"] = "x = 1\n"
    if settings is not None:
        files["pyproject.toml"] = settings
    repository(write(root, files))
    for tag in tags:
        git(root, "tag", tag)
    if tags:
        git(root, "push", "--quiet", "--tags")
    return root


GRAPH = {
    "libs/graph": static("graph", "1.2.0"),
    "libs/sdk-py": static("graph-sdk", "0.4.0"),
    "libs/pg": static("graph-checkpoint-pg", "2.1.0"),
}
GRAPH_TAGS = ("1.2.0", "sdk==0.4.0", "checkpointpg==2.1.0")
ONE = {".": static("demo", "1.2.3")}


def paste(root: Path, said: str) -> None:
    """Add the settings that a message proposes to pyproject.toml, as a user would."""
    lines = [line.removeprefix("  ") for line in said.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("[tool.relnox"))
    file = root / "pyproject.toml"
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    commit_all(write(root, {"pyproject.toml": before + "\n" + "\n".join(lines[start:]) + "\n"}))


OTHERS = "it has no tag of a usual form, and there are others: "
UNCLEAR = {
    "a plain form": (GRAPH, GRAPH_TAGS, "graph", OTHERS, "1.2.1"),
    "a part of the name": (GRAPH, GRAPH_TAGS, "graph-sdk", OTHERS, "sdk==0.4.1"),
    "a word": (
        ONE,
        ("release-1.2.2", "release-1.2.3"),
        "",
        f"{OTHERS}release-1.2.3, release-1.2.2)",
        "release-1.2.4",
    ),
    "two forms": (ONE, ("demo-1.2.3", "v5.0.0"), "", "several forms: v5.0.0, demo-1.2.3)", "demo-1.2.4"),
    "no versions": (ONE, ("rel_1_3_9", "rel_1_4_0"), "", f"{OTHERS}rel_1_3_9, rel_1_4_0)", "v1.2.4"),
    "another product": (ONE, ("v2.9.0", "v2.8.0"), "", "another version at tag v2.9.0)", "demo-v1.2.4"),
    "a new line": ({".": scm("demo", "pdm")}, ("v0.9.0", "1.2.3"), "", "several forms: 1.2.3, v0.9.0)", "1.2.4"),
    "a new v": ({".": scm("demo", "pdm")}, ("0.9.0", "v1.2.3"), "", "several forms: v1.2.3, 0.9.0)", "v1.2.4"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_an_unclear_form_blocks_the_bump_until_the_settings_are_pasted(
    tmp_path: Path, bump: Bump, case: str
) -> None:
    packages, tags, package, reason, tag = UNCLEAR[case]
    root = monorepo(tmp_path / "demo", packages, *tags)
    selected = ("--package", package) if package else ()
    said = run_blocked_bump(bump, root, *selected, *PATCH)
    assert f"the form of the tags of {package or 'demo'} is not clear (" in said
    assert reason in said
    paste(root, said)
    bump(root, *selected, *PATCH, code=0)
    assert tag in git(root, "tag").split()


def test_init_update_writes_the_proposal_and_keeps_comments(tmp_path: Path, bump: Bump) -> None:
    head = '# ours\n[tool.relnox]  # to release\npackages = ["libs/*"]\nbranch = "main" # theirs\n'
    settings = f"{head}\n[tool.other]\nx = 1\n"
    root = monorepo(tmp_path / "graph", GRAPH, *GRAPH_TAGS, settings=settings)
    ran = run_in_process(root, "init")
    assert "[tool.relnox] exists and is not changed; --update adds:" in ran.err
    assert (root / "pyproject.toml").read_text(encoding="utf-8") == settings
    ran = run_in_process(root, "init", "--update", code=0)
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    assert text.startswith(head)
    tool = tomllib.loads(text)["tool"]
    assert tool["other"] == {"x": 1}
    assert tool["relnox"] == {
        "packages": ["libs/*"],
        "branch": "main",
        "versions": "independent",
        "tag-formats": {
            "graph": "{version}",
            "graph-sdk": "sdk=={version}",
            "graph-checkpoint-pg": "checkpointpg=={version}",
        },
    }
    commit_all(root)
    assert bump(root, "--package", "graph-sdk", *PATCH).code == 0
    assert "sdk==0.4.1" in git(root, "tag").split()
    assert "nothing to do: all files exist already" in run_in_process(root, "init", "--update", "--dry-run").out


@pytest.mark.parametrize(
    ("tags", "known"),
    [
        (("1.2.0", "sdk==0.4.0"), {"graph": "{version}", "graph-sdk": "sdk=={version}"}),
        (("1.2.0", "pg-7.0.0"), {"graph": "{version}"}),
        (("web-1.2.0", "web-2.1.0"), {}),
    ],
)
def test_init_writes_no_form_without_a_tag_that_has_it(
    tmp_path: Path, bump: Bump, tags: tuple[str, ...], known: dict[str, str]
) -> None:
    root = monorepo(tmp_path / "graph", GRAPH, *tags)
    said = run_in_process(root, "init").err
    assert "the form of the tags of " in said
    found = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["relnox"]
    assert found.get("tag-formats", {}) == known
    commit_all(root)
    said = run_blocked_bump(bump, root, "--package", "graph-checkpoint-pg", *PATCH)
    assert "the form of the tags of graph-checkpoint-pg is not clear" in said


def test_init_leaves_packages_and_clear_tags_as_they_are(tmp_path: Path, bump: Bump) -> None:
    packages = {f"kit/{name}": static(f"o-{name}", "0.1.0") for name in ("log", "env", "new")}
    root = monorepo(tmp_path / "kit", packages, "o-log/v0.0.9", "o-env/v0.0.9", "o-log/v0.1.0", "o-env/v0.1.0")
    said = run_in_process(root, "init").err
    assert "o-env, o-log always had the same version" in said
    assert "commit what init wrote before the next bump" in said
    commit_all(root)
    for name in ("o-log", "o-new"):
        assert bump(root, "--package", name, *PATCH).code == 0
        assert git(root, "tag", "--points-at", "HEAD") == f"{name}/v0.1.1"


def test_an_unclear_form_is_a_note_without_a_tag_and_blocks_auto(tmp_path: Path, bump: Bump) -> None:
    root = monorepo(tmp_path / "graph", GRAPH, "graph-v1.2.0", "checkpointpg==2.1.0")
    ran = bump(root, "--package", "graph-checkpoint-pg", "--part", "patch", "--dry-run", code=0)
    assert "the form of the tags of graph-checkpoint-pg is not clear" in ran.out
    commit_all(write(root, {"libs/pg/new.py": "y = 1\n"}), "fix: pg")
    said = run_blocked_bump(bump, root, "--part", "auto", "--commit", "--tag")
    assert "the form of the tags of graph-checkpoint-pg, graph-sdk is not clear" in said


def without_tags(root: Path, directory: Path, *words: str) -> Path:
    git(directory, "clone", "--quiet", "--no-tags", *words, remote_of(root).as_uri(), "clone")
    git(directory / "clone", "config", "user.name", "CI")
    git(directory / "clone", "config", "user.email", "ci@example.invalid")
    return directory / "clone"


@pytest.mark.parametrize("words", [(), ("--depth", "1")], ids=["no tags", "shallow"])
def test_a_clone_without_tags_reads_the_form_from_the_remote(
    tmp_path: Path, bump: Bump, words: tuple[str, ...]
) -> None:
    root = monorepo(tmp_path / "demo", {".": static("demo", "1.2.3")}, "demo-1.2.2", "demo-1.2.3")
    clone = without_tags(root, tmp_path, *words)
    bump(clone, *PATCH, code=0)
    assert git(clone, "tag") == "demo-1.2.4"


def test_a_clone_without_tags_is_not_taken_for_unreleased(tmp_path: Path, bump: Bump) -> None:
    root = monorepo(tmp_path / "demo", {".": static("demo", "1.2.3")}, "v1.2.3")
    clone = without_tags(root, tmp_path)
    ran = bump(clone, "--part", "auto", code=1)
    assert "this clone has no tags, but origin has 1" in ran.err
    assert "git fetch --tags origin" in ran.err
    assert "this clone has no tags, but origin has 1 (the last releases" in run_in_process(clone, "status").err
    git(clone, "fetch", "--quiet", "--tags", "origin")
    assert "nothing to release" in bump(clone, "--part", "auto").text
    assert "this clone has no tags" not in run_in_process(clone, "status").err


def test_a_clone_without_tags_and_remote_is_blocked(tmp_path: Path, bump: Bump) -> None:
    root = monorepo(tmp_path / "demo", {".": static("demo", "1.2.3")})
    git(root, "remote", "set-url", "origin", str(tmp_path / "away"))
    said = run_blocked_bump(bump, root, *PATCH)
    assert (
        "this clone has no tags, and those of origin could not be read: git cannot connect to remote origin ("
        in said
    )
    git(root, "remote", "remove", "origin")
    assert bump(root, *PATCH).code == 0  # there is nowhere else that tags could be


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("on another branch", "not an ancestor of HEAD"),
        ("on the remote", "only on origin; run: git fetch --tags"),
        ("below the last release", "an ancestor of v1.2.3, so it does not count"),
    ],
)
def test_a_newer_tag_that_does_not_count_gives_a_note(tmp_path: Path, bump: Bump, where: str, reason: str) -> None:
    root = monorepo(tmp_path / "demo", {".": static("demo", "1.2.3")}, "v1.2.3")
    if where == "on another branch":
        git(root, "switch", "--quiet", "--create", "next")
        commit_all(write(root, {"next.py": ""}))
        git(root, "tag", "v3.0.0")
        git(root, "switch", "--quiet", "main")
    elif where == "on the remote":
        git(remote_of(root), "tag", "v3.0.0", "main")
    else:
        git(root, "tag", "v3.0.0")
        commit_all(write(root, {"next.py": ""}))
        git(root, "tag", "--force", "v1.2.3")
        git(root, "push", "--quiet", "--force", "--tags", "origin", "main")
    message = f"tag v3.0.0 is newer than the current version of demo ({reason})"
    assert (message in run_in_process(root, "status").err) == (where != "on the remote")
    ran = bump(root, *PATCH, code=0)
    assert message in ran.text


def test_a_version_below_a_tag_of_an_older_form_is_blocked(tmp_path: Path, bump: Bump) -> None:
    root = monorepo(tmp_path / "two", SAME, "a-v1.0.0", "b-v1.0.0", "b-v1.0.1")
    commit_all(write(root, {"libs/a/later.txt": ""}))
    git(root, "tag", "a==1.4.0")
    settings = '[tool.relnox]\npackages = ["libs/*"]\ntag-format = "{name}-v{version}"\n'
    commit_all(write(root, {"pyproject.toml": settings}))
    said = run_blocked_bump(bump, root, "--package", "a", *PATCH)
    assert "a 1.0.1 is not higher than the last release (a==1.4.0)" in said


def test_a_project_in_a_subdirectory_does_not_use_the_plain_tags_of_another(tmp_path: Path, bump: Bump) -> None:
    packages = {".": static("big", "2.11.0"), "core": static("big-core", "0.4.0")}
    root = monorepo(tmp_path / "big", packages, "v2.10.0", "v2.11.0")
    said = run_blocked_bump(bump, root / "core", *PATCH)
    assert "the form of the tags of big-core is not clear (its file has another version at tag v2.11.0)" in said
    assert 'tag-format = "big-core-v{version}"' in said
    bump(root, *PATCH, code=0)
    assert "v2.11.1" in git(root, "tag").split()


@pytest.mark.parametrize("backend", ["setuptools-scm", "hatch-vcs"])
def test_packages_whose_backends_read_any_tag_are_bumped_together(
    tmp_path: Path, bump: Bump, backend: str
) -> None:
    packages = {f"libs/{name}": scm(name, backend) for name in ("a", "b", "c")}
    root = monorepo(tmp_path / "three", packages, "v1.0.0")
    commit_all(write(root, {"libs/a/later.txt": ""}))
    ran = bump(root, "--package", "a", "--part", "minor", "--tag", code=0)
    assert git(root, "tag").split() == ["v1.0.0", "v1.1.0"]
    for name in ("b", "c"):
        assert f"{name}        1.0.0  1.1.0  bumped with a (any tag gives their versions)" in ran.out


@pytest.mark.network
@pytest.mark.parametrize("backend", ["setuptools-scm", "hatch-vcs", "pdm", "versioningit"])
def test_backends_that_read_any_tag_get_patterns_for_their_own_tags(
    tmp_path: Path, bump: Bump, backend: str
) -> None:
    packages = {f"libs/{name}": scm(name, backend) for name in ("a", "b")}
    root = monorepo(tmp_path / "two", packages, "a-v1.0.0", "b-v2.0.0")
    commit_all(write(root, {"libs/a/later.txt": ""}))
    said = run_blocked_bump(bump, root, "--package", "a", "--to", "2.1.0", "--tag")
    assert f"a, b: {backend}" in said
    assert "takes the version from any tag, and this bump creates a-v2.1.0, b-v2.1.0" in said
    lines = [line.removeprefix("  ") for line in said.splitlines()]
    blocks: dict[str, list[str]] = {}
    file = ""
    for line in lines[next(number for number, line in enumerate(lines) if line.startswith("# libs/")) :]:
        if line.startswith("# "):
            file = line.removeprefix("# ")
        else:
            blocks.setdefault(file, []).append(line)
    for file, pasted in blocks.items():
        text = (root / file).read_text(encoding="utf-8")
        mark = "[tool."
        write(root, {file: text[: text.index(mark)] + "\n".join(pasted) + "\n"})
    commit_all(root)
    bump(root, "--package", "a", "--part", "minor", "--tag", code=0)
    assert git(root, "tag", "--points-at", "HEAD") == "a-v1.1.0"
    bump(root, "--package", "b", "--part", "patch", "--tag", code=0)
    run_in_process(root, "build-all", code=0)  # both tags are on one commit: each backend must find its own
    wheels = sorted("-".join(path.name.split("-")[:2]) for path in (root / "dist").glob("*.whl"))
    assert wheels == ["a-1.1.0", "b-2.0.1"]


def test_a_tag_that_the_backend_does_not_read_is_blocked(tmp_path: Path, bump: Bump) -> None:
    pattern = '[tool.setuptools_scm]\ntag_regex = "^flow-(?P<version>.*)$"\n'
    text = scm("flow").replace('[tool.setuptools_scm]\nroot = "../.."\n', pattern)
    root = monorepo(
        tmp_path / "flow", {".": f'{text}\n[tool.relnox]\ntag-format = "v{{version}}"\n'}, "flow-1.0.0"
    )
    said = run_blocked_bump(bump, root, "--to", "1.1.0", "--tag")
    assert "ignores tag v1.1.0 (it reads only tags that begin with flow-)" in said
    assert 'fix: [tool.relnox] tag-format = "flow-{version}"' in said


def test_an_unbumped_package_that_reads_any_tag_gives_a_note(tmp_path: Path, bump: Bump) -> None:
    root = monorepo(tmp_path / "two", {"libs/a": scm("a"), "libs/b": static("b", "1.0.0")}, "a-v3.0.0", "b-v1.0.0")
    ran = bump(root, "--package", "b", *PATCH, code=0)
    assert "a: setuptools-scm takes the version from any tag, so the next build uses the tags of" in ran.text


def test_unlisted_packages_are_named_with_settings_for_them(tmp_path: Path, bump: Bump) -> None:
    packages = {
        ".": static("base", "1.0.0"),
        "plugins/extra": static("base-extra", "1.0.0", '"base==1.0.0"'),
        "tests/fixture": static("fixture", "1.0.0", '"base==1.0.0"'),
    }
    root = monorepo(tmp_path / "base", packages, "v1.0.0")
    said = run_in_process(root, "status").err
    assert "base-extra (plugins/extra/pyproject.toml): not among the packages of this project" in said
    assert "fixture" not in said
    assert said.count("base-extra") == 1
    assert "base-extra" in run_in_process(root, "init", "--dry-run").out
    ran = bump(root, *PATCH, code=0)
    assert "plugins/extra/pyproject.toml: 'base==1.0.0' does not allow base 1.0.1" in ran.text
    key = next(line for line in said.splitlines() if "to release them" in line).partition("[tool.relnox] ")[2]
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    write(root, {"pyproject.toml": f"{text}\n[tool.relnox]\n{key}\n"})
    assert "base-extra  1.0.0" in run_in_process(root, "status").out
    key = next(line for line in said.splitlines() if "to exclude them" in line).partition("[tool.relnox] ")[2]
    write(root, {"pyproject.toml": f"{text}\n[tool.relnox]\n{key}\n"})
    ran = run_in_process(root, "status")
    assert (ran.code, "base-extra" in ran.err) == (0, False)


def test_init_writes_globs_and_independent_for_packages_whose_versions_come_from_tags(tmp_path: Path) -> None:
    packages = {f"libs/p{number}": scm(f"p{number}") for number in range(12)}
    packages |= {"libs/p3": static("p3", "0.3.0"), "tools/cli": scm("cli")}
    tags = [f"p{number}-v1.{number}.0" for number in range(12)]
    root = monorepo(tmp_path / "many", packages, *tags)
    ran = run_in_process(root, "init", code=0)
    found = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["relnox"]
    assert found == {
        "versions": "independent",
        "packages": ["libs/*", "tools/cli"],
        "branch": "main",
    }
    assert re.search(r"next: relnox status.*, then relnox bump .*--part patch --package", ran.err)
    assert run_in_process(root, "status").code == 0
