"""Indexes for build requirements: reported, warned of, and pinned. Two indexes on loopback."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from loopback import make_wheel
from package_index import serving
from projects import python, repository

from relnox.source.uv_settings import PackageSource, find_package_sources

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from package_index import PackageIndex


pytestmark = pytest.mark.heavy


@pytest.fixture
def trusted(tmp_path: Path) -> Iterator[PackageIndex]:
    with serving(make_wheel(tmp_path / "trusted", "helper", "1.0", origin="trusted")) as index:
        yield index


@pytest.fixture
def attacker(tmp_path: Path) -> Iterator[PackageIndex]:
    """An index with a newer release of the same name."""
    with serving(make_wheel(tmp_path / "attacker", "helper", "9.0", origin="attacker")) as index:
        yield index


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose backend needs `helper` of an index, and writes down which one it got."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) and name != "UV_CACHE_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    (root := tmp_path / "home").mkdir()
    hook = f"import helper\npathlib.Path({str(tmp_path / 'used')!r}).write_text(helper.origin)"
    in_tree(root, hook=hook)
    return root


def stated(root: Path, settings: str) -> None:
    file = root / "pyproject.toml"
    text = file.read_text(encoding="utf-8").replace("requires = []", 'requires = ["helper"]')
    file.write_text(f"{text}\n[tool.relnox]\n{settings}\n", encoding="utf-8")
    repository(root)


def build(root: Path, *options: str, code: int, **variables: str) -> subprocess.CompletedProcess[str]:
    return python(root, "-m", "relnox", "build-all", "--reporter=plain", *options, code=code, **variables)


def test_the_index_configured_by_the_user_is_used_and_reported(root: Path, trusted: PackageIndex) -> None:
    stated(root, "")
    variable = "UV_DEFAULT_INDEX"
    address = trusted.simple_url.replace("http://", "http://user:word@")

    done = build(root, **{variable: address}, code=0)

    assert f"note: build requirements come from {trusted.simple_url} ({variable})\n" in done.stderr
    assert "word" not in done.stderr
    assert (root.parent / "used").read_text() == "trusted"


def test_an_extra_index_gives_a_warning_and_trusted_index_excludes_it(
    root: Path, trusted: PackageIndex, attacker: PackageIndex
) -> None:
    stated(root, "")
    index, further = "UV_DEFAULT_INDEX", "UV_INDEX"
    variables = {index: trusted.simple_url, further: attacker.simple_url}

    done = build(root, **variables, code=0)

    assert f"\n  {attacker.simple_url} (extra index, {further})\n" in done.stderr
    assert 'fix: to use a single index, set [tool.relnox] trusted-index = "URL"' in done.stderr
    assert (root.parent / "used").read_text() == "attacker"  # what is warned of

    attacker.log.clear()
    file = root / "pyproject.toml"
    text = file.read_text(encoding="utf-8").partition("[tool.relnox]")[0]
    file.write_text(f'{text}[tool.relnox]\ntrusted-index = "{trusted.simple_url}"\n', encoding="utf-8")

    done = build(root, "--from-tree", **variables, code=0)

    assert f"note: build requirements come from {trusted.simple_url} (the project's settings)\n" in done.stderr
    assert "warning: build requirements" not in done.stderr
    assert (root.parent / "used").read_text() == "trusted"
    assert attacker.asked == []


def test_the_settings_file_that_the_user_names_is_used_and_reported(
    root: Path, trusted: PackageIndex, attacker: PackageIndex, tmp_path: Path
) -> None:
    stated(root, "")
    file = tmp_path / "uv.toml"
    file.write_text(
        f'[[index]]\nurl = "{attacker.simple_url}"\n[[index]]\nurl = "{trusted.simple_url}"\ndefault = true\n'
    )

    done = build(root, UV_CONFIG_FILE=str(file), code=0)

    assert f"come from {trusted.simple_url} ({file})" in done.stderr
    assert f"  {attacker.simple_url} (extra index, {file})" in done.stderr


@pytest.mark.parametrize("name", ["uv.toml", "pyproject.toml"])
def test_uv_settings_of_the_project_are_reported(name: str, tmp_path: Path) -> None:
    head = "tool.uv." if name == "pyproject.toml" else ""
    (tmp_path / name).write_text(
        f'[[{head}index]]\nurl = "https://extra.example.invalid/simple"\n'
        f'[[{head}index]]\nurl = "https://torch.example.invalid/simple"\nexplicit = true\n'
        f'[{head}pip]\nindex-url = "https://user:word@own.example.invalid/simple"\n'
    )
    (below := tmp_path / "below").mkdir()

    found = find_package_sources(below, {"HOME": str(tmp_path), "UV_FIND_LINKS": "/srv/wheels"})

    assert found == (
        PackageSource("find-links", "/srv/wheels", "UV_FIND_LINKS"),
        PackageSource("extra index", "https://extra.example.invalid/simple", str(tmp_path / name)),
        PackageSource("index", "https://own.example.invalid/simple", str(tmp_path / name)),
    )
