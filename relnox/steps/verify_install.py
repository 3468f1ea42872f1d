"""Install a package in a fresh environment, and check that it is complete and works."""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from relnox import building
from relnox.core.planning import fixes
from relnox.core.planning.step import Step
from relnox.core.settings.task_settings import InstallChecks
from relnox.core.text import listing
from relnox.errors import Failed, TryLater
from relnox.steps.action import Action
from relnox.steps.fetch import ReleaseFiles
from relnox.steps.run import Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.building.environments import Environment
    from relnox.building.installed import InstalledDistribution
    from relnox.building.interpreters import Interpreter
    from relnox.building.probing import ProbeFailure, ProbeResult
    from relnox.errors import RelnoxError
    from relnox.steps.run import Run
    from relnox.system.process import Completed

__all__ = ["VerifyInstall"]


_NO_RESPONSE = (
    *("error sending request", "request failed after", "dns error", "connection refused", "operation timed out"),
    *("newconnectionerror", "temporary failure in name resolution", "read timed out", "connection aborted"),
)
"""Output of installers when an index does not respond."""


_NOT_AVAILABLE = ("no solution found", "could not find a version", "no matching distribution", "was not found in")
"""Output of installers when an index does not have a requirement."""


class VerifyInstall(Step, kw_only=True):
    """Install a package in a fresh environment, and check that it is complete and works.

    Attributes:
        python: The Python, such as `3.12`; empty for the running one.
        siblings: Packages of the same release that it needs; installed from the release's files too.
        others: Projects whose wheels are available in a folder; installed from there if required.
        checks: The checks to run.
        skip: The reason to skip it; None to run it.
    """

    runs_project_code = True
    concurrent = True
    package: str
    version: Version
    python: str
    siblings: tuple[str, ...]
    installer: str
    checks: InstallChecks
    skip: str | None = None
    others: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"verify {self.package}{f' on {self.python}' if self.python else ''}"

    @property
    def title(self) -> str:
        python = f"Python {self.python}" if self.python else "this Python"
        siblings = f" (with {listing(self.siblings)} of this release)" if self.siblings else ""
        smoke = f", run {listing(self.checks.smoke)}" if self.checks.smoke else ""
        return (
            f"install {self.package} {self.version}{siblings} on {python} in a fresh environment, check it{smoke}"
        )


class EnvironmentFolders(Service):
    """Folders of environments that were verified, to be replaced by the next ones."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._folders: defaultdict[str, list[Path]] = defaultdict(list)

    def reusable(self, python: str) -> list[Path]:
        """Return the folders that are free, for a Python."""
        return self._folders[python]


class Verifying(Action[VerifyInstall]):
    """Action that installs one package for one Python from compared files, and checks it.

    The installer never sees the index that was published to, so that no name can come from two indexes.
    """

    files: dict[str, Archive]
    others: dict[str, Archive]
    environment: Environment
    installed: Mapping[str, InstalledDistribution]
    scripts: Mapping[str, tuple[str, tuple[str, ...]]]
    result: ProbeResult

    def check(self) -> str | None:
        """Skip if the settings say so, or if the package does not support this Python."""
        if self.step.skip is not None:
            return self.step.skip
        supported = building.modules.supported_pythons(self._archive(self.step.package))
        if self.interpreter.version not in supported:
            return f"{self._release} requires Python {supported}, and this is {self.interpreter.version}"
        return None

    def apply(self) -> None:
        """Install, compare files, import modules, run scripts and smoke tests."""
        self.files = {name: self._archive(name) for name in (self.step.package, *self.step.siblings)}
        self.others = self._required_others()
        with self._environment_folder() as folder:
            self._install(folder)
            self.installed = building.installed.read_installed(self.environment)
            if failures := (*self._wrong_origins(), *self._changed_files()):  # foreign code must not run
                raise self._broken(failures, building.probing.ProbeResult())
            self.scripts = self._scripts() if self.step.checks.scripts else {}
            self.result = self._probe_package()
            if failures := (*self._wrong_versions(), *self.result.failures):
                raise self._broken(failures, self.result)
            for expression in self.step.checks.smoke:
                result = self._probe({"expression": expression})
                if result.failures:
                    raise self._broken(result.failures, result)
            checked = self.result.versions or self.result.scripts or self.step.checks.smoke
            if not (checked or self._empty_by):
                raise self._nothing_to_check()

    def verify(self) -> str:
        """Report what was installed, imported and run."""
        install_checks, result = self.step.checks, self.result
        archive = self.files[self.step.package]
        others = len(self.installed) - 1
        parts = [
            f"{self._release}, "
            + ("requirements hold" if install_checks.requirements else "installed without its requirements"),
            f"Python {self.interpreter.version}: {archive.path.name}{f' and {others} others' if others else ''}",
        ]
        if self.others:
            parts.append(f"with {', '.join(other.path.name for other in self.others.values())}")
        if archive.kind == "sdist":
            parts.append("built from the sdist (no compatible wheel)")
        if result.versions:
            parts.append(f"imported {', '.join(result.versions)}")
        else:
            parts.append("nothing to import" + (f" (according to {self._empty_by})" if self._empty_by else ""))
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
    def _empty_by(self) -> str:
        """The setting or metadata by which there is nothing to import; empty if there is none."""
        if self.step.checks.modules == ():
            return "[tool.relnox.verify] modules"
        if self.step.checks.metadata_only:
            return "[tool.relnox] metadata-only"
        return "its metadata" if self.files[self.step.package].import_names is not None else ""

    @property
    def interpreter(self) -> Interpreter:
        """The Python to verify with."""
        return building.interpreters.find_interpreter(self.step.python)

    @property
    def _release(self) -> str:
        return f"{self.step.package} {self.step.version}"

    @property
    def _release_files(self) -> dict[str, tuple[Archive, ...]]:
        """The files of the release, and of projects of other repositories, by package."""
        return {files.package: files.archives for files in self.run.results(ReleaseFiles)}

    def _archive(self, package: str) -> Archive:
        return _best_archive(self._release_files[package], package, self.step.python)

    def _required_others(self) -> dict[str, Archive]:
        """Select the wheels of other projects that the release's files require, directly or indirectly."""
        others: dict[str, Archive] = {}
        package = self.step.package
        queue = [
            (archive, self.step.checks.extras if name == package else ()) for name, archive in self.files.items()
        ]
        while queue and self.step.checks.requirements:
            archive, extras = queue.pop()
            for name, required_extras in building.modules.required_names(
                archive, self.interpreter.version, extras
            ):
                if name in self.step.others and name not in others:
                    others[name] = self._archive(name)
                    queue.append((others[name], required_extras))
        return others

    @contextmanager
    def _environment_folder(self) -> Iterator[Path]:
        """Reuse the folder of an earlier environment: uv caches what it knows of a Python by its path."""
        reusable = self.run.service(EnvironmentFolders).reusable(self.step.python)
        try:
            folder = reusable.pop()
        except IndexError:
            folder = self.run.folder(f"environment {self.step.python}")
        try:
            yield folder / "env"
        finally:
            reusable.append(folder)

    def _install(self, folder: Path) -> None:
        """Create the environment, install the files, and check that the requirements are compatible."""
        install_checks = self.step.checks
        installer = building.environments.find_installer(self.step.installer, self.run.variables())
        self.environment = installer.create(folder, self.interpreter.path)
        requirements = [str(archive.path) for archive in (*self.files.values(), *self.others.values())]
        if install_checks.extras:
            url = self.files[self.step.package].path.as_uri()
            requirements[0] = f"{self.step.package}[{','.join(install_checks.extras)}] @ {url}"
        ran = installer.install(
            self.environment,
            requirements,
            index_url=self.run.indexes.trusted_simple_url,
            no_deps=not install_checks.requirements,
            on_line=self.run.on_line(self.step),
        )
        if ran.returncode != 0:
            raise self._not_installed(ran)
        if install_checks.requirements:
            installer.check(self.environment).check(
                f"{self._release} on Python {self.interpreter.version}: the installed packages are incompatible",
                fix="correct the requirements that are named",
            )

    def _probe_package(self) -> ProbeResult:
        """Check all modules and scripts in one process: starting a Python for each would take longer."""
        install_checks = self.step.checks
        return self._probe(
            {
                "modules": self._modules() if install_checks.modules is None else install_checks.modules,
                "scripts": {name: target for name, (target, missing) in self.scripts.items() if not missing},
                "root": str(self.run.root.resolve()),
            }
        )

    def _modules(self) -> tuple[str, ...]:
        archive = self.files[self.step.package]
        if archive.kind == "wheel":
            return building.modules.import_names(archive)
        distribution = self.installed.get(archive.name)
        return building.modules.import_names(archive, distribution.record if distribution is not None else ())

    def _scripts(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Map the installed scripts to their functions, and the missing extras that they need."""
        from packaging.utils import canonicalize_name

        distribution = self.installed.get(self.step.package)
        scripts = (
            building.modules.parse_scripts(distribution.info / "entry_points.txt")
            if distribution is not None
            else {}
        )
        present = set(map(canonicalize_name, self.step.checks.extras))
        return {
            name: (target, tuple(extra for extra in extras if canonicalize_name(extra) not in present))
            for name, (target, extras) in scripts.items()
        }

    def _probe(self, request: Mapping[str, Any]) -> ProbeResult:
        return building.probing.run_probe(
            self.environment,
            request,
            folder=self.run.folder("probe"),
            variables=self.run.variables(),
            time_limit=self.step.checks.time_limit,
            on_line=self.run.on_line(self.step),
        )

    def _wrong_origins(self) -> Iterator[ProbeFailure]:
        """Find packages of the release that were not installed from the release's files (PEP 610)."""
        for name, archive in {**self.files, **self.others}.items():
            distribution = self.installed.get(name)
            if distribution is None:
                yield building.probing.ProbeFailure(
                    message=f"{name} is not installed, although {archive.path.name} was passed to the installer"
                )
            elif _path(distribution.origin.get("url", "")) != _path(archive.path.as_uri()):
                origin = distribution.origin.get("url") or "the trusted index"
                yield building.probing.ProbeFailure(
                    message=f"{name} {distribution.version} comes from {origin}, not from {archive.path.name}"
                )

    def _changed_files(self) -> Iterator[ProbeFailure]:
        """Find installed files that differ from RECORD; the archives themselves were checked when opened."""
        for name, archive in self.files.items():
            if name in self.installed:
                wheel_record = building.modules.record_hashes(archive) if archive.kind == "wheel" else {}
                for change in building.installed.changed_files(self.installed[name], wheel_record):
                    yield building.probing.ProbeFailure(message=f"{name}: {change}")

    def _wrong_versions(self) -> Iterator[ProbeFailure]:
        """Find versions other than the release's, in the metadata and in `__version__`."""
        distribution = self.installed.get(self.step.package)
        if distribution is not None and not _is_version(distribution.version, self.step.version):
            yield building.probing.ProbeFailure(
                message=f"{distribution.version} is installed, but the release is {self.step.version}"
            )
        for name, version in self.result.versions.items():
            if version is not None and not _is_version(version, self.step.version):
                yield building.probing.ProbeFailure(
                    message=f"{name}.__version__ is {version!r}, but the release is {self.step.version}"
                )

    def _broken(self, failures: Sequence[ProbeFailure], result: ProbeResult) -> Failed:
        """Describe all failures and the last output; the fix is for the first failure with a known one."""
        lines = [
            f"  {failure.message}{f' ({failure.location})' if failure.location else ''}" for failure in failures
        ]
        if result.output:
            lines += ["  last output:", *(f"  | {line}" for line in result.output)]
        text = "\n".join(lines)
        return Failed(
            "install-broken",
            f"{self._release} on Python {self.interpreter.version} is installed, but does not work:\n{text}",
            fix=self._fix(failures, result),
        )

    def _nothing_to_check(self) -> Failed:
        """Describe a package that was installed, but has nothing to import or run."""
        package, archive = self.step.package, self.files[self.step.package]
        distribution = self.installed[archive.name]
        if any(not name.startswith(f"{distribution.info.name}/") for name in distribution.record):
            content = "has files, but no module and no script"
            fix = (
                f'add a smoke test: [tool.relnox.verify] smoke = {{ {package} = ["…"] }}; or, if there is nothing '
                f"to check: modules = {{ {package} = [] }}"
            )
        else:
            content = "has no module, no script and no data"
            fix = (
                f"have the build backend include the modules, then: {fixes.command('build-all')}; "
                f"if the package has none on purpose: "
                f'[tool.relnox] metadata-only = ["{package}"]'
            )
        return Failed(
            "install-empty",
            f"{self._release} on Python {self.interpreter.version} is installed, but there is nothing to import: "
            f"{archive.path.name} {content}",
            fix=fix,
        )

    def _fix(self, failures: Sequence[ProbeFailure], result: ProbeResult) -> str:
        package, archive = self.step.package, self.files[self.step.package]
        missing = next((failure.missing_module for failure in failures if failure.missing_module), None)
        if missing is None:
            if any("does not end within" in failure.message for failure in failures):
                return f"if it needs longer: [tool.relnox.verify] time-limit = {{ {package} = … }}, in seconds"
            return (
                f"list the content of {archive.path.name} (python -m zipfile -l, or tar -tf); see the output above"
            )
        top = missing.partition(".")[0]
        if any(f"{missing}.".startswith(f"{name}.") for name in self._modules()):
            return (
                f"{archive.path.name} lacks {missing}: have its build backend include it "
                "(files of the source tree that no archive has are not published)"
            )
        if not self.step.checks.requirements:
            return (
                f"{package} is installed without requirements (install-without-deps): list the modules to import, "
                f"[tool.relnox.verify] modules = {{ {package} = [] }}"
            )
        if top in sys.stdlib_module_names and top not in result.standard_library:
            return f"{top} is in the standard library of other Pythons only: correct requires-python of {package}"
        if providers := self._providers(missing):
            return f"{' and '.join(providers)} has {missing}: add it to the dependencies of {package}"
        if any(top == name.partition(".")[0] for name in self._modules()):
            return (
                f"distributions share the namespace {top}, and no requirement of {package} provides {missing}: "
                "add the distribution that has it to its dependencies; "
                f"if {package} itself has it, have its build backend include it"
            )
        return (
            f"no requirement of {package} provides {top}: add it to its dependencies; if an extra provides it: "
            f'[tool.relnox.verify] extras = {{ {package} = ["…"] }}'
        )

    def _providers(self, module: str) -> list[str]:
        """Find other packages of the release whose wheels have a module, or the package that it is in."""
        return [
            name
            for name, downloads in self._release_files.items()
            if name != self.step.package
            if any(
                f"{module}.".startswith(f"{provided}.")
                for archive in downloads
                if archive.kind == "wheel"
                for provided in building.modules.import_names(archive)
            )
        ]

    def _not_installed(self, ran: Completed) -> RelnoxError:
        """Find out from its output why the installer failed."""
        action = f"{self._release} on Python {self.interpreter.version}: installing it"
        output = " ".join(ran.output.lower().split())
        fix = "see the installer's last lines above"
        if "does not support python" in output:
            fix = f"use uv for older Pythons: --installer uv ({fixes.install('relnox[uv]')})"
        if any(text in output for text in _NOT_AVAILABLE):
            fix = "the trusted index has no matching release: correct the requirement, or publish that one first"
        try:
            ran.check(action, fix=fix)
        except Failed as error:
            if any(text in output for text in _NO_RESPONSE):
                return TryLater(
                    "index-unavailable", error.message, fix="the trusted index does not respond: try again later"
                )
            return error
        raise AssertionError(action)


def _best_archive(downloads: Iterable[Archive], package: str, python: str) -> Archive:
    """Select the file to install with a Python on this machine: the best compatible wheel, else the sdist."""
    from packaging.utils import parse_wheel_filename

    ranks = _tag_ranks(python)
    candidates: list[tuple[int, Archive]] = []
    for archive in downloads:
        if archive.kind == "sdist":
            candidates.append((len(ranks), archive))
        elif compatible := [ranks[tag] for tag in parse_wheel_filename(archive.path.name)[3] if tag in ranks]:
            candidates.append((min(compatible), archive))
    if not candidates:
        raise Failed(
            "wheel-incompatible",
            f"{package}: no file can be installed on this machine: "
            + ", ".join(archive.path.name for archive in downloads),
            fix="verify on a machine that a wheel supports, or publish an sdist too",
        )
    return min(candidates, key=lambda candidate: candidate[0])[1]


@cache
def _tag_ranks(python: str) -> Mapping[Tag, int]:
    """Return the wheel tags that a Python supports on this machine, with the rank of each; 0 is the best."""
    return {tag: rank for rank, tag in enumerate(_tags(python))}


def _tags(python: str) -> Iterator[Tag]:
    """Yield the wheel tags that the running Python or another CPython supports here, best first (PEP 425)."""
    from packaging import tags

    if not python:
        yield from tags.sys_tags()
    else:
        major, minor = (int(number) for number in python.split(".")[:2])
        yield from tags.cpython_tags((major, minor))
        yield from tags.compatible_tags((major, minor), f"cp{major}{minor}")


def _path(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path)


def _is_version(text: str, version: Version) -> bool:
    """Return whether a string is a version; also true for one that is not valid, such as a commit id."""
    try:
        return Version(text) == version
    except InvalidVersion:
        return True
