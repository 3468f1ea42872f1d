"""Packages of one repository whose backends look at any tag: a sibling's version is refused, the remedy works."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit
from projects import commit_all, git, repository, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.heavy, pytest.mark.network]

SIBLINGS = tuple(f"acme-p{number}" for number in range(11))
HATCH = '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n'
SETUPTOOLS = (
    '[build-system]\nrequires = ["setuptools", "setuptools-scm"]\nbuild-backend = "setuptools.build_meta"\n'
)
SETTINGS = {
    "acme-hatch": f'{HATCH}[tool.hatch.version]\nsource = "vcs"\nraw-options.root = ".."\n',
    "acme-setup": f'{SETUPTOOLS}[tool.setuptools_scm]\nroot = ".."\n',
    **dict.fromkeys(SIBLINGS, f'{HATCH}[tool.hatch.version]\nsource = "vcs"\nraw-options.root = ".."\n'),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Thirteen packages, each tagged as 1.0.0, of which one was bumped since."""
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["acme-*"]\nversions = "independent"\n'}
    for name, settings in SETTINGS.items():
        module = name.replace("-", "_")
        files[f"{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\ndynamic = ["version"]\nreadme = "README.md"\n'
            f'requires-python = ">=3.9"\n\n{settings}'
        )
        files |= {f"{name}/{module}/__init__.py": "", f"{name}/README.md": "# One of thirteen\n"}
    root = repository(write(tmp_path / "home", {**files, ".gitignore": "/dist/\n*.egg-info/\nbuild/\n"}))
    for name in SETTINGS:
        git(root, "tag", f"{name}-v1.0.0")
    (root / "acme-hatch/acme_hatch/__init__.py").write_text("answer = 42\n")
    commit_all(root)
    git(root, "tag", "acme-hatch-v2.0.0")
    return root


def follow_hints(root: Path, printed: str) -> None:
    """Put the settings that are proposed into the files that are named, and commit."""
    blocks = re.findall(r"^ *# (\S+/pyproject\.toml)\n((?: *(?:\[|[\w-]+ = ).*\n)+)", printed, re.MULTILINE)
    assert blocks, printed
    for file, settings in blocks:
        document = tomlkit.parse((root / file).read_text())
        _merge(document, tomllib.loads(settings))
        (root / file).write_text(tomlkit.dumps(document))
    commit_all(root)


def _merge(table: Any, settings: dict[str, Any]) -> None:
    for key, value in settings.items():
        if isinstance(value, dict):
            _merge(table.setdefault(key, tomlkit.table()), value)
        else:
            table[key] = value


def test_the_version_of_a_sibling_is_an_error_until_the_backend_reads_its_own_tags(root: Path) -> None:
    ran = run_in_process(root, "build-all", "--continue-on-error", code=2)

    for name in (*SIBLINGS, "acme-setup"):
        said = f"its version is 2.0.0 (as tag acme-hatch-v2.0.0 of acme-hatch), but {name} has no tag at"
        stem = f"{name.replace('-', '_')}-2.0.0"
        assert f"{stem}.tar.gz, {stem}-py3-none-any.whl: {said} this commit" in ran.err
    assert sorted(path.name for path in (root / "dist").glob("acme*")) == [
        "acme_hatch-2.0.0-py3-none-any.whl",
        "acme_hatch-2.0.0.tar.gz",
    ]

    follow_hints(root, ran.err)
    git(root, "tag", "acme-p3-v1.1.0")
    ran = run_in_process(root, "build-all", "--continue-on-error")
    assert "(as tag acme-p3-v1.1.0 of acme-p3), but acme-hatch has no tag at this commit" in ran.err

    follow_hints(root, ran.err)
    git(root, "tag", "acme-p3-v1.2.0")
    ran = run_in_process(root, "build-all", code=0)
    built = {path.name for path in (root / "dist").glob("acme_p3-1.2*")}
    assert built == {"acme_p3-1.2.0.tar.gz", "acme_p3-1.2.0-py3-none-any.whl"}
    manifest = (root / "dist/BUILD_MANIFEST.txt").read_text()
    assert "\nacme-hatch 2.0.1.dev" in manifest
    assert all(f"\n{name} 1.0.1.dev" in manifest for name in ("acme-p4", "acme-setup"))
