"""Install what the index serves where nothing else is, and see that it is what was built and works."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox import process
from relnox.building import archives, modules, probe
from relnox.building.environments import find_python
from relnox.errors import Conflict, Failed, TryLater
from relnox.executor.publishing import other_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.tags import Tag

    from relnox.building.environments import Environment
    from relnox.core.steps import CheckInstalled, CreateEnvironment, Download, ImportCheck, Install, RunSmoke
    from relnox.executor.run import Run

__all__ = [
    "CheckingInstalled",
    "CreatingEnvironment",
    "Downloading",
    "Importing",
    "Installing",
    "RunningSmoke",
]

_IMPORT_LIMIT = 300


@dataclass
class Downloading:
    """Fetches our files by the addresses that the index lists; only files with our hashes are used."""

    step: Download
    run: Run

    def check(self) -> str | None:
        """The files are fetched anew in every run."""
        return None

    def do(self) -> None:
        """Fetch and compare."""
        folder = self.run.folder(self.step.key)
        self.run.fetched[self.step.package] = []
        listed = self.run.indexes.files(self.step.index, self.step.package)
        for file in self.step.files:
            if file.filename not in listed:
                raise TryLater(
                    f"{self.step.index} does not list {file.filename}", hint="has it been published there?"
                )
            path = folder / file.filename
            sha256 = self.run.indexes.download(listed[file.filename], path)
            if sha256 != file.sha256:
                raise other_file(self.step.index, file, sha256)
            self.run.fetched[self.step.package].append(archives.read(path))

    def prove(self) -> str:
        """The hashes were compared byte for byte."""
        return "; ".join(f"{file.filename} sha256 {file.sha256[:16]}…" for file in self.step.files)


@dataclass
class CreatingEnvironment:
    """Makes a fresh environment."""

    step: CreateEnvironment
    run: Run

    def check(self) -> str | None:
        """It is always a fresh one."""
        return None

    def do(self) -> None:
        """Make it."""
        python = find_python(self.step.python)
        folder = self.run.folder(self.step.environment)
        shutil.rmtree(folder)
        installer = self.run.installer(self.step.installer)
        self.run.environments[self.step.environment] = installer.create(folder, python, env=self.run.variables())

    def prove(self) -> str:
        """Its interpreter runs and tells its version."""
        python = self.run.environments[self.step.environment].python
        asked = process.run([python, "-I", "-c", "import platform; print(platform.python_version())"])
        return f"Python {asked.check('the new environment').output.strip()}"


@dataclass
class Installing:
    """Installs our files from disk, where their hashes were compared, and the rest from the trusted index.

    The installer never sees the index that was published to, so that no name can come from two places.
    """

    step: Install
    run: Run

    def check(self) -> str | None:
        """A fresh environment has nothing."""
        return None

    def do(self) -> None:
        """Install."""
        names = (self.step.package, *self.step.siblings)
        files = [str(_installable(self.run, name, self.step.python)) for name in names]
        self.run.installer(self.step.installer).install(
            _environment(self.run, self.step.environment),
            files,
            env=self.run.variables(),
            index_url=self.run.indexes.trusted_simple_url,
            fresh=names,
            on_line=self.run.tell(self.step),
        ).check(
            f"{self.step.package}: installing it with its requirements from the trusted index",
            hint="does every requirement exist there, for this Python?",
        )

    def prove(self) -> str:
        """The next step looks at what is installed."""
        return "installed"


@dataclass
class CheckingInstalled:
    """`pip check`, and the version."""

    step: CheckInstalled
    run: Run

    def check(self) -> str | None:
        """Looking is all there is to do."""
        return None

    def do(self) -> None:
        """See whether the requirements hold."""
        environment = _environment(self.run, self.step.environment)
        self.run.installer(self.step.installer).check(environment, env=self.run.variables()).check(
            f"{self.step.package}: what is installed does not fit together",
            hint="correct the requirements that are named",
        )

    def prove(self) -> str:
        """The installed version is the one that was built."""
        environment = _environment(self.run, self.step.environment)
        asked = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
        answer = process.run(
            [environment.python, "-I", "-c", asked, self.step.package], env=self.run.variables(), stderr=False
        )
        found = answer.check(f"{self.step.package} is not installed").output.strip()
        if found != str(self.step.version):
            raise Conflict(
                f"{self.step.package} {found} is installed, but {self.step.version} was built",
                hint="which requirement asks for another version?",
            )
        return f"{self.step.package} {found}, requirements hold"


@dataclass
class Importing:
    """Imports what the wheel provides, isolated, from an empty folder."""

    step: ImportCheck
    run: Run

    def check(self) -> str | None:
        """Done without doing anything where there is nothing to import."""
        return None if self._modules() or self._has_scripts() else "the wheel provides nothing to import"

    def do(self) -> None:
        """Import, compare installed files with RECORD, resolve scripts."""
        request = {
            "package": self.step.package,
            "version": str(self.step.version),
            "modules": self._modules(),
        }
        faults = _probe(self.run, self.step, request, _IMPORT_LIMIT)
        if faults:
            listed = "\n".join(f"  {fault}" for fault in faults)
            raise Failed(
                f"{self.step.package} {self.step.version} is installed, but does not work:\n{listed}",
                hint="is a module or a requirement missing in the wheel? look into it: python -m zipfile -l",
            )

    def prove(self) -> str:
        """What was imported."""
        return f"imported {', '.join(self._modules()) or 'its scripts'}"

    def _modules(self) -> list[str]:
        if self.step.modules:
            return list(self.step.modules)
        return list(modules.import_names(archives.read(self._archive())))

    def _has_scripts(self) -> bool:
        return bool(modules.console_scripts(archives.read(self._archive())))

    def _archive(self) -> Path:
        return _installable(self.run, self.step.package, self.step.python)


@dataclass
class RunningSmoke:
    """Runs the configured expressions, each in a process of its own."""

    step: RunSmoke
    run: Run

    def check(self) -> str | None:
        """They are always run."""
        return None

    def do(self) -> None:
        """Run them."""
        for expression in self.step.expressions:
            faults = _probe(self.run, self.step, {"expression": expression}, self.step.time_limit)
            if faults:
                raise Failed(f"{self.step.package}: {faults[0]}", hint="see [tool.relnox.verify] smoke")

    def prove(self) -> str:
        """They came to their end."""
        return f"{len(self.step.expressions)} expressions hold"


def _probe(run: Run, step: ImportCheck | RunSmoke, request: dict[str, Any], time_limit: int) -> list[str]:
    """Ask the environment's own Python; what it prints is told, what it answers comes in a file."""
    environment = _environment(run, step.environment)
    place = run.scratch / f"probe-{len(list(run.scratch.iterdir()))}"
    empty = place / "empty"
    empty.mkdir(parents=True)
    (place / "request.json").write_text(json.dumps(request), encoding="utf-8")
    ran = process.run(
        [environment.python, "-I", Path(probe.__file__), place / "request.json", place / "answer.json"],
        cwd=empty,
        env=environment.variables(run.variables()),
        timeout=time_limit,
        on_line=run.tell(step),
    )
    if not (place / "answer.json").is_file():
        ran.check(f"{step.package}: python in the fresh environment")
        raise Failed(f"{step.package}: the interpreter ended in the middle", hint="does a module call os._exit?")
    faults: list[str] = json.loads((place / "answer.json").read_text(encoding="utf-8"))
    return faults


def _environment(run: Run, name: str) -> Environment:
    return run.environments[name]


def _installable(run: Run, package: str, python: str) -> Path:
    """The file of a package to install with a Python on this machine: a wheel that fits, else the sdist."""
    from packaging.utils import parse_wheel_filename

    fitting = set(_tags(python))
    fetched = run.fetched[package]
    for archive in sorted(fetched, key=lambda archive: archive.kind == "sdist"):
        if archive.kind == "sdist" or fitting & parse_wheel_filename(archive.path.name)[3]:
            return archive.path
    raise Failed(
        f"{package}: no file fits this machine: {', '.join(archive.path.name for archive in fetched)}",
        hint="verify on a machine that there is a wheel for, or publish an sdist too",
    )


def _tags(python: str) -> Iterator[Tag]:
    """The wheel tags that a Python, the running one or another CPython, installs on this machine (PEP 425)."""
    from packaging import tags

    if not python:
        yield from tags.sys_tags()
    else:
        major, minor = (int(number) for number in python.split(".")[:2])
        yield from tags.cpython_tags((major, minor))
        yield from tags.compatible_tags((major, minor), f"cp{major}{minor}")
