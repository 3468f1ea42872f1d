"""Checks of archives against the plan, the specifications of their formats, and the rules of the public index.

All checks work offline. Their results are problems with a level and the name of the file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from relnox.building import archives
from relnox.building.archives import READ_ERRORS, REBUILD_FIX, Archive
from relnox.building.checks import files, metadata, wheel
from relnox.building.checks.expected import ExpectedArchive
from relnox.core.records import replace
from relnox.errors import Failed, Problem


def check_archive(archive: Archive, expected: ExpectedArchive) -> tuple[Problem, ...]:
    """Return the problems of an archive: differences from `expected`, violations of format or index rules.

    They include what check-wheel-contents finds in a wheel, if it is installed. An error in reading the archive is
    a problem too.
    """
    problems = _collect_problems(_find_problems(archive, expected), archive, is_private=expected.is_private)
    if archive.kind == "wheel":
        problems += _collect_problems(wheel.run_check_wheel_contents(archive), archive)
    return problems


def check_wheels_against_sdist(
    release: Sequence[Archive], *, optional_extensions: bool = False
) -> tuple[Problem, ...]:
    """Return problems for differences between the wheels of a release and its sdist; none without an sdist.

    `release` has the archives of one package. A wheel without native modules is a problem if the settings in the
    sdist require them, except with `optional_extensions`, or if another wheel of the release has some.
    """
    sdist = next((archive for archive in release if archive.kind == "sdist"), None)
    wheels = [archive for archive in release if archive.kind == "wheel"]
    if sdist is None:
        return ()
    needs_extensions = not optional_extensions and not any(map(wheel.has_native_module, wheels))
    problems: list[Problem] = []
    for archive in wheels:
        problems += _collect_problems(wheel.sdist_difference_problems(archive, sdist), archive)
        if needs_extensions:
            problems += _collect_problems(wheel.missing_extension_problems(archive, sdist), archive)
    return tuple(problems)


def find_archive_errors(path: Path, expected: ExpectedArchive) -> tuple[Problem, ...]:
    """Return the errors in an archive that may have been built by another tool or job; warnings are left out.

    If it cannot be read, that is the only error. The name and the version of `expected` are ignored.
    """
    try:
        return _find_errors(archives.read_archive(path), expected)
    except Failed as error:
        return (_read_error_problem(error, path),)


def find_errors_against_sdist(paths: Iterable[Path], *, optional_extensions: bool) -> tuple[Problem, ...]:
    """Return errors for differences between the wheels of a release and its sdist; warnings are left out.

    `paths` are the archives of one package; unreadable ones are skipped. With `optional_extensions`, wheels may
    lack native modules.
    """
    readable = []
    for path in paths:
        with contextlib.suppress(Failed):
            readable.append(archives.read_archive(path))
    problems = check_wheels_against_sdist(readable, optional_extensions=optional_extensions)
    return tuple(problem for problem in problems if problem.level == "error")


def read_valid_archive(path: Path) -> Archive:
    """Read an archive that was downloaded or copied; raise `Failed` if it is unreadable or has other errors.

    What only the public index rejects, secrets, an empty wheel and missing native modules are no errors here.
    """
    allowed = ExpectedArchive(
        name="", is_private=True, may_be_empty=True, extensions_are_optional=True, fake_secrets=("*",)
    )
    archive = archives.read_archive(path)
    if errors := _find_errors(archive, allowed):
        lines = "\n".join(f"  {error.message}" for error in errors)
        raise Failed("archive-invalid", f"{path.name} is invalid:\n{lines}", errors[0].fix, file=path.name)
    return archive


def _find_errors(archive: Archive, expected: ExpectedArchive) -> tuple[Problem, ...]:
    """Return the errors in an archive, without warnings; the name and the version of `expected` are ignored."""
    expected = replace(expected, name=archive.name, version=archive.version)
    problems = _collect_problems(_find_problems(archive, expected), archive, is_private=expected.is_private)
    return tuple(problem for problem in problems if problem.level == "error")


def _find_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield the problems of an archive, except those that check-wheel-contents finds.

    They lack the file name, and may have the level `rejected-by-index`; `_collect_problems` sets both.
    """
    yield from metadata.find_problems(archive, expected)
    yield from files.find_problems(archive, expected)
    if archive.kind == "wheel":
        yield from wheel.find_problems(archive, expected)
    yield from metadata.invalid_field_problems(archive)
    yield from files.unwanted_content_problems(archive, expected)
    if archive.kind == "wheel":
        yield from wheel.rejected_platform_problems(archive)


def _collect_problems(
    problems: Iterable[Problem], archive: Archive, *, is_private: bool = False
) -> tuple[Problem, ...]:
    """Return problems of an archive with its file name added; an error in reading it becomes the last problem.

    What the public index rejects gets the level `warning` if `is_private`, else `error`.
    """
    results = []
    try:
        for problem in problems:
            level = problem.level
            if level == "rejected-by-index":
                level = "warning" if is_private else "error"
            results.append(problem.but(file=archive.path.name, level=level))
    except Failed as error:
        results.append(_read_error_problem(error, archive.path))
    except READ_ERRORS as error:
        message = f"cannot be read completely ({error})"
        results.append(Problem("archive-invalid", message, REBUILD_FIX, file=archive.path.name))
    return tuple(results)


def _read_error_problem(error: Failed, path: Path) -> Problem:
    """Return an error of reading a file as a problem of that file.

    Its message does not begin with the file name, which is in `file`.
    """
    return error.but(message=error.message.removeprefix(f"{path.name} "), file=path.name)
