"""`forge-release` on fake forges: the release of a tag, its files, and everything that goes wrong on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packed
import pytest
from fake_forge import GitHubServer, GitLabServer, remote_on_forge
from package_index import PackageIndex
from projects import git, remote_of, repository, write
from releases import made_wheel, write_manifest
from running import run_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_forge import ForgeServer, Release
    from releases import SimulatedClock
    from running import RunResult

    from relnox.core.release.manifest import Manifest

CHANGELOG = """\
# Changelog

## [Unreleased]

## [1.1.0] - 2026-11-20

### Added

- Something new, see [the docs][docs] and @maintainer

## [1.0.0] - 2026-01-01

- Start

[docs]: https://example.org/docs
"""
NAMES = ("SHA256SUMS", "manifest.json")


class World:
    """A tagged project whose build is public on an index, with its remote on a forge."""

    def __init__(self, root: Path, index: PackageIndex, forge: ForgeServer) -> None:
        self.root, self.index, self.forge = root, index, forge
        self.manifest: Manifest

    def settings(self, text: str = "") -> None:
        write(
            self.root,
            {
                "pyproject.toml": '[project]\nname = "demo"\nversion = "1.1.0"\n\n[tool.relnox]\n'
                f'targets = {{ "*" = "own" }}\n{text}\n[tool.relnox.indexes.own]\n'
                f'upload = "{self.index.upload_url}"\nsimple = "{self.index.simple_url}"\n'
            },
        )

    def build(self, version: str = "1.1.0", tag: str = "") -> None:
        """Commit, tag and push a version, and put its files on the index."""
        file = self.root / "pyproject.toml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('version = "1.1.0"', f'version = "{version}"'), encoding="utf-8")
        git(self.root, "commit", "--quiet", "--allow-empty", "--all", "--message", f"Release {version}")
        tag = tag or f"v{version}"
        git(self.root, "tag", tag)
        git(self.root, "push", "--quiet", "origin", "main", tag)
        paths = [
            made_wheel(self.root / "dist", "demo", version=version),
            packed.sdist(
                self.root / "dist",
                {"PKG-INFO": f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n\n", "pyproject.toml": ""},
                name=f"demo-{version}.tar.gz",
                top=f"demo-{version}",
            ),
        ]
        commit = git(self.root, "rev-parse", "HEAD")
        self.manifest = write_manifest(self.root, paths, {"demo": ()}, commit=commit)
        self.index.add(*paths)

    def run(self, *options: str, code: int | None = 0) -> RunResult:
        ran = run_in_process(self.root, "forge-release", *options, code=code)
        assert "Traceback" not in ran.err, ran.text
        return ran

    @property
    def release(self) -> Release:
        """The only release."""
        (release,) = self.forge.releases
        return release

    def content(self, name: str) -> str:
        (content,) = {asset.content for asset in self.forge.assets if asset.name == name}
        return content.decode()

    def is_released(self, names: tuple[str, ...] = NAMES) -> None:
        """Check that there is one public release with the right notes and files, and that it is the latest."""
        release = self.release
        assert not release.draft
        assert self.forge.latest == release.id
        assert release.body.count("pip install") == 1
        assert release.body.count("Something new") == 1
        files = release.assets if isinstance(self.forge, GitHubServer) else self.forge.assets
        assert {file.name for file in files} == set(names)
        if isinstance(self.forge, GitHubServer):
            assert len(files) == len(names)
        else:
            assert release.links.keys() == set(names)
        for file in files:
            if (path := self.root / "dist" / file.name).suffix in (".whl", ".gz"):
                assert file.content == path.read_bytes()
        sums = {file.filename: file.sha256 for file in self.manifest.distributions}
        assert self.content("SHA256SUMS") == "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as index:
        yield index


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["github", "gitlab"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    index: PackageIndex,
    clock: SimulatedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    root = tmp_path / "demo"
    write(root, {"CHANGELOG.md": CHANGELOG, ".gitignore": "/dist/\n", "demo.py": ""})
    World(root, index, None).settings()  # type: ignore[arg-type]
    repository(root)
    git(root, "tag", "v1.0.0")
    git(root, "push", "--quiet", "origin", "v1.0.0")
    forge: ForgeServer = request.param(remote_of(root))
    with remote_on_forge(forge, root, monkeypatch.setenv):
        world = World(root, index, forge)
        world.build()
        yield world


@pytest.fixture
def github(world: World) -> World:
    if not isinstance(world.forge, GitHubServer):
        pytest.skip("GitHub only")
    return world


def test_a_tag_is_released_with_notes_and_files(world: World) -> None:
    ran = world.run()
    world.is_released()
    body = world.release.body
    assert "[docs]: https://example.org/docs" in body
    assert "/compare/v1.0.0...v1.1.0" in body
    assert f"pip install --index-url {world.index.simple_url} demo==1.1.0" in body
    assert world.release.name == "demo 1.1.0"
    assert "release pages" in ran.out.lower()
    changes = world.forge.sent("POST", "PUT", "PATCH", "DELETE")
    again = world.run()
    assert [name for name in world.forge.sent("POST", "PUT", "PATCH", "DELETE") if name not in changes] == []
    assert "SKIPPED publish release demo 1.1.0" in again.err
    world.is_released()
