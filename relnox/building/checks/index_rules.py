"""The public index's rules for archives, copied from its source code."""

from __future__ import annotations

import re

AS_OF = "2026-11"
"""When the rules were copied."""

METADATA_VERSIONS = ("1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5")
MAX_SUMMARY_LENGTH = 512
MAX_FILE_SIZE = 100 << 20

_LINUX_ARCHITECTURES = "x86_64|i686|aarch64|armv7l|ppc64le|s390x"
_MAC_ARCHITECTURES = "ppc|ppc64|i386|x86_64|arm64|intel|fat|fat3|fat32|fat64|universal|universal2"
ACCEPTED_PLATFORMS = re.compile(
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
