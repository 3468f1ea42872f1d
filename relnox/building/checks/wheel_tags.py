"""Checks of a wheel's tags against its WHEEL file (PEP 427), compiled files, and what the public index accepts."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from packaging.tags import parse_tag

from relnox.building.archives import find_dist_info_file, read_file
from relnox.building.findings import error, rejected_by_index, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

_MAX_TAG_COUNT = 10_000
_EXTENSION_SUFFIXES = (".so", ".pyd", ".dylib", ".dll")
_REBUILD_FIX = "build it again, and change wheels only with tools that update RECORD (wheel, auditwheel)"
_LINUX_ARCHITECTURES = "x86_64|i686|aarch64|armv7l|ppc64le|s390x"
_MAC_ARCHITECTURES = "ppc|ppc64|i386|x86_64|arm64|intel|fat|fat3|fat32|fat64|universal|universal2"
_ACCEPTED_PLATFORMS = re.compile(
    "any|win32|win_(arm64|amd64|ia64)|linux_armv[67]l"
    "|manylinux(1|2010)_(x86_64|i686)"
    f"|manylinux2014_({_LINUX_ARCHITECTURES}|ppc64)"
    f"|manylinux_[0-9]+_[0-9]+_({_LINUX_ARCHITECTURES}|riscv64|ppc64)"
    f"|musllinux_[0-9]+_[0-9]+_({_LINUX_ARCHITECTURES}|riscv64)"
    f"|macosx_(10_[0-9]+|(1[1-9]|[2-9][0-9])_0)_({_MAC_ARCHITECTURES})"
    "|ios_[0-9]+_[0-9]+_(arm64|x86_64)_(iphoneos|iphonesimulator)"
    "|android_[0-9]+_(armeabi_v7a|arm64_v8a|x86|x86_64)"
    "|pyodide_[0-9]+_[0-9]+_wasm32"  # PEP 783
)

_FIXES_BY_PLATFORM = {
    "linux_": "build a manylinux wheel: cibuildwheel, maturin build --compatibility pypi, or auditwheel repair",
    "macosx_": "set MACOSX_DEPLOYMENT_TARGET=11.0 (since macOS 11 the minor version is 0), or use cibuildwheel",
}
_DEFAULT_FIX = "publish this wheel to a private index only; elsewhere installers build from the sdist"


def check_tags(archive: Archive) -> Iterator[Finding]:
    """Yield platform tags of a wheel that the public index rejects, and tags that contradict its content."""
    for platform in sorted(archive.platforms):
        if not is_accepted_platform(platform):
            fix = next(
                (fix for start, fix in _FIXES_BY_PLATFORM.items() if platform.startswith(start)), _DEFAULT_FIX
            )
            yield rejected_by_index(
                "platform-tag-rejected", f"platform tag {platform} is rejected by the public index", fix
            )
    yield from _check_wheel_file(archive)


def is_accepted_platform(platform: str) -> bool:
    """Return whether the public index accepts wheels with a platform tag, according to its source code."""
    return _ACCEPTED_PLATFORMS.fullmatch(platform) is not None


def _check_wheel_file(archive: Archive) -> Iterator[Finding]:
    """Yield problems with the WHEEL file, and tags that do not match the file name or compiled files."""
    name = find_dist_info_file(archive, "WHEEL")
    if name is None:
        yield error("wheel-file-missing", "the WHEEL file is missing (PEP 427)", _REBUILD_FIX)
        return
    text = read_file(archive, name).decode("utf-8", "replace")
    lines = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    if (
        sum(prod(part.count(".") + 1 for part in value.split("-")) for key, value in lines if key == "Tag")
        > _MAX_TAG_COUNT
    ):
        yield error("too-many-tags", "the WHEEL file has too many tags", _REBUILD_FIX)
        return
    in_file = {tag for key, value in lines if key == "Tag" for tag in _parse_tags(value)}
    if in_file != archive.tags:
        yield error(
            "tags-differ-from-file-name",
            "the tags in the WHEEL file differ from those in the file name",
            "build it again, or change the tags with `wheel tags` instead of renaming the file",
        )
    version = dict(lines).get("Wheel-Version", "")
    if version.partition(".")[0] != "1":
        yield error(
            "wheel-version-unsupported",
            f"Wheel-Version is {version!r} in the WHEEL file (installers support 1.x)"
            if version
            else "the WHEEL file has no Wheel-Version field (PEP 427)",
            "build with a current version of the build backend",
        )
    compiled = [member for member in archive.member_names if member.endswith(_EXTENSION_SUFFIXES)]
    if compiled and archive.platforms == {"any"}:
        yield warning(
            "extension-in-pure-wheel",
            f"is tagged for any platform, but contains {compiled[0]}",
            "mark the wheel as platform-specific: has_ext_modules (setuptools), infer_tag (hatchling)",
        )


def _parse_tags(text: str) -> Iterable[Tag]:
    try:
        return parse_tag(text)
    except ValueError:
        return ()
