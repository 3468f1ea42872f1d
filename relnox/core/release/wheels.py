"""The wheels of a release: which of them the settings expect, and the CI jobs that build them.

`[tool.relnox.wheels]` names the platform wheels of each package by the build identifiers of cibuildwheel, such as
`cp312-manylinux_x86_64`; braces list alternatives: `cp{312,313}-win_amd64`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from relnox.core.records import Record
from relnox.core.text import join_names
from relnox.errors import Blocked

_LINUX_RUNNERS = {
    "x86_64": "ubuntu-latest",
    "i686": "ubuntu-latest",
    "aarch64": "ubuntu-24.04-arm",
    "armv7l": "ubuntu-latest",
    "ppc64le": "ubuntu-latest",
    "s390x": "ubuntu-latest",
    "riscv64": "ubuntu-latest",
}
RUNNERS = {
    **{f"{libc}_{arch}": runner for libc in ("manylinux", "musllinux") for arch, runner in _LINUX_RUNNERS.items()},
    "macosx_x86_64": "macos-15-intel",
    "macosx_arm64": "macos-15",
    "macosx_universal2": "macos-15",
    "win32": "windows-latest",
    "win_amd64": "windows-latest",
    "win_arm64": "windows-11-arm",
}
"""Maps each platform for which cibuildwheel 4 builds wheels of CPython to a GitHub runner, as of 2026-11."""
_SYSTEMS = {"win": "windows", "mac": "macos"}
_WINDOWS_ARCHITECTURES = {"win32": "x86", "win_amd64": "AMD64", "win_arm64": "ARM64"}
_EMULATED = ("armv7l", "ppc64le", "s390x", "riscv64")
"""The processors that need QEMU on these runners."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_IDENTIFIER = re.compile(r"cp3\d+t?-\w+")
_SDIST, _PURE = "sdist", "py3-none-any"


class FileComparison(Record, kw_only=True):
    """How the files of a package differ from those that its release must have.

    Attributes:
        missing: `sdist`, or the build identifiers (as in cibuildwheel) of missing wheels.
        unexpected: The names of files that the release must not have.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


def platform_wheel_identifiers(package: str, settings: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the build identifiers (`cp312-win_amd64`) of a package's platform wheels; empty if it has none.

    `settings` is the table `[tool.relnox.wheels]`. It maps package names to identifiers of cibuildwheel, in which
    braces list alternatives: `cp{312,313}-win_amd64`.

    Raises:
        Blocked: A build identifier in the settings is not valid.
    """
    identifiers = dict.fromkeys(name for text in settings.get(package, ()) for name in _expand_braces(text))
    for name in identifiers:
        if _IDENTIFIER.fullmatch(name) is None or name.partition("-")[2] not in RUNNERS:
            raise Blocked(
                "setting-invalid",
                f"{name!r} in [tool.relnox.wheels] {package} is not a platform wheel of CPython",
                fix='write identifiers of cibuildwheel, such as "cp312-manylinux_x86_64"; the platforms are '
                f"{join_names(sorted(RUNNERS))}",
            )
    return tuple(identifiers)


def has_no_wheels(package: str, settings: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether a package is released as an sdist only: its list in `[tool.relnox.wheels]` is empty."""
    return package in settings and not settings[package]


def compare_files(package: str, files: Collection[str], settings: Mapping[str, tuple[str, ...]]) -> FileComparison:
    """Compare the names of all files of a package with what a release must have.

    That is an sdist and, for each build identifier of the package in `settings`, a wheel that its Python can
    install; one wheel can serve several Pythons (`abi3`). `settings` is the table `[tool.relnox.wheels]`; packages
    that are not in it must have one wheel, `py3-none-any`.

    Raises:
        Blocked: A build identifier in the settings is not valid.
    """
    expected = platform_wheel_identifiers(package, settings) if package in settings else (_PURE,)
    wheels = {file: _tags_in_filename(file) for file in files if not file.endswith(".tar.gz")}
    return FileComparison(
        missing=(
            *([] if any(file.endswith(".tar.gz") for file in files) else [_SDIST]),
            *(
                name
                for name in expected
                if not any(_is_wheel_for_identifier(tags, name) for tags in wheels.values())
            ),
        ),
        unexpected=tuple(
            sorted(
                file
                for file, tags in wheels.items()
                if not any(_is_wheel_for_identifier(tags, name) for name in expected)
            )
        ),
    )


def is_installable_on(wheel: str, python: str) -> bool:
    """Return whether CPython of a version (`3.12`) can install a wheel on the wheel's own platform.

    `wheel` is a file name, whose tags decide; the result is False if it is invalid.
    """
    tags = _tags_in_filename(wheel)
    return any(
        tag in tags for platform in {tag.platform for tag in tags} for tag in _installable_tags(python, platform)
    )


def github_matrix(packages: Iterable[str], settings: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return the CI jobs that build the platform wheels of packages, as the matrix of a GitHub workflow.

    The list `include` has a job for each package and platform, with the values for cibuildwheel's `--platform`,
    `--archs` and `CIBW_BUILD`; it is empty if there are no such wheels. `settings` is the table
    `[tool.relnox.wheels]`.

    Raises:
        Blocked: A build identifier in the settings is not valid.
    """
    jobs: dict[tuple[str, str], list[str]] = {}
    for package in packages:
        for identifier in platform_wheel_identifiers(package, settings):
            jobs.setdefault((package, identifier.partition("-")[2]), []).append(identifier)
    return {
        "include": [
            {
                "name": f"{package}-{platform}",
                "package": package,
                "runner": RUNNERS[platform],
                "emulated": platform.endswith(_EMULATED),
                "platform": _SYSTEMS.get(platform[:3], "linux"),
                "sdist": f"{package.replace('-', '_')}-*.tar.gz",
                "archs": _WINDOWS_ARCHITECTURES.get(platform, platform.partition("_")[2]),
                "build": " ".join(identifiers),
            }
            for (package, platform), identifiers in jobs.items()
        ]
    }


def _expand_braces(text: str) -> Iterator[str]:
    """Yield the texts that a text with braces stands for: `cp312-win32`, `cp313-win32` for `cp{312,313}-win32`."""
    if (match := _BRACES.search(text)) is None:
        yield text
        return
    for alternative in match[1].split(","):
        yield from _expand_braces(f"{text[: match.start()]}{alternative.strip()}{text[match.end() :]}")


def _tags_in_filename(wheel: str) -> frozenset[Tag]:
    """Return the tags in the name of a wheel; none if the name is invalid."""
    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return frozenset()


def _is_wheel_for_identifier(tags: frozenset[Tag], identifier: str) -> bool:
    """Return whether a wheel with these tags can be installed by what a build identifier stands for.

    That is the Python and the platform of an identifier such as `cp312-win32`. For `py3-none-any`, the wheel must
    have this tag.
    """
    if identifier == _PURE:
        return any(str(tag) == _PURE for tag in tags)
    python, _, platform = identifier.partition("-")
    platforms = {tag.platform for tag in tags if _is_for_platform(tag.platform, platform)}
    version = f"3.{python.removeprefix('cp3')}"
    return any(tag in tags for name in platforms for tag in _installable_tags(version, name))


def _is_for_platform(tag: str, platform: str) -> bool:
    """Return whether a platform tag is for a platform of cibuildwheel: `win32`, `manylinux_x86_64`, and so on.

    For example, `manylinux_2_28_x86_64` is for `manylinux_x86_64`.
    """
    system, _, architecture = platform.partition("_")
    return tag == platform if system.startswith("win") else tag.startswith(system) and tag.endswith(architecture)


def _installable_tags(python: str, platform: str) -> Iterator[Tag]:
    """Yield the tags of the wheels that CPython can install on a platform.

    `python` is its version: `3.12`, or `3.14t` for a free-threaded build. `platform` is a platform tag, such as
    `win_amd64`.
    """
    is_threaded = python.endswith("t")
    major, minor = python.removesuffix("t").split(".")[:2]
    version = (int(major), int(minor))
    abis = [f"cp{major}{minor}{'t' if is_threaded else ''}"]
    yield from cpython_tags(version, abis=abis, platforms=[platform])
    yield from compatible_tags(version, platforms=[platform])
