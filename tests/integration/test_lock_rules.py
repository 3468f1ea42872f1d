"""uv.lock in `[tool.relnox.paths]`: only changes of the entries that a package needs release it; real git."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, git, repository, write
from running import run_in_process

from relnox.source import lock_changes

if TYPE_CHECKING:
    from pathlib import Path

HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
MEMBERS = {"core": ("http",), "util": ("words",), "app": ("acme-core", "colors")}
RULES = '[tool.relnox.paths]\n"*" = ["uv.lock"]\nacme-util = ["!uv.lock"]\n'


def lock(**versions: str) -> str:
    """A lock as uv writes it: core needs http, which needs idna; util needs words; app needs core and colors."""
    text = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
    needs = {"http": ("idna",), "words": (), "idna": (), "colors": (), "tester": ()}
    for name, names in (MEMBERS | needs).items():
        source = f'editable = "libs/{name}"' if name in MEMBERS else 'registry = "https://example.invalid/simple"'
        items = "".join(f'    {{ name = "{required}" }},\n' for required in names)
        full_name = f"acme-{name}" if name in MEMBERS else name
        text += (
            f'\n[[package]]\nname = "{full_name}"\nversion = "{versions.get(name, "1.0.0")}"\n'
            f"source = {{ {source} }}\n"
            + (f"dependencies = [\n{items}]\n" if items else "")
            + ('\n[package.dev-dependencies]\ndev = [\n    { name = "tester" },\n]\n' if name in MEMBERS else "")
        )
    return text


def project(root: Path, rules: str = RULES) -> Path:
    files = {
        "pyproject.toml": f'[tool.relnox]\npackages = ["libs/*"]\ntag-format = "{{name}}-v{{version}}"\n{rules}',
        "uv.lock": lock(),
    }
    for name in MEMBERS:
        files[f"libs/{name}/pyproject.toml"] = f'[project]\nname = "acme-{name}"\nversion = "1.0.0"\n{HATCHLING}'
    write(root, files)
    repository(root)
    for name in MEMBERS:
        git(root, "tag", f"acme-{name}-v1.0.0")
    git(root, "push", "--quiet", "--tags")
    return root


def update(root: Path, message: str = "fix: update", **versions: str) -> None:
    write(root, {"uv.lock": lock(**versions)})
    commit_all(root, message)


def changed(root: Path) -> dict[str, int]:
    """Commits since the last tag of the packages that have any, by directory."""
    ran = run_in_process(root, "status", "--json")
    assert ran.code == 0, ran.text
    packages = json.loads(ran.out)["packages"]
    return {
        package["name"].removeprefix("acme-"): package["commits"] for package in packages if package["commits"]
    }


@pytest.mark.parametrize(
    ("name", "released"),
    [
        ("http", {"core", "app"}),
        ("idna", {"core", "app"}),
        ("colors", {"app"}),
        ("words", set()),
        ("tester", set()),
        ("core", set()),
    ],
)
def test_an_update_releases_the_packages_that_need_it(tmp_path: Path, name: str, released: set[str]) -> None:
    root = project(tmp_path / "acme")
    update(root, **{name: "1.1.0"})
    assert changed(root) == dict.fromkeys(released, 1)
    ran = run_in_process(root, "bump", "--part", "auto", "--commit", "--tag")
    assert ran.code == 0, ran.text
    tags = set(git(root, "tag", "--points-at", "HEAD").split()) if released else set()
    assert tags == {f"acme-{package}-v1.0.1" for package in released}


def test_each_commit_is_compared_with_the_one_before(tmp_path: Path) -> None:
    root = project(tmp_path / "acme")
    update(root, colors="1.1.0")
    update(root, colors="1.1.0", words="1.1.0")
    update(root, colors="1.2.0", words="1.1.0", http="1.1.0")
    update(root, words="1.1.0", http="1.1.0")
    assert changed(root) == {"core": 1, "app": 3}
    git(root, "push", "--quiet")
    ran = run_in_process(root, "auto-tag", "--dry-run")
    assert ran.code == 0, ran.text
    lines = {line.split()[0]: line for line in ran.out.splitlines() if "tagged at" in line}
    assert "1 commit since" in lines["acme-core"]
    assert "3 commits since" in lines["acme-app"]
    assert "since" not in lines["acme-util"]


def test_a_bump_releases_nothing_by_its_own_change_of_the_lock(tmp_path: Path) -> None:
    root = project(tmp_path / "acme")
    update(root, colors="1.1.0")
    ran = run_in_process(root, "bump", "--part", "minor", "--package", "acme-core", "--commit", "--tag")
    assert ran.code == 0, ran.text
    assert 'name = "acme-core"\nversion = "1.1.0"' in (root / "uv.lock").read_text()
    assert changed(root) == {"app": 1}


def test_a_lock_that_is_not_comparable_releases_the_package(tmp_path: Path) -> None:
    """A lock that is new, removed, broken or of another project."""
    root = project(tmp_path / "acme")
    (root / "uv.lock").unlink()
    commit_all(root, "fix: no lock")
    assert changed(root) == {"core": 1, "app": 1}
    update(root)
    assert changed(root) == {"core": 2, "app": 2}
    write(root, {"uv.lock": lock().replace("[package.dev", "<<<<<<< HEAD\n[package.dev")})
    commit_all(root, "fix: conflicts")
    assert changed(root) == {"core": 3, "app": 3}
    write(root, {"uv.lock": 'version = 1\n\n[[package]]\nname = "words"\nversion = "1"\n'})
    commit_all(root, "fix: of another project")
    assert changed(root) == {"core": 4, "app": 4}


def test_locks_of_other_tools_release_with_every_change(tmp_path: Path) -> None:
    rules = '[tool.relnox.paths]\nacme-core = ["*.lock"]\n'
    root = project(tmp_path / "acme", rules)
    write(root, {"libs/core/poetry.lock": "# 1\n"})
    commit_all(root, "fix: lock")
    write(root, {"libs/core/poetry.lock": "# 2\n", "uv.lock": lock(words="1.1.0")})
    commit_all(root, "fix: lock")
    assert changed(root) == {"core": 2}


def test_a_lock_below_the_top_and_one_with_a_strange_name(tmp_path: Path) -> None:
    root = project(tmp_path / "acme", "")
    settings = '[tool.relnox]\npackages = ["*"]\n[tool.relnox.paths]\nacme-core = ["uv.lock"]\n'
    strange = "weird [x] :(top)\u00e9"
    write(
        root,
        {
            "libs/pyproject.toml": settings,
            "libs/uv.lock": lock(),
            f"libs/{strange}/uv.lock": lock(),
        },
    )
    commit_all(root, "chore: locks")
    git(root, "tag", "--force", "acme-core-v1.0.0")
    for file in ("uv.lock", f"{strange}/uv.lock"):
        for versions in ({"words": "2"}, {"words": "2", "idna": "2"}):
            write(root, {f"libs/{file}": lock(**versions)})
            commit_all(root, "fix: update")
    update(root, "fix: elsewhere", idna="2")
    assert changed(root / "libs") == {"core": 2}


def test_changes_on_branches_that_are_merged(tmp_path: Path) -> None:
    root = project(tmp_path / "acme")
    git(root, "checkout", "--quiet", "-b", "updates")
    update(root, colors="1.1.0")
    git(root, "checkout", "--quiet", "main")
    write(root, {"README.md": "x"})
    commit_all(root, "docs: read me")
    git(root, "merge", "--quiet", "--no-ff", "--no-edit", "updates")
    assert changed(root) == {"app": 1}


def test_many_versions_of_a_lock_are_read_in_several_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_changes, "_BATCH", 3)
    root = project(tmp_path / "acme")
    for number in range(1, 9):
        update(root, colors=f"1.{number}.0", words=f"1.{number}.0", idna=f"1.{number // 4}.0")
    assert changed(root) == {"core": 2, "app": 8}
