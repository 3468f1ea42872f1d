"""The operating systems and processors that cibuildwheel builds CPython's wheels for."""

from __future__ import annotations

from typing import Literal

from relnox.core.records import Record

System = Literal["manylinux", "musllinux", "macos", "windows"]


class WheelTarget(Record):
    """An operating system and a processor that wheels are built for, named as in `[tool.relnox.wheels]`.

    Attributes:
        platform: The value of cibuildwheel's `--platform`.
        archs: The value of cibuildwheel's `--archs`.
        tag: The part of cibuildwheel's build identifiers after the hyphen, such as `manylinux_x86_64`.
        runner: The label of a GitHub runner that can build such wheels.
        emulated: Whether the runner has another processor, so that it needs QEMU.
    """

    system: System
    architecture: str
    platform: str
    archs: str
    tag: str
    runner: str
    emulated: bool = False


_LINUX: tuple[System, ...] = ("manylinux", "musllinux")
TARGETS = (
    *(
        WheelTarget(system, architecture, "linux", archs, f"{system}_{archs}", runner, emulated)
        for architecture, archs, runner, emulated in (
            ("x86_64", "x86_64", "ubuntu-latest", False),
            ("arm64", "aarch64", "ubuntu-24.04-arm", False),
            ("x86", "i686", "ubuntu-latest", False),
            ("armv7l", "armv7l", "ubuntu-latest", True),
            ("ppc64le", "ppc64le", "ubuntu-latest", True),
            ("s390x", "s390x", "ubuntu-latest", True),
            ("riscv64", "riscv64", "ubuntu-latest", True),
        )
        for system in _LINUX
    ),
    WheelTarget("macos", "x86_64", "macos", "x86_64", "macosx_x86_64", "macos-15-intel"),
    WheelTarget("macos", "arm64", "macos", "arm64", "macosx_arm64", "macos-15"),
    WheelTarget("macos", "universal2", "macos", "universal2", "macosx_universal2", "macos-15"),
    WheelTarget("windows", "x86_64", "windows", "AMD64", "win_amd64", "windows-latest"),
    WheelTarget("windows", "arm64", "windows", "ARM64", "win_arm64", "windows-11-arm"),
    WheelTarget("windows", "x86", "windows", "x86", "win32", "windows-latest"),
)
