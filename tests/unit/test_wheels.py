"""The wheel matrix: which wheels there are for which package, and whether a release has them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relnox.core import wheels
from relnox.core.config import WheelsConfig, config_table
from relnox.core.packages import Package, VersionSource
from relnox.errors import Blocked

GOLDEN = Path(__file__).parent / "golden" / "wheel-matrix.json"

CLASSIFIER = "Programming Language :: Python :: "


def package(name: str = "engine", python: str = ">=3.9", pythons: tuple[str, ...] = ()) -> Package:
    return Package(
        name=name,
        folder=name,
        version=None,
        source=VersionSource(kind="dynamic", file=f"{name}/pyproject.toml"),
        backend="maturin",
        python=python,
        classifiers=tuple(CLASSIFIER + each for each in pythons),
    )


def settings(**more: Any) -> WheelsConfig:
    return WheelsConfig(
        **{"packages": ("engine",), "systems": ("manylinux",), "architectures": ("x86_64",)} | more
    )


def identifiers(which: Package, wanted: WheelsConfig) -> list[str]:
    return [each for job in wheels.jobs(which, wanted) for each in job.identifiers]


def built_with(which: Package, wanted: WheelsConfig | None = None) -> list[str]:
    """The CPythons of one target."""
    return [each.partition("-")[0] for each in identifiers(which, wanted or settings())]


def test_the_matrix_is_the_golden_one() -> None:
    # CPython 3.9 to 3.14 on three systems, Linux with both of its C libraries, on every processor's usual name.
    wanted = settings(systems=WheelsConfig().systems, architectures=("x86_64", "arm64"), free_threaded=True)

    matrix = wheels.github_matrix(wheels.jobs(package(), wanted))

    assert matrix == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_every_identifier_is_one_that_cibuildwheel_4_knows() -> None:
    # From cibuildwheel 4.3.4, resources/build-platforms.toml, without PyPy, GraalPy, Pyodide and mobile systems.
    linux = ("x86_64", "i686", "aarch64", "ppc64le", "s390x", "armv7l", "riscv64")
    platforms = [f"{system}_{processor}" for system in ("manylinux", "musllinux") for processor in linux]
    platforms += ["macosx_x86_64", "macosx_arm64", "macosx_universal2", "win32", "win_amd64", "win_arm64"]
    pythons = ("cp39", "cp310", "cp311", "cp312", "cp313", "cp314", "cp314t")
    processors = tuple({target.architecture for target in wheels.TARGETS})
    wanted = settings(systems=WheelsConfig().systems, architectures=processors, free_threaded=True)

    found = identifiers(package(), wanted)

    assert sorted(found) == sorted(f"{python}-{platform}" for python in pythons for platform in platforms)


def test_settings_know_every_target() -> None:
    table: Any = config_table({}).keys["wheels"]

    assert table.keys["systems"].choices == tuple(dict.fromkeys(target.system for target in wheels.TARGETS))
    assert set(table.keys["architectures"].choices) == {target.architecture for target in wheels.TARGETS}


@pytest.mark.parametrize(
    ("python", "found"),
    [
        ("", "cp39 cp310 cp311 cp312 cp313 cp314"),
        (">=3.8", "cp39 cp310 cp311 cp312 cp313 cp314"),
        (">=3.11", "cp311 cp312 cp313 cp314"),
        (">=3.11.4,<3.14", "cp311 cp312 cp313"),
        (">=3.9,!=3.10.*,<4", "cp39 cp311 cp312 cp313 cp314"),
        ("<=3.12", "cp39 cp310 cp311"),  # 3.12.0 alone, and nobody has that
        ("~=3.12", "cp312 cp313 cp314"),
        ("==3.13.*", "cp313"),
        ("^3.12", "cp312 cp313 cp314"),  # Poetry's
        ("~3.11 || ~3.13", "cp311 cp313"),
        ("*", "cp39 cp310 cp311 cp312 cp313 cp314"),
    ],
)
def test_requires_python_says_which_pythons(python: str, found: str) -> None:
    assert built_with(package(python=python)) == found.split()


def test_classifiers_narrow_it_and_do_not_widen_it() -> None:
    assert built_with(package(python=">=3.10", pythons=("3.9", "3.10", "3.12", "3.19"))) == ["cp310", "cp312"]
    assert built_with(package(python=">=3.13", pythons=("3", "3 :: Only", "2.7"))) == ["cp313", "cp314"]


def test_free_threaded_builds_are_asked_for() -> None:
    wanted = settings(free_threaded=True)

    assert built_with(package(python=">=3.13"), wanted) == ["cp313", "cp314", "cp314t"]
    assert built_with(package(python="<3.14"), wanted)[-1] == "cp313"


@pytest.mark.parametrize(
    ("abi", "found"),
    [
        ("abi3", ["cp311", "cp314t"]),
        ("none", ["cp311"]),
        ("cpython", ["cp311", "cp312", "cp313", "cp314", "cp314t"]),
    ],
)
def test_a_wheel_that_serves_several_pythons_is_built_with_the_oldest(abi: str, found: list[str]) -> None:
    wanted = settings(abi={"engine": abi}, free_threaded=True)

    assert built_with(package(python=">=3.11"), wanted) == found


def test_what_is_skipped_is_in_no_job() -> None:
    wanted = settings(systems=("manylinux", "musllinux"), skip=("cp39-*", "cp310-musllinux_*"))

    found = identifiers(package(python="<3.12"), wanted)

    assert found == ["cp310-manylinux_x86_64", "cp311-manylinux_x86_64", "cp311-musllinux_x86_64"]


def test_a_package_that_is_not_named_has_no_platform_wheels() -> None:
    assert wheels.jobs(package("plain"), settings()) == ()
    assert wheels.expected_files(package("plain"), settings()).wheels == ("py3-none-any",)
    assert wheels.jobs(package("engine-core"), settings(packages=("Engine.*",))) != ()


def test_a_matrix_of_nothing_is_refused() -> None:
    with pytest.raises(Blocked, match=r"engine has platform wheels, but none is left of CPython 3\.9 to 3\.14"):
        wheels.jobs(package(python=">=4"), settings())


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(Blocked, match=r"engine/pyproject\.toml: requires-python = '>=3\.x' cannot be read"):
        wheels.jobs(package(python=">=3.x"), settings())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"packages": ("engin",)}, r"'engin' of .* packages means no package of this workspace"),
        ({"abi": {"plain": "abi3"}}, r"abi names plain, which has no platform wheels"),
        ({"skip": ("cp39-manylinx_*",)}, r"'cp39-manylinx_\*' of .* skip means no wheel"),
        ({"skip": ("pp*",)}, r"'pp\*' of .* skip means no wheel"),
    ],
)
def test_settings_that_mean_nothing_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(Blocked, match=message):
        wheels.check_settings(settings(**more), ["engine", "plain"])


def test_settings_that_mean_something_are_taken() -> None:
    wheels.check_settings(
        settings(packages=("eng*",), abi={"engine": "none"}, skip=("*-win32", "cp314t-*")), ["engine"]
    )


# how cibuildwheel is called


def test_a_job_is_one_call_of_cibuildwheel() -> None:
    (job,) = wheels.jobs(package(python=">=3.13"), settings(systems=("windows",), architectures=("arm64",)))

    command = wheels.cibuildwheel_command(job, sdist="dist/engine-1.0.tar.gz", output="wheels")

    assert job.name == "engine-windows-arm64"
    assert " ".join(command.argv) == (
        "cibuildwheel --platform windows --archs ARM64 --output-dir wheels dist/engine-1.0.tar.gz"
    )
    assert dict(command.environment) == {"CIBW_BUILD": "cp313-win_arm64 cp314-win_arm64", "CIBW_SKIP": ""}


def test_a_single_wheel_is_named_to_cibuildwheel() -> None:
    (job,) = wheels.jobs(package(), settings(abi={"engine": "abi3"}))

    command = wheels.cibuildwheel_command(job, sdist="dist/engine-1.0.tar.gz", output="wheels")

    assert " ".join(command.argv) == (
        "cibuildwheel --only cp39-manylinux_x86_64 --output-dir wheels dist/engine-1.0.tar.gz"
    )
    assert command.environment == ()


# whether a release has all of its files


SDIST = "engine-1.0.tar.gz"


def compared(wanted: WheelsConfig, *files: str, python: str = ">=3.13") -> tuple[list[str], list[str]]:
    found = wheels.expected_files(package(python=python), wanted).compare(files)
    return list(found.missing), list(found.extra)


@pytest.mark.parametrize(
    ("system", "architecture", "tags"),
    [
        ("manylinux", "x86_64", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("manylinux", "arm64", "manylinux_2_28_aarch64"),
        ("musllinux", "x86", "musllinux_1_2_i686"),
        ("macos", "x86_64", "macosx_10_13_x86_64"),
        ("macos", "arm64", "macosx_11_0_arm64"),
        ("macos", "universal2", "macosx_10_13_universal2"),
        ("windows", "x86", "win32"),
        ("windows", "x86_64", "win_amd64"),
        ("windows", "arm64", "win_arm64"),
    ],
)
def test_a_wheel_is_known_by_its_tags(system: str, architecture: str, tags: str) -> None:
    wanted = settings(systems=(system,), architectures=(architecture,), free_threaded=True)
    files = [f"engine-1.0-{python}-{tags}.whl" for python in ("cp313-cp313", "cp314-cp314", "cp314-cp314t")]

    assert compared(wanted, SDIST, *files) == ([], [])
    assert len(compared(wanted, SDIST, *files[1:])[0]) == 1
    assert len(compared(wanted, SDIST, files[1], *files[1:])[0]) == 1


def test_what_is_missing_and_what_is_too_much_is_named() -> None:
    files = (
        "engine-1.0-cp313-cp313-linux_x86_64.whl",  # no index takes it
        "engine-1.0-cp314-cp314-manylinux_2_28_x86_64.whl",
        "engine-1.0-1-cp314-cp314-manylinux_2_28_x86_64.whl",  # another build of the same
        "engine-1.0-cp314-cp314-win_amd64.whl",
        "engine-1.0-py3-none-any.whl",
        "notes.txt",
    )

    missing, extra = compared(settings(), *files)

    assert missing == ["sdist", "cp313-manylinux_x86_64"]
    assert extra == sorted({files[0], files[1], *files[3:]})


def test_a_stable_abi_serves_from_an_older_python_on() -> None:
    wanted = settings(abi={"engine": "abi3"})

    assert compared(wanted, SDIST, "engine-1.0-cp311-abi3-manylinux_2_28_x86_64.whl") == ([], [])
    for tag in ("cp314-abi3", "cp313-cp313", "py3-none"):
        assert compared(wanted, SDIST, f"engine-1.0-{tag}-manylinux_2_28_x86_64.whl")[0] == [
            "cp313-manylinux_x86_64"
        ]


def test_a_program_needs_no_python() -> None:
    wanted = settings(abi={"engine": "none"})

    assert compared(wanted, SDIST, "engine-1.0-py3-none-manylinux_2_28_x86_64.whl") == ([], [])


def test_a_pure_package_has_two_files() -> None:
    pure = wheels.expected_files(package("plain"), settings())

    assert pure.compare(["plain-1.0.tar.gz", "plain-1.0-py3-none-any.whl"]) == wheels.Comparison()
    assert pure.compare(["plain-1.0.tar.gz", "plain-1.0-py2.py3-none-any.whl"]) == wheels.Comparison()
    assert pure.compare(["plain-1.0-py3-none-win32.whl"]) == wheels.Comparison(
        missing=("sdist", "py3-none-any"), extra=("plain-1.0-py3-none-win32.whl",)
    )
