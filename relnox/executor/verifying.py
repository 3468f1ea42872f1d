"""Install what was released where nothing else is, and see that it is what was built and works."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building import archives, checks, installed, modules, probing
from relnox.building.environments import find_interpreter
from relnox.core import fixes
from relnox.errors import Conflict, Failed, TryLater
from relnox.executor.publishing import other_file
from relnox.network import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.building.environments import Environment, Interpreter
    from relnox.building.installed import Installed
    from relnox.building.probing import ProbeFailure, ProbeResult
    from relnox.core.manifest import Distribution
    from relnox.core.steps import CopyFiles, Download, VerifyInstall
    from relnox.errors import RelnoxError
    from relnox.executor.run import Run
    from relnox.process import Completed

__all__ = ["CopyingFiles", "Downloading", "Verifying"]

_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_NO_ANSWER = (
    *("error sending request", "request failed after", "dns error", "connection refused", "operation timed out"),
    *("newconnectionerror", "temporary failure in name resolution", "read timed out", "connection aborted"),
)
"""What installers print when an index does not answer."""
_NOT_TO_BE_HAD = ("no solution found", "could not find a version", "no matching distribution", "was not found in")
"""What installers print when an index does not have what is required."""


@dataclass
class Downloading:
    """Fetches our files by the addresses that the index lists; only files with our hashes are used."""

    step: Download
    run: Run

    def check(self) -> str | None:
        """The files are fetched anew in every run."""
        return None

    def do(self) -> None:
        """Fetch and compare, as long as there is patience: an index may list what it does not serve yet."""
        folder = self.run.folder(self.step.key)
        deadline = Deadline(self.step.deadline)
        pause = _PAUSE
        while True:
            try:
                fetched = [self._fetch(file, folder, deadline) for file in self.step.files]
            except TryLater as transient_error:
                if not (left := deadline.left()):
                    raise
                deadline.wait(min(pause, left), transient_error.message)
            else:
                self.run.downloads[self.step.package] = fetched
                return
            pause = min(pause * 2, _LONGEST_PAUSE)

    def verify(self) -> str:
        """The hashes were compared byte for byte."""
        return _hashes(self.step.files)

    def _fetch(self, file: Distribution, folder: Path, deadline: Deadline) -> Archive:
        index = self.step.index
        listed = self.run.indexes.files(index, self.step.package, deadline).get(file.filename)
        if listed is None:
            raise TryLater("todo", f"{index} does not list {file.filename}", fix="has it been published there?")
        if listed.yanked:
            raise Failed(
                "todo",
                f"{index} lists {file.filename} as yanked: installers pass it over",
                fix=f"who yanked it, and why? to release a version in its place: {fixes.command('bump')}",
            )
        path = folder / file.filename
        sha256 = self.run.indexes.download(listed, path, deadline)
        if sha256 != file.sha256:
            raise other_file(index, file, sha256)
        return checks.open_checked(path, self.run.limits)


@dataclass
class CopyingFiles:
    """Takes copies of the files that were built: what is compared is what is installed."""

    step: CopyFiles
    run: Run

    def check(self) -> str | None:
        """The files are taken anew in every run."""
        return None

    def do(self) -> None:
        """Copy and compare."""
        folder = self.run.folder(self.step.key)
        self.run.downloads[self.step.package] = [self._take(file, folder) for file in self.step.files]

    def verify(self) -> str:
        """The hashes were compared."""
        return _hashes(self.step.files)

    def _take(self, file: Distribution, folder: Path) -> Archive:
        source, path = self.run.root / self.step.folder / file.filename, folder / file.filename
        if not archives.is_in(source.parent, source):
            raise Failed(
                "todo",
                f"{self.step.folder}/{file.filename} is in the manifest, but not there",
                fix=f"build again: {fixes.command('build-all')}",
            )
        shutil.copyfile(source, path)
        if (sha256 := archives.digests(path).sha256) != file.sha256:
            raise Conflict(
                "todo",
                f"{self.step.folder}/{file.filename} is not the file that was built:\n"
                f"  there  sha256 {sha256}\n  built  sha256 {file.sha256}",
                fix=f"who changed it? to build again: {fixes.command('build-all')}",
            )
        return checks.open_checked(path, self.run.limits)


@dataclass
class Verifying:
    """Installs one package for one Python from files whose hashes were compared, and uses it.

    The installer never sees the index that was published to, so that no name can come from two places.
    """

    step: VerifyInstall
    run: Run
    files: dict[str, Archive] = field(init=False)
    others: dict[str, Archive] = field(init=False)
    environment: Environment = field(init=False)
    there: Mapping[str, Installed] = field(init=False)
    scripts: Mapping[str, tuple[str, tuple[str, ...]]] = field(init=False)
    answer: ProbeResult = field(init=False)

    def check(self) -> str | None:
        """Nothing is tried where the settings say so, and on Pythons that the package is not for."""
        if self.step.skip is not None:
            return self.step.skip
        wanted = modules.requires_python(self._archive(self.step.package))
        if self.interpreter.version not in wanted:
            return f"{self._what} requires Python {wanted}, and this is {self.interpreter.version}"
        return None

    def do(self) -> None:
        """Install, look, import, run."""
        self.files = {name: self._archive(name) for name in (self.step.package, *self.step.siblings)}
        self.others = self._required_others()
        with self._vacant_folder() as folder:
            self._install(folder)
            self.there = installed.look(self.environment)
            if faults := (*self._origins(), *self._damages()):  # what is not ours is not run
                raise self._broken(faults, probing.ProbeResult())
            self.scripts = self._scripts() if self.step.checks.scripts else {}
            self.answer = self._examine()
            if faults := (*self._versions(), *self.answer.faults):
                raise self._broken(faults, self.answer)
            for expression in self.step.checks.smoke:
                answer = self._ask({"expression": expression})
                if answer.faults:
                    raise self._broken(answer.faults, answer)
            if not (self.answer.imported or self.answer.scripts or self.step.checks.smoke or self._means_nothing):
                raise self._nothing_used()

    def verify(self) -> str:
        """What was seen."""
        trial, answer = self.step.checks, self.answer
        archive = self.files[self.step.package]
        others = len(self.there) - 1
        told = [
            f"{self.step.package} {self.step.version}, "
            + ("requirements hold" if trial.requirements else "installed without its requirements"),
            f"Python {self.interpreter.version}: {archive.path.name}{f' and {others} others' if others else ''}",
        ]
        if self.others:
            told.append(f"with {', '.join(other.path.name for other in self.others.values())}")
        if archive.kind == "sdist":
            told.append("no wheel fits: it was built from the sdist")
        told.append(
            f"imported {', '.join(answer.imported)}"
            if answer.imported
            else f"nothing to import{f', as {self._means_nothing}' if self._means_nothing else ''}"
        )
        if answer.scripts:
            told.append(f"scripts {', '.join(answer.scripts)}")
        left_out = {name: extras for name, (_, extras) in self.scripts.items() if extras}
        told += [f"the script {name} needs the extra {', '.join(of)}: left out" for name, of in left_out.items()]
        told += [f"ran {expression}" for expression in trial.smoke]
        return "; ".join(told)

    @property
    def _means_nothing(self) -> str:
        """What says that there is nothing to import; empty where nothing does."""
        if self.step.checks.modules == ():
            return "[tool.relnox.verify] modules says"
        if self.step.checks.metadata_only:
            return "[tool.relnox] metadata-only says"
        return "its metadata says" if self.files[self.step.package].import_names is not None else ""

    @property
    def interpreter(self) -> Interpreter:
        """The Python that it is for."""
        return find_interpreter(self.step.python)

    @property
    def _what(self) -> str:
        return f"{self.step.package} {self.step.version}"

    def _archive(self, package: str) -> Archive:
        return _installable(self.run.downloads[package], package, self.step.python)

    def _required_others(self) -> dict[str, Archive]:
        """The wheels of other projects that are required here, by what was fetched or by one another."""
        found: dict[str, Archive] = {}
        own = self.step.package
        waiting = [
            (archive, self.step.checks.extras if name == own else ()) for name, archive in self.files.items()
        ]
        while waiting and self.step.checks.requirements:
            archive, extras = waiting.pop()
            for name, asked in modules.required(archive, self.interpreter.version, extras):
                if name in self.step.others and name not in found:
                    found[name] = self._archive(name)
                    waiting.append((found[name], asked))
        return found

    @contextmanager
    def _vacant_folder(self) -> Iterator[Path]:
        """Where the environment is made: uv remembers what it asked of the Python in a place that it knows."""
        vacant = self.run.reusable_env_dirs.setdefault(self.step.python, [])
        try:
            folder = vacant.pop()
        except IndexError:
            folder = self.run.folder(f"environment {self.step.python}")
        try:
            yield folder / "env"
        finally:
            vacant.append(folder)

    def _install(self, folder: Path) -> None:
        """Make the environment, fill it, see whether what is in it fits together."""
        trial, variables = self.step.checks, self.run.variables()
        installer = self.run.installer(self.step.installer)
        self.environment = installer.create(folder, self.interpreter.path, env=variables)
        requirements = [str(archive.path) for archive in (*self.files.values(), *self.others.values())]
        if trial.extras:
            own = self.files[self.step.package].path.as_uri()
            requirements[0] = f"{self.step.package}[{','.join(trial.extras)}] @ {own}"
        ran = installer.install(
            self.environment,
            requirements,
            env=variables,
            index_url=self.run.indexes.trusted_simple_url,
            no_deps=not trial.requirements,
            on_line=self.run.tell(self.step),
        )
        if ran.returncode != 0:
            raise self._not_installed(ran)
        if trial.requirements:
            installer.check(self.environment, env=variables).check(
                f"{self._what} on Python {self.interpreter.version}: what is installed does not fit together",
                fix="correct the requirements that are named",
            )

    def _examine(self) -> ProbeResult:
        """Ask for everything at once: starting a Python for each question would take longer than all answers."""
        trial = self.step.checks
        return self._ask(
            {
                "modules": self._modules() if trial.modules is None else trial.modules,
                "scripts": {name: target for name, (target, needed) in self.scripts.items() if not needed},
                "root": str(self.run.root.resolve()),
            }
        )

    def _modules(self) -> tuple[str, ...]:
        archive = self.files[self.step.package]
        if archive.kind == "wheel":
            return modules.import_names(archive)
        there = self.there.get(archive.name)
        return modules.import_names(archive, there.record if there is not None else ())

    def _scripts(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The installed scripts: what each calls, and the extras that it needs and that are not installed."""
        there = self.there.get(self.step.package)
        stated = modules.scripts(there.info / "entry_points.txt") if there is not None else {}
        present = set(map(canonicalize_name, self.step.checks.extras))
        return {
            name: (target, tuple(each for each in extras if canonicalize_name(each) not in present))
            for name, (target, extras) in stated.items()
        }

    def _ask(self, request: Mapping[str, Any]) -> ProbeResult:
        return probing.run_probe(
            self.environment,
            request,
            folder=self.run.folder("probe"),
            variables=self.run.variables(),
            time_limit=self.step.checks.time_limit,
            on_line=self.run.tell(self.step),
        )

    def _origins(self) -> Iterator[ProbeFailure]:
        """Packages of the release that were installed from elsewhere than our files (PEP 610)."""
        for name, archive in {**self.files, **self.others}.items():
            there = self.there.get(name)
            if there is None:
                yield probing.ProbeFailure(message=f"{name} is not installed, although {archive.path.name} was")
            elif _path(there.origin.get("url", "")) != _path(archive.path.as_uri()):
                place = there.origin.get("url") or "the trusted index"
                yield probing.ProbeFailure(message=f"{name} {there.version} comes from {place}, not from our file")

    def _damages(self) -> Iterator[ProbeFailure]:
        """Installed files that are not as RECORD has them; the archive's own were looked at when it was taken."""
        for name, archive in self.files.items():
            of_wheel = archive.kind == "wheel"
            if name in self.there:
                for damage in installed.damages(self.there[name], modules.record(archive) if of_wheel else {}):
                    yield probing.ProbeFailure(message=f"{name}: {damage}")

    def _versions(self) -> Iterator[ProbeFailure]:
        """Versions that are not the one that was built."""
        there = self.there.get(self.step.package)
        if there is not None and not _same(there.version, self.step.version):
            yield probing.ProbeFailure(
                message=f"{there.version} is installed, but the release is {self.step.version}"
            )
        for name, stated in self.answer.imported.items():
            if stated is not None and not _same(stated, self.step.version):
                yield probing.ProbeFailure(
                    message=f"{name}.__version__ is {stated!r}, but the release is {self.step.version}"
                )

    def _broken(self, faults: Sequence[ProbeFailure], answer: ProbeResult) -> Failed:
        """All faults, what was printed last, and what helps against the first of them."""
        listed = [f"  {each.message}{f' ({each.where})' if each.where else ''}" for each in faults]
        if answer.printed:
            listed += ["  what was printed last:", *(f"  | {line}" for line in answer.printed)]
        told = "\n".join(listed)
        return Failed(
            "todo",
            f"{self._what} on Python {self.interpreter.version} is installed, but does not work:\n{told}",
            fix=self._remedy(faults, answer),
        )

    def _nothing_used(self) -> Failed:
        """A package that was installed, and of which nothing could be tried."""
        package, archive = self.step.package, self.files[self.step.package]
        there = self.there[archive.name]
        if any(not name.startswith(f"{there.info.name}/") for name in there.record):
            state = "has files, but no module and no script"
            fix = (
                f'try it: [tool.relnox.verify] smoke = {{ {package} = ["…"] }}; or, if there is nothing to try: '
                f"modules = {{ {package} = [] }}"
            )
        else:
            state = "has no module, no script and no data"
            fix = (
                f"have the build backend include the modules, then: {fixes.command('build-all')}; "
                f"if it has none on purpose: "
                f'[tool.relnox] metadata-only = ["{package}"]'
            )
        return Failed(
            "todo",
            f"{self._what} on Python {self.interpreter.version} is installed, but there is nothing to import: "
            f"{archive.path.name} {state}",
            fix=fix,
        )

    def _remedy(self, faults: Sequence[ProbeFailure], answer: ProbeResult) -> str:
        package, archive = self.step.package, self.files[self.step.package]
        lacking = next((each.lacks for each in faults if each.lacks), None)
        if lacking is None:
            if any("does not end within" in each.message for each in faults):
                return f"if it needs longer: [tool.relnox.verify] time-limit = {{ {package} = … }}, in seconds"
            return (
                f"see what is in {archive.path.name}: python -m zipfile -l (or tar -tf), and what it prints above"
            )
        top = lacking.partition(".")[0]
        if any(f"{lacking}.".startswith(f"{name}.") for name in self._modules()):
            return (
                f"{archive.path.name} lacks {lacking}: which setting of its build backend leaves it out? "
                "what is in the tree alone is not published"
            )
        if not self.step.checks.requirements:
            return (
                f"install-without-deps leaves out what {package} requires: name what can be imported without it, "
                f"[tool.relnox.verify] modules = {{ {package} = [] }}"
            )
        if top in sys.stdlib_module_names and top not in answer.standard:
            return f"{top} is in the standard library of other Pythons only: correct requires-python of {package}"
        if providers := self._providers(lacking):
            return f"{' and '.join(providers)} has {lacking}: add it to the dependencies of {package}"
        if any(top == name.partition(".")[0] for name in self._modules()):
            return (
                f"distributions share the namespace {top}, and no requirement of {package} brings {lacking}: "
                "add the distribution that has it to its dependencies; "
                f"if {package} itself has it: which setting of its build backend leaves it out?"
            )
        return (
            f"no requirement of {package} brings {top}: add it to its dependencies; if an extra brings it: "
            f'[tool.relnox.verify] extras = {{ {package} = ["…"] }}'
        )

    def _providers(self, module: str) -> list[str]:
        """Other packages of the release whose wheels have a module, or the package that it is in."""
        return [
            name
            for name, fetched in self.run.downloads.items()
            if name != self.step.package
            if any(
                f"{module}.".startswith(f"{provided}.")
                for archive in fetched
                if archive.kind == "wheel"
                for provided in modules.import_names(archive)
            )
        ]

    def _not_installed(self, ran: Completed) -> RelnoxError:
        """Why the installer gave up, as far as what it printed tells."""
        what = f"{self._what} on Python {self.interpreter.version}: installing it"
        printed = " ".join(ran.output.lower().split())
        fix = "what the installer printed last says why"
        if "does not support python" in printed:
            fix = (
                f"uv fills environments of older Pythons than pip: --installer uv ({fixes.install('relnox[uv]')})"
            )
        if any(word in printed for word in _NOT_TO_BE_HAD):
            fix = (
                "the trusted index has no release that serves: correct the requirement, or publish that one first"
            )
        try:
            ran.check(what, fix=fix)
        except Failed as error:
            if any(word in printed for word in _NO_ANSWER):
                return TryLater("todo", error.message, fix="the trusted index does not answer: try again later")
            return error
        raise AssertionError(what)


def _installable(fetched: Iterable[Archive], package: str, python: str) -> Archive:
    """The file of a package to install with a Python on this machine: a wheel that fits, else the sdist."""
    from packaging.utils import parse_wheel_filename

    fitting = _places(python)
    best: list[tuple[int, Archive]] = []
    for archive in fetched:
        if archive.kind == "sdist":
            best.append((len(fitting), archive))
        elif places := [fitting[tag] for tag in parse_wheel_filename(archive.path.name)[3] if tag in fitting]:
            best.append((min(places), archive))
    if not best:
        raise Failed(
            "todo",
            f"{package}: no file fits this machine: {', '.join(archive.path.name for archive in fetched)}",
            fix="verify on a machine that there is a wheel for, or publish an sdist too",
        )
    return min(best, key=lambda each: each[0])[1]


@cache
def _places(python: str) -> Mapping[Tag, int]:
    """The tags of wheels that a Python installs on this machine, with their place in its preference."""
    return {tag: place for place, tag in enumerate(_tags(python))}


def _tags(python: str) -> Iterator[Tag]:
    """The wheel tags that a Python, the running one or another CPython, installs on this machine, the best first.

    See PEP 425.
    """
    from packaging import tags

    if not python:
        yield from tags.sys_tags()
    else:
        major, minor = (int(number) for number in python.split(".")[:2])
        yield from tags.cpython_tags((major, minor))
        yield from tags.compatible_tags((major, minor), f"cp{major}{minor}")


def _hashes(files: Iterable[Distribution]) -> str:
    return "; ".join(f"{file.filename} sha256 {file.sha256[:16]}…" for file in files)


def _path(url: str) -> str:
    return unquote(urlsplit(url).path)


def _same(stated: str, version: Version) -> bool:
    """Whether a text means a version; one that is no version is somebody's own spelling."""
    try:
        return Version(stated) == version
    except InvalidVersion:
        return True
