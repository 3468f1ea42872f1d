"""Checks for wheels that can be installed but do not work, as a build without a compiler creates them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from relnox.building.archives import iter_files, member_path, read_file
from relnox.building.findings import error, format_names, warning
from relnox.building.wheel_contents import are_only_tests, import_names
from relnox.core import fixes
from relnox.core.documents import parse_toml, table_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from relnox.building.archives import Archive
    from relnox.building.checks.identity import ExpectedArchive
    from relnox.building.findings import Finding

_VERBOSE_BUILD_COMMAND = fixes.task_command("build-all", "--verbose")
_PROJECT_FILES = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|contributors|change(s|log)|history|news|todo|requirements)[^/]*"
    r"|(pyproject\.toml|setup\.(py|cfg)|manifest\.in|tox\.ini|noxfile\.py|tasks\.py|conftest\.py|makefile)",
    re.IGNORECASE,
)
"""Project files that get into the top-level directory of a wheel by mistake."""
_MARKER_FILES = frozenset({"py.typed"})
"""Files that are useless without a module in the same directory."""
_NATIVE_MODULE = re.compile(r".*\.(so(\.\d+)*|pyd|dylib|dll)", re.IGNORECASE)
_NATIVE_FILE = re.compile(r".*\.(exe|a|lib|wasm)", re.IGNORECASE)
_NATIVE_MAGIC_NUMBERS = (
    *(b"\x7fELF", b"MZ", b"\0asm", b"!<arch>"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
)
"""The first bytes of files with native code: ELF, PE, WebAssembly, object archives, Mach-O."""
_MAGIC_BYTES = 8
_MAX_SOURCE_SIZE = 1 << 20
_EXTENSIONS_IN_SETUP = re.compile(
    rb"^[^#\n]*\b(ext_modules|rust_extensions|cffi_modules)\s*=(?!\s*(?:\[\s*\]|\(\s*\)|None\b))", re.MULTILINE
)
"""Arguments of `setup()` with native modules; whether they apply to each build is not known."""
_HATCH_COMPILERS = ("cython", "mypyc")
_INCLUDE_MODULES_FIX = (
    "include the modules in the build configuration: "
    '[tool.setuptools.packages.find] where = ["src"] (setuptools), '
    "[tool.hatch.build.targets.wheel] packages (hatchling), [tool.poetry] packages (poetry-core)"
)
_CHECKED_ELSEWHERE = ("W007", "W008")
"""Codes for empty wheels, which `completeness` checks with regard to the project's settings."""


def check_completeness(archive: Archive, expected: ExpectedArchive) -> Iterator[Finding]:
    """Yield findings if a wheel installs nothing or only tests, or is for a platform but has no native code."""
    if not any(_is_useful_when_installed(member) for member in archive.member_names):
        if not expected.may_be_empty:
            yield error(
                "archive-content",
                "is empty (no modules, scripts or data)",
                f"{_INCLUDE_MODULES_FIX}; if the package only consists of requirements, set "
                f'metadata-only = ["{archive.name}"] in [tool.relnox]',
            )
        return
    if are_only_tests(import_names(archive)):
        yield warning(
            "archive-content",
            f"has no modules except {format_names(import_names(archive))}",
            _INCLUDE_MODULES_FIX,
        )
    is_native = archive.platforms != {"any"}
    if is_native and not expected.extensions_are_optional and not _has_native_file(archive):
        yield error(
            "archive-invalid",
            f"is tagged for {format_names(archive.platforms)}, but has no native modules or programs",
            f"find out why the build does not compile them: {_VERBOSE_BUILD_COMMAND}; "
            f"if they are optional, {_optional_extensions_fix(archive)}",
        )


def check_extensions(sdist: Archive, wheel: Archive) -> Iterator[Finding]:
    """Yield a finding if a wheel lacks the native modules that its sdist declares."""
    if (declaration := _find_declared_extensions(sdist)) is None or _has_native_file(wheel):
        return
    reason, is_certain = declaration
    optional = f"if they are optional, {_optional_extensions_fix(wheel)}"
    if is_certain:
        yield error(
            "archive-invalid",
            f"has no native modules, although {reason}",
            "check that the sdist has their sources, and that the build compiles them: "
            f"{_VERBOSE_BUILD_COMMAND}; {optional}",
        )
    else:
        yield warning(
            "archive-invalid",
            f"has no native modules, although {reason} (not in every build)",
            optional,
        )


def _find_declared_extensions(sdist: Archive) -> tuple[str, bool] | None:
    """Return a clause that names where an sdist declares native modules, and whether all builds have them."""
    texts = _read_top_level_files(sdist, ("pyproject.toml", "setup.py"))
    try:
        document = parse_toml(texts.get("pyproject.toml", b"").decode())
    except (ValueError, RecursionError):
        document = {}
    if (reason := _setting_with_native_modules(document)) is not None:
        return reason, True
    backend = table_at(document, "build-system").get("build-backend", "setuptools.build_meta")
    if not str(backend).startswith("setuptools") or "setup.py" not in texts:
        return None
    match = _EXTENSIONS_IN_SETUP.search(texts["setup.py"])
    return None if match is None else (f"setup.py passes {match[1].decode()} to setup()", False)


def run_check_wheel_contents(archive: Archive) -> Iterator[Finding]:
    """Yield the failures of check-wheel-contents as warnings, skipping wheels that it cannot read."""
    try:
        from check_wheel_contents.checker import WheelChecker
        from check_wheel_contents.contents import WheelContents
        from check_wheel_contents.errors import WheelValidationError
    except ImportError:
        return
    try:
        failed = WheelChecker().check_contents(WheelContents.from_wheel(archive.path))
    except WheelValidationError:
        return
    except Exception as problem:  # noqa: BLE001 - a bug of an optional tool must not fail the build
        yield warning(
            "build-failed",
            f"check-wheel-contents cannot read the wheel ({problem})",
            fixes.install_command("relnox[check]", upgrade=True),
        )
        return
    for failure in failed:
        if failure.check.name in _CHECKED_ELSEWHERE:
            continue
        files = f": {format_names(failure.args)}" if failure.args else ""
        yield warning(
            "build-failed",
            f"check-wheel-contents {failure.check.name}: {failure.check.value}{files}",
            "fix the build configuration (the README of check-wheel-contents explains the codes)",
        )


def has_native_module(wheel: Archive) -> bool:
    """Return whether a wheel has an extension module or a shared library, according to file names."""
    return any(map(_NATIVE_MODULE.fullmatch, wheel.member_names))


def _is_useful_when_installed(member: str) -> bool:
    """Return whether a member of a wheel is useful when installed, such as a module, stub, script or data file."""
    if member.endswith("/"):
        return False
    parts = member_path(member).parts
    if parts[0].endswith(".dist-info"):
        return False
    if parts[0].endswith(".data"):
        if len(parts) < 3 or parts[1] not in ("purelib", "platlib"):  # noqa: PLR2004 - NAME.data, scheme, file
            return len(parts) > 2  # noqa: PLR2004
        parts = parts[2:]
    name = parts[-1]
    if name in _MARKER_FILES or name.startswith(".") or "__pycache__" in parts:
        return False
    return len(parts) > 1 or _PROJECT_FILES.fullmatch(name) is None


def _has_native_file(archive: Archive) -> bool:
    """Return whether a wheel has a script or a file with native code, according to file names and first bytes."""
    return (
        has_native_module(archive)
        or any(_NATIVE_FILE.fullmatch(member) or ".data/scripts/" in member for member in archive.member_names)
        or any(content.startswith(_NATIVE_MAGIC_NUMBERS) for _, content in iter_files(archive, _MAGIC_BYTES))
    )


def _optional_extensions_fix(archive: Archive) -> str:
    return f'set optional-extensions = ["{archive.name}"] in [tool.relnox]'


def _read_top_level_files(sdist: Archive, names: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of the files with these names in an sdist's top-level directory, without large ones."""
    return {
        member_path(entry.name).name: read_file(sdist, entry.name)
        for entry in sdist.entries
        if entry.name.count("/") == 1
        and member_path(entry.name).name in names
        and entry.kind == "file"
        and entry.size < _MAX_SOURCE_SIZE
    }


def _setting_with_native_modules(document: Mapping[str, Any]) -> str | None:
    """Return a phrase that names the setting with which every build has native modules, or None without one."""
    tool = table_at(document, "tool")
    for name in ("setuptools", "setuptools-rust"):
        if table_at(tool, name).get("ext-modules"):
            return f"[tool.{name}] ext-modules declares them"
    backend = table_at(document, "build-system").get("build-backend")
    if backend == "maturin" and table_at(tool, "maturin").get("bindings") != "bin":
        return "its build backend is maturin"
    build = table_at(tool, "hatch", "build")
    for hooks in (table_at(build, "hooks"), table_at(build, "targets", "wheel", "hooks")):
        for name in _HATCH_COMPILERS:
            if isinstance(hook := hooks.get(name), dict) and hook.get("enable-by-default", True):
                return f"hatchling's build hook {name} is enabled"
    return None
