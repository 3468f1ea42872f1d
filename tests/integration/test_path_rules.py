"""`[tool.relnox.paths]`: files that release a package besides those of its directory, and those that do not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, git, repository, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

RULES = """
[tool.relnox.paths]
"acme-*" = ["!docs/", "!tests/"]
acme-core = ["proto/**", "uv.lock"]
"libs/util" = ["/tests/contract/**"]
"""


def project(root: Path, rules: str = RULES) -> Path:
    files = {
        "pyproject.toml": f'[tool.relnox]\npackages = ["libs/*"]\ntag-format = "{{name}}-v{{version}}"\n{rules}',
        "proto/core.proto": "",
        "uv.lock": "version = 1\n",
    }
    for name in ("core", "util"):
        files[f"libs/{name}/pyproject.toml"] = f'[project]\nname = "acme-{name}"\nversion = "1.0.0"\n{HATCHLING}'
        files[f"libs/{name}/acme_{name}.py"] = ""
    write(root, {**files, "tests/contract/a.json": ""})
    repository(root)
    for name in ("core", "util"):
        git(root, "tag", f"acme-{name}-v1.0.0")
    git(root, "push", "--quiet", "--tags")
    return root


def change(root: Path, *files: str, message: str = "fix: it") -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.read_text() if path.exists() else ''}# {message}\n")
    commit_all(root, message)


def commits(root: Path) -> dict[str, int]:
    """Commits since the last tag, by package."""
    ran = run_in_process(root, "status", "--json", code=0)
    return {package["name"]: package["commits"] for package in json.loads(ran.out)["packages"]}


@pytest.mark.parametrize(
    ("files", "released"),
    [
        (["libs/core/acme_core.py"], {"acme-core"}),
        (["proto/core.proto"], {"acme-core"}),
        (["proto/v1/new.proto", "libs/util/acme_util.py"], {"acme-core", "acme-util"}),
        (["uv.lock"], {"acme-core"}),
        (["libs/util/docs/index.md"], set()),
        (["libs/core/docs/index.md", "libs/core/acme_core.py"], {"acme-core"}),
        (["libs/core/tests/test_core.py"], set()),
        (["libs/util/tests/test_util.py"], set()),
        (["tests/contract/a.json"], {"acme-util"}),
        (["docs/index.md", "README.md"], set()),
    ],
)
def test_a_change_releases_the_packages_of_its_paths(tmp_path: Path, files: list[str], released: set[str]) -> None:
    root = project(tmp_path / "acme")
    change(root, *files)
    assert commits(root) == {name: int(name in released) for name in ("acme-core", "acme-util")}
    ran = run_in_process(root, "bump", "--part", "auto", "--commit", "--tag")
    tags = set(git(root, "tag", "--points-at", "HEAD").split()) if ran.code == 0 else set()
    assert tags == {f"{name}-v1.0.1" for name in released}, ran.text


def test_a_commit_of_excluded_files_only_is_in_no_reason(tmp_path: Path) -> None:
    root = project(tmp_path / "acme")
    change(root, "libs/core/docs/a.md", message="feat: a page")
    change(root, "proto/core.proto", message="fix: a field")
    ran = run_in_process(root, "bump", "--part", "auto", "--dry-run")
    assert "acme-core  1.0.0  1.0.1  patch: fix: a field" in ran.out
    assert "a page" not in ran.out


def test_without_rules_lock_files_release_nothing(tmp_path: Path) -> None:
    root = project(tmp_path / "acme", "")
    change(root, "uv.lock", "proto/core.proto", "libs/core/uv.lock", "libs/core/docs/a.md")
    assert commits(root) == {"acme-core": 1, "acme-util": 0}


def test_a_pattern_that_matches_no_file_is_an_error(tmp_path: Path) -> None:
    root = project(tmp_path / "acme", '[tool.relnox.paths]\nacme-core = ["prto/**", "!nothing/"]\n')
    ran = run_in_process(root, "status", code=1)
    assert "'prto/**' in [tool.relnox.paths] acme-core matches no tracked file [setting-invalid]" in ran.err
    assert "did you mean proto/**?" in ran.err


def test_the_removal_of_the_last_file_releases_once_more(tmp_path: Path) -> None:
    root = project(tmp_path / "acme")
    (root / "proto/core.proto").unlink()
    commit_all(root, "fix: no protocol")
    assert commits(root) == {"acme-core": 1, "acme-util": 0}


def test_a_package_of_the_settings_must_exist_and_patterns_be_valid(tmp_path: Path) -> None:
    root = project(tmp_path / "acme", '[tool.relnox.paths]\nacme-cor = ["proto/**"]\n')
    assert "'acme-cor' in [tool.relnox] paths matches no package" in run_in_process(root, "status").err
    root = project(tmp_path / "other", '[tool.relnox.paths]\nacme-core = ["../proto"]\n')
    assert "tool.relnox.paths.acme-core[0] = '../proto' is not valid" in run_in_process(root, "status").err


def test_rules_for_a_project_below_the_top_are_relative_to_it(tmp_path: Path) -> None:
    root = project(tmp_path / "acme", "")
    write(
        root,
        {"libs/pyproject.toml": '[tool.relnox]\npackages = ["*"]\n[tool.relnox.paths]\nacme-core = ["shared/"]\n'},
    )
    change(root, "libs/shared/a.txt", "proto/core.proto")
    assert commits(root / "libs") == {"acme-core": 1, "acme-util": 0}
