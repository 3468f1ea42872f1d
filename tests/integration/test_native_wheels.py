"""Wheels with compiled code, for real: `nox -s native`. They need a C compiler and cargo, and never go without."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from projects import git, repository, write
from warm import build_all, contents, frontend

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.native, pytest.mark.network, pytest.mark.usefixtures("surrounded")]

EXTENSION = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", "", -1, methods};
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
"""


def pyproject(name: str, backend: str, *requires: str, settings: str = "") -> str:
    return (
        f'[build-system]\nrequires = {list(requires)}\nbuild-backend = "{backend}"\n\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
        f'classifiers = ["Private :: Do Not Upload"]\n{settings}'  # public ones may not be for one Linux alone
    )


PROJECTS = {
    "maturin": {
        "pyproject.toml": pyproject("demo", "maturin", "maturin", settings='\n[tool.maturin]\nbindings = "bin"\n'),
        "Cargo.toml": '[package]\nname = "demo"\nversion = "1.0.0"\nedition = "2021"\n',
        "Cargo.lock": 'version = 4\n\n[[package]]\nname = "demo"\nversion = "1.0.0"\n',
        "src/main.rs": 'fn main() {\n    println!("42");\n}\n',
    },
    "scikit-build-core": {
        "pyproject.toml": pyproject("demo", "scikit_build_core.build", "scikit-build-core", "cmake", "ninja"),
        "CMakeLists.txt": """\
            cmake_minimum_required(VERSION 3.15...4.0)
            project(demo LANGUAGES C)
            find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
            python_add_library(_fast MODULE fast.c WITH_SOABI)
            install(TARGETS _fast DESTINATION demo)
            """,
        "fast.c": EXTENSION,
        "src/demo/__init__.py": "from demo._fast import answer\n",
    },
    "meson-python": {
        "pyproject.toml": pyproject("demo", "mesonpy", "meson-python", "ninja"),
        "meson.build": """\
            project('demo', 'c', version: '1.0')
            py = import('python').find_installation(pure: false)
            py.extension_module('_fast', 'fast.c', install: true, subdir: 'demo')
            py.install_sources('demo/__init__.py', subdir: 'demo')
            """,
        "fast.c": EXTENSION,
        "demo/__init__.py": "from demo._fast import answer\n",
    },
    "setuptools": {
        "pyproject.toml": pyproject("demo", "setuptools.build_meta", "setuptools"),
        "setup.py": (
            "from setuptools import Extension, setup\n\n"
            'setup(packages=["demo"], ext_modules=[Extension("demo._fast", ["fast.c"])])\n'
        ),
        "fast.c": EXTENSION,
        "demo/__init__.py": "from demo._fast import answer\n",
    },
}

SBOM = "demo-1.0.dist-info/sboms/demo.cyclonedx.json"


def needs(program: str, *others: str) -> None:
    """One of these programs has to be there."""
    if not any(map(shutil.which, (program, *others))):
        pytest.fail(f"{program} is not on PATH: install it; wheels with compiled code are not proven without it")


def archives(directory: Path) -> dict[str, Path]:
    return {path.suffix: path for path in directory.iterdir() if path.suffix in (".whl", ".gz")}


def answer(wheel: Path, into: Path) -> str:
    """What the compiled code in a wheel says."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    programs = list(into.glob("*.data/scripts/*"))
    for program in programs:
        program.chmod(0o755)
    import_it = [sys.executable, "-c", "import demo; print(demo.answer())"]
    return subprocess.run(
        [programs[0]] if programs else import_it, cwd=into, capture_output=True, text=True, check=True
    ).stdout.strip()


def without_paths(wheel: Path) -> list[tuple[object, ...]]:
    """All of a wheel, but for the directory of the build in its bill of materials, and the digest of that one."""
    return [
        (
            name,
            mode,
            re.sub(rb"file:///[^ \"]*/demo-1\.0" if name == SBOM else rb"(?m)^.*/sboms/.*$", b"", content),
        )
        for name, mode, content in contents(wheel)
    ]


@pytest.mark.parametrize("requirement", PROJECTS)
def test_compiled_wheels_are_equal_in_build_all_and_python_build(
    requirement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if requirement == "maturin":
        needs("cargo")
    needs("cc", "gcc", "clang")
    root = tmp_path / "demo"
    repository(write(root, PROJECTS[requirement] | {".gitignore": "/out/\n/target/\n/build/\n*.egg-info/\n"}))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", git(root, "log", "-1", "--format=%ct"))
    monkeypatch.setenv("CFLAGS", "-g0")  # or the directory of the build would stand in the debug information
    build_all(root, "--output", "out/own", code=0)
    found = {"own": archives(root / "out" / "own")}
    frontend(root, root / "out" / "plain")
    found["plain"] = archives(root / "out" / "plain")
    wheels = [each[".whl"] for each in found.values()]
    sdists = [each[".gz"] for each in found.values()]
    assert len({path.name for path in wheels}) == len({path.name for path in sdists}) == 1
    assert ("py3-none-" in wheels[0].name) is (requirement == "maturin")
    assert "-any" not in wheels[0].name
    assert {answer(wheel, tmp_path / wheel.parent.name) for wheel in wheels} == {"42"}

    if requirement == "setuptools":  # it writes the time of the build, so that times and owners are replaced
        assert [file[:3] + file[7:] for file in contents(sdists[0])] == [
            file[:3] + file[7:] for file in contents(sdists[1])
        ]
        with tarfile.open(sdists[0]) as sdist:
            generated = next(each for each in sdist if each.name == "demo-1.0/PKG-INFO")
        assert (generated.mtime, generated.uname) == (int(os.environ["SOURCE_DATE_EPOCH"]), "")
    else:
        assert sdists[0].read_bytes() == sdists[1].read_bytes()

    if (
        requirement == "maturin"
    ):  # not stable by itself: the directory of the build stands in the bill of materials
        assert without_paths(wheels[0]) == without_paths(wheels[1])
        said = {zipfile.ZipFile(wheel).read(SBOM) for wheel in wheels}
        assert len(said) == 2, "maturin's wheels are stable now: compare their bytes"
    else:
        assert wheels[0].read_bytes() == wheels[1].read_bytes()
