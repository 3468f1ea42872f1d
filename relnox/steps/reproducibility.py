"""Build a package a second time, in another directory and environment, and compare."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from relnox.building import archives, build_sessions
from relnox.core.planning.step import Step
from relnox.core.text import format_count
from relnox.errors import Failed
from relnox.source import copies
from relnox.source.git import Git
from relnox.steps.build import Build, build, generated_files, source_to_build
from relnox.steps.built_archives import built_packages
from relnox.steps.run import Run

_export_lock = threading.Lock()
"""Held during an export: the list of exports is one file."""


class CheckReproducibility(
    Step,
    key="compare {self.build.package}",
    title="build {self.build.package} again in another directory, and compare",
):
    """Build a package again with another path, umask, time zone, locale and file times, and compare archives."""

    runs_project_code = True
    concurrent = True
    build: Build

    @property
    def invalidated_package(self) -> str:
        return self.build.package

    def apply(self, run: Run) -> str:
        again = run.create_temporary_directory("again")
        source = self._create_second_source(again, run) / self.build.directory
        output = again / "archives"
        output.mkdir()
        paths = build(self.build, source, output, run, build_sessions.VARIED_CONDITIONS)
        rebuilt = {path.name: archives.hash_file(path).sha256 for path in paths}
        first = {file.filename: file.sha256 for file in built_packages(run)[self.build.package].files}
        common = sorted(first.keys() & rebuilt.keys())
        lines = [f"  {name} differs" for name in common if first[name] != rebuilt[name]]
        lines += [f"  {name} is only in the first build" for name in sorted(first.keys() - rebuilt.keys())]
        lines += [f"  {name} is only in the second build" for name in sorted(rebuilt.keys() - first.keys())]
        if lines:
            raise Failed(
                "build-not-reproducible",
                "\n".join([f"{self.build.package} is not reproducible:", *lines]),
                fix="compare the archives of two builds with diffoscope; use a build backend that normalizes "
                "permissions and times (hatchling, flit-core, poetry-core, uv_build)",
            )
        return f"{format_count(len(first), 'archive')} identical in both builds"

    def _create_second_source(self, directory: Path, run: Run) -> Path:
        """Create the source in another directory, with other file times and umask, by checkout or copy."""
        checkout = directory / "checkout"
        first = source_to_build(run)
        if first.commit is not None and run.git is not None:
            with _export_lock:
                source = copies.copy_commit(run.git, first.commit, directory).root
            for name in generated_files(run):
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(first.directory / name, source / name)
        else:
            source = checkout
            own_paths = (run.root / self.build.output, run.scratch)  # relnox's archives, and the copy itself

            def own_names(directory: str, names: Iterable[str]) -> list[str]:
                return [name for name in names if Path(directory, name) in own_paths]

            with contextlib.suppress(shutil.Error):  # sockets, and files that parallel builds create and remove
                shutil.copytree(first.directory, source, symlinks=True, ignore=own_names)
        for path in checkout.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~build_sessions.VARIED_CONDITIONS.umask)
                os.utime(path)
        if run.git is not None:  # else git reports all files as changed
            Git(source).run("update-index", "-q", "--refresh")
        return source
