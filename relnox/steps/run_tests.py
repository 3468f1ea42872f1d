"""Run the project's tests against the built wheels."""

from __future__ import annotations

import re
import sys

from relnox import building, core
from relnox.core.planning.step import Step
from relnox.steps.action import Action
from relnox.steps.build_environments import BuildingServices
from relnox.steps.built_archives import built_packages, installable_files
from relnox.steps.export_commit import source_to_build
from relnox.system import process

_TEST_TIMEOUT = 3600.0
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")


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


class RunTestsAction(Action[RunTests]):
    def apply(self) -> None:
        services = self.run.service(BuildingServices)
        installer = building.environments.Installer(services.installer_variables())
        directory = self.run.create_directory(self.step.key)
        services.report_package_sources()
        environment = installer.create_environment(
            directory / "env", building.interpreters.find_interpreter(self.step.python).path
        )
        python = self.step.python or f"{sys.version_info.major}.{sys.version_info.minor}"
        packages = built_packages(self.run)
        archives = [
            str(self.run.root / self.step.output / file.filename)
            for package in (self.step.package, *self.step.siblings)
            for file in installable_files(packages[package])
            if file.kind == "sdist" or core.wheels.is_installable_on(file.filename, python)
        ]
        installer.install(environment, [*archives, *self.step.requires], on_line=self.on_line).check(
            f"{self.step.package}: installing the archives for its tests"
        )
        completed = process.run(
            self.step.command,
            cwd=source_to_build(self.run).directory / self.step.directory,
            env=environment.activated_variables(self.run.variables(more=dict(self.step.environment))),
            timeout=_TEST_TIMEOUT,
            on_line=self.on_line,
        )
        fix = self._missing_module_fix(completed.output) or f"fix the failing tests of {self.step.package}"
        completed.check(f"{self.step.package}: the tests ({' '.join(self.step.command)})", fix=fix)

    def _missing_module_fix(self, output: str) -> str | None:
        """Return how to install a module that the tests lack."""
        if not (missing := _NO_MODULE.findall(output)):
            return None
        places = f"[tool.relnox.test] requires, or to the dependencies of {self.step.package}"
        return f"add the distribution that has {missing[-1]} to {places}"

    def verify(self) -> str:
        """Return the result; the exit status of the command was already checked."""
        return "tests pass with the built wheel"
