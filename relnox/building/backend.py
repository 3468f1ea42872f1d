"""Build one package: its sdist, and its wheel from that sdist, in an environment with what it asks for.

The steps are PEP 517's, through `build.ProjectBuilder`; relnox brings the environment and the runner.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tarfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from relnox import process
from relnox.building.environments import find_python
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from relnox.building.environments import Environment, Installer
    from relnox.core.manifest import Kind

__all__ = ["Workshop", "build_package"]

_HOOK_LIMIT = 3600.0


@dataclass(frozen=True)
class Workshop:
    """What a build is made with.

    Attributes:
        installer: What makes the environment.
        scratch: An empty folder for it.
        variables: The environment variables of the backend; no credentials are among them.
        installing: The environment variables of the installer, which may name the user's own index.
        on_line: Called with each line that a program prints.
        siblings: Wheels of packages that were just built and that the build needs, by name.
    """

    installer: Installer
    scratch: Path
    variables: Mapping[str, str]
    installing: Mapping[str, str]
    on_line: Callable[[str], None]
    siblings: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class _IsolatedEnv:
    """An environment as `build.env.IsolatedEnv` wants to see it."""

    environment: Environment

    @property
    def python_executable(self) -> str:
        return str(self.environment.python)

    def make_extra_environ(self) -> dict[str, str]:
        return {"PATH": os.pathsep.join([str(self.environment.scripts), os.environ.get("PATH", os.defpath)])}


def build_package(name: str, source: Path, output: Path, workshop: Workshop) -> tuple[Path, Path]:
    """Build a package.

    Args:
        name: The package's name, for messages.
        source: Its folder.
        output: An existing folder for the two archives.
        workshop: What to build with.

    Returns:
        The sdist and the wheel that was made from it.

    Raises:
        Failed: The requirements cannot be installed, or the backend failed; the last lines are told.
    """
    environment = workshop.installer.create(workshop.scratch / "env", find_python(""), env=workshop.installing)
    sdist = _build(name, "sdist", source, output, environment, workshop)
    unpacked = _unpack(sdist, workshop.scratch / "sdist")
    wheel = _build(name, "wheel", unpacked, output, environment, workshop)
    return sdist, wheel


def _build(  # noqa: PLR0913, PLR0917 - one build
    name: str, kind: Kind, source: Path, output: Path, environment: Environment, workshop: Workshop
) -> Path:
    import build

    printed: list[str] = []

    def runner(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        ran = process.run(
            cmd,
            cwd=None if cwd is None else Path(cwd),
            env={**workshop.variables, **(extra_environ or {})},
            timeout=_HOOK_LIMIT,
            on_line=workshop.on_line,
        )
        printed[:] = ran.output.splitlines()
        if ran.returncode != 0:
            # pyproject_hooks' runners end so; build makes a BuildBackendException of it.
            raise subprocess.CalledProcessError(ran.returncode, list(cmd), output=ran.output)

    try:
        with _told_warnings(workshop):
            builder = build.ProjectBuilder.from_isolated_env(_IsolatedEnv(environment), source, runner)
            _install(name, builder.build_system_requires, environment, workshop)
            _install(name, builder.get_requires_for_build(kind), environment, workshop)
            return Path(builder.build(kind, output))
    except (build.BuildException, build.BuildBackendException, build.FailedProcessError) as error:
        tail = "".join(f"\n  | {line}" for line in printed[-30:])
        raise Failed(
            f"{name}: the {kind} cannot be built: {_cause(error)}{tail}",
            hint="mend the project; the backend's own output: nox -s build-all -- --verbose",
        ) from error


@contextlib.contextmanager
def _told_warnings(workshop: Workshop) -> Iterator[None]:
    """Backends' warnings reach Python's own (PEP 517 frontends pass them on): tell them with the output."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        for line in f"warning: {warning.message}".splitlines():
            workshop.on_line(line)


def _install(name: str, requirements: Iterable[str], environment: Environment, workshop: Workshop) -> None:
    wanted = _with_siblings(sorted(requirements), workshop.siblings)
    if wanted:
        ran = workshop.installer.install(environment, wanted, env=workshop.installing, on_line=workshop.on_line)
        ran.check(
            f"{name}: installing what the build requires ({', '.join(wanted)})",
            hint="is the package index reachable? then type the same command again",
        )


def _with_siblings(requirements: Sequence[str], siblings: Mapping[str, Path]) -> list[str]:
    """Requirements, with the wheels of siblings that were just built for those that they answer.

    A requirement that excludes a sibling's new version means an older one, and stays as it is.
    """
    parsed = {text: Requirement(text) for text in requirements}
    asked = {text: canonicalize_name(each.name) for text, each in parsed.items()}
    excluded = {
        asked[text]
        for text, each in parsed.items()
        if (wheel := siblings.get(asked[text])) is not None
        and not each.specifier.contains(parse_wheel_filename(wheel.name)[1], prereleases=True)
    }
    used = {name: wheel for name, wheel in siblings.items() if name not in excluded}
    if used.keys().isdisjoint(asked.values()):
        return list(requirements)
    kept = [text for text, each in parsed.items() if asked[text] not in used or each.extras]
    return [*kept, *(f"{name} @ {wheel.as_uri()}" for name, wheel in used.items())]


def _unpack(sdist: Path, into: Path) -> Path:
    """Unpack an sdist and return its one top-level folder; members that point outside are refused."""
    try:
        with tarfile.open(sdist) as archive:
            archive.extractall(into, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise Failed(
            f"{sdist.name} cannot be unpacked: {error}", hint="what does the backend put into it?"
        ) from error
    folders = list(into.iterdir())
    if len(folders) != 1:
        raise Failed(
            f"{sdist.name} has {len(folders)} top-level entries instead of one folder", hint="see PEP 625"
        )
    return folders[0]


def _cause(error: Exception) -> str:
    inner = getattr(error, "exception", None) or error
    if isinstance(inner, subprocess.CalledProcessError):
        return f"the backend ended with status {inner.returncode}"
    return str(inner).strip().splitlines()[0]
