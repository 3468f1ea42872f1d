"""Platform wheels: the matrix of CI jobs that build them, and one job with cibuildwheel."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from relnox import building, core
from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.records import replace
from relnox.core.release.wheels import WheelJob
from relnox.core.settings.config_tables import Abi
from relnox.core.text import format_count
from relnox.errors import Blocked, Failed
from relnox.steps.action import Action
from relnox.steps.build import Build, check_build
from relnox.steps.build_environments import BuildingServices
from relnox.steps.built_archives import (
    BuiltPackage,
    check_unchanged,
    move_files,
    staging_directory,
)
from relnox.system import process
from relnox.system.environment_variables import search_path
from relnox.system.files import replace_file

if TYPE_CHECKING:
    from relnox.core.release.manifest import Distribution
    from relnox.core.release.wheels import FileComparison

_BUILD_TIMEOUT = 6 * 3600.0


class WriteMatrix(Step, kw_only=True):
    """Write the CI jobs that build platform wheels, as JSON."""

    key = "matrix"
    file: str
    text: str

    @property
    def title(self) -> str:
        return f"write the jobs for platform wheels to {self.file}"


class WriteMatrixAction(Action[WriteMatrix]):
    def apply(self) -> None:
        replace_file(self.run.root / self.step.file, self.step.text.encode())

    def verify(self) -> str:
        if (self.run.root / self.step.file).read_bytes() != self.step.text.encode():
            raise Failed(
                "file-changed",
                f"{self.step.file} differs from what was written",
                fix="stop other processes that write this file, then rerun the command",
            )
        return self.step.file


class BuildWheels(Step, kw_only=True):
    """Build the platform wheels of one job of the matrix from the sdist in the output directory.

    Attributes:
        job: The wheels, and the platform to build them on.
        abi: The ABI of the wheels.
        build: The planned build of the package.
    """

    runs_project_code = True
    exclusive = True
    job: WheelJob
    abi: Abi
    build: Build

    @property
    def key(self) -> str:
        return f"wheels {self.job.name}"

    @property
    def title(self) -> str:
        return f"build {format_count(len(self.job.identifiers), 'wheel')} of {self.job.name} with cibuildwheel"


class BuildWheelsAction(Action[BuildWheels]):
    """Builds the wheels of a job from the sdist that is released, and keeps all of them or none."""

    def check(self) -> str | None:
        """Return a reason to skip the build if the manifest lists all wheels, and they are still valid."""
        files = self._files_in_manifest()
        output = self.run.root / self.step.build.output
        comparison = self._compare_with_expected_files([file.filename for file in files])
        if comparison.missing or not all(
            building.file_hashes.file_matches(output / file.filename, file.size, file.sha256) for file in files
        ):
            return None
        built = check_build([output / file.filename for file in files], self.step.build, self)
        if built.files != files:
            return None
        self.result = self._with_others(built)
        return f"{format_count(len(self.step.job.identifiers), 'wheel')} up to date"

    def apply(self) -> None:
        build = self.step.build
        sdist = self._find_sdist()
        output = self.run.root / build.output
        with staging_directory(output, build.package) as staging:
            command = core.wheels.cibuildwheel_command(
                self.step.job, sdist=str(output / sdist.filename), output=str(staging)
            )
            program = shutil.which(command.argv[0], path=search_path(os.environ))
            if program is None:
                raise Blocked(
                    "program-failed",
                    "cibuildwheel is not installed",
                    fix=fixes.install_command("cibuildwheel"),
                )
            process.run(
                [program, *command.argv[1:]],
                cwd=self.run.root,
                env=self._services.installer_variables(more=dict(command.environment)),
                timeout=_BUILD_TIMEOUT,
                on_line=self.on_line,
            ).check(
                f"cibuildwheel for {self.step.job.name}",
                fix=f"see its whole output: {fixes.task_command('build-all', '--verbose')}",
            )
            wheel_paths = sorted(staging.glob("*.whl"))
            comparison = self._compare_with_expected_files([sdist.filename, *(path.name for path in wheel_paths)])
            if comparison.missing or comparison.unexpected:
                differences = [f"{wheel} is missing" for wheel in comparison.missing]
                differences += [f"{wheel} was not requested" for wheel in comparison.unexpected]
                raise Failed(
                    "archive-unexpected",
                    f"cibuildwheel did not build the wheels of {self.step.job.name}: {'; '.join(differences)}",
                    fix="select wheels in [tool.relnox.wheels], not in [tool.cibuildwheel]",
                )
            new = {path.name for path in wheel_paths}
            others = [output / file.filename for file in self._files_in_manifest() if file.filename not in new]
            paths = [*(path for path in others if path.is_file()), *wheel_paths]
            built = check_build(paths, build, self)
            move_files(output, wheel_paths)
        self.result = self._with_others(built)

    def verify(self) -> str:
        files = self.result.files
        check_unchanged(self.run.root / self.step.build.output, files)
        return ", ".join(file.filename for file in files if file.kind == "wheel")

    def _find_sdist(self) -> Distribution:
        """Return the sdist in the output directory's manifest, which must be built from the current commit."""
        output, package = self.step.build.output, self.step.build.package
        manifest = self._services.earlier_manifest(output)
        sdist = next((file for file in self._files_in_manifest() if file.kind == "sdist"), None)
        if manifest is None or sdist is None or not (self.run.root / output / sdist.filename).is_file():
            raise Failed(
                "sdist-missing",
                f"the sdist of {package} is missing (it is not in {output}, or not in its manifest)",
                fix=f"build it: {fixes.task_command('build-all', '--package', package)}; or download it "
                "from the job that built it",
            )
        head = self.run.git.head() if self.run.git is not None else None
        if manifest.dirty or manifest.commit != head:
            state = " with uncommitted changes" if manifest.dirty else ""
            raise Failed(
                "archive-unexpected",
                f"{sdist.filename} was built from {manifest.commit or 'no commit'}{state}, but this checkout is "
                f"at {head or 'no commit'}",
                fix=f"build it again: {fixes.task_command('build-all', '--package', package)}; or download it "
                "from the job that built this commit",
            )
        check_unchanged(self.run.root / output, [sdist])
        return sdist

    def _files_in_manifest(self, package: str | None = None) -> tuple[Distribution, ...]:
        """Return a package's files in the manifest: the sdist, and wheels of earlier jobs on this machine."""
        return self._services.earlier_files(self.step.build.output, package or self.step.build.package)

    def _with_others(self, built: BuiltPackage) -> BuiltPackage:
        """Return the built package with the other packages that the manifest keeps."""
        manifest = self._services.earlier_manifest(self.step.build.output)
        others = manifest.packages if manifest is not None else ()
        return replace(
            built,
            others=tuple(
                BuiltPackage(package=name, files=self._files_in_manifest(name))
                for name in others
                if name != built.package
            ),
            others_missing=manifest.missing if manifest is not None else (),
        )

    @property
    def _services(self) -> BuildingServices:
        return self.run.service(BuildingServices)

    def _compare_with_expected_files(self, files: list[str]) -> FileComparison:
        return core.wheels.ExpectedFiles(wheels=self.step.job.identifiers, abi=self.step.abi).compare(files)
