"""The wheel matrix: which wheels there are for which package, and whether a release has them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relnox.core.packages import Package, VersionSource
from relnox.core.release import wheel_targets, wheels
from relnox.core.settings.config import Config
from relnox.core.settings.config_tables import WheelsConfig
from relnox.core.settings.schema import fields_of
from relnox.errors import Blocked

GOLDEN = Path(__file__).parent / "golden" / "wheel-matrix.json"

CLASSIFIER = "Programming Language :: Python :: "


def package(name: str = "fastcalc", python: str = ">=3.9", pythons: tuple[str, ...] = ()) -> Package:
    return Package(
        name=name,
        directory=name,
        version=None,
        source=VersionSource(kind="dynamic", file=f"{name}/pyproject.toml"),
        backend="maturin",
        requires_python=python,
        classifiers=tuple(CLASSIFIER + each for each in pythons),
    )


def settings(**more: Any) -> WheelsConfig:
    return WheelsConfig(
        **{"packages": ("fastcalc",), "systems": ("manylinux",), "architectures": ("x86_64",)} | more
    )


def identifiers(which: Package, wanted: WheelsConfig) -> list[str]:
    return [each for job in wheels.plan_wheel_jobs(which, wanted) for each in job.identifiers]


def built_with(which: Package, wanted: WheelsConfig | None = None) -> list[str]:
    """The CPythons of one target."""
    return [each.partition("-")[0] for each in identifiers(which, wanted or settings())]


def test_the_matrix_is_the_golden_one() -> None:
    # CPython 3.9 to 3.14 on three systems, Linux with both of its C libraries, on every processor's usual name.
    wanted = settings(systems=WheelsConfig().systems, architectures=("x86_64", "arm64"), free_threaded=True)

    matrix = wheels.github_matrix(wheels.plan_wheel_jobs(package(), wanted))

    assert matrix == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_every_identifier_is_one_that_cibuildwheel_4_knows() -> None:
    # From cibuildwheel 4.3.4, resources/build-platforms.toml, without PyPy, GraalPy, Pyodide and mobile systems.
    linux = ("x86_64", "i686", "aarch64", "ppc64le", "s390x", "armv7l", "riscv64")
    platforms = [f"{system}_{processor}" for system in ("manylinux", "musllinux") for processor in linux]
    platforms += ["macosx_x86_64", "macosx_arm64", "macosx_universal2", "win32", "win_amd64", "win_arm64"]
    pythons = ("cp39", "cp310", "cp311", "cp312", "cp313", "cp314", "cp314t")
    processors = tuple({target.architecture for target in wheel_targets.TARGETS})
    wanted = settings(systems=WheelsConfig().systems, architectures=processors, free_threaded=True)

    found = identifiers(package(), wanted)

    assert sorted(found) == sorted(f"{python}-{platform}" for python in pythons for platform in platforms)


def test_settings_accept_all_targets() -> None:
    fields = {field.name: field for field in fields_of(WheelsConfig)}

    assert fields["systems"].choices == tuple(dict.fromkeys(target.system for target in wheel_targets.TARGETS))
    assert set(fields["architectures"].choices) == {target.architecture for target in wheel_targets.TARGETS}


@pytest.mark.parametrize(
    ("python", "found"),
    [
        ("", "cp39 cp310 cp311 cp312 cp313 cp314"),
        (">=3.8", "cp39 cp310 cp311 cp312 cp313 cp314"),
        (">=3.11", "cp311 cp312 cp313 cp314"),
        (">=3.11.4,<3.14", "cp311 cp312 cp313"),
        (">=3.9,!=3.10.*,<4", "cp39 cp311 cp312 cp313 cp314"),
        ("<=3.12", "cp39 cp310 cp311"),  # 3.12.0 only, which is outdated
        ("~=3.12", "cp312 cp313 cp314"),
        ("==3.13.*", "cp313"),
        ("^3.12", "cp312 cp313 cp314"),  # Poetry's
        ("~3.11 || ~3.13", "cp311 cp313"),
        ("*", "cp39 cp310 cp311 cp312 cp313 cp314"),
    ],
)
def test_requires_python_selects_the_pythons(python: str, found: str) -> None:
    assert built_with(package(python=python)) == found.split()


def test_classifiers_narrow_the_pythons() -> None:
    assert built_with(package(python=">=3.10", pythons=("3.9", "3.10", "3.12", "3.19"))) == ["cp310", "cp312"]
    assert built_with(package(python=">=3.13", pythons=("3", "3 :: Only", "2.7"))) == ["cp313", "cp314"]


def test_free_threaded_builds_are_opt_in() -> None:
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
def test_wheels_for_several_pythons_are_built_with_the_oldest(abi: str, found: list[str]) -> None:
    wanted = settings(abi={"fastcalc": abi}, free_threaded=True)

    assert built_with(package(python=">=3.11"), wanted) == found


def test_skipped_wheels_are_in_no_job() -> None:
    wanted = settings(systems=("manylinux", "musllinux"), skip=("cp39-*", "cp310-musllinux_*"))

    found = identifiers(package(python="<3.12"), wanted)

    assert found == ["cp310-manylinux_x86_64", "cp311-manylinux_x86_64", "cp311-musllinux_x86_64"]


def test_packages_without_settings_have_no_platform_wheels() -> None:
    assert wheels.plan_wheel_jobs(package("plain"), settings()) == ()
    assert wheels.expected_files(package("plain"), settings()).wheels == ("py3-none-any",)
    with_glob = Config.parse({"wheels": {"packages": ["Fastcalc.*"]}}).wheels
    assert wheels.plan_wheel_jobs(package("fastcalc-core"), with_glob) != ()


def test_an_empty_matrix_is_rejected() -> None:
    with pytest.raises(Blocked, match=r"exclude all platform wheels of fastcalc for CPython 3\.9 to 3\.14"):
        wheels.plan_wheel_jobs(package(python=">=4"), settings())


def test_an_invalid_requires_python_is_rejected() -> None:
    with pytest.raises(Blocked, match=r"fastcalc/pyproject\.toml: requires-python = '>=3\.x' is invalid"):
        wheels.plan_wheel_jobs(package(python=">=3.x"), settings())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"abi": {"plain": "abi3"}}, r"plain in .* abi has no platform wheels"),
        ({"skip": ("cp39-manylinx_*",)}, r"'cp39-manylinx_\*' in .* skip matches no wheel"),
        ({"skip": ("pp*",)}, r"'pp\*' in .* skip matches no wheel"),
    ],
)
def test_settings_without_a_match_are_rejected(more: dict[str, Any], message: str) -> None:
    with pytest.raises(Blocked, match=message):
        wheels.check_wheel_settings(settings(**more), ["fastcalc", "plain"])


def test_settings_with_a_match_are_accepted() -> None:
    wheels.check_wheel_settings(
        settings(packages=("fast*",), abi={"fastcalc": "none"}, skip=("*-win32", "cp314t-*")), ["fastcalc"]
    )


# how cibuildwheel is called


def test_a_job_is_one_command() -> None:
    (job,) = wheels.plan_wheel_jobs(
        package(python=">=3.13"), settings(systems=("windows",), architectures=("arm64",))
    )

    command = wheels.cibuildwheel_command(job, sdist="dist/fastcalc-1.0.tar.gz", output="wheels")

    assert job.name == "fastcalc-windows-arm64"
    assert " ".join(command.argv) == (
        "cibuildwheel --platform windows --archs ARM64 --output-dir wheels dist/fastcalc-1.0.tar.gz"
    )
    assert dict(command.environment) == {"CIBW_BUILD": "cp313-win_arm64 cp314-win_arm64", "CIBW_SKIP": ""}


def test_a_single_wheel_uses_only() -> None:
    (job,) = wheels.plan_wheel_jobs(package(), settings(abi={"fastcalc": "abi3"}))

    command = wheels.cibuildwheel_command(job, sdist="dist/fastcalc-1.0.tar.gz", output="wheels")

    assert " ".join(command.argv) == (
        "cibuildwheel --only cp39-manylinux_x86_64 --output-dir wheels dist/fastcalc-1.0.tar.gz"
    )
    assert command.environment == ()


# whether a release has all of its files


SDIST = "fastcalc-1.0.tar.gz"


def compared(wanted: WheelsConfig, *files: str, python: str = ">=3.13") -> tuple[list[str], list[str]]:
    found = wheels.expected_files(package(python=python), wanted).compare(files)
    return list(found.missing), list(found.unexpected)


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
def test_wheels_are_matched_by_their_tags(system: str, architecture: str, tags: str) -> None:
    wanted = settings(systems=(system,), architectures=(architecture,), free_threaded=True)
    files = [f"fastcalc-1.0-{python}-{tags}.whl" for python in ("cp313-cp313", "cp314-cp314", "cp314-cp314t")]

    assert compared(wanted, SDIST, *files) == ([], [])
    assert len(compared(wanted, SDIST, *files[1:])[0]) == 1
    assert len(compared(wanted, SDIST, files[1], *files[1:])[0]) == 1


def test_a_package_without_wheels_has_only_an_sdist() -> None:
    wanted = wheels.expected_files(package("plain"), settings(packages=(), sdist_only=("pl*",)))
    assert wanted.compare(["plain-1.0.tar.gz"]) == wheels.FileComparison()
    assert wanted.compare(["plain-1.0-py3-none-any.whl"]) == wheels.FileComparison(
        missing=("sdist",), unexpected=("plain-1.0-py3-none-any.whl",)
    )


def test_a_package_cannot_have_platform_wheels_and_be_released_without_wheels() -> None:
    with pytest.raises(Blocked, match="fast is in both packages and sdist-only"):
        wheels.check_wheel_settings(settings(packages=("f*",), sdist_only=("fast",)), ["fast", "other"])


def test_missing_and_extra_files_are_listed() -> None:
    files = (
        "fastcalc-1.0-cp313-cp313-linux_x86_64.whl",  # no index takes it
        "fastcalc-1.0-cp314-cp314-manylinux_2_28_x86_64.whl",
        "fastcalc-1.0-1-cp314-cp314-manylinux_2_28_x86_64.whl",  # another build of the same
        "fastcalc-1.0-cp314-cp314-win_amd64.whl",
        "fastcalc-1.0-py3-none-any.whl",
        "notes.txt",
    )

    missing, extra = compared(settings(), *files)

    assert missing == ["sdist", "cp313-manylinux_x86_64"]
    assert extra == sorted({files[0], files[1], *files[3:]})


def test_abi3_wheels_of_older_pythons_match() -> None:
    wanted = settings(abi={"fastcalc": "abi3"})

    assert compared(wanted, SDIST, "fastcalc-1.0-cp311-abi3-manylinux_2_28_x86_64.whl") == ([], [])
    for tag in ("cp314-abi3", "cp313-cp313", "py3-none"):
        assert compared(wanted, SDIST, f"fastcalc-1.0-{tag}-manylinux_2_28_x86_64.whl")[0] == [
            "cp313-manylinux_x86_64"
        ]


def test_wheels_without_python_abi_match() -> None:
    wanted = settings(abi={"fastcalc": "none"})

    assert compared(wanted, SDIST, "fastcalc-1.0-py3-none-manylinux_2_28_x86_64.whl") == ([], [])


def test_a_pure_package_has_an_sdist_and_a_wheel() -> None:
    pure = wheels.expected_files(package("plain"), settings())

    assert pure.compare(["plain-1.0.tar.gz", "plain-1.0-py3-none-any.whl"]) == wheels.FileComparison()
    assert pure.compare(["plain-1.0.tar.gz", "plain-1.0-py2.py3-none-any.whl"]) == wheels.FileComparison()
    assert pure.compare(["plain-1.0-py3-none-win32.whl"]) == wheels.FileComparison(
        missing=("sdist", "py3-none-any"), unexpected=("plain-1.0-py3-none-win32.whl",)
    )
