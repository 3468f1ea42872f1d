"""Install a package in a fresh environment, and check that it is complete and works."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from relnox import building
from relnox.core.planning.step import Step
from relnox.core.settings.config_tables import InstallChecks
from relnox.core.text import format_count, join_names
from relnox.steps import install_problems
from relnox.steps.action import Action
from relnox.steps.fetch_release import ReleaseFiles, best_archive
from relnox.steps.run import SharedService

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.building.installation_checks import ProbeFailure, ProbeResult
    from relnox.building.interpreters import Interpreter
    from relnox.steps.run import Run


class VerifyInstall(Step, kw_only=True):
    """Install a package in a fresh environment, and check that it is complete and works.

    Attributes:
        python: The Python, such as `3.12`; empty for the running one.
        siblings: Packages of the same release that it needs; installed from the release's files too.
        others: Projects whose wheels are available in a directory; installed from there if required.
        skip: The reason to skip it; None to run it.
    """

    runs_project_code = True
    concurrent = True
    package: str
    version: Version
    python: str
    siblings: tuple[str, ...]
    checks: InstallChecks
    skip: str | None = None
    others: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"verify {self.package}{f' on {self.python}' if self.python else ''}"

    @property
    def title(self) -> str:
        python = f"Python {self.python}" if self.python else "this Python"
        siblings = f" (with {join_names(self.siblings)} of this release)" if self.siblings else ""
        smoke = f", run {join_names(self.checks.smoke)}" if self.checks.smoke else ""
        return (
            f"install {self.package} {self.version}{siblings} on {python} in a fresh environment, check it{smoke}"
        )


class EnvironmentDirectories(SharedService):
    """Directories of environments whose checks have ended, in which the next environments are created."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._directories: defaultdict[str, list[Path]] = defaultdict(list)

    @contextmanager
    def borrow(self, python: str) -> Iterator[Path]:
        """Yield a directory for an environment, a used one if possible: uv caches facts about a Python by path."""
        free = self._directories[python]
        try:
            directory = free.pop()
        except IndexError:
            directory = self._run.create_directory(f"environment {python}")
        try:
            yield directory / "env"
        finally:
            free.append(directory)


class VerifyInstallAction(Action[VerifyInstall]):
    """Installs one package for one Python from compared files, and checks it.

    The installer never sees the index that was published to, so that no name can come from two indexes.
    """

    result: ProbeResult

    def check(self) -> str | None:
        """Return a reason to skip the step: a setting, or a Python that the package does not support."""
        if self.step.skip is not None:
            return self.step.skip
        supported_pythons = building.wheel_contents.supported_pythons(self._archive_to_install(self.step.package))
        if self.interpreter.version not in supported_pythons:
            return f"{self.release} requires Python {supported_pythons}, and this is {self.interpreter.version}"
        return None

    def apply(self) -> None:
        """Install, compare files, import modules, run scripts and smoke tests."""
        self.files = {name: self._archive_to_install(name) for name in (self.step.package, *self.step.siblings)}
        self.others = self._select_required_wheels()
        with self.run.service(EnvironmentDirectories).borrow(self.step.python) as directory:
            self._install(directory)
            self.installed = building.installed_distributions.read_installed_distributions(self.environment)
            used_files = {**self.files, **self.others}
            if messages := (  # foreign code must not run
                *install_problems.find_wrong_origins(self.installed, used_files),
                *install_problems.find_changed_files(self.installed, self.files),
            ):
                raise install_problems.broken_install_error(
                    self._installation(), _to_probe_failures(messages), building.installation_checks.ProbeResult()
                )
            self.scripts = self._find_scripts() if self.step.checks.scripts else {}
            # All modules and scripts in one process: starting a Python for each would take longer.
            self.result = self._run_probe(
                {
                    "modules": self._modules() if self.step.checks.modules is None else self.step.checks.modules,
                    "scripts": {name: target for name, (target, missing) in self.scripts.items() if not missing},
                    "root": str(self.run.root.resolve()),
                }
            )
            wrong_versions = install_problems.find_wrong_versions(
                self.installed[self.step.package], self.result.versions, self.step.version
            )
            if failures := (*_to_probe_failures(wrong_versions), *self.result.failures):
                raise install_problems.broken_install_error(self._installation(), failures, self.result)
            for expression in self.step.checks.smoke:
                result = self._run_probe({"expression": expression})
                if result.failures:
                    raise install_problems.broken_install_error(self._installation(), result.failures, result)
            has_checks = self.result.versions or self.result.scripts or self.step.checks.smoke
            if not (has_checks or self._reason_for_no_modules):
                raise install_problems.empty_install_error(self._installation(), self.installed[self.step.package])

    def verify(self) -> str:
        install_checks, result = self.step.checks, self.result
        archive = self.files[self.step.package]
        others = f" and {format_count(len(self.installed) - 1, 'other')}" if len(self.installed) > 1 else ""
        parts = [
            f"{self.release}, "
            + ("requirements hold" if install_checks.requirements else "installed without its requirements"),
            f"Python {self.interpreter.version}: {archive.path.name}{others}",
        ]
        if self.others:
            parts.append(f"with {', '.join(other.path.name for other in self.others.values())}")
        if archive.kind == "sdist":
            parts.append("built from the sdist (no compatible wheel)")
        if result.versions:
            parts.append(f"imported {', '.join(result.versions)}")
        else:
            parts.append(
                "nothing to import"
                + (f" (according to {self._reason_for_no_modules})" if self._reason_for_no_modules else "")
            )
        if result.scripts:
            parts.append(f"scripts {', '.join(result.scripts)}")
        parts += [
            f"skipped the script {name} (needs the extra {', '.join(extras)})"
            for name, (_, extras) in self.scripts.items()
            if extras
        ]
        parts += [f"ran {expression}" for expression in install_checks.smoke]
        return "; ".join(parts)

    @property
    def _reason_for_no_modules(self) -> str:
        """The setting or metadata by which there is nothing to import; empty if there is none."""
        if self.step.checks.modules == ():
            return "[tool.relnox.verify] modules"
        if self.step.checks.metadata_only:
            return "[tool.relnox] metadata-only"
        return "its metadata" if self.files[self.step.package].import_names is not None else ""

    @property
    def interpreter(self) -> Interpreter:
        return building.interpreters.find_interpreter(self.step.python)

    @property
    def release(self) -> str:
        return f"{self.step.package} {self.step.version}"

    @property
    def release_files(self) -> dict[str, tuple[Archive, ...]]:
        """The files of the release, and of projects of other repositories, by package."""
        return {files.package: files.archives for files in self.run.results(ReleaseFiles)}

    def _installation(self) -> install_problems.Installation:
        """Return the installed package, for errors."""
        package = self.step.package
        return install_problems.Installation(
            package=package,
            release=self.release,
            python=self.interpreter.version,
            archive=self.files[package],
            modules=self._modules(),
            has_requirements=self.step.checks.requirements,
            release_files=self.release_files,
        )

    def _archive_to_install(self, package: str) -> Archive:
        return best_archive(self.release_files[package], package, self.step.python)

    def _select_required_wheels(self) -> dict[str, Archive]:
        """Select the wheels of other projects that the release's files require, directly or indirectly."""
        others: dict[str, Archive] = {}
        package = self.step.package
        queue = [
            (archive, self.step.checks.extras if name == package else ()) for name, archive in self.files.items()
        ]
        while queue and self.step.checks.requirements:
            archive, extras = queue.pop()
            for name, required_extras in building.wheel_contents.find_applicable_requirements(
                archive, self.interpreter.version, extras
            ):
                if name in self.step.others and name not in others:
                    others[name] = self._archive_to_install(name)
                    queue.append((others[name], required_extras))
        return others

    def _install(self, directory: Path) -> None:
        """Create the environment, install the files, and check that the requirements are compatible."""
        install_checks = self.step.checks
        installer = building.environments.Installer(self.run.variables())
        self.environment = installer.create_environment(directory, self.interpreter.path)
        requirements = [str(archive.path) for archive in (*self.files.values(), *self.others.values())]
        if install_checks.extras:
            url = self.files[self.step.package].path.as_uri()
            requirements[0] = f"{self.step.package}[{','.join(install_checks.extras)}] @ {url}"
        completed = installer.install(
            self.environment,
            requirements,
            index_url=self.run.indexes.trusted_simple_url,
            no_deps=not install_checks.requirements,
            on_line=self.on_line,
        )
        if completed.returncode != 0:
            raise install_problems.installer_error(self.release, self.interpreter.version, completed)
        if install_checks.requirements:
            installer.run_pip_check(self.environment).check(
                f"{self.release} on Python {self.interpreter.version}: the installed packages are incompatible",
                fix="correct the requirements that are named",
            )

    def _modules(self) -> tuple[str, ...]:
        archive = self.files[self.step.package]
        distribution = self.installed.get(self.step.package) if archive.kind == "sdist" else None
        installed_files = distribution.record_hashes if distribution is not None else None
        return building.wheel_contents.import_names(archive, installed_files)

    def _find_scripts(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Map the installed scripts to their functions, and the missing extras that they need."""
        from packaging.utils import canonicalize_name

        entry_points = self.installed[self.step.package].dist_info_directory / "entry_points.txt"
        checked_extras = set(map(canonicalize_name, self.step.checks.extras))
        return {
            name: (target, tuple(extra for extra in extras if canonicalize_name(extra) not in checked_extras))
            for name, (target, extras) in building.wheel_contents.read_scripts(entry_points).items()
        }

    def _run_probe(self, request: Mapping[str, Any]) -> ProbeResult:
        return building.installation_checks.run_probe(
            self.environment,
            request,
            directory=self.run.create_directory("probe"),
            variables=self.run.variables(),
            time_limit=self.step.checks.time_limit,
            on_line=self.on_line,
        )


def _to_probe_failures(messages: Iterable[str]) -> tuple[ProbeFailure, ...]:
    return tuple(building.installation_checks.ProbeFailure(message=message) for message in messages)
