"""Run the project's tests against the built wheels."""

from __future__ import annotations

import re
import shutil

from relnox.building import environments
from relnox.core.planning.step import Step
from relnox.core.release import wheels
from relnox.errors import Failed
from relnox.steps.build import source_to_build
from relnox.steps.build_environments import BuildingServices
from relnox.steps.built_archives import built_packages, installable_files
from relnox.steps.run import Run
from relnox.system import process

_TEST_TIMEOUT = 3600.0
_NO_MODULE = re.compile(r"No module named '?([\w.]+)")
"""What Python says if an import or `python -m` fails."""


class RunTests(Step, kw_only=True):
    """Run the configured tests with the built wheel in a new environment.

    Attributes:
        python: The Python to run them on, such as `3.12`; empty for the running one.
    """

    runs_project_code = True
    concurrent = True
    package: str
    python: str
    directory: str
    output: str
    command: tuple[str, ...]
    requires: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    siblings: tuple[str, ...]

    @property
    def key(self) -> str:
        return " ".join(["test", self.package, *filter(None, [self.python])])

    @property
    def title(self) -> str:
        return f"{self.key}: {' '.join(self.command)}"

    @property
    def invalidated_package(self) -> str:
        return self.package

    def apply(self, run: Run) -> None:
        services = run.service(BuildingServices)
        installer = environments.Installer(services.installer_variables())
        directory = run.create_directory(self.key)
        services.report_package_sources()
        environment = installer.create_environment(
            directory / "env", environments.find_interpreter(self.python).path
        )
        python = self.python or environments.RUNNING_PYTHON
        packages = built_packages(run)
        archives = [
            str(run.root / self.output / file.filename)
            for package in (self.package, *self.siblings)
            for file in installable_files(packages[package])
            if file.kind == "sdist" or wheels.is_installable_on(file.filename, python)
        ]
        installer.install(environment, [*archives, *self.requires], on_line=run.on_line(self)).check(
            f"{self.package}: installing the archives for its tests"
        )
        variables = environment.activated_variables(run.variables(more=dict(self.environment)))
        if shutil.which(self.command[0], path=variables["PATH"]) is None:
            raise Failed(
                "program-failed",
                f"{self.package}: {self.command[0]}, which runs the tests, is not installed",
                fix=f"add the distribution that has {self.command[0]} to [tool.relnox.test] requires",
            )
        completed = process.run(
            self.command,
            cwd=source_to_build(run).directory / self.directory,
            env=variables,
            timeout=_TEST_TIMEOUT,
            on_line=run.on_line(self),
        )
        fix = f"fix the failing tests of {self.package}"
        if missing := _NO_MODULE.findall(completed.output):
            places = f"[tool.relnox.test] requires, or to the dependencies of {self.package}"
            fix = f"add the distribution that has {missing[-1]} to {places}"
        completed.check(f"{self.package}: the tests ({' '.join(self.command)})", fix=fix)

    def verify(self, run: Run, result: None) -> str:
        """Return the result; the exit status of the command was already checked."""
        del run, result
        return "tests pass with the built wheel"
