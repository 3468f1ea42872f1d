"""What the public index accepts: its rules for uploads, copied from its source code as of `AS_OF`.

They apply to it, to its test index, to the embedded index, and to indexes with the setting `public-rules`.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

AS_OF = date(2026, 8, 21)
UPLOAD_WINDOW = timedelta(days=14)
"""The time after the first file of a release during which more files are accepted for it (since July 2026)."""
METADATA_VERSIONS = ("1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5")
MAX_SUMMARY_LENGTH = 512
MAX_URL_LABEL_LENGTH = 32
MAX_FILE_SIZE = 100 << 20
"""The default limit in bytes, which a project may raise."""
MAX_PROJECT_SIZE = 10 << 30
"""The default limit of all files of a project in bytes, which a project may raise."""
SCRIPT_NAME = re.compile(r"[\w.-]+")
ENCRYPTED_CODE = {
    "Pyarmor": re.compile(rb"__pyarmor__\(__name__, __file__,|__pyarmor_(enter|exit|assert|bcc)__"),
    "SourceDefender": re.compile(rb"---(?:BEGIN) PYE FILE---(?s:.)*---(?:END) PYE FILE---"),
}
"""Programs whose output is rejected, and how it is recognized; the patterns do not match this file."""
_LINUX = "x86_64|i686|aarch64|armv7l|ppc64le|s390x"
_MACOS = "ppc|ppc64|i386|x86_64|arm64|intel|fat|fat3|fat64|universal|universal2"
_PLATFORMS = re.compile(
    "any|win32|win_(arm64|amd64|ia64)|linux_armv[67]l"
    "|manylinux(1|2010)_(x86_64|i686)"
    f"|manylinux2014_({_LINUX}|ppc64)"
    f"|manylinux_[0-9]+_[0-9]+_({_LINUX}|riscv64|ppc64)"
    f"|musllinux_[0-9]+_[0-9]+_({_LINUX}|riscv64)"
    f"|macosx_(10_[0-9]+|(1[1-5]|26)_0)_({_MACOS})"
    "|ios_[0-9]+_[0-9]+_(arm64|x86_64)_(iphoneos|iphonesimulator)"
    "|android_[0-9]+_(armeabi_v7a|arm64_v8a|x86|x86_64)"
    "|pyemscripten_[0-9]+_[0-9]+_wasm32"  # PEP 783
)


def storage_limit_in_bytes(megabytes: int | None) -> int:
    """Convert the limit of all files of a project from MB (millions of bytes); None is the default, 10 GiB."""
    return MAX_PROJECT_SIZE if megabytes is None else megabytes * 10**6


def accepts_platform_tag(tag: str) -> bool:
    """Return whether the public index (PyPI) accepts wheels with a platform tag such as `win_amd64`."""
    return _PLATFORMS.fullmatch(tag) is not None
