"""Checks of a wheel against its format (PEP 427), and that it works when it is installed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from email.parser import HeaderParser

from installer.exceptions import InstallerError
from installer.records import parse_record_file
from installer.sources import WheelFile
from packaging.tags import Tag, parse_tag

from relnox.building.archives import Archive, find_dist_info_file, iter_files, member_path, read_file
from relnox.building.checks import index_rules
from relnox.building.checks.subject import Subject
from relnox.building.findings import Rule, format_names
from relnox.building.wheel_contents import RECORD_FILES, parse_entry_points
from relnox.core import fixes
from relnox.errors import Problem

_REBUILD_FIX = "build it again, and change wheels only with tools that update RECORD (wheel, auditwheel)"
_ENTRY_POINT_FIX = 'write it like demo = "demo.cli:main" in [project.scripts]'
_INCLUDE_MODULES_FIX = (
    "include the modules in the build configuration: "
    '[tool.setuptools.packages.find] where = ["src"] (setuptools), '
    "[tool.hatch.build.targets.wheel] packages (hatchling), [tool.poetry] packages (poetry-core)"
)
_FIXES_BY_PLATFORM = {
    "linux_": "build its wheels with cibuildwheel, list them in [tool.relnox.wheels], and merge the output of the "
    "jobs: relnox collect --from DIR; to release the sdist only, list none there: NAME = []",
    "macosx_": "set MACOSX_DEPLOYMENT_TARGET=11.0 (since macOS 11 the minor version is 0), or use cibuildwheel",
}
_DEFAULT_PLATFORM_FIX = "publish this wheel to a private index only; elsewhere installers build from the sdist"
_MAX_TAGS = 1000
_MAX_RECORD_SIZE = 64 << 20
_OBJECT_REFERENCE = re.compile(
    r"[^\W\d]\w*(\.[^\W\d]\w*)*(?P<attribute>\s*:\s*[^\W\d]\w*(\.[^\W\d]\w*)*)?\s*(\[[^\[\]]*\])?"
)
_SCRIPT_GROUPS = ("console_scripts", "gui_scripts")
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
_MAGIC_BYTES = 8
_CHECKED_BY_RULES = ("W007", "W008")
"""Codes of check-wheel-contents for empty wheels, which the rules check with regard to the project's settings."""


def check_platforms(archive: Archive) -> Iterator[Problem]:
    """Yield the platform tags of a wheel that the public index rejects."""
    for platform in sorted(archive.platforms):
        if index_rules.ACCEPTED_PLATFORMS.fullmatch(platform) is None:
            fixes_of_platform = (fix for start, fix in _FIXES_BY_PLATFORM.items() if platform.startswith(start))
            message = f"platform tag {platform} is rejected by the public index"
            fix = next(fixes_of_platform, _DEFAULT_PLATFORM_FIX)
            yield Problem("archive-invalid", message, fix, level="rejected-by-index")


def run_check_wheel_contents(archive: Archive) -> Iterator[Problem]:
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
        message = f"check-wheel-contents cannot read the wheel ({problem})"
        yield Problem(
            "build-failed", message, fixes.install_command("relnox[check]", upgrade=True), level="warning"
        )
        return
    for failure in failed:
        if failure.check.name not in _CHECKED_BY_RULES:
            files = f": {format_names(failure.args)}" if failure.args else ""
            yield Problem(
                "build-failed",
                f"check-wheel-contents {failure.check.name}: {failure.check.value}{files}",
                "fix the build configuration (the README of check-wheel-contents explains the codes)",
                level="warning",
            )


def has_native_module(archive: Archive) -> bool:
    """Return whether a wheel has an extension module or a shared library, according to file names."""
    return any(map(_NATIVE_MODULE.fullmatch, archive.member_names))


def has_native_file(archive: Archive) -> bool:
    """Return whether a wheel has a script or a file with native code, according to file names and first bytes."""
    return (
        has_native_module(archive)
        or any(_NATIVE_FILE.fullmatch(member) or ".data/scripts/" in member for member in archive.member_names)
        or any(content.startswith(_NATIVE_MAGIC_NUMBERS) for _, content in iter_files(archive, _MAGIC_BYTES))
    )


def missing_extensions_fix(package: str) -> str:
    """Return what to do if a wheel has no native modules."""
    command = fixes.task_command("build-all", "--verbose")
    return (
        f"find out why the build does not compile them: {command}; if they are optional, set "
        f'optional-extensions = ["{package}"] in [tool.relnox]'
    )


def _read_dist_info(subject: Subject, file: str) -> str | None:
    archive = subject.archive
    name = find_dist_info_file(archive, file)
    return None if name is None else read_file(archive, name).decode("utf-8", "replace")


def _other_dist_info(subject: Subject) -> str | None:
    archive = subject.archive
    tops = {member.partition("/")[0] for member in archive.member_names}
    directories = {top for top in tops if top.endswith(".dist-info")}
    expected = "-".join(archive.path.name.split("-")[:2]) + ".dist-info"
    return None if directories == {expected} else f"{', '.join(sorted(directories))}, expected {expected}"


def _differing_tags(subject: Subject) -> bool:
    if (text := _read_dist_info(subject, "WHEEL")) is None:
        return False
    tags: set[Tag] = set()
    for line in HeaderParser().parsestr(text).get_all("Tag", []):
        number = math.prod(part.count(".") + 1 for part in line.split("-"))
        if number > _MAX_TAGS or line.count("-") != 2:  # noqa: PLR2004 - interpreter, ABI, platform
            return True
        tags |= parse_tag(line)
    return tags != subject.archive.tags


def _other_wheel_version(subject: Subject) -> str | None:
    text = _read_dist_info(subject, "WHEEL") or ""
    version = HeaderParser().parsestr(text).get("Wheel-Version", "missing").strip()
    return None if version.partition(".")[0] == "1" else version


def _record_problems(subject: Subject) -> Iterator[str]:
    """Yield what is wrong with RECORD; `installer` compares it with the files, in both directions here."""
    archive = subject.archive
    try:
        with WheelFile.open(archive.path) as wheel:
            wheel.validate_record()
    except InstallerError as problem:
        issues = getattr(problem, "issues", [str(problem)])
        texts = (
            issue.replace(f"In {archive.path}, ", "").replace(f" from {archive.path}", "") for issue in issues
        )
        yield format_names(texts)
        return
    name = find_dist_info_file(archive, "RECORD")
    assert name is not None  # installer read it  # noqa: S101
    lines = read_file(archive, name, _MAX_RECORD_SIZE).decode().splitlines()
    recorded = {row[0] for row in parse_record_file(filter(None, lines))}
    signatures = {f"{name.rpartition('/')[0]}/{file}" for file in RECORD_FILES}
    if missing := recorded - set(archive.member_names) - signatures:
        yield f"lists files that are missing: {format_names(missing)}"


def _parse_entry_points(subject: Subject) -> ConfigParser | str:
    """Return the parsed entry points, or why they cannot be parsed."""
    try:
        return parse_entry_points(_read_dist_info(subject, "entry_points.txt") or "")
    except ConfigError as problem:
        return str(problem).splitlines()[0]


def _unparsed_entry_points(subject: Subject) -> str | None:
    parsed = _parse_entry_points(subject)
    return parsed if isinstance(parsed, str) else None


def _invalid_entry_points(subject: Subject) -> Iterator[str]:
    if isinstance(parser := _parse_entry_points(subject), str):
        return
    for group in parser.sections():
        for name, value in parser.items(group):
            reference = _OBJECT_REFERENCE.fullmatch(value)
            is_script = group in _SCRIPT_GROUPS
            if is_script and ("/" in name or "\\" in name or name in ("", ".", "..")):
                yield f"script {name!r} would be installed outside the scripts directory"
            if reference is None:
                yield f"entry point {name} = {value!r} is not an object reference (module:object)"
            elif is_script and reference["attribute"] is None:
                yield f"script {name} = {value!r} does not refer to a function"


def _is_empty(subject: Subject) -> bool:
    return not any(map(_is_useful_when_installed, subject.archive.member_names))


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
    if name == "py.typed" or name.startswith(".") or "__pycache__" in parts:
        return False
    return len(parts) > 1 or _PROJECT_FILES.fullmatch(name) is None


def _platforms_without_native_code(subject: Subject) -> str | None:
    archive, expected = subject.archive, subject.expected
    if archive.platforms == {"any"} or expected.extensions_are_optional or _is_empty(subject):
        return None
    return None if has_native_file(archive) else format_names(archive.platforms)


def _native_module_for_any_platform(subject: Subject) -> str | None:
    is_for_any = subject.archive.platforms == {"any"}
    return next(filter(_NATIVE_MODULE.fullmatch, subject.archive.member_names), None) if is_for_any else None


RULES = (
    Rule(
        _other_wheel_version,
        "Wheel-Version is {} in the WHEEL file (installers support 1.x)",
        "build with a current version of the build backend",
    ),
    Rule(
        _differing_tags,
        "the tags in the WHEEL file differ from those in the file name",
        "build it again, or change the tags with `wheel tags` instead of renaming the file",
    ),
    Rule(
        _other_dist_info,
        "metadata directory is {} (rejected by the public index)",
        "remove the build directory, then build it again, and do not rename the file",
        level="rejected-by-index",
    ),
    Rule(_record_problems, "RECORD is wrong: {}", _REBUILD_FIX),
    Rule(_unparsed_entry_points, "entry_points.txt cannot be parsed: {}", _ENTRY_POINT_FIX),
    Rule(_invalid_entry_points, "{}", _ENTRY_POINT_FIX),
    Rule(
        lambda subject: not subject.expected.may_be_empty and _is_empty(subject),
        "is empty (no modules, scripts or data)",
        lambda subject: (
            f"{_INCLUDE_MODULES_FIX}; if the package only consists of requirements, set "
            f'metadata-only = ["{subject.archive.name}"] in [tool.relnox]'
        ),
        code="archive-content",
    ),
    Rule(
        _platforms_without_native_code,
        "is tagged for {}, but has no native modules or programs",
        lambda subject: missing_extensions_fix(subject.archive.name),
    ),
    Rule(
        _native_module_for_any_platform,
        "is tagged for any platform, but contains {}",
        "mark the wheel as platform-specific: has_ext_modules (setuptools), infer_tag (hatchling)",
        level="warning",
    ),
)
