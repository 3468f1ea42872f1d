"""The wheel matrix: which wheels a package is released with, which job makes them, and whether all are there.

A wheel is called by its build identifier of cibuildwheel 4, such as `cp312-manylinux_x86_64`. What cibuildwheel
does not build is not in the matrix.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from packaging.version import Version

from relnox.core.names import normalized
from relnox.core.records import Record, fields
from relnox.core.schema import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.tags import Tag

    from relnox.core.config import Abi, WheelsConfig
    from relnox.core.packages import Package

__all__ = [
    "FREE_THREADED",
    "PYTHONS",
    "TARGETS",
    "Call",
    "Comparison",
    "Expected",
    "Target",
    "WheelJob",
    "call",
    "check",
    "expected",
    "github_matrix",
    "jobs",
]

System = Literal["manylinux", "musllinux", "macos", "windows"]

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
"""The CPythons of the matrix."""
FREE_THREADED = ("3.14",)
"""Those that have a free-threaded build which is no experiment (PEP 779); cibuildwheel 4 builds no `cp313t`."""

_CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.[0-9]+)")
_SDIST, _PURE = "sdist", "py3-none-any"


class Target(Record, kw_only=True):
    """An operating system on a processor.

    Attributes:
        system: As `[tool.relnox.wheels] systems` calls it.
        architecture: As `[tool.relnox.wheels] architectures` calls it.
        platform: cibuildwheel's `--platform`.
        archs: cibuildwheel's `--archs`.
        tag: The part of an identifier behind the dash.
        runner: The label of a GitHub runner that makes such wheels.
        emulated: Whether that runner has another processor, and needs QEMU.
    """

    system: System
    architecture: str
    platform: str
    archs: str
    tag: str
    runner: str
    emulated: bool = False


def _linux(architecture: str, archs: str, runner: str, *, emulated: bool = False) -> tuple[Target, ...]:
    systems: tuple[System, ...] = ("manylinux", "musllinux")
    return tuple(
        Target(
            system=system,
            architecture=architecture,
            platform="linux",
            archs=archs,
            tag=f"{system}_{archs}",
            runner=runner,
            emulated=emulated,
        )
        for system in systems
    )


def _macos(architecture: str, runner: str) -> Target:
    return Target(
        system="macos",
        architecture=architecture,
        platform="macos",
        archs=architecture,
        tag=f"macosx_{architecture}",
        runner=runner,
    )


def _windows(architecture: str, archs: str, tag: str, runner: str) -> Target:
    return Target(
        system="windows", architecture=architecture, platform="windows", archs=archs, tag=tag, runner=runner
    )


TARGETS = (
    *_linux("x86_64", "x86_64", "ubuntu-latest"),
    *_linux("arm64", "aarch64", "ubuntu-24.04-arm"),
    *_linux("x86", "i686", "ubuntu-latest"),
    *_linux("armv7l", "armv7l", "ubuntu-latest", emulated=True),
    *_linux("ppc64le", "ppc64le", "ubuntu-latest", emulated=True),
    *_linux("s390x", "s390x", "ubuntu-latest", emulated=True),
    *_linux("riscv64", "riscv64", "ubuntu-latest", emulated=True),
    _macos("x86_64", "macos-15-intel"),
    _macos("arm64", "macos-15"),
    _macos("universal2", "macos-15"),
    _windows("x86_64", "AMD64", "win_amd64", "windows-latest"),
    _windows("arm64", "ARM64", "win_arm64", "windows-11-arm"),
    _windows("x86", "x86", "win32", "windows-latest"),
)
"""Every operating system and processor that cibuildwheel builds CPython's wheels for."""


class WheelJob(Record, kw_only=True):
    """A job of CI that makes wheels of one package on one target.

    Attributes:
        package: Normalised name (PEP 503).
        target: The operating system and the processor.
        identifiers: The wheels, as cibuildwheel calls them.
    """

    package: str
    target: Target
    identifiers: tuple[str, ...]

    @property
    def name(self) -> str:
        """The job's name, also for the artefact it hands on."""
        return f"{self.package}-{self.target.system}-{self.target.architecture}"


class Call(Record, kw_only=True):
    """A program's words, and what they need in the environment."""

    words: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


class Comparison(Record, kw_only=True):
    """What a set of files lacks, in words of the matrix, and which of the files are not of the release."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


class Expected(Record, kw_only=True):
    """The files that a release of one package is made of: an sdist, and one wheel for each of these.

    Attributes:
        wheels: cibuildwheel's identifiers, or `py3-none-any` alone for a package without platform wheels.
        abi: What the platform wheels are bound to.
    """

    wheels: tuple[str, ...]
    abi: Abi

    def compare(self, files: Iterable[str]) -> Comparison:
        """Hold file names against what is expected: wheels by their tags (PEP 425), one file for each."""
        waiting = [_SDIST, *self.wheels]
        extra = []
        for file in sorted(files):
            found = next((each for each in waiting if self._is(each, file)), None)
            if found is None:
                extra.append(file)
            else:
                waiting.remove(found)
        return Comparison(missing=tuple(waiting), extra=tuple(extra))

    def _is(self, wanted: str, file: str) -> bool:
        if wanted == _SDIST:
            return file.endswith(".tar.gz")
        return any(_fits(tag, wanted, self.abi) for tag in _tags(file))


def check(settings: WheelsConfig, names: Collection[str]) -> None:
    """See that the settings mean something.

    Args:
        settings: The settings.
        names: Normalised names of the workspace's packages.

    Raises:
        Blocked: A name or a glob means no package of the workspace, or no wheel of the matrix.
    """
    for glob in settings.packages:
        if not any(fnmatchcase(name, normalized(glob)) for name in names):
            raise Blocked(
                "todo",
                f"{glob!r} of [tool.relnox.wheels] packages means no package of this workspace",
                fix=did_you_mean(glob, names),
            )
    for name in settings.abi:
        if name not in names or not _has_platform_wheels(name, settings):
            raise Blocked(
                "todo",
                f"[tool.relnox.wheels] abi names {name}, which has no platform wheels",
                fix=f'name it in packages as well: [tool.relnox.wheels] packages = ["{name}"]',
            )
    every = [f"{python}-{target.tag}" for python in _tags_of_pythons(PYTHONS) for target in TARGETS]
    for glob in settings.skip:
        if not any(fnmatchcase(identifier, glob) for identifier in every):
            raise Blocked(
                "todo",
                f"{glob!r} of [tool.relnox.wheels] skip means no wheel that there could be",
                fix="write an identifier of cibuildwheel, or a glob of them: cp39-*, *-musllinux_aarch64",
            )


def jobs(package: Package, settings: WheelsConfig) -> tuple[WheelJob, ...]:
    """The jobs that make a package's platform wheels, each on its target; none for a package without such.

    Raises:
        Blocked: No wheel is left of the matrix, or `requires-python` cannot be read.
    """
    if not _has_platform_wheels(package.name, settings):
        return ()
    pythons = _tags_of_pythons(_pythons(package), free_threaded=settings.free_threaded)
    abi = settings.abi.get(package.name, "cpython")
    wanted = [
        target
        for target in TARGETS
        if target.system in settings.systems and target.architecture in settings.architectures
    ]
    found = [
        WheelJob(package=package.name, target=target, identifiers=identifiers)
        for target in wanted
        if (identifiers := _identifiers(pythons, target, abi, settings.skip))
    ]
    if not found:
        raise Blocked(
            "todo",
            f"{package.name} has platform wheels, but none is left of CPython {PYTHONS[0]} to {PYTHONS[-1]}: "
            f"requires-python is {package.python or 'not stated'!r}",
            fix="look at requires-python, the classifiers, and systems, architectures, skip in "
            "[tool.relnox.wheels]",
        )
    return tuple(found)


def expected(package: Package, settings: WheelsConfig) -> Expected:
    """The files that a release of the package is made of."""
    identifiers = tuple(each for job in jobs(package, settings) for each in job.identifiers)
    return Expected(wheels=identifiers or (_PURE,), abi=settings.abi.get(package.name, "cpython"))


def call(job: WheelJob, *, sdist: str, output: str) -> Call:
    """How cibuildwheel is called for a job: it builds from the sdist that is released as well.

    What a project says in `[tool.cibuildwheel]` of how its wheels are built counts; which of them are built is
    said here, so that each job makes what is expected of it.

    Args:
        job: The job.
        sdist: Path of the sdist.
        output: The folder for the wheels.
    """
    if len(job.identifiers) == 1:
        return Call(words=("cibuildwheel", "--only", job.identifiers[0], "--output-dir", output, sdist))
    target = ("--platform", job.target.platform, "--archs", job.target.archs)
    return Call(
        words=("cibuildwheel", *target, "--output-dir", output, sdist),
        environment=(("CIBW_BUILD", " ".join(job.identifiers)), ("CIBW_SKIP", "")),
    )


def github_matrix(every: Sequence[WheelJob]) -> dict[str, Any]:
    """The jobs as `strategy.matrix` of a GitHub workflow takes them, ready for JSON."""
    return {
        "include": [
            {
                "name": job.name,
                "package": job.package,
                **{name: value for name, value in fields(job.target).items() if name != "tag"},
                "identifiers": list(job.identifiers),
            }
            for job in every
        ]
    }


def _has_platform_wheels(name: str, settings: WheelsConfig) -> bool:
    return any(fnmatchcase(name, normalized(glob)) for glob in settings.packages)


def _pythons(package: Package) -> tuple[str, ...]:
    """The CPythons that a package runs on: by `requires-python`, and by its classifiers where it has any."""
    named = {found[1] for each in package.classifiers if (found := _CLASSIFIER.fullmatch(each))}
    return tuple(python for python in PYTHONS if (not named or python in named) and _admits(package, python))


def _admits(package: Package, python: str) -> bool:
    """Whether a package runs on the last release of a series, as cibuildwheel asks: `<=3.12` means no 3.12.1."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    last = Version(f"{python}.99")
    try:
        return SpecifierSet(package.python).contains(last)
    except InvalidSpecifier:
        from relnox.core.requirements import poetry_allows

    try:
        return poetry_allows(package.python, last)
    except Blocked as error:
        raise Blocked(
            "todo",
            f"{package.pyproject}: requires-python = {package.python!r} cannot be read",
            fix='write a range, such as requires-python = ">=3.10"',
        ) from error


def _tags_of_pythons(pythons: Iterable[str], *, free_threaded: bool = True) -> tuple[str, ...]:
    """`cp39`, …, `cp314`, and `cp314t` behind them."""
    every = [f"cp{python.replace('.', '')}" for python in pythons]
    more = [f"cp{python.replace('.', '')}t" for python in FREE_THREADED] if free_threaded else []
    return (*every, *(each for each in more if each.removesuffix("t") in every))


def _identifiers(pythons: Sequence[str], target: Target, abi: Abi, skip: Sequence[str]) -> tuple[str, ...]:
    """The wheels of one target; those that serve several CPythons are built with the oldest."""
    every = [f"{python}-{target.tag}" for python in pythons]
    kept = [each for each in every if not any(fnmatchcase(each, glob) for glob in skip)]
    if abi == "cpython":
        return tuple(kept)
    free_threaded = [each for each in kept if _is_free_threaded(each)]  # they take no abi3 wheel
    oldest = [each for each in kept if each not in free_threaded][:1]
    return tuple([*oldest, *free_threaded] if abi == "abi3" else kept[:1])


def _is_free_threaded(identifier: str) -> bool:
    return identifier.partition("-")[0].endswith("t")


def _tags(file: str) -> Collection[Tag]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        return parse_wheel_filename(file)[3]
    except InvalidWheelFilename:
        return ()


def _fits(tag: Tag, wanted: str, abi: Abi) -> bool:
    """Whether a tag of a wheel is what an identifier means."""
    if wanted == _PURE:
        return (tag.interpreter, tag.abi, tag.platform) == ("py3", "none", "any")
    python, _, platform = wanted.partition("-")
    if not _is_of(tag.platform, platform):
        return False
    if abi == "none":
        return (tag.interpreter, tag.abi) == ("py3", "none")
    if abi == "abi3" and not _is_free_threaded(wanted):
        return tag.abi == "abi3" and _minor(tag.interpreter) <= _minor(python)
    return (tag.interpreter, tag.abi) == (python.removesuffix("t"), python)


def _is_of(platform: str, wanted: str) -> bool:
    """Whether a platform tag, such as `manylinux_2_28_x86_64`, is of an identifier's, `manylinux_x86_64`."""
    system, _, architecture = wanted.partition("_")
    if system.startswith("win"):
        return platform == wanted
    return platform.startswith(system) and platform.endswith(f"_{architecture}")


def _minor(interpreter: str) -> int:
    """9 of `cp39`; more than any for what is no CPython 3."""
    found = re.fullmatch(r"cp3([0-9]+)", interpreter)
    return int(found[1]) if found is not None else 1 << 16
