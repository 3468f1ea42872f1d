"""Build a package a second time, in another directory and environment, and compare."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from relnox import building
from relnox.core.planning.step import Step
from relnox.core.text import format_count
from relnox.errors import Failed
from relnox.steps.action import Action
from relnox.steps.build import Build, build
from relnox.steps.built_archives import built_packages
from relnox.steps.export_commit import generated_files, source_to_build

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.release.manifest import Distribution

_export_lock = threading.Lock()
"""Held during an export: the list of exports is one file."""


class CheckReproducibility(Step, kw_only=True):
    """Build a package again with another path, umask, time zone, locale and file times, and compare archives."""

    runs_project_code = True
    concurrent = True
    build: Build

    @property
    def key(self) -> str:
        return f"compare {self.build.package}"

    @property
    def title(self) -> str:
        return f"build {self.build.package} again in another directory, and compare"

    @property
    def invalidated_package(self) -> str:
        return self.build.package


class CheckReproducibilityAction(Action[CheckReproducibility]):
    def apply(self) -> None:
        again = self.run.create_directory("again")
        source = self._create_second_source(again) / self.step.build.directory
        output = again / "archives"
        output.mkdir()
        paths = build(self.step.build, source, output, self.run, building.build_sessions.VARIED_CONDITIONS)
        rebuilt = {path.name: path for path in paths}
        first = {
            file.filename: self.run.root / self.step.build.output / file.filename
            for file in self._first_build_files
        }
        differing = sorted(
            name for name in first.keys() & rebuilt.keys() if not _have_same_hash(first[name], rebuilt[name])
        )
        lines = [f"  {name} differs" for name in differing]
        lines += [f"  {name} is only in the first build" for name in sorted(first.keys() - rebuilt.keys())]
        lines += [f"  {name} is only in the second build" for name in sorted(rebuilt.keys() - first.keys())]
        if lines:
            raise Failed(
                "build-not-reproducible",
                "\n".join([f"{self.step.build.package} is not reproducible:", *lines]),
                fix="compare the archives of two builds with diffoscope; use a build backend that normalizes "
                "permissions and times (hatchling, flit-core, poetry-core, uv_build)",
            )

    def verify(self) -> str:
        return f"{format_count(len(self._first_build_files), 'archive')} identical in both builds"

    @property
    def _first_build_files(self) -> tuple[Distribution, ...]:
        return built_packages(self.run)[self.step.build.package].files

    def _create_second_source(self, directory: Path) -> Path:
        """Create the source in another directory, with other file times and umask, by checkout or copy."""
        from relnox.source import copies
        from relnox.source.git import Git

        checkout = directory / "checkout"
        first = source_to_build(self.run)
        if first.commit is not None and self.run.git is not None:
            with _export_lock:
                source = copies.copy_of(self.run.git, first.commit, directory).root
            self._copy_generated_files(source)
        else:
            source = checkout
            with contextlib.suppress(shutil.Error):  # sockets, and files that parallel builds create and remove
                shutil.copytree(first.directory, source, symlinks=True, ignore=self._ignored_names)
        for path in checkout.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~building.build_sessions.VARIED_CONDITIONS.umask)
                os.utime(path)
        if self.run.git is not None:  # else git reports all files as changed
            Git(source).run("update-index", "-q", "--refresh")
        return source

    def _copy_generated_files(self, source: Path) -> None:
        """Copy the files that hooks generated before the first build."""
        first = source_to_build(self.run)
        for name in generated_files(self.run):
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(first.directory / name, path)

    def _ignored_names(self, directory: str, names: Iterable[str]) -> list[str]:
        """Return the names that must not be copied: relnox's archives, and the copy itself."""
        own_paths = (self.run.root / self.step.build.output, self.run.scratch)
        return [name for name in names if Path(directory, name) in own_paths]


def _have_same_hash(one: Path, other: Path) -> bool:
    return building.file_hashes.hash_file(one).sha256 == building.file_hashes.hash_file(other).sha256
