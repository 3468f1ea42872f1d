"""Rehearsals of a part of a workspace, and of packages that need what another repository has not published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, everything, git, lockstep_workspace, repository, write
from releases import made_wheel
from running import run, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

pytestmark = pytest.mark.heavy


def independent(root: Path, *requires: str) -> Path:
    """Two packages of one repository that do not need one another; the first has requirements."""
    root.mkdir()
    files = {
        "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n',
        ".gitignore": "/dist/\n",
    }
    for name, needed in (("vtry-one", requires), ("vtry-two", ())):
        files[f"packages/{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\nversion = "1.0"\n'
            f"dependencies = {json.dumps(list(needed))}\n\n{HATCHLING}"
        )
        module = name.replace("-", "_")
        imported = "".join(f"import {each.partition('>')[0].replace('-', '_')}\n" for each in needed)
        files[f"packages/{name}/src/{module}/__init__.py"] = imported
    return repository(write(root, files))


def files(ran: RunResult) -> set[str]:
    """The packages in the table of files at the end."""
    rows = ran.out.partition("Files\n")[2].partition("\nStages")[0].splitlines()[1:]
    return {line.split()[0] for line in rows if line.strip()}


def contents(directory: Path) -> dict[str, bytes]:
    """The files of a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.network
def test_nothing_is_written_outside_the_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, output = independent(tmp_path / "demo"), tmp_path / "output"
    with (root / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write(
            f'[tool.relnox.build]\noutput = "{output}"\nclean = true\n[tool.relnox.verify]\ndist = "{output}"\n'
        )
    git(root, "commit", "--all", "--message", "Build elsewhere")
    made_wheel(output, "vtry-two")
    variables = {"RELNOX_OUTPUT": "variable", "RELNOX_CLEAN": "1"}
    before = everything(root), contents(output)
    for directory in (None, tmp_path / "variable"):
        for name, value in variables.items() if directory else ():
            monkeypatch.setenv(name, str(tmp_path / value) if value == "variable" else value)
        ran = run(root, "relnox", "rehearse", "--package", "vtry-two", "--part", "minor", code=0)
        assert files(ran) == {"vtry-two"}
        assert (everything(root), contents(output)) == before
        assert not (tmp_path / "variable").exists()


@pytest.mark.parametrize(
    ("tags", "subject", "words", "bump"),
    [
        (("vtry-one-v1.0", "vtry-two-v1.0"), "feat: more", (), "--part auto"),
        (("vtry-one-v1.0", "vtry-two-v1.0"), "docs: more", (), "--part patch --all"),
        ((), "docs: more", (), "--part auto"),
        (("vtry-one-v1.0",), "feat: more", ("--package", "vtry-two"), "--part auto --package vtry-two"),
        (("vtry-one-v1.0",), "feat: more", ("--pre", "rc"), "--pre rc --all"),
    ],
)
def test_what_would_be_released_is_rehearsed(
    tags: tuple[str, ...], subject: str, words: tuple[str, ...], bump: str, tmp_path: Path
) -> None:
    root = independent(tmp_path / "demo")
    for tag in tags:
        git(root, "tag", tag)
    write(root, {"packages/vtry-one/src/vtry_one/more.py": "", "packages/vtry-two/notes.md": ""})
    git(root, "add", "--all")
    git(root, "commit", "--message", subject)
    ran = run_in_process(root, "rehearse", "--dry-run", *words, code=0)
    assert f"bump {bump} --commit --tag --push" in ran.out


@pytest.mark.network
@pytest.mark.parametrize("settings", ["", 'managed-by = "another-tool"'])
def test_a_project_with_submodules_or_foreign_versions_is_rehearsed(settings: str, tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for library in (inner, outer):
        library.mkdir()
        repository(write(library, {"__init__.py": ""}))
    root = independent(tmp_path / "demo")
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    git(outer, *add, str(inner), "inner")
    git(outer, "commit", "--all", "--message", "Add a submodule")
    git(root, *add, str(outer), "packages/vtry-one/src/vtry_one/vendored")
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--recursive")
    write(root, {"packages/vtry-one/src/vtry_one/__init__.py": "from vtry_one.vendored import inner\n"})
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    write(root, {"pyproject.toml": f"{text}{settings}\n"})
    git(root, "commit", "--all", "--message", "feat: use a submodule")
    ran = run(root, "relnox", "rehearse", "--package", "vtry-one", code=0)
    assert "imported vtry_one" in ran.err
    assert ("versions are managed by another-tool: HEAD is released as it is" in ran.err) == bool(settings)
    assert ran.err.splitlines()[-1].startswith(
        "next: relnox build-all" if settings else "next: relnox bump --part"
    )


@pytest.mark.network
def test_releases_are_pushed_to_the_remote_of_the_settings(tmp_path: Path) -> None:
    root = independent(tmp_path / "demo")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write('remote = "upstream"\n')
    git(root, "commit", "--all", "--message", "Push to upstream")
    ran = run(root, "relnox", "rehearse", "--package", "vtry-two", "--part", "minor", code=0)
    assert "to upstream atomically" in ran.text
    assert ran.err.splitlines()[-1].endswith(" --commit --tag")  # the checkout has no remote of this name


def test_archives_are_not_written_through_a_link_in_the_commit(tmp_path: Path) -> None:
    root, outside = independent(tmp_path / "demo"), tmp_path / "outside"
    outside.mkdir()
    (root / "dist").symlink_to(outside)
    git(root, "add", "--force", "dist")
    git(root, "commit", "--message", "Link dist")
    ran = run(root, "relnox", "rehearse", "--package", "vtry-two", "--part", "minor", code=2)
    assert "dist is a symbolic link in the commit (archives would be written to its target)" in ran.text
    assert not contents(outside)


@pytest.mark.network
def test_one_package_in_lockstep_is_rehearsed_with_its_dependencies(tmp_path: Path) -> None:
    root = repository(lockstep_workspace(tmp_path / "five"))
    ran = run(root, "relnox", "rehearse", "--package", "acme-agents", "--part", "minor", code=0)
    assert files(ran) == {"acme-core", "acme-agents"}


@pytest.mark.network
def test_unpublished_requirements_are_installed_from_wheels_of_another_repository(tmp_path: Path) -> None:
    root = independent(tmp_path / "demo", "vtry-other>=2")
    rehearsal = ("relnox", "rehearse", "--package", "vtry-one", "--part", "minor")
    lacking = run(root, *rehearsal, code=2)
    assert "vtry-other" in lacking.err

    other = tmp_path / "other" / "dist"
    made_wheel(other, "vtry-other", version="2.0", requires=["vtry-further"])
    made_wheel(other, "vtry-other", version="1.0")
    made_wheel(other, "vtry-further", version="0.1")
    made_wheel(other, "vtry-unneeded", {"broken.py": "1/0"}, requires=["vtry-nowhere"])
    ran = run(root, *rehearsal, "--find-links", "../other/dist", code=0)
    assert "with vtry_other-2.0-py3-none-any.whl, vtry_further-0.1-py3-none-any.whl" in ran.err
    assert "imported vtry_one" in ran.err


@pytest.mark.parametrize("directory", ["../nowhere", "packages"])
def test_a_directory_without_wheels_is_rejected_before_the_build(directory: str, tmp_path: Path) -> None:
    root = independent(tmp_path / "demo")
    for words in (("rehearse",), ("verify-install", "--index", "embedded")):
        run_in_process(root, *words, "--find-links", directory, code=1)
    ran = run_in_process(root, "rehearse", "--find-links", directory)
    assert f"{directory} has no wheels" in ran.err
