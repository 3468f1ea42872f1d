"""Platform wheels by cibuildwheel: the jobs for CI, and what one of them does."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relnox import process
from relnox.building import archives
from relnox.core import fixes, wheels
from relnox.errors import Blocked, Failed
from relnox.executor.archive_checks import check_archives
from relnox.executor.building import move_to, same_bytes, staging_folder
from relnox.files import replace_file

if TYPE_CHECKING:
    from relnox.core.manifest import Distribution
    from relnox.core.steps import BuildWheels, WriteMatrix
    from relnox.executor.run import Run

__all__ = ["BuildingWheels", "WritingMatrix"]

_LIMIT = 6 * 3600.0


@dataclass
class WritingMatrix:
    """Writes the jobs down."""

    step: WriteMatrix
    run: Run

    def check(self) -> str | None:
        """It is always written."""
        return None

    def do(self) -> None:
        """Write."""
        replace_file(self.run.root / self.step.file, self.step.text.encode())

    def verify(self) -> str:
        """It reads as written."""
        if (self.run.root / self.step.file).read_bytes() != self.step.text.encode():
            raise Failed(
                "todo", f"{self.step.file} does not read as it was written", fix="does something else write it?"
            )
        return self.step.file


@dataclass
class BuildingWheels:
    """Builds the wheels of a job from the sdist that is released as well; all of them, or none is kept."""

    step: BuildWheels
    run: Run

    def check(self) -> str | None:
        """Done when the manifest of the output folder tells of all of them, and they are still right."""
        found = self.run.previous(self.step.build.output)
        wanted = list(found.files_of(self.step.build.package)) if found is not None else []
        output = self.run.root / self.step.build.output
        comparison = self._compared([file.filename for file in wanted])
        paths = [output / file.filename for file in wanted]
        if comparison.missing or not all(path.is_file() for path in paths):
            return None
        if any(archives.digests(path).sha256 != file.sha256 for path, file in zip(paths, wanted, strict=True)):
            return None
        if check_archives(paths, self.step.build, self.run) != wanted:
            return None
        self._keep_others()
        self.run.built[self.step.build.package] = wanted
        return f"{len(self.step.job.identifiers)} wheels are there, and are still right"

    def do(self) -> None:
        """Build, look into the wheels, move them to their place."""
        build = self.step.build
        sdist = self._sdist()
        output = self.run.root / build.output
        with staging_folder(output, build.package) as staging:
            call = wheels.call(self.step.job, sdist=str(output / sdist.filename), output=str(staging))
            places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
            program = shutil.which(call.words[0], path=places)
            if program is None:
                raise Blocked("todo", "cibuildwheel is not installed", fix=fixes.install("cibuildwheel"))
            process.run(
                [program, *call.words[1:]],
                cwd=self.run.root,
                env=self.run.installer_variables(more=dict(call.environment)),
                timeout=_LIMIT,
                on_line=self.run.tell(self.step),
            ).check(
                f"cibuildwheel for {self.step.job.name}",
                fix=f"{fixes.command('build-all', '--verbose')} shows all it prints",
            )
            made = sorted(staging.glob("*.whl"))
            comparison = self._compared([sdist.filename, *(path.name for path in made)])
            if comparison.missing or comparison.extra:
                told = [f"{each} is missing" for each in comparison.missing]
                told += [f"{each} was not asked for" for each in comparison.extra]
                raise Failed(
                    "todo",
                    f"cibuildwheel made something else than {self.step.job.name}: {'; '.join(told)}",
                    fix="does [tool.cibuildwheel] select wheels? here [tool.relnox.wheels] does",
                )
            new = {path.name for path in made}
            kept = [output / file.filename for file in self._before() if file.filename not in new]
            paths = [*(path for path in kept if path.is_file()), *made]
            distributions = check_archives(paths, build, self.run)
            move_to(output, made)
        self._keep_others()
        self.run.built[build.package] = distributions

    def verify(self) -> str:
        """The wheels are in their place, with the bytes that were looked into."""
        built = self.run.built[self.step.build.package]
        for each in built:
            same_bytes(self.run.root / self.step.build.output / each.filename, each)
        return ", ".join(each.filename for each in built if each.kind == "wheel")

    def _sdist(self) -> Distribution:
        """The sdist that the manifest of the output folder tells of, of the commit that this run will tell of."""
        output, package = self.step.build.output, self.step.build.package
        found = self.run.previous(output)
        sdist = next((file for file in found.files_of(package) if file.kind == "sdist"), None) if found else None
        if found is None or sdist is None or not (self.run.root / output / sdist.filename).is_file():
            raise Failed(
                "todo",
                f"there is no sdist of {package} in {output} that a manifest tells of",
                fix="build it, or fetch it from the job that did: "
                f"{fixes.command('build-all', '--package', package)}",
            )
        head = self.run.git.head() if self.run.git is not None else None
        if found.dirty or found.commit != head:
            state = ", with uncommitted changes" if found.dirty else ""
            raise Failed(
                "todo",
                f"{sdist.filename} was built of {found.commit or 'no commit'}{state}; "
                f"this checkout is at {head or 'none'}",
                fix="build it again, or fetch it from the job that built this commit",
            )
        same_bytes(self.run.root / output / sdist.filename, sdist)
        return sdist

    def _before(self) -> tuple[Distribution, ...]:
        """What the manifest tells of the package: the sdist, and wheels of jobs that ran in this folder before."""
        found = self.run.previous(self.step.build.output)
        return found.files_of(self.step.build.package) if found is not None else ()

    def _keep_others(self) -> None:
        """The new manifest tells of the other packages as well that the folder has archives of."""
        found = self.run.previous(self.step.build.output)
        for name in found.packages if found is not None else ():
            self.run.built.setdefault(name, list(found.files_of(name) if found is not None else ()))

    def _compared(self, files: list[str]) -> wheels.Comparison:
        return wheels.Expected(wheels=self.step.job.identifiers, abi=self.step.abi).compare(files)
