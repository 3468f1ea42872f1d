"""Install a package in a fresh environment, and check that it is complete and works."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building import archive_contents, environments, installation_checks
from relnox.building.archives import Archive
from relnox.building.environments import Interpreter
from relnox.building.installation_checks import (
    InstallationCheckFailure,
    InstallationCheckResult,
    changed_file_messages,
    read_installed_distributions,
)
from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.settings.config import InstallChecks
from relnox.core.text import format_count, join_names
from relnox.errors import Failed, TryLater
from relnox.steps.fetch_release import ReleaseFiles, select_archive
from relnox.steps.run import Run, SharedService
from relnox.system.process import CompletedProgram

_TIME_LIMIT = 600.0
"""The number of seconds for all imports together, and for each expression."""
_CONNECTION_ERRORS = (
    *("error sending request", "request failed after", "dns error", "connection refused", "operation timed out"),
    *("temporary failure in name resolution", "connection aborted"),
)
"""Output of uv when an index does not respond."""
FROM_SDIST = "built from the sdist (no compatible wheel)"
"""What the result of a step says if no wheel could be installed."""
_REPORT_FIX = "report it to the project; to verify another version: --package NAME==VERSION"
_RESOLUTION_ERRORS = ("no solution found", "was not found in")
"""Output of uv when an index does not have a requirement."""


class VerifyInstall(Step, key="verify {self.package} on {self.python}"):
    """Install a package in a fresh environment, and check that it is complete and works.

    Files of the release are installed from this machine, other requirements only from the trusted index (that for
    third-party requirements), so that no name can come from two indexes.

    Attributes:
        python: The Python to install it on, such as `3.12`.
        siblings: Packages of the same release that it needs; installed from the release's files too.
        checks: What to import and to run.
        skip: The reason to skip it; None to run it.
        others: Other projects with wheels from `--find-links`; installed from these if required.
        is_own: Whether it is a package of the project, so that a fix may name its settings.
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
    is_own: bool = True

    @property
    def title(self) -> str:
        siblings = f" (with {join_names(self.siblings)} of this release)" if self.siblings else ""
        smoke = f", run {join_names(self.checks.smoke)}" if self.checks.smoke else ""
        return (
            f"install {self.package} {self.version}{siblings} on Python {self.python} in a fresh environment, "
            f"check it{smoke}"
        )

    def reason_to_skip(self, run: Run) -> str | None:
        """Return a reason if a setting skips the check, or the package does not support this Python, else None.

        Raises:
            Failed: All checks of the plan are skipped, and at least one of them because of its Python.
        """
        if self.skip is not None:
            return run.service(SkippedChecks).record_skip(self.skip)
        files = {files.package: files.archives for files in run.results(ReleaseFiles)}
        supported = archive_contents.supported_pythons(files[self.package][0])
        version = environments.find_interpreter(self.python).version
        if version in supported:
            return None
        reason = f"{self.package} {self.version} requires Python {supported}, and this is {version}"
        return run.service(SkippedChecks).record_skip(reason, is_unsupported=True)

    def apply(self, run: Run) -> str:
        installation = _Installation(self, run)
        with run.service(EnvironmentDirectories).borrow(self.python) as directory:
            installation.install(directory)
            installation.compare_files()  # before foreign code runs
            installation.run_checks()
        return installation.describe()


class SkippedChecks(SharedService):
    """A count of the checks (of a package on a Python) that are skipped: if all are, nothing was verified."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._left = sum(isinstance(step, VerifyInstall) for step in run.plan.steps)
        self._has_unsupported = False
        self._lock = Lock()

    def record_skip(self, reason: str, *, is_unsupported: bool = False) -> str:
        """Count a skipped check, and return `reason`, why it is skipped.

        With `is_unsupported`, the reason is that the package does not support the Python, otherwise it is a
        setting.

        Raises:
            Failed: All checks of the plan were skipped, at least one of them because of its Python.
        """
        with self._lock:
            self._left -= 1
            self._has_unsupported |= is_unsupported
            if self._left == 0 and self._has_unsupported:
                raise Failed(
                    "nothing-verified",
                    f"nothing was verified, since everything was skipped: {reason}",
                    fix="verify with a Python that the packages support: "
                    f"{fixes.task_command('verify-install', '--python', 'X.Y')}",
                )
        return reason


class EnvironmentDirectories(SharedService):
    """Temporary directories for environments, each of which is used again when the checks in it have ended."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._directories: defaultdict[str, list[Path]] = defaultdict(list)

    @contextmanager
    def borrow(self, python: str) -> Iterator[Path]:
        """Yield a path at which to create an environment of a Python, if possible that of an earlier one.

        That is faster: uv starts each new interpreter to inspect it, and caches the result by path.
        """
        free = self._directories[python]
        try:
            directory = free.pop()
        except IndexError:
            directory = self._run.create_temporary_directory(f"environment {python}")
        try:
            yield directory / "env"
        finally:
            free.append(directory)


class _Installation:
    """A fresh environment with a package of the release and the siblings that it needs."""

    def __init__(self, step: VerifyInstall, run: Run) -> None:
        self._step = step
        self._release = f"{step.package} {step.version}"
        self._run = run
        self._release_files = {files.package: files.archives for files in run.results(ReleaseFiles)}
        self._files = {name: self._archive_to_install(name) for name in (step.package, *step.siblings)}
        self.archive = self._files[step.package]
        self.interpreter: Interpreter = environments.find_interpreter(step.python)

    def install(self, directory: Path) -> None:
        """Create the environment at `directory`, install the files, and check that their requirements fit.

        Requirements that are not files of the release come from the trusted index, that for third-party
        requirements.

        Raises:
            Failed: The installation fails, or requirements are incompatible.
            TryLater: The trusted index does not respond.
        """
        checks = self._step.checks
        self._others = self._select_required_wheels()
        installer = environments.Installer(self._run.environment_variables())
        self._environment = installer.create_environment(directory, self.interpreter.path)
        requirements = [str(archive.path) for archive in (*self._files.values(), *self._others.values())]
        if checks.extras:
            requirements[0] = f"{self._step.package}[{','.join(checks.extras)}] @ {self.archive.path.as_uri()}"
        completed = installer.install(
            self._environment,
            requirements,
            index_url=self._run.indexes.trusted_index.simple_url,
            on_line=self._run.line_callback(self._step),
        )
        action = f"{self._release} on Python {self.interpreter.version}"
        _check_installation_succeeded(f"{action}: installing it", completed)
        installer.run_pip_check(self._environment).check(
            f"{action}: the installed packages are incompatible", fix="correct the requirements that are named"
        )
        self._installed = read_installed_distributions(self._environment)

    def compare_files(self) -> None:
        """Check that the packages come from the files of the release (PEP 610), and match the hashes in RECORD.

        Raises:
            Failed: A package is missing, comes from elsewhere, or has a file that is missing or changed.
        """
        messages = []
        for name, archive in {**self._files, **self._others}.items():
            distribution = self._installed.get(name)
            if distribution is None:
                messages.append(
                    f"{name} is not installed, although {archive.path.name} was passed to the installer"
                )
                continue
            url = distribution.direct_url.get("url", "")
            if _decoded_url_path(url) != _decoded_url_path(archive.path.as_uri()):
                origin = url or "the trusted index"
                messages.append(f"{name} {distribution.version} comes from {origin}, not from {archive.path.name}")
            messages += [f"{name}: {change}" for change in changed_file_messages(distribution)]
        if messages:
            raise self._broken_installation_error(
                [InstallationCheckFailure(message=message) for message in messages], InstallationCheckResult()
            )

    def run_checks(self) -> None:
        """Import the modules, look up the functions of the scripts, and run the smoke tests.

        Raises:
            Failed: One of them fails, the version of the package or of a module is not that of the release, or
                there is nothing to check.
        """
        checks, distribution = self._step.checks, self._installed[self._step.package]
        entry_points = distribution.dist_info_directory / "entry_points.txt"
        extras = set(map(canonicalize_name, checks.extras))
        self._scripts = {
            name: (target, [extra for extra in required if canonicalize_name(extra) not in extras])
            for name, (target, required) in archive_contents.read_scripts(entry_points).items()
        }
        # All modules and scripts in one process: starting a Python for each would take longer.
        self._result = self._run_installation_checks(
            {
                "modules": self._importable_modules() if checks.modules is None else checks.modules,
                "scripts": {name: target for name, (target, missing) in self._scripts.items() if not missing},
                "root": str(self._run.root.resolve()),
            }
        )
        wrong = [f"{distribution.version} is installed"] if self._is_other_version(distribution.version) else []
        wrong += [
            f"{name}.__version__ is {version!r}"
            for name, version in self._result.versions.items()
            if version is not None and self._is_other_version(version)
        ]
        failures = [
            InstallationCheckFailure(message=f"{message}, but the release is {self._step.version}")
            for message in wrong
        ]
        if failures := [*failures, *self._result.failures]:
            raise self._broken_installation_error(failures, self._result)
        for expression in checks.smoke:
            result = self._run_installation_checks({"expression": expression})
            if result.failures:
                raise self._broken_installation_error(result.failures, result)
        is_checked = self._result.versions or self._result.scripts or self._programs_and_data or checks.smoke
        if not (is_checked or self._reason_for_no_modules):
            raise self._nothing_to_check_error()

    def describe(self) -> str:
        """Return one line on what was installed, imported and run, after `run_checks`."""
        more = f" and {format_count(len(self._installed) - 1, 'other')}" if len(self._installed) > 1 else ""
        parts = [
            f"{self._release}, requirements hold",
            f"Python {self.interpreter.version}: {self.archive.path.name}{more}",
        ]
        if self._others:
            parts.append(f"with {', '.join(other.path.name for other in self._others.values())}")
        if self.archive.kind == "sdist":
            parts.append(FROM_SDIST)
        reason = f" (according to {self._reason_for_no_modules})" if self._reason_for_no_modules else ""
        versions = self._result.versions
        parts.append(f"imported {', '.join(versions)}" if versions else f"nothing to import{reason}")
        if self._result.scripts:
            parts.append(f"scripts {', '.join(self._result.scripts)}")
        if self._programs_and_data:
            parts.append(f"programs and data {join_names(self._programs_and_data, 3)}")
        parts += [
            f"skipped the script {name} (needs the extra {', '.join(extras)})"
            for name, (_, extras) in self._scripts.items()
            if extras
        ]
        return "; ".join([*parts, *(f"ran {expression}" for expression in self._step.checks.smoke)])

    def _archive_to_install(self, package: str) -> Archive:
        return select_archive(self._release_files[package], package, self._step.python)

    def _select_required_wheels(self) -> dict[str, Archive]:
        """Return the wheels of `others` that the release requires, also indirectly, by project name."""
        others: dict[str, Archive] = {}
        if not self._step.others:
            return others
        queue: list[tuple[Archive, Sequence[str]]] = [
            (archive, self._step.checks.extras if archive is self.archive else ())
            for archive in self._files.values()
        ]
        while queue:
            archive, extras = queue.pop()
            for name, required_extras in archive_contents.find_applicable_requirements(
                archive, self.interpreter.version, extras
            ):
                if name in self._step.others and name not in others:
                    others[name] = self._archive_to_install(name)
                    queue.append((others[name], required_extras))
        return others

    def _importable_modules(self) -> tuple[str, ...]:
        distribution = self._installed[self._step.package]
        site_packages = distribution.dist_info_directory.parent
        return archive_contents.importable_modules(self.archive, site_packages, distribution.record_hashes)

    @property
    def _programs_and_data(self) -> list[str]:
        """The names of the files installed outside of site-packages, except the scripts of entry points."""
        names = self._installed[self._step.package].record_hashes
        outside = [name.rpartition("/")[2] for name in names if name.startswith(("../", "/"))]
        return [name for name in outside if name.removesuffix(".exe") not in self._scripts]

    @property
    def _reason_for_no_modules(self) -> str:
        """The setting or metadata by which there is nothing to import; empty if there is none."""
        if self._step.checks.modules == ():
            return "[tool.relnox.verify] modules"
        if self._step.checks.metadata_only:
            return "[tool.relnox] metadata-only"
        return "its metadata" if self.archive.declared_import_names is not None else ""

    def _is_other_version(self, text: str) -> bool:
        """Return whether a text is a version (unlike a commit id), and not that of the release."""
        try:
            return Version(text) != self._step.version
        except InvalidVersion:
            return False

    def _run_installation_checks(self, request: Mapping[str, Any]) -> InstallationCheckResult:
        """Import or evaluate what `request` names (see `installation_check_script`) in the environment."""
        return installation_checks.run_installation_checks(
            self._environment,
            request,
            directory=self._run.create_temporary_directory("checks"),
            variables=self._run.environment_variables(),
            time_limit=_TIME_LIMIT,
            on_line=self._run.line_callback(self._step),
        )

    def _broken_installation_error(
        self, failures: Iterable[InstallationCheckFailure], result: InstallationCheckResult
    ) -> Failed:
        """Return the error that lists all failures and the last output of the checks."""
        failures = tuple(failures)
        lines = [
            f"  {failure.message}{f' ({failure.location})' if failure.location else ''}" for failure in failures
        ]
        if result.output:
            lines += ["  last output:", *(f"  | {line}" for line in result.output)]
        text = "\n".join(lines)
        return Failed(
            "install-broken",
            f"{self._release} was installed on Python {self.interpreter.version}, but does not work:\n{text}",
            fix=self._choose_fix(failures),
        )

    def _choose_fix(self, failures: Sequence[InstallationCheckFailure]) -> str:
        """Return the fix for the first module that could not be found, or else a general one."""
        package = self._step.package
        if not self._step.is_own:
            return _REPORT_FIX
        missing = next((failure.missing_module for failure in failures if failure.missing_module), None)
        if missing is None:
            return (
                f"correct the error; to import other modules: [tool.relnox.verify] modules = {{ {package} = [] }}"
            )
        if any(f"{missing}.".startswith(f"{name}.") for name in self._importable_modules()):
            return (
                f"{self.archive.path.name} lacks {missing}: have its build backend include it "
                "(files of the source tree that no archive has are not published)"
            )
        if (top := missing.partition(".")[0]) in sys.stdlib_module_names:
            return (
                f"{top} is in the standard library of other Pythons or systems only: correct requires-python of "
                f"{package}, or import {top} only where it exists"
            )
        return (
            f"add the distribution that has {missing} to the dependencies of {package}; if an extra requires it: "
            f'[tool.relnox.verify] extras = {{ {package} = ["EXTRA"] }}; '
            f"if it cannot be imported alone: [tool.relnox.verify] modules = {{ {package} = [] }}"
        )

    def _nothing_to_check_error(self) -> Failed:
        """Return the error for an installed package that has nothing to import or run."""
        package, distribution = self._step.package, self._installed[self._step.package]
        metadata = f"{distribution.dist_info_directory.name}/"
        if any(not name.startswith(metadata) for name in distribution.record_hashes):
            content = "has files, but no module and no script"
            fix = (
                f'add a smoke test: [tool.relnox.verify] smoke = {{ {package} = ["EXPRESSION"] }}; '
                f"or, if there is nothing to check: [tool.relnox.verify] modules = {{ {package} = [] }}"
            )
        else:
            content = "has no module, no script and no data"
            fix = (
                f"have the build backend include the modules, then: {fixes.task_command('build-all')}; "
                f'if the package has none on purpose: [tool.relnox] metadata-only = ["{package}"]'
            )
        return Failed(
            "install-empty",
            f"{self._release} on Python {self.interpreter.version} is installed, but there is nothing to import: "
            f"{self.archive.path.name} {content}",
            fix=fix if self._step.is_own else _REPORT_FIX,
        )


def _decoded_url_path(url: str) -> str:
    """Return the path of a URL with percent-encoded characters decoded, for comparisons."""
    return unquote(urlsplit(url).path)


def _check_installation_succeeded(action: str, completed: CompletedProgram) -> None:
    """Raise an error if an installer failed: `TryLater` if an index did not respond, else `Failed`.

    `action` names in the message what was installed.
    """
    output = " ".join(completed.output.lower().split())
    fix = environments.choose_installer_fix(completed, "see the installer's last lines above")
    if any(text in output for text in _RESOLUTION_ERRORS):
        fix = "the trusted index has no matching release: correct the requirement, or publish that one first"
    try:
        completed.check(action, fix=fix)
    except Failed as error:
        if not any(text in output for text in _CONNECTION_ERRORS):
            raise
        fix = "rerun the command later (the trusted index does not respond); to use what uv has in its cache: "
        raise TryLater("index-unavailable", error.message, fix=f"{fix}export UV_OFFLINE=1") from error
