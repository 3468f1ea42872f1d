"""Which wheels a release has, whether all are there, and the jobs that build them."""

from __future__ import annotations

import pytest

from relnox.core.release.wheels import (
    RUNNERS,
    FileComparison,
    compare_files,
    github_matrix,
    has_no_wheels,
    is_installable_on,
    platform_wheel_identifiers,
)
from relnox.errors import Blocked

SDIST = "fast-1.0.tar.gz"


def compared(expected: str, *tags: str) -> tuple[str, str]:
    """The missing and the unexpected wheels of a release with these tags; blanks separate identifiers."""
    wheels = {"fast": tuple(expected.split())}
    comparison = compare_files("fast", [SDIST, *(f"fast-1.0-{tag}.whl" for tag in tags)], wheels)
    unexpected = (name.removeprefix("fast-1.0-").removesuffix(".whl") for name in comparison.unexpected)
    return " ".join(comparison.missing), " ".join(unexpected)


def test_identifiers_are_those_of_cibuildwheel_4() -> None:
    # From cibuildwheel 4.3.4, resources/build-platforms.toml, without PyPy, GraalPy, Pyodide and mobile systems.
    linux = ("x86_64", "i686", "aarch64", "ppc64le", "s390x", "armv7l", "riscv64")
    platforms = {f"{system}_{processor}" for system in ("manylinux", "musllinux") for processor in linux}
    platforms |= {"macosx_x86_64", "macosx_arm64", "macosx_universal2", "win32", "win_amd64", "win_arm64"}
    assert platforms == RUNNERS.keys()


def test_braces_list_alternatives() -> None:
    wheels = {"fast": ("cp{312, 313}-{win32,macosx_arm64}", "cp314t-win32", "cp312-win32")}
    assert platform_wheel_identifiers("fast", wheels) == (
        "cp312-win32",
        "cp312-macosx_arm64",
        "cp313-win32",
        "cp313-macosx_arm64",
        "cp314t-win32",
    )


@pytest.mark.parametrize(
    "identifier", ["", "cp312", "cp312-linux_x86_64", "pp310-win_amd64", "cp312-{win32,win64}", "cp3*-win32"]
)
def test_other_identifiers_are_rejected(identifier: str) -> None:
    with pytest.raises(Blocked, match=r"in \[tool.relnox.wheels\] fast is not a platform wheel of CPython"):
        platform_wheel_identifiers("fast", {"fast": (identifier,)})


@pytest.mark.parametrize(
    ("platform", "tag"),
    [
        ("manylinux_x86_64", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("manylinux_aarch64", "manylinux_2_28_aarch64"),
        ("musllinux_i686", "musllinux_1_2_i686"),
        ("macosx_x86_64", "macosx_10_13_x86_64"),
        ("macosx_arm64", "macosx_11_0_arm64"),
        ("macosx_universal2", "macosx_10_13_universal2"),
        ("win32", "win32"),
        ("win_amd64", "win_amd64"),
        ("win_arm64", "win_arm64"),
    ],
)
def test_wheels_are_matched_by_their_tags(platform: str, tag: str) -> None:
    tags = [f"{python}-{tag}" for python in ("cp313-cp313", "cp314-cp314", "cp314-cp314t")]
    assert compared(f"cp{{313,314,314t}}-{platform}", *tags) == ("", "")
    assert compared(f"cp{{313,314,314t}}-{platform}", *tags[1:]) == (f"cp313-{platform}", "")
    assert compared(f"cp{{314,314t}}-{platform}", *tags) == ("", tags[0])


@pytest.mark.parametrize(
    ("tags", "missing", "unexpected"),
    [
        (["cp311-abi3-manylinux_2_28_x86_64"], "", ""),
        (["cp313-abi3-manylinux_2_28_x86_64"], "cp312-manylinux_x86_64", ""),
        (["py3-none-manylinux_2_28_x86_64"], "", ""),
        (
            ["cp312-cp312-linux_x86_64", "cp313-cp313-win32", "py3-none-any", "cp313-cp313-manylinux_2_28_x86_64"],
            "cp312-manylinux_x86_64",
            "cp312-cp312-linux_x86_64 cp313-cp313-win32 py3-none-any",
        ),
    ],
)
def test_a_wheel_can_serve_several_pythons(tags: list[str], missing: str, unexpected: str) -> None:
    assert compared("cp{312,313}-manylinux_x86_64", *tags) == (missing, unexpected)


@pytest.mark.parametrize(
    ("tag", "missing"),
    [
        ("cp311-abi3-win32", "cp314t-win32 cp315t-win32"),
        ("cp315-abi3t-win32", "cp314-win32 cp315-win32 cp314t-win32"),
        ("cp315-abi3.abi3t-win32", "cp314-win32 cp314t-win32"),
    ],
)
def test_stable_abis_serve_later_pythons_of_their_kind(tag: str, missing: str) -> None:
    assert compared("cp{314,315,314t,315t}-win32", tag) == (missing, "")


@pytest.mark.parametrize(
    ("files", "missing", "unexpected"),
    [
        (["a-1.tar.gz", "a-1-py3-none-any.whl"], (), ()),
        (["a-1.tar.gz", "a-1-py2.py3-none-any.whl"], (), ()),
        (["a-1-py3-none-win32.whl"], ("sdist", "py3-none-any"), ("a-1-py3-none-win32.whl",)),
        (["a-1.tar.gz", "notes.txt"], ("py3-none-any",), ("notes.txt",)),
    ],
)
def test_other_packages_have_an_sdist_and_a_pure_wheel(
    files: list[str], missing: tuple[str, ...], unexpected: tuple[str, ...]
) -> None:
    assert compare_files("a", files, {"fast": ()}) == FileComparison(missing=missing, unexpected=unexpected)


def test_a_package_with_an_empty_list_has_only_an_sdist() -> None:
    assert has_no_wheels("fast", {"fast": ()})
    assert not has_no_wheels("other", {"fast": ()})
    assert compared("") == ("", "")
    assert compared("", "py3-none-any") == ("", "py3-none-any")


def test_the_matrix_has_a_job_for_each_platform() -> None:
    wheels = {"fast": ("cp{312,313}-{manylinux_aarch64,win_amd64}", "cp313-musllinux_s390x"), "c": ()}
    assert github_matrix(["c", "fast", "pure"], wheels) == {
        "include": [
            {
                "name": f"fast-{platform}",
                "package": "fast",
                "runner": runner,
                "emulated": emulated,
                "platform": system,
                "sdist": "fast-*.tar.gz",
                "archs": archs,
                "build": build,
            }
            for platform, runner, emulated, system, archs, build in (
                (
                    "manylinux_aarch64",
                    "ubuntu-24.04-arm",
                    False,
                    "linux",
                    "aarch64",
                    "cp312-manylinux_aarch64 cp313-manylinux_aarch64",
                ),
                ("win_amd64", "windows-latest", False, "windows", "AMD64", "cp312-win_amd64 cp313-win_amd64"),
                ("musllinux_s390x", "ubuntu-latest", True, "linux", "s390x", "cp313-musllinux_s390x"),
            )
        ]
    }


SERVES = {
    "py3-none-any": "3.8 3.9 3.12 3.14",
    "py2.py3-none-any": "3.8 3.9 3.12 3.14",
    "py2-none-any": "",
    "py39-none-any": "3.9 3.12 3.14",
    "py3-none-win_arm64": "3.8 3.9 3.12 3.14",
    "cp39-abi3-macosx_11_0_arm64": "3.9 3.12 3.14",
    "cp38.cp39-abi3-linux_x86_64": "3.8 3.9 3.12 3.14",
    "cp39-cp39-linux_x86_64": "3.9",
    "cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64": "3.12",
    "cp39-none-any": "3.9",
    "cp314-cp314t-linux_x86_64": "",
    "pp39-pypy39_pp73-linux_x86_64": "",
}


@pytest.mark.parametrize("tag", SERVES)
def test_pythons_that_a_wheel_supports(tag: str) -> None:
    pythons = ("3.8", "3.9", "3.12", "3.14")
    assert [python for python in pythons if is_installable_on(f"a-1-{tag}.whl", python)] == SERVES[tag].split()


def test_a_patch_release_is_supported_like_its_series() -> None:
    assert is_installable_on("a-1-cp312-cp312-linux_x86_64.whl", "3.12.4")
