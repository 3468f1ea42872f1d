"""One project for all tests that only look at it, with a manifest of hand-made archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loopback import make_sdist
from projects import git, lockstep_workspace, repository, single, write
from releases import made_wheel, write_manifest

from relnox.commands.init import NOXFILE

if TYPE_CHECKING:
    from pathlib import Path


SETTINGS = """
[tool.relnox.test]
command = ["python", "-c", "print('tested')"]
"""

NEEDS = {
    "acme-core": (),
    "acme-agents": ("acme-core",),
    "acme-vespa": ("acme-core",),
    "acme-runtime": ("acme-agents", "acme-vespa"),
    "acme-dashboard": ("acme-runtime",),
}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lockstep workspace at 2.0.0 with every session, the tags v2.0.0 and v3.0.0, and a manifest.

    No test may change it: what one writes into it, all the others see.
    """
    root = _workspace(tmp_path_factory.mktemp("shared") / "acme", SETTINGS)
    repository(write(root, {"noxfile.py": NOXFILE}))
    git(root, "tag", "v2.0.0")
    git(root, "tag", "v3.0.0", git(root, "commit-tree", "-m", "Elsewhere", "HEAD^{tree}"))
    _write_manifest(root)
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One package at 1.2.3, outside git."""
    return single(tmp_path / "demo")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A lockstep workspace of one's own, with a bare remote and the tag v3.0.0 on another branch."""
    root = repository(_workspace(tmp_path / "acme"))
    git(root, "tag", "v3.0.0", git(root, "commit-tree", "-m", "Elsewhere", "HEAD^{tree}"))
    return root


def _workspace(root: Path, settings: str = "") -> Path:
    """The lockstep workspace; what a tag of another branch has says nothing about the form of its tags."""
    text = (lockstep_workspace(root) / "pyproject.toml").read_text(encoding="utf-8")
    tags = 'versions = "lockstep"\ntag-format = "v{version}"\n'
    return write(root, {"pyproject.toml": text.replace('versions = "lockstep"\n', tags) + settings})


def _write_manifest(root: Path) -> None:
    dist = root / "dist"
    sdists = [make_sdist(dist, package, "2.0.0") for package in NEEDS]
    wheels = [made_wheel(dist, package, version="2.0.0") for package in NEEDS]
    paths = [path for pair in zip(sdists, wheels, strict=True) for path in pair]
    write_manifest(root, paths, NEEDS, commit=git(root, "rev-parse", "HEAD"))
