"""Platform tags that the public index accepts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from relnox.building.findings import rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

__all__ = ["check_platform_tags", "is_accepted"]

_LINUX = "x86_64|i686|aarch64|armv7l|ppc64le|s390x"
_MAC = "ppc|ppc64|i386|x86_64|arm64|intel|fat|fat3|fat32|fat64|universal|universal2"
_ACCEPTED = re.compile(
    "any|win32|win_(arm64|amd64|ia64)|linux_armv[67]l"
    "|manylinux(1|2010)_(x86_64|i686)"
    f"|manylinux2014_({_LINUX}|ppc64)"
    f"|manylinux_[0-9]+_[0-9]+_({_LINUX}|riscv64|ppc64)"
    f"|musllinux_[0-9]+_[0-9]+_({_LINUX}|riscv64)"
    f"|macosx_(10_[0-9]+|(1[1-9]|[2-9][0-9])_0)_({_MAC})"
    "|ios_[0-9]+_[0-9]+_(arm64|x86_64)_(iphoneos|iphonesimulator)"
    "|android_[0-9]+_(armeabi_v7a|arm64_v8a|x86|x86_64)"
    "|pyodide_[0-9]+_[0-9]+_wasm32"  # PEP 783
)

_FIXES = {
    "linux_": "build a manylinux wheel: cibuildwheel, maturin build --compatibility pypi, or auditwheel repair",
    "macosx_": "set MACOSX_DEPLOYMENT_TARGET=11.0 (since macOS 11 the minor version is 0), or use cibuildwheel",
}
_OTHER_FIX = "publish this wheel to a private index only; elsewhere installers build from the sdist"


def check_platform_tags(archive: Archive) -> Iterator[Finding]:
    """Find platform tags of a wheel that the public index rejects."""
    tags = parse_wheel_filename(archive.path.name)[3]
    for platform in sorted({tag.platform for tag in tags}):
        if not is_accepted(platform):
            fix = next((fix for start, fix in _FIXES.items() if platform.startswith(start)), _OTHER_FIX)
            yield rejected(
                "platform-tag-rejected", f"platform tag {platform} is rejected by the public index", fix
            )


def is_accepted(platform: str) -> bool:
    """Return whether the public index accepts wheels for a platform, as listed in its source code."""
    return _ACCEPTED.fullmatch(platform) is not None
