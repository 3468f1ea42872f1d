"""`status --versions`: every pyproject.toml of a repository yields a version, or says why it has none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import schemas
from projects import git, repository, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
DYNAMIC = '[project]\nname = "{name}"\ndynamic = ["version"]\n'
FILES = {
    "pyproject.toml": '[tool.relnox]\npackages = ["libs/*"]\nexclude = ["old"]\n',
    "libs/core/pyproject.toml": f'[project]\nname = "acme-core"\nversion = "0.1.9"\n{HATCHLING}',
    "libs/file/pyproject.toml": f"{DYNAMIC.format(name='acme-file')}\n{HATCHLING}"
    '[tool.hatch.version]\npath = "acme_file.py"\n',
    "libs/file/acme_file.py": '__version__ = "2.0"\n',
    "libs/scm/pyproject.toml": f"{DYNAMIC.format(name='acme-scm')}\n{HATCHLING}"
    '[tool.hatch.version]\nsource = "vcs"\n',
    "libs/own/pyproject.toml": f"{DYNAMIC.format(name='acme-own')}\n"
    '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n',
    "tools/pyproject.toml": '[tool.poetry]\nname = "acme-tools"\nversion = "1.0-beta.1"\n',
    "old/pyproject.toml": '[project]\nname = "acme-old"\n',
    "examples/demo/pyproject.toml": '[project]\nname = "demo"\nversion = "0"\n',
    "libs/core/tests/data/pyproject.toml": "not [ TOML",
    "settings/pyproject.toml": "[tool.ruff]\nline-length = 100\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(write(tmp_path / "acme", {**FILES, ".gitignore": "ignored/\n"}))


def rows(root: Path, code: int = 0) -> dict[str, dict[str, object]]:
    ran = run_in_process(root, "status", "--versions", "--json")
    schemas.validate(json.loads(ran.out), "status-versions")
    assert ran.code == code, ran.text
    document = json.loads(ran.out)
    assert document["schema"] == 1
    return {row.pop("file"): row for row in document["files"]}


def test_every_file_has_one_line(root: Path) -> None:
    ran = run_in_process(root, "status", "--versions")
    assert ran.code == 0, ran.text
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in ran.out.splitlines()[1:] if line}
    assert lines == {
        "pyproject.toml": "- - no no package (settings of tools only)",
        "libs/core/pyproject.toml": "acme-core 0.1.9 yes project.version",
        "libs/core/tests/data/pyproject.toml": lines["libs/core/tests/data/pyproject.toml"],
        "libs/file/pyproject.toml": "acme-file 2.0 yes libs/file/acme_file.py",
        "libs/own/pyproject.toml": "acme-own dynamic yes the backend, own",
        "libs/scm/pyproject.toml": "acme-scm dynamic yes hatch-vcs",
        "tools/pyproject.toml": "acme-tools 1.0-beta.1 no tool.poetry.version",
        "old/pyproject.toml": "- missing no: excluded has no version ([project] has neither version nor dynamic)",
        "examples/demo/pyproject.toml": "demo 0 no: example, template or test project.version",
        "settings/pyproject.toml": "- - no no package (settings of tools only)",
    }
    assert lines["libs/core/tests/data/pyproject.toml"].startswith(
        "- unknown no: example, template or test is not valid TOML: "
    )


def test_json_has_the_same(root: Path) -> None:
    found = rows(root)
    assert len(found) == len([name for name in FILES if name.endswith("pyproject.toml")])
    assert found["libs/core/pyproject.toml"] == {
        "package": "acme-core",
        "version": "0.1.9",
        "source": "project.version",
        "in_project": True,
        "outside": None,
        "error": None,
    }
    assert found["libs/scm/pyproject.toml"]["version"] is None
    error = found["old/pyproject.toml"]["error"]
    assert isinstance(error, dict)
    assert error["code"] == "version-missing"


def test_a_missing_version_outside_the_project_is_an_error_after_the_table(root: Path) -> None:
    write(root, {"more/pyproject.toml": '[project]\nname = "more"\n', "ignored/pyproject.toml": "[project]\n"})
    ran = run_in_process(root, "status", "--versions")  # it is not tracked yet
    assert ran.code == 1
    assert "more/pyproject.toml" in ran.out
    assert "libs/core/pyproject.toml" in ran.out
    assert "ignored/" not in ran.out
    assert (
        "more/pyproject.toml has no version ([project] has neither version nor dynamic) [version-missing]"
        in ran.err
    )
    rows(root, code=1)


def test_a_missing_version_in_the_project_hides_no_other_file(root: Path) -> None:
    path = root / "libs/core/pyproject.toml"
    path.write_text(path.read_text().replace('version = "0.1.9"', ""))
    found = rows(root, code=1)
    assert found["libs/file/pyproject.toml"]["version"] == "2.0"
    assert found["libs/file/pyproject.toml"]["outside"] == "not known"


def test_a_project_below_the_top_and_one_outside_git(root: Path, tmp_path: Path) -> None:
    write(root, {"libs/pyproject.toml": "[tool.relnox]\n"})
    git(root, "add", "--all")
    found = rows(root / "libs", code=1)
    assert found["core/pyproject.toml"]["in_project"] is True
    assert found["../tools/pyproject.toml"]["version"] == "1.0-beta.1"
    plain = write(tmp_path / "plain", {name: text for name, text in FILES.items() if not name.startswith("old")})
    (plain / "pyproject.toml").write_text('[tool.relnox]\npackages = ["libs/*"]\n')
    assert len(rows(plain)) == len(found) - 2


def test_it_takes_no_packages(root: Path) -> None:
    ran = run_in_process(root, "status", "--versions", "--package", "acme-core")
    assert ran.code == 1
    assert "[options-conflict]" in ran.err
