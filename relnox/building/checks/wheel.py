"""Checks of a wheel: its format (PEP 427), what it installs, and whether it matches its sdist."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from email.parser import HeaderParser
from typing import Any

from installer.exceptions import InstallerError
from installer.records import parse_record_file
from installer.sources import WheelFile
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building.archive_contents import (
    RECORD_FILES,
    are_only_test_modules,
    importable_modules,
    parse_entry_points,
)
from relnox.building.archives import Archive, find_dist_info_file, iter_files, member_path, read_file
from relnox.building.checks.expected import ExpectedArchive, format_names, index_rejection, warning
from relnox.building.checks.files import is_generated_file, read_pyproject
from relnox.building.checks.metadata import UPDATE_BACKEND_FIX, differing_requirements
from relnox.core import fixes
from relnox.core.documents import table_at
from relnox.core.release import public_index
from relnox.errors import Problem

_FIXES_BY_PLATFORM = {
    "linux_": "build its wheels with cibuildwheel, list them in [tool.relnox.wheels], and merge the output of the "
    "jobs: relnox collect --from DIR; to release the sdist only, list none there: NAME = []",
    "macosx_": "set MACOSX_DEPLOYMENT_TARGET=11.0 (since macOS 11 the minor version is 0), or use cibuildwheel",
    "pyodide_": "build it with cibuildwheel 4 or newer, which tags it as pyemscripten (PEP 783)",
    "": "publish this wheel to a private index only; elsewhere installers build from the sdist",
}
_BUILD_AGAIN = f"build it again with {fixes.task_command('build-all')}"
_REBUILD_FIX = f"{_BUILD_AGAIN}, and change wheels only with tools that update RECORD (wheel, auditwheel)"
_ENTRY_POINT_FIX = 'write it like demo = "demo.cli:main" in [project.scripts]'
_INCLUDE_MODULES_FIX = (
    "include the modules in the build configuration: "
    '[tool.setuptools.packages.find] where = ["src"] (setuptools), '
    "[tool.hatch.build.targets.wheel] packages (hatchling), [tool.poetry] packages (poetry-core)"
)
_MAX_TAGS = 1000
_MAX_RECORD_SIZE = 64 << 20
_MAX_SOURCE_SIZE = 8 << 20
_OBJECT_REFERENCE = re.compile(
    r"[^\W\d]\w*(\.[^\W\d]\w*)*(?P<attribute>\s*:\s*[^\W\d]\w*(\.[^\W\d]\w*)*)?\s*(\[[^\[\]]*\])?"
)
_PROJECT_FILES = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|contributors|change(s|log)|history|news|todo|requirements)[^/]*"
    r"|(pyproject\.toml|setup\.(py|cfg)|manifest\.in|tox\.ini|noxfile\.py|tasks\.py|conftest\.py|makefile)",
    re.IGNORECASE,
)
"""Project files that get into the top-level directory of a wheel by mistake."""
_NATIVE_MODULE = re.compile(r".*\.(so(\.\d+)*|pyd|dylib|dll)", re.IGNORECASE)
_NATIVE_FILE = re.compile(r".*\.(exe|a|lib|wasm)", re.IGNORECASE)
_NATIVE_MAGIC_NUMBERS = (
    *(b"\x7fELF", b"MZ", b"\0asm", b"!<arch>"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
)
"""The first bytes of files with native code: ELF, PE, WebAssembly, object archives, Mach-O."""
_STATIC_FIELDS_SINCE = Version("2.2")
"""The first metadata version in which an sdist's fields apply to its wheels, unless `Dynamic` (PEP 643)."""
_INSTALLER_FIELDS = {"requires_python": "Requires-Python", "provides_extra": "Provides-Extra"}
"""The fields that installers use, besides `Requires-Dist`."""
_DECLARE_DYNAMIC_FIX = 'if the build computes the field, set it, like [project] dynamic = ["dependencies"]'


def find_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for the format of a wheel, its entry points and its modules."""
    yield from _dist_info_problems(archive)
    yield from _record_problems(archive)
    yield from _entry_point_problems(archive)
    is_empty = not any(map(_is_useful_when_installed, archive.member_names))
    if is_empty and not expected.may_be_empty:
        yield Problem(
            "archive-content",
            "is empty (no modules, scripts or data)",
            f"{_INCLUDE_MODULES_FIX}; if the package only consists of requirements, set "
            f'metadata-only = ["{archive.name}"] in [tool.relnox]',
        )
    yield from _missing_import_problems(archive, expected)
    if archive.platforms == {"any"}:
        if (module := next(filter(_NATIVE_MODULE.fullmatch, archive.member_names), None)) is not None:
            yield warning(
                "archive-invalid",
                f"is tagged for any platform, but contains {module}",
                "mark the wheel as platform-specific: has_ext_modules (setuptools), infer_tag (hatchling)",
            )
    elif not (expected.extensions_are_optional or is_empty or _has_script_or_native_file(archive)):
        message = f"is tagged for {format_names(archive.platforms)}, but has no native modules or programs"
        yield Problem("archive-invalid", message, _missing_extensions_fix(archive.name))


def _missing_import_problems(archive: Archive, expected: ExpectedArchive) -> Iterator[Problem]:
    """Yield problems for modules that a module of the wheel imports, but that git ignores and the wheel lacks.

    `expected.ignored_imports` has the pairs of such modules; the build may have generated the imported one. A
    module is in the wheel if the end of its path in the project, without the suffix, is a path there.
    """
    stems = {name.partition(".")[0] for name in archive.member_names}

    def has(file: str) -> bool:
        parts = file.removesuffix(".py").split("/")
        return any("/".join(parts[start:]) in stems for start in range(len(parts)))

    for importing, imported in expected.ignored_imports:
        if has(importing) and not has(imported):
            yield Problem(
                "imported-module-untracked",
                f"lacks {imported}, which {importing} imports (git ignores it; the build did not generate it)",
                f"git add --force {imported}, and commit it; or generate it in a before-build hook",
            )


def rejected_platform_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for platform tags of a wheel that the public index rejects."""
    for platform in sorted(archive.platforms):
        if not public_index.accepts_platform_tag(platform):
            fix = next(fix for start, fix in _FIXES_BY_PLATFORM.items() if platform.startswith(start))
            yield index_rejection(
                "archive-invalid", f"platform tag {platform} is rejected by the public index", fix
            )


def run_check_wheel_contents(archive: Archive) -> Iterator[Problem]:
    """Yield the failures of check-wheel-contents as warnings; none if it is not installed.

    A wheel that the tool takes for invalid yields none either; a crash of the tool yields a warning.
    """
    try:
        from check_wheel_contents.checker import WheelChecker
        from check_wheel_contents.contents import WheelContents
        from check_wheel_contents.errors import WheelValidationError
    except ImportError:
        return
    try:
        failed = WheelChecker().check_contents(WheelContents.from_wheel(archive.path))
    except WheelValidationError:  # other checks report why it is invalid
        return
    except Exception as problem:  # noqa: BLE001 - a bug of an optional tool must not fail the build
        message = f"check-wheel-contents cannot read the wheel ({problem})"
        yield warning("archive-content", message, fixes.install_command("relnox[check]", upgrade=True))
        return
    for failure in failed:
        if failure.check.name not in ("W007", "W008"):  # of empty wheels: checked above, by the project's settings
            files = f": {format_names(failure.args)}" if failure.args else ""
            yield warning(
                "archive-content",
                f"check-wheel-contents {failure.check.name}: {failure.check.value}{files}",
                "fix the build configuration (the README of check-wheel-contents explains the codes)",
            )


def has_native_module(archive: Archive) -> bool:
    """Return whether the file names in a wheel include an extension module or a shared library."""
    return any(map(_NATIVE_MODULE.fullmatch, archive.member_names))


def _has_script_or_native_file(archive: Archive) -> bool:
    """Return whether a wheel has a script, or a file that is native code by its name or first bytes."""
    size = max(map(len, _NATIVE_MAGIC_NUMBERS))
    return (
        has_native_module(archive)
        or any(_NATIVE_FILE.fullmatch(member) or ".data/scripts/" in member for member in archive.member_names)
        or any(content.startswith(_NATIVE_MAGIC_NUMBERS) for _, content in iter_files(archive, size))
    )


def _missing_extensions_fix(package: str) -> str:
    """Return the fix for a wheel that lacks the extension modules of a package."""
    command = fixes.task_command("build-all", "--verbose")
    return (
        f"find out why the build does not compile them: {command}; if they are optional, set "
        f'optional-extensions = ["{package}"] in [tool.relnox]'
    )


def _dist_info_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for the name of the `.dist-info` directory, and for its file WHEEL."""
    text = _read_dist_info_file(archive, "WHEEL")
    file = HeaderParser().parsestr(text or "")
    if (version := file.get("Wheel-Version", "missing").strip()).partition(".")[0] != "1":
        yield Problem(
            "archive-invalid",
            f"Wheel-Version is {version} in the WHEEL file (installers support 1.x)",
            UPDATE_BACKEND_FIX,
        )
    if text is not None and _parse_tags(file.get_all("Tag", [])) != archive.tags:
        yield Problem(
            "archive-invalid",
            "the tags in the WHEEL file differ from those in the file name",
            f"{_BUILD_AGAIN}, or change the tags with `wheel tags` instead of renaming the file",
        )
    tops = {member.partition("/")[0] for member in archive.member_names}
    directories = {top for top in tops if top.endswith(".dist-info")}
    expected = "-".join(archive.path.name.split("-")[:2]) + ".dist-info"
    if directories != {expected}:
        names = ", ".join(sorted(directories))
        yield index_rejection(
            "archive-invalid",
            f"metadata directory is {names}, expected {expected} (rejected by the public index)",
            "remove the build directory, then build it again, and do not rename the file",
        )


def _parse_tags(fields: list[str]) -> frozenset[Tag] | None:
    """Return the tags in the `Tag` fields of a WHEEL file; None if a field is invalid.

    One field may stand for several tags (`py2.py3-none-any`); one that stands for too many is invalid.
    """
    tags: set[Tag] = set()
    for field in fields:
        number = math.prod(part.count(".") + 1 for part in field.split("-"))
        if number > _MAX_TAGS or field.count("-") != 2:  # noqa: PLR2004 - interpreter, ABI, platform
            return None
        tags |= parse_tag(field)
    return frozenset(tags)


def _record_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for files that RECORD lacks, that differ from its hashes, or that only RECORD has."""
    try:
        with WheelFile.open(archive.path) as wheel:
            wheel.validate_record()
    except InstallerError as problem:
        issues = getattr(problem, "issues", [str(problem)])
        paths = re.compile(f"In {re.escape(str(archive.path))}, | from {re.escape(str(archive.path))}")
        text = format_names(paths.sub("", issue) for issue in issues)
        yield Problem("archive-invalid", f"RECORD is wrong: {text}", _REBUILD_FIX)
        return
    name = find_dist_info_file(archive, "RECORD")
    assert name is not None  # installer read it  # noqa: S101
    lines = read_file(archive, name, _MAX_RECORD_SIZE).decode().splitlines()
    recorded = {row[0] for row in parse_record_file(filter(None, lines))}
    signatures = {f"{name.rpartition('/')[0]}/{file}" for file in RECORD_FILES}
    if missing := recorded - set(archive.member_names) - signatures:
        message = f"RECORD is wrong: lists files that are missing: {format_names(missing)}"
        yield Problem("archive-invalid", message, _REBUILD_FIX)


def _entry_point_problems(archive: Archive) -> Iterator[Problem]:
    """Yield problems for entry points that installers or the public index cannot use."""
    try:
        parser = parse_entry_points(_read_dist_info_file(archive, "entry_points.txt") or "")
    except ConfigError as problem:
        message = f"entry_points.txt cannot be parsed: {str(problem).splitlines()[0]}"
        yield Problem("archive-invalid", message, _ENTRY_POINT_FIX)
        parser = ConfigParser()
    for group in parser.sections():
        is_script = group in ("console_scripts", "gui_scripts")
        for name, value in parser.items(group):
            reference = _OBJECT_REFERENCE.fullmatch(value)
            if is_script and ("/" in name or "\\" in name or name in ("", ".", "..")):
                message = f"script {name!r} would be installed outside the scripts directory"
                yield Problem("archive-invalid", message, _ENTRY_POINT_FIX)
            elif is_script and public_index.SCRIPT_NAME.fullmatch(name) is None:
                message = f"script name {name!r} is rejected by the public index"
                yield index_rejection(
                    "archive-invalid", message, "use letters, digits, dots, dashes and underscores only"
                )
            if reference is None:
                message = f"entry point {name} = {value!r} is not an object reference (module:object)"
                yield Problem("archive-invalid", message, _ENTRY_POINT_FIX)
            elif is_script and reference["attribute"] is None:
                message = f"script {name} = {value!r} does not refer to a function"
                yield Problem("archive-invalid", message, _ENTRY_POINT_FIX)


def _read_dist_info_file(archive: Archive, file: str) -> str | None:
    """Return the text of a file in the `.dist-info` directory of a wheel, or None if it is missing."""
    name = find_dist_info_file(archive, file)
    return None if name is None else read_file(archive, name).decode("utf-8", "replace")


def _is_useful_when_installed(member: str) -> bool:
    """Return whether a member of a wheel is useful when installed, such as a module, stub, script or data file.

    Metadata, hidden files, bytecode and top-level project files, such as a readme, are not.
    """
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
    if name == "py.typed" or name.startswith(".") or "__pycache__" in parts:
        return False
    return len(parts) > 1 or _PROJECT_FILES.fullmatch(name) is None


def sdist_difference_problems(wheel: Archive, sdist: Archive) -> Iterator[Problem]:
    """Yield problems for differences between a wheel and the sdist that it should have been built from.

    The name, the version, static metadata, and whether there are modules are compared; for a wheel of any
    platform, also the contents of `.py` files.
    """
    if (sdist.name, sdist.version) != (wheel.name, wheel.version):
        yield Problem(
            "archive-content",
            f"is {wheel.name} {wheel.version}, but its sdist is {sdist.name} {sdist.version}",
            "have the build take the version from PKG-INFO, as setuptools-scm and hatch-vcs do",
        )
        return
    yield from _static_metadata_problems(wheel, sdist)
    directories = {member_path(name).parent for name in sdist.member_names if name.endswith("/__init__.py")}
    packages = {directory.name for directory in directories if directory.parent not in directories}
    if (
        are_only_test_modules(names := importable_modules(wheel))
        and packages
        and not are_only_test_modules(packages)
    ):
        yield Problem(
            "archive-content",
            f"has no modules except {format_names(names)}, but its sdist has {format_names(packages)}",
            'include them in the build configuration, such as [tool.setuptools.packages.find] where = ["src"]',
        )
    if wheel.platforms != {"any"}:
        return
    sources = {name: content for name, content in iter_files(sdist, _MAX_SOURCE_SIZE) if name.endswith(".py")}
    sums = {zlib.crc32(content) for content in sources.values()}
    source_names = {member_path(name).name for name in sources}
    modules = {
        entry.name
        for entry in wheel.entries
        if entry.name.endswith(".py") and entry.crc32 not in sums and not is_generated_file(entry.name)
    }
    if changed := {name for name in modules if member_path(name).name in source_names}:
        yield warning(
            "archive-content",
            f"has files that differ from those in its sdist: {format_names(changed)}",
            f"build the wheel from the sdist: {fixes.task_command('build-all')}",
        )
    if added := modules - changed:
        yield warning(
            "archive-content",
            f"has files that are not in its sdist: {format_names(added)}",
            "include them: [tool.hatch.build.targets.sdist] include (hatchling), MANIFEST.in (setuptools)",
        )


def _static_metadata_problems(wheel: Archive, sdist: Archive) -> Iterator[Problem]:
    """Yield problems for metadata of a wheel that installers use, and that must not differ from its sdist.

    A field may differ if the sdist declares it as `Dynamic`, or has metadata older than version 2.2; see PEP 643.
    """
    try:
        if Version(sdist.fields.get("metadata_version", "")) < _STATIC_FIELDS_SINCE:
            return
    except InvalidVersion:
        return
    dynamic = {name.lower() for name in sdist.fields.get("dynamic", ())}
    if "requires-dist" not in dynamic:
        missing, added = differing_requirements(sdist.requires, wheel.requires, name=wheel.name)
        for message in (
            *(f"requirement {requirement} is in the metadata of its sdist only" for requirement in missing),
            *(f"requirement {requirement} is not in the metadata of its sdist" for requirement in added),
        ):
            yield Problem("archive-content", message, _DECLARE_DYNAMIC_FIX)
    for key, name in _INSTALLER_FIELDS.items():
        value, built = sdist.fields.get(key), wheel.fields.get(key)
        if name.lower() not in dynamic and _normalize_field(key, value) != _normalize_field(key, built):
            message = f"{name} is {built!r}, but {value!r} in its sdist"
            yield Problem("archive-content", message, _DECLARE_DYNAMIC_FIX)


def _normalize_field(key: str, value: Any) -> object:
    """Return the value of a metadata field in a form that is equal for values with the same meaning.

    `key` is the field's name in `packaging.metadata`, such as `provides_extra`.
    """
    if key == "provides_extra":
        return {canonicalize_name(name) for name in value or ()}
    try:
        return SpecifierSet(value) if value is not None else None
    except InvalidSpecifier:
        return value


def missing_extension_problems(wheel: Archive, sdist: Archive) -> Iterator[Problem]:
    """Yield a problem if a wheel has no native modules, but the sdist's settings require them in every build."""
    if (reason := _reason_for_native_modules(read_pyproject(sdist))) and not _has_script_or_native_file(wheel):
        message = f"has no native modules, although {reason}"
        yield Problem("archive-invalid", message, _missing_extensions_fix(wheel.name))


def _reason_for_native_modules(pyproject: Mapping[str, Any]) -> str | None:
    """Return a clause on the setting by which all builds have native modules, or None.

    An example is `its build backend is maturin`.
    """
    tool = table_at(pyproject, "tool")
    for name in ("setuptools", "setuptools-rust"):
        if table_at(tool, name).get("ext-modules"):
            return f"[tool.{name}] ext-modules declares them"
    backend = table_at(pyproject, "build-system").get("build-backend")
    if backend == "maturin" and table_at(tool, "maturin").get("bindings") != "bin":
        return "its build backend is maturin"
    build = table_at(tool, "hatch", "build")
    for hooks in (table_at(build, "hooks"), table_at(build, "targets", "wheel", "hooks")):
        for name in ("cython", "mypyc"):
            if isinstance(hook := hooks.get(name), dict) and hook.get("enable-by-default", True):
                return f"hatchling's build hook {name} is enabled"
    return None
