"""Run the project's tests: against the built wheels, or against the checkout."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from relnox.building import environments
from relnox.core.planning.step import Step
from relnox.core.release import wheels
from relnox.errors import Failed
from relnox.steps.build import source_to_build
from relnox.steps.build_environments import BuildingServices
from relnox.steps.built_archives import built_packages, wheels_or_sdist
from relnox.steps.run import Run
from relnox.system import process

_TEST_TIMEOUT = 3600.0
_NO_MODULE = re.compile(r"No module named '?([\w.]+)")
"""What Python says if an import or `python -m` fails."""


class RunTests(Step):
    """Run the configured tests with the built wheel in a new environment.

    Attributes:
        python: The Python to run them on, such as `3.12`; empty for the running one.
        directory: The directory in which they run: that of the package, relative to the built source of the
            project.
        output: The directory with the built archives, relative to the root.
        requires: The requirements of the tests themselves.
        environment: Additional environment variables, as pairs of a name and a value.
        siblings: The other packages of the build that the package requires, which are installed too.
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
    def package_invalidated_by_failure(self) -> str:
        return self.package

    def apply(self, run: Run) -> str:
        services = run.service(BuildingServices)
        installer = environments.Installer(services.installer_variables())
        directory = run.create_temporary_directory(self.key)
        services.report_package_sources()
        environment = installer.create_environment(
            directory / "env", environments.find_interpreter(self.python).path
        )
        python = self.python or environments.RUNNING_PYTHON
        packages = built_packages(run)
        archives = [
            str(run.root / self.output / file.filename)
            for package in (self.package, *self.siblings)
            for file in wheels_or_sdist(packages[package])
            if file.kind == "sdist" or wheels.is_installable_on(file.filename, python)
        ]
        installer.install(environment, [*archives, *self.requires], on_line=run.line_callback(self)).check(
            f"{self.package}: installing the archives for its tests"
        )
        variables = environment.activated_variables(run.environment_variables(more=dict(self.environment)))
        directory = source_to_build(run).directory / self.directory
        _run_tests(self.command, self.package, directory, variables, run.line_callback(self))
        return "tests pass with the built wheel"


class RunTestsOnCheckout(Step, key="test"):
    """Run the configured tests with the packages of the checkout in a new environment.

    Attributes:
        packages: Pairs of a package and its directory, relative to the root, in which its tests run.
        requires: The requirements of the tests themselves.
        environment: Additional environment variables, as pairs of a name and a value.
    """

    runs_project_code = True
    packages: tuple[tuple[str, str], ...]
    command: tuple[str, ...]
    requires: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]

    @property
    def title(self) -> str:
        return f"test the checkout: {' '.join(self.command)}"

    def apply(self, run: Run) -> str:
        services = run.service(BuildingServices)
        installer = environments.Installer(services.installer_variables())
        environment = installer.create_environment(
            run.create_temporary_directory("test") / "env", environments.find_interpreter("").path
        )
        services.report_package_sources()
        sources = [str(run.root / directory) for _, directory in self.packages]
        installer.install(environment, [*sources, *self.requires], on_line=run.line_callback(self)).check(
            "installing the packages for their tests",
            fix="correct the requirements that uv names, of the packages or of [tool.relnox.test]",
        )
        variables = environment.activated_variables(run.environment_variables(more=dict(self.environment)))
        for package, directory in self.packages:
            _run_tests(self.command, package, run.root / directory, variables, run.line_callback(self))
        return "tests pass"


def _run_tests(
    command: tuple[str, ...],
    package: str,
    directory: Path,
    variables: Mapping[str, str],
    on_line: Callable[[str], None],
) -> None:
    """Run the test command of a package in its directory; `on_line` is called with each line of output.

    `variables` is the complete environment; its `PATH` must have the program.

    Raises:
        Failed: The tests fail or take more than an hour, or the program that runs them is not installed.
    """
    if shutil.which(command[0], path=variables["PATH"]) is None:
        raise Failed(
            "program-failed",
            f"{package}: {command[0]}, which runs the tests, is not installed",
            fix=f"add the distribution that has {command[0]} to [tool.relnox.test] requires, "
            f'like requires = ["{command[0]}"]',
        )
    completed = process.run(command, cwd=directory, env=variables, timeout=_TEST_TIMEOUT, on_line=on_line)
    fix = f"fix the failing tests of {package}"
    if missing := _NO_MODULE.findall(completed.output):
        places = f"[tool.relnox.test] requires, or to the dependencies of {package}"
        fix = f"add the distribution that has {missing[-1]} to {places}"
    completed.check(f"{package}: the tests ({' '.join(command)})", fix=fix)
