"""The wheel matrix: the wheels of a release, the CI jobs that build them, and the check that none is missing.

Wheels are identified by the build identifiers of cibuildwheel 4, such as `cp312-manylinux_x86_64`. The matrix has
only platforms that cibuildwheel supports.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from relnox.core.records import Record, field_values
from relnox.core.release.wheel_targets import TARGETS, WheelTarget  # noqa: TC001 - plans are read back by these types
from relnox.core.settings.patterns import matches_any_glob
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.tags import Tag

    from relnox.core.packages import Package
    from relnox.core.settings.config_tables import Abi, WheelsConfig

PYTHON_SERIES = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
"""The CPython versions in the matrix."""
FREE_THREADED_PYTHONS = ("3.14",)
"""The CPython versions whose free-threaded build is supported (PEP 779); cibuildwheel 4 builds no `cp313t`."""

_CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.[0-9]+)")
_SDIST, _PURE = "sdist", "py3-none-any"


class WheelJob(Record, kw_only=True):
    """A CI job that builds the wheels of one package for one target; `identifiers` has one item for each wheel."""

    package: str
    target: WheelTarget
    identifiers: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the job, and of the artifact that it uploads."""
        return f"{self.package}-{self.target.system}-{self.target.architecture}"


class CibuildwheelCommand(Record, kw_only=True):
    """The program with its arguments, and additional environment variables as pairs of name and value."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


class FileComparison(Record, kw_only=True):
    """The missing files (`sdist`, or the build identifier of a wheel), and the names of unexpected files."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


class ExpectedFiles(Record, kw_only=True):
    """The files of a release of one package: an sdist, and one wheel per build identifier in `wheels`.

    For a package without platform wheels, the only identifier is `py3-none-any`; for one in `sdist-only`
    there is none.
    """

    wheels: tuple[str, ...]
    abi: Abi

    def compare(self, files: Iterable[str]) -> FileComparison:
        """Compare file names with the expected files; wheels are recognized by their tags (PEP 425)."""
        missing = [_SDIST, *self.wheels]
        unexpected = []
        for file in sorted(files):
            match = next((identifier for identifier in missing if self._is_file_of(identifier, file)), None)
            if match is None:
                unexpected.append(file)
            else:
                missing.remove(match)
        return FileComparison(missing=tuple(missing), unexpected=tuple(unexpected))

    def _is_file_of(self, identifier: str, file: str) -> bool:
        from packaging.utils import InvalidWheelFilename, parse_wheel_filename

        if identifier == _SDIST:
            return file.endswith(".tar.gz")
        try:
            tags = parse_wheel_filename(file)[3]
        except InvalidWheelFilename:
            return False
        return any(_tag_matches_identifier(tag, identifier, self.abi) for tag in tags)


def check_wheel_settings(settings: WheelsConfig, names: Collection[str]) -> None:
    """Raise `Blocked` if settings contradict each other, or a glob in `skip` matches no wheel."""
    for name in names:
        if has_no_wheels(name, settings) and matches_any_glob(name, settings.packages):
            raise Blocked(
                "setting-invalid",
                f"{name} is in both packages and sdist-only of [tool.relnox.wheels]",
                fix="remove it from one of them",
            )
    for name in settings.abi:
        if name not in names or not matches_any_glob(name, settings.packages):
            raise Blocked(
                "archive-missing",
                f"{name} in [tool.relnox.wheels] abi has no platform wheels",
                fix=f'add it to packages: [tool.relnox.wheels] packages = ["{name}"]',
            )
    identifiers = [f"{python}-{target.tag}" for python in _python_tags(PYTHON_SERIES) for target in TARGETS]
    for glob in settings.skip:
        if not any(fnmatchcase(identifier, glob) for identifier in identifiers):
            raise Blocked(
                "setting-invalid",
                f"{glob!r} in [tool.relnox.wheels] skip matches no wheel of the matrix",
                fix="use an identifier of cibuildwheel, or a glob: cp39-*, *-musllinux_aarch64",
            )


def has_no_wheels(name: str, settings: WheelsConfig) -> bool:
    """Return whether a package is released as an sdist only."""
    return matches_any_glob(name, settings.sdist_only)


def plan_wheel_jobs(package: Package, settings: WheelsConfig) -> tuple[WheelJob, ...]:
    """Return the jobs that build a package's platform wheels, one per target; empty if it has no such wheels.

    Raises:
        Blocked: The settings exclude all wheels, or `requires-python` is invalid.
    """
    if not matches_any_glob(package.name, settings.packages):
        return ()
    pythons = _python_tags(_supported_pythons(package), free_threaded=settings.free_threaded)
    abi = settings.abi.get(package.name, "cpython")
    result = [
        WheelJob(package=package.name, target=target, identifiers=identifiers)
        for target in TARGETS
        if target.system in settings.systems
        and target.architecture in settings.architectures
        and (identifiers := _build_identifiers(pythons, target, abi, settings.skip))
    ]
    if not result:
        raise Blocked(
            "setting-invalid",
            f"the settings exclude all platform wheels of {package.name} for CPython {PYTHON_SERIES[0]} to "
            f"{PYTHON_SERIES[-1]} "
            f"(requires-python is {repr(package.requires_python) if package.requires_python else 'not set'})",
            fix="change requires-python, the classifiers, or systems, architectures and skip in "
            "[tool.relnox.wheels]",
        )
    return tuple(result)


def expected_files(package: Package, settings: WheelsConfig) -> ExpectedFiles:
    """Return the files that a release of the package must have."""
    if has_no_wheels(package.name, settings):
        return ExpectedFiles(wheels=(), abi="none")
    identifiers = tuple(identifier for job in plan_wheel_jobs(package, settings) for identifier in job.identifiers)
    return ExpectedFiles(wheels=identifiers or (_PURE,), abi=settings.abi.get(package.name, "cpython"))


def cibuildwheel_command(job: WheelJob, *, sdist: str, output: str) -> CibuildwheelCommand:
    """Return the command that builds the wheels of a job, from the sdist that is released.

    `[tool.cibuildwheel]` of the project configures how wheels are built; which of them are built is set here, so
    that every job builds the expected wheels.
    """
    if len(job.identifiers) == 1:
        return CibuildwheelCommand(
            argv=("cibuildwheel", "--only", job.identifiers[0], "--output-dir", output, sdist)
        )
    target = ("--platform", job.target.platform, "--archs", job.target.archs)
    return CibuildwheelCommand(
        argv=("cibuildwheel", *target, "--output-dir", output, sdist),
        environment=(("CIBW_BUILD", " ".join(job.identifiers)), ("CIBW_SKIP", "")),
    )


def github_matrix(wheel_jobs: Sequence[WheelJob]) -> dict[str, Any]:
    """Return the jobs in JSON types, as the `strategy.matrix` of a GitHub workflow."""
    return {
        "include": [
            {
                "name": job.name,
                "package": job.package,
                **{name: value for name, value in field_values(job.target).items() if name != "tag"},
                "identifiers": list(job.identifiers),
            }
            for job in wheel_jobs
        ]
    }


def _supported_pythons(package: Package) -> tuple[str, ...]:
    """Return the CPython versions that a package supports, by `requires-python` and by its classifiers, if any."""
    classifier_versions = {match[1] for text in package.classifiers if (match := _CLASSIFIER.fullmatch(text))}
    return tuple(
        python
        for python in PYTHON_SERIES
        if (not classifier_versions or python in classifier_versions) and _allows_python(package, python)
    )


def _allows_python(package: Package, python: str) -> bool:
    """Return whether `requires-python` allows the last release of a Python series, as cibuildwheel checks it."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    last = Version(f"{python}.99")
    try:
        return SpecifierSet(package.requires_python).contains(last)
    except InvalidSpecifier:
        from relnox.core.dependencies.requirement_clauses import poetry_allows

    try:
        return poetry_allows(package.requires_python, last)
    except Blocked as error:
        raise Blocked(
            "metadata-invalid",
            f"{package.pyproject}: requires-python = {package.requires_python!r} is invalid",
            fix='write a range, such as requires-python = ">=3.10"',
        ) from error


def _python_tags(pythons: Iterable[str], *, free_threaded: bool = True) -> tuple[str, ...]:
    """Return the tags of CPython versions: `cp39`, …, `cp314`, then `cp314t` for the free-threaded build."""
    tags = [f"cp{python.replace('.', '')}" for python in pythons]
    more = [f"cp{python.replace('.', '')}t" for python in FREE_THREADED_PYTHONS] if free_threaded else []
    return (*tags, *(tag for tag in more if tag.removesuffix("t") in tags))


def _build_identifiers(
    pythons: Sequence[str], target: WheelTarget, abi: Abi, skip: Sequence[str]
) -> tuple[str, ...]:
    """Return the build identifiers for one target; a wheel for several CPythons is built with the oldest one."""
    identifiers = [f"{python}-{target.tag}" for python in pythons]
    remaining = [name for name in identifiers if not any(fnmatchcase(name, glob) for glob in skip)]
    if abi == "cpython":
        return tuple(remaining)
    free_threaded = [name for name in remaining if _is_free_threaded(name)]  # they cannot use abi3 wheels
    oldest = [name for name in remaining if name not in free_threaded][:1]
    return tuple([*oldest, *free_threaded] if abi == "abi3" else remaining[:1])


def _is_free_threaded(identifier: str) -> bool:
    return identifier.partition("-")[0].endswith("t")


def _tag_matches_identifier(tag: Tag, identifier: str, abi: Abi) -> bool:
    """Return whether a wheel's tag matches a build identifier."""
    if identifier == _PURE:
        return (tag.interpreter, tag.abi, tag.platform) == ("py3", "none", "any")
    python, _, platform = identifier.partition("-")
    if not _platform_tag_matches(tag.platform, platform):
        return False
    if abi == "none":
        return (tag.interpreter, tag.abi) == ("py3", "none")
    if abi == "abi3" and not _is_free_threaded(identifier):
        return tag.abi == "abi3" and _minor_version_of(tag.interpreter) <= _minor_version_of(python)
    return (tag.interpreter, tag.abi) == (python.removesuffix("t"), python)


def _platform_tag_matches(platform: str, expected: str) -> bool:
    """Return whether a platform tag, such as `manylinux_2_28_x86_64`, matches `manylinux_x86_64`."""
    system, _, architecture = expected.partition("_")
    if system.startswith("win"):
        return platform == expected
    return platform.startswith(system) and platform.endswith(f"_{architecture}")


def _minor_version_of(interpreter: str) -> int:
    """Return the minor version in an interpreter tag, 9 for `cp39`; a very large number if it is not CPython 3."""
    match = re.fullmatch(r"cp3([0-9]+)", interpreter)
    return int(match[1]) if match is not None else 1 << 16
