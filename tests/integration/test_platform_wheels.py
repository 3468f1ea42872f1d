"""Wheels for platforms: for each Python that needs its own, and by jobs of cibuildwheel."""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import packed
import pytest
from backends import in_tree
from projects import commit_all, git, repository, write
from running import run

from relnox.building.interpreters import find_interpreter
from relnox.building.platform_wheels import is_installable_on
from relnox.core.release.manifest import Manifest
from relnox.errors import Blocked

if TYPE_CHECKING:
    from running import RunResult

pytestmark = pytest.mark.heavy

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
TESTS = Path(__file__).parents[1]


def build_all(root: Path, *options: str) -> RunResult:
    return run(root, "relnox", "build-all", *options)


def archives(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.endswith((".whl", ".tar.gz")))


def manifest(directory: Path) -> Manifest:
    return Manifest.from_json((directory / "manifest.json").read_text(encoding="utf-8"), where=str(directory))


# --- one wheel, several Pythons ----------------------------------------------------------------------------

SERVES = {
    "a-1-py3-none-any.whl": "3.8 3.9 3.12 3.14",
    "a-1-py2.py3-none-any.whl": "3.8 3.9 3.12 3.14",
    "a-1-py2-none-any.whl": "",
    "a-1-py39-none-any.whl": "3.9 3.12 3.14",
    "a-1-py3-none-manylinux_2_17_x86_64.whl": "3.8 3.9 3.12 3.14",
    "a-1-py3-none-win_arm64.whl": "3.8 3.9 3.12 3.14",
    "a-1-cp39-abi3-macosx_11_0_arm64.whl": "3.9 3.12 3.14",
    "a-1-cp39-abi3-linux_x86_64.whl": "3.9 3.12 3.14",
    "a-1-cp312-abi3-win_amd64.whl": "3.12 3.14",
    "a-1-cp38.cp39-abi3-linux_x86_64.whl": "3.8 3.9 3.12 3.14",
    "a-1-cp39-cp39-linux_x86_64.whl": "3.9",
    "a-1-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl": "3.12",
    "a-1-cp39-none-any.whl": "3.9",
    "a-1-cp314-cp314t-linux_x86_64.whl": "",
    "a-1-pp39-pypy39_pp73-linux_x86_64.whl": "",
}


@pytest.mark.parametrize("wheel", SERVES)
def test_pythons_that_a_wheel_supports(wheel: str) -> None:
    assert [python for python in ("3.8", "3.9", "3.12", "3.14") if is_installable_on(wheel, python)] == SERVES[
        wheel
    ].split()


def test_a_patch_release_is_supported_like_its_series() -> None:
    assert is_installable_on("a-1-cp312-cp312-linux_x86_64.whl", "3.12.4")


def two_pythons() -> tuple[str, str]:
    """Two that are there; the test fails where they are not."""
    found = []
    for version in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
        try:
            find_interpreter(version)
        except Blocked:
            continue
        found.append(version)
    assert len(found) > 1, f"only {', '.join(found)}: install another Python, by uv or pyenv"
    return found[0], found[-1]


def tag_of(version: str) -> str:
    return f"cp{version.replace('.', '')}"


def tagged(root: Path, tag: str) -> Path:
    """A package whose backend gives its wheel a tag: an expression of Python in which `cp` is the running one."""
    root.mkdir(parents=True, exist_ok=True)
    in_tree(root)
    backend = root / "backend/house.py"
    text = backend.read_text()
    name, line = (
        'f"{STEM}-py3-none-any.whl"',
        'b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"',
    )
    assert name in text
    assert line in text
    text = text.replace(name, 'f"{STEM}-{TAG}.whl"').replace(
        line, 'f"Wheel-Version: 1.0\\nTag: {TAG}\\n".encode()'
    )
    loop = "        for module in MODULES:\n"
    native = '        if not TAG.endswith("-any"):\n            add("_home.so", b"\\x7fELF")\n'
    assert loop in text
    text = text.replace(loop, f"{native}{loop}")
    cp = 'cp = "cp%s%s" % sys.version_info[:2]'
    backend.write_text(f"import sys\n{cp}\nTAG = {tag}\n{text}")
    return root


EACH = "f'{cp}-{cp}-macosx_11_0_arm64'"  # which nothing on any machine looks into


def test_a_duplicate_python_option_gives_one_wheel(tmp_path: Path) -> None:
    root = tagged(tmp_path, EACH)
    ran = build_all(root, "--python", HERE, "--python", HERE)
    assert ran.code == 0, ran.text
    assert archives(root / "dist") == [
        f"home-1.0-{tag_of(HERE)}-{tag_of(HERE)}-macosx_11_0_arm64.whl",
        "home-1.0.tar.gz",
    ]


def test_a_duplicate_python_option_runs_the_tests_once(tmp_path: Path) -> None:
    in_tree(tmp_path)
    with (tmp_path / "pyproject.toml").open("a") as out:
        out.write('\n[tool.relnox.test]\ncommand = ["python", "--version"]\n')
    ran = build_all(tmp_path, "--test", "--python", HERE, "--python", HERE)
    assert ran.code == 0, ran.text
    assert ran.err.count(f"test home {HERE}") == 1


@pytest.mark.parametrize("version", ["3.99", "nonsense", "3.13t"])
def test_an_invalid_python_is_rejected_before_any_build(version: str, tmp_path: Path) -> None:
    root = tagged(tmp_path, EACH)
    backend = root / "backend/house.py"
    backend.write_text(backend.read_text() + f"\nopen({str(tmp_path / 'at-work')!r}, 'w').close()\n")
    ran = build_all(root, "--python", version)
    assert ran.code == 1, ran.text
    assert version in ran.err
    assert not (tmp_path / "at-work").exists()


@pytest.mark.parametrize("task", [[], ["--test"]])
def test_a_missing_python_is_reported_and_leaves_no_files(task: list[str], tmp_path: Path) -> None:
    root = tagged(tmp_path, EACH)
    with (root / "pyproject.toml").open("a") as out:
        out.write('\n[tool.relnox.test]\ncommand = ["python", "--version"]\n')
    ran = build_all(root, "--python", HERE, "--python", "3.99", *task)
    assert ran.code == 1, ran.text
    assert "Python 3.99 is not installed" in ran.err
    assert "uv python install 3.99" in ran.err
    assert not (root / "dist").exists() or list((root / "dist").iterdir()) == []


@pytest.mark.native
@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (EACH, ["{0}-{0}-macosx_11_0_arm64", "{1}-{1}-macosx_11_0_arm64"]),
        ("f'{cp}-abi3-macosx_11_0_arm64'", ["{0}-abi3-macosx_11_0_arm64"]),
        ("'py3-none-macosx_11_0_arm64'", ["py3-none-macosx_11_0_arm64"]),
        ("'py3-none-any'", ["py3-none-any"]),
    ],
)
def test_pythons_supported_by_an_earlier_wheel_get_no_wheel(tag: str, expected: list[str], tmp_path: Path) -> None:
    older, newer = two_pythons()
    root = tagged(tmp_path, tag)
    ran = build_all(root, "--python", newer, "--python", older)  # in any order
    assert ran.code == 0, ran.text
    wheels = [f"home-1.0-{each.format(tag_of(older), tag_of(newer))}.whl" for each in expected]
    assert archives(root / "dist") == sorted([*wheels, "home-1.0.tar.gz"])
    assert [file.filename for file in manifest(root / "dist").distributions] == ["home-1.0.tar.gz", *wheels]


# --- packages without wheels ------------------------------------------------------------------------------

SDIST_ONLY = '\n[tool.relnox.wheels]\nsdist-only = ["home"]\n'
PLATFORM_WHEELS = '\n[tool.relnox.wheels]\npackages = ["home"]\nsystems = ["macos"]\narchitectures = ["arm64"]\n'


def with_settings(root: Path, settings: str) -> Path:
    """Replace the settings of the package in `root`, and commit."""
    file = root / "pyproject.toml"
    write(root, {"pyproject.toml": file.read_text().partition("\n[tool.relnox")[0] + settings})
    commit_all(root, "chore: other settings")
    return root


def test_a_package_can_be_released_as_an_sdist_only(tmp_path: Path) -> None:
    # The platform tag would be rejected by the public index, but the wheel is not released.
    root = with_settings(repository(tagged(tmp_path / "home", "f'{cp}-{cp}-linux_x86_64'")), SDIST_ONLY)
    ran = build_all(root)
    assert ran.code == 0, ran.text
    assert archives(root / "dist") == ["home-1.0.tar.gz"]
    assert [file.filename for file in manifest(root / "dist").distributions] == ["home-1.0.tar.gz"]


def test_an_sdist_from_which_no_wheel_can_be_built_is_not_released(tmp_path: Path) -> None:
    root = with_settings(repository(in_tree(tmp_path, hook="raise SystemExit('no header file')")), SDIST_ONLY)
    ran = build_all(root)
    assert ran.code == 2, ran.text
    assert "no header file" in ran.err
    assert archives(root / "dist") == []


def test_a_package_without_wheels_is_tested_published_and_verified(tmp_path: Path) -> None:
    test = '[tool.relnox.test]\ncommand = ["python", "-Ic", "import home; print(home.name)"]\n'
    root = with_settings(repository(in_tree(tmp_path / "home")), SDIST_ONLY + test)
    ran = build_all(root, "--test")
    assert ran.code == 0, ran.text
    ran = run(root, "relnox", "publish-test", "--index", "embedded")
    assert ran.code == 0, ran.text
    assert "uploading 1 file" in ran.err or "upload home-1.0.tar.gz" in ran.err
    assert "built from the sdist" in ran.err
    ran = run(root, "relnox", "collect", "--from", "dist", "--output", "collected")
    assert ran.code == 0, ran.text
    assert archives(root / "collected") == ["home-1.0.tar.gz"]


def test_a_package_that_needs_one_without_wheels_is_built_with_its_sdist(tmp_path: Path) -> None:
    in_tree(tmp_path / "home")
    in_tree(tmp_path / "app", "app", hook="import home; assert home.name == 'home'")
    pyproject = tmp_path / "app/pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("requires = []", 'requires = ["home"]'))
    settings = '[tool.relnox]\npackages = ["home", "app"]\n'
    root = repository(write(tmp_path, {"pyproject.toml": settings + SDIST_ONLY}))
    ran = build_all(root)
    assert ran.code == 0, ran.text
    assert archives(root / "dist") == ["app-1.0-py3-none-any.whl", "app-1.0.tar.gz", "home-1.0.tar.gz"]


def test_a_package_whose_wheel_is_not_in_the_manifest_is_built_again(tmp_path: Path) -> None:
    root = repository(in_tree(tmp_path / "home"))
    assert build_all(root).code == 0
    file = root / "dist/manifest.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    for names in (["home-1.0.tar.gz"], []):
        document["artifacts"] = [each for each in document["artifacts"] if each["name"] in names]
        file.write_text(json.dumps(document), encoding="utf-8")
        ran = build_all(root)
        assert ran.code == 0, ran.text
        assert len(manifest(root / "dist").distributions) == 2


def test_a_package_is_built_again_if_other_archives_are_to_be_released(tmp_path: Path) -> None:
    root = repository(in_tree(tmp_path / "home"))
    both = ["home-1.0-py3-none-any.whl", "home-1.0.tar.gz"]
    for settings, options, expected in (
        (PLATFORM_WHEELS, ["--skip-platform-wheels"], both[1:]),
        (PLATFORM_WHEELS, [], both),
        (SDIST_ONLY, [], both[1:]),
        ("", [], both),
    ):
        with_settings(root, f"{settings}\n[tool.relnox.test]\nrequires = {options}\n")  # never an equal commit
        ran = build_all(root, *options)
        assert ran.code == 0, ran.text
        assert [file.filename for file in manifest(root / "dist").distributions] == sorted(expected, reverse=True)


EXTENSION = """\
#define PY_SSIZE_T_CLEAN
%s
#include <Python.h>

static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", "", -1, methods};
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
"""


def compiled(root: Path, *, abi3: str = "") -> Path:
    """A C extension by setuptools, for one Python or, from a version on, for the stable ABI."""
    limited, more = (
        (f"#define Py_LIMITED_API 0x03{int(abi3[2:]):02x}0000", ", py_limited_api=True") if abi3 else ("", "")
    )
    options = f', options={{"bdist_wheel": {{"py_limited_api": "{tag_of(abi3)}"}}}}' if abi3 else ""
    return write(
        root,
        {
            "pyproject.toml": """\
                [build-system]
                requires = ["setuptools>=77,<81"]
                build-backend = "setuptools.build_meta"

                [project]
                name = "demo"
                version = "1.0"
                requires-python = ">=3.9"

                [tool.relnox.test]
                command = ["python", "-Ic", "import demo, sys; print(demo.answer(), 'on', *sys.version_info[:2])"]
                """,
            "setup.py": (
                "from setuptools import Extension, setup\n\n"
                f'module = Extension("demo._fast", ["fast.c"]{more})\n'
                f'setup(packages=["demo"], ext_modules=[module]{options})\n'
            ),
            "MANIFEST.in": "include fast.c\n",
            "fast.c": EXTENSION % limited,
            "demo/__init__.py": "from demo._fast import answer\n",
            ".gitignore": "dist/\n*.egg-info/\nbuild/\n",
        },
    )


@pytest.mark.native
@pytest.mark.network
def test_a_c_extension_gets_a_wheel_per_python(tmp_path: Path) -> None:
    older, newer = two_pythons()
    root = compiled(tmp_path)
    ran = build_all(root, "--python", older, "--python", newer)
    assert ran.code == 0, ran.text
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    wheels = [f"demo-1.0-{tag_of(each)}-{tag_of(each)}-{platform}.whl" for each in (older, newer)]
    assert archives(root / "dist") == sorted([*wheels, "demo-1.0.tar.gz"])


@pytest.mark.native
@pytest.mark.network
def test_wheels_of_a_c_extension_are_tested_on_their_python(tmp_path: Path) -> None:
    older, newer = two_pythons()
    root = compiled(tmp_path)
    ran = build_all(root, "--python", older, "--python", newer, "--test", "--verbose")
    assert ran.code == 0, ran.text
    for each in (older, newer):
        assert f"| 42 on {each.replace('.', ' ')}" in ran.err


@pytest.mark.native
@pytest.mark.network
def test_a_c_extension_for_the_stable_abi_has_one_wheel_and_is_tested_on_each_python(tmp_path: Path) -> None:
    older, newer = two_pythons()
    root = compiled(tmp_path, abi3=older)
    ran = build_all(root, "--python", newer, "--python", older, "--test", "--verbose")
    assert ran.code == 0, ran.text
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert archives(root / "dist") == [f"demo-1.0-{tag_of(older)}-abi3-{platform}.whl", "demo-1.0.tar.gz"]
    for each in (older, newer):
        assert f"| 42 on {each.replace('.', ' ')}" in ran.err


def test_tests_run_on_the_requested_python(tmp_path: Path) -> None:
    in_tree(tmp_path)
    look = "import home, sys; print('on', *sys.version_info[:2])"
    with (tmp_path / "pyproject.toml").open("a") as out:
        out.write(f'\n[tool.relnox.test]\ncommand = ["python", "-Ic", "{look}"]\n')
    ran = build_all(tmp_path, "--test", "--python", HERE, "--verbose")
    assert ran.code == 0, ran.text
    assert f"| on {HERE.replace('.', ' ')}" in ran.err
    assert f"test home {HERE}: python -Ic" in ran.err


@pytest.mark.native
def test_tests_run_on_all_requested_pythons(tmp_path: Path) -> None:
    older, newer = two_pythons()
    in_tree(tmp_path)
    look = "import home, sys; print('on', *sys.version_info[:2])"
    pyproject = (tmp_path / "pyproject.toml").read_text()
    settings = '{}\n[tool.relnox.test]\ncommand = ["python", "-Ic", "{}"]\n'
    (tmp_path / "pyproject.toml").write_text(settings.format(pyproject, look))
    ran = build_all(tmp_path, "--test", "--python", older, "--python", newer, "--verbose")
    assert ran.code == 0, ran.text
    for each in (older, newer):
        assert f"| on {each.replace('.', ' ')}" in ran.err
    assert len(archives(tmp_path / "dist")) == 2
    failing = f"import sys; sys.exit(sys.version_info[:2] == ({newer.replace('.', ', ')}))"
    (tmp_path / "pyproject.toml").write_text(settings.format(pyproject, failing))
    ran = build_all(tmp_path, "--clean", "--test", "--python", older, "--python", newer)
    assert ran.code == 2, ran.text
    assert f"FAILED  test home {newer}" in ran.err
    assert not (tmp_path / "dist/manifest.json").exists()


# --- wheels for one Linux ----------------------------------------------------------------------------------

LINUX = "f'{cp}-{cp}-linux_x86_64'"
ONE_LINUX = f"home-1.0-{tag_of(HERE)}-{tag_of(HERE)}-linux_x86_64.whl"


def test_linux_wheels_of_public_packages_are_rejected(tmp_path: Path) -> None:
    root = repository(tagged(tmp_path / "home", LINUX))
    ran = build_all(root)
    assert ran.code == 2, ran.text
    assert f"{ONE_LINUX}: platform tag linux_x86_64 is rejected by the public index" in ran.err
    assert "cibuildwheel: relnox build-all --wheels JOB, and merge them: relnox collect --from DIR" in ran.err
    assert archives(root / "dist") == []
    tried = build_all(root, "--from-tree")
    assert tried.code == 0, tried.text
    assert archives(root / "dist") == [ONE_LINUX, "home-1.0.tar.gz"]


def test_private_packages_may_have_linux_wheels(tmp_path: Path) -> None:
    root = tagged(tmp_path / "home", LINUX)
    text = (root / "pyproject.toml").read_text()
    private = 'classifiers = ["Private :: Do Not Upload"]\ndependencies'
    (root / "pyproject.toml").write_text(text.replace("dependencies", private))
    ran = build_all(repository(root))
    assert ran.code == 0, ran.text
    assert archives(root / "dist") == [ONE_LINUX, "home-1.0.tar.gz"]


# --- the matrix, and its jobs ------------------------------------------------------------------------------

STAND_IN = """\
#!{python}
import os, sys
sys.path.insert(0, {tests!r})
import json, pathlib, tarfile
import packed

words = sys.argv[1:]
sdist, output = pathlib.Path(words[-1]), pathlib.Path(words[words.index("--output-dir") + 1])
only = [words[words.index("--only") + 1]] if "--only" in words else os.environ["CIBW_BUILD"].split()
settings = {{name: value for name, value in os.environ.items() if name.startswith("CIBW_")}}
seen = {{"words": words, "settings": settings, "secrets": [name for name in os.environ if "TOKEN" in name]}}
with open({log!r}, "a") as out:
    out.write(json.dumps(seen) + "\\n")
with tarfile.open(sdist) as archive:
    metadata = archive.extractfile("demo_app-1.0/PKG-INFO").read().decode()
behavior = os.environ.get("STAND_IN", "")
print("cibuildwheel was here")
if behavior == "fails":
    sys.exit(3)
if behavior == "missing":
    only = only[:-1]
if behavior == "extra":
    only.append("cp312-manylinux_x86_64")
for identifier in only:
    python, _, platform = identifier.partition("-")
    platform = platform.replace("linux_", "linux_2_28_")
    stem = "demo_app-2.0" if behavior == "wrong version" else "demo_app-1.0"
    name = f"{{stem}}-{{python}}-{{python.removesuffix('t')}}-{{platform}}.whl"
    if behavior == "wrong version":
        metadata = metadata.replace("Version: 1.0\\n", "Version: 2.0\\n")
    packed.wheel(output, name=name, metadata=metadata, drop=["demo_app/py.typed"] if behavior == "damaged" else [])
"""

LINUX_JOB, WINDOWS_JOB = "demo-app-manylinux-x86_64", "demo-app-windows-x86_64"
LINUX_WHEELS = [f"demo_app-1.0-{each}-{each}-manylinux_2_28_x86_64.whl" for each in ("cp313", "cp314")]
WINDOWS_WHEEL = "demo_app-1.0-cp314-cp314-win_amd64.whl"
SDIST = "demo_app-1.0.tar.gz"


def matrix_project(root: Path) -> Path:
    """A package whose command makes its sdist alone, in a repository: two wheels for Linux, one for Windows."""
    (root / "made").mkdir(parents=True)
    packed.sdist(root / "made")
    copy = "import shutil, sys; shutil.copy('made/demo_app-1.0.tar.gz', sys.argv[1])"
    return repository(
        write(
            root,
            {
                "pyproject.toml": f"""\
                    [project]
                    name = "demo-app"
                    version = "1.0"
                    requires-python = ">=3.13"
                    dependencies = ["six>=1"]
                    optional-dependencies.fast = ["attrs"]

                    [tool.relnox.build]
                    commands = {{ demo-app = ["{sys.executable}", "-c", "{copy}", "{{output}}"] }}

                    [tool.relnox.wheels]
                    packages = ["demo-*"]
                    systems = ["manylinux", "windows"]
                    architectures = ["x86_64"]
                    skip = ["cp313-win*"]
                    """,
                "README.md": "# Demo\n",
                "LICENSE": "MIT\n",
                "src/demo_app/__init__.py": packed.MODULES["demo_app/__init__.py"],
                "src/demo_app/py.typed": "",
                ".gitignore": "/dist/\n/jobs/\n",
            },
        )
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, its sdist in `dist`, and a stand-in for cibuildwheel on PATH."""
    root = matrix_project(tmp_path / "home")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/cibuildwheel"
    program.write_text(
        STAND_IN.format(python=sys.executable, tests=str(TESTS), log=str(tmp_path / "log")), encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    ran = build_all(root)
    assert ran.code == 0, ran.text
    assert archives(root / "dist") == [SDIST]
    return root


def calls(root: Path) -> list[dict[str, Any]]:
    """How the stand-in was called."""
    log = root.parent / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_matrix_writes_one_line_and_builds_nothing(tmp_path: Path) -> None:
    root = matrix_project(tmp_path / "home")
    ran = build_all(root, "--matrix", "matrix.json")
    assert ran.code == 0, ran.text
    text = (root / "matrix.json").read_text()
    assert text == (
        '{"include":[{"name":"demo-app-manylinux-x86_64","package":"demo-app","system":"manylinux",'
        '"architecture":"x86_64","platform":"linux","archs":"x86_64","runner":"ubuntu-latest","emulated":false,'
        '"identifiers":["cp313-manylinux_x86_64","cp314-manylinux_x86_64"]},'
        '{"name":"demo-app-windows-x86_64","package":"demo-app","system":"windows","architecture":"x86_64",'
        '"platform":"windows","archs":"AMD64","runner":"windows-latest","emulated":false,'
        '"identifiers":["cp314-win_amd64"]}]}'
    )
    assert not (root / "dist").exists()
    ran = build_all(root, "--matrix", "ci/of/matrix.json")
    assert (root / "ci/of/matrix.json").read_text() == text
    dry = build_all(root, "--matrix", "other.json", "--dry-run")
    assert dry.code == 0, dry.text
    assert "write the jobs for platform wheels to other.json" in dry.out + dry.err
    assert not (root / "other.json").exists()


@pytest.mark.parametrize("words", [["--matrix", "matrix.json"], ["--wheels", "demo-app-manylinux-x86_64"]])
def test_a_wheels_pattern_without_match_is_rejected(words: list[str], tmp_path: Path) -> None:
    root = matrix_project(tmp_path / "home")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace('"demo-*"', '"dmeo-*"'))
    ran = build_all(root, *words)
    assert ran.code == 1, ran.text
    assert "'dmeo-*' in [tool.relnox.wheels] packages matches no package of this workspace" in ran.err
    assert not (root / "matrix.json").exists()


def test_matrix_and_wheels_cannot_be_combined(root: Path) -> None:
    ran = build_all(root, "--matrix", "matrix.json", "--wheels", LINUX_JOB)
    assert ran.code == 1, ran.text


def test_a_second_job_in_one_directory_keeps_existing_files(root: Path) -> None:
    assert build_all(root, "--wheels", LINUX_JOB).code == 0
    assert build_all(root, "--wheels", WINDOWS_JOB).code == 0
    names = [file.filename for file in manifest(root / "dist").distributions]
    assert sorted(names) == sorted([SDIST, *LINUX_WHEELS, WINDOWS_WHEEL])


def test_the_sdist_job_and_all_wheel_jobs_are_a_release(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPI_TOKEN", "canary-4711")
    monkeypatch.setenv("CIBW_BUILD", "cp312-*")  # of the machine: what is expected counts
    shutil.copytree(root / "dist", root / "jobs/sdist")
    assert build_all(root, "--matrix", "jobs/matrix.json").code == 0
    for job in json.loads((root / "jobs/matrix.json").read_text())["include"]:
        directory = f"jobs/{job['name']}"
        shutil.copytree(root / "dist", root / directory)
        ran = build_all(root, "--wheels", job["name"], "--output", directory)
        assert ran.code == 0, ran.text
        wheels = LINUX_WHEELS if job["name"] == LINUX_JOB else [WINDOWS_WHEEL]
        assert archives(root / directory) == sorted([SDIST, *wheels])
        made = manifest(root / directory)
        assert [file.filename for file in made.distributions] == [SDIST, *wheels]
        assert (made.commit, made.dirty) == (git(root, "rev-parse", "HEAD"), False)
    linux, windows = calls(root)
    assert linux["words"][:4] == ["--platform", "linux", "--archs", "x86_64"]
    assert linux["words"][-1] == str(root / "jobs" / LINUX_JOB / SDIST)
    assert linux["settings"] == {"CIBW_BUILD": "cp313-manylinux_x86_64 cp314-manylinux_x86_64", "CIBW_SKIP": ""}
    assert windows["words"][:2] == ["--only", "cp314-win_amd64"]
    assert linux["secrets"] == windows["secrets"] == []
    collected = run(root, "relnox", "collect", "--from", "jobs", "--output", "all")
    assert collected.code == 0, collected.text
    assert archives(root / "all") == sorted([SDIST, *LINUX_WHEELS, WINDOWS_WHEEL])
    shutil.rmtree(root / "jobs" / WINDOWS_JOB)
    less = run(root, "relnox", "collect", "--from", "jobs", "--output", "less")
    assert less.code == 1, less.text
    assert "demo-app lacks cp314-win_amd64" in less.err


def test_a_finished_job_is_skipped_unless_a_wheel_is_missing_or_changed(root: Path) -> None:
    assert build_all(root, "--wheels", LINUX_JOB).code == 0
    again = build_all(root, "--wheels", LINUX_JOB)
    assert again.code == 0, again.text
    assert "2 wheels up to date" in again.err
    assert len(calls(root)) == 1
    assert [file.filename for file in manifest(root / "dist").distributions] == [SDIST, *LINUX_WHEELS]
    first = root / "dist" / LINUX_WHEELS[0]
    content = first.read_bytes()
    first.unlink()
    assert build_all(root, "--wheels", LINUX_JOB).code == 0
    assert len(calls(root)) == 2
    with zipfile.ZipFile(first, "a") as changed:
        changed.comment = b"changed"
    ran = build_all(root, "--wheels", LINUX_JOB)
    assert ran.code == 0, ran.text
    assert len(calls(root)) == 3
    assert first.read_bytes() == content


BAD = {
    "missing": [f"cibuildwheel did not build the wheels of {LINUX_JOB}: cp314-manylinux_x86_64 is missing"],
    "extra": [
        "demo_app-1.0-cp312-cp312-manylinux_2_28_x86_64.whl was not requested",
        "select wheels in [tool.relnox.wheels]",
    ],
    "wrong version": ["version is 2.0, but 1.0 was planned"],
    "damaged": ["files listed in RECORD are missing: demo_app/py.typed"],
    "fails": [f"cibuildwheel for {LINUX_JOB} failed with status 3", "| cibuildwheel was here"],
}


@pytest.mark.parametrize("case", BAD)
def test_unexpected_wheels_reject_the_whole_job(case: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in (root / "dist").iterdir()}
    monkeypatch.setenv("STAND_IN", case)
    ran = build_all(root, "--wheels", LINUX_JOB)
    assert ran.code == 2, ran.text
    for said in BAD[case]:
        assert said in ran.err
    assert {path.name: path.read_bytes() for path in (root / "dist").iterdir()} == before


def test_wheels_are_built_only_from_an_sdist_of_the_manifest(root: Path) -> None:
    nothing = "the sdist of demo-app is missing (it is not in dist, or not in its manifest)"

    def refused(said: str) -> None:
        ran = build_all(root, "--wheels", LINUX_JOB)
        assert ran.code == 2, ran.text
        assert said in ran.err
        assert "relnox build-all --package demo-app" in ran.err or said != nothing

    (root / "dist/manifest.json").rename(root / "manifest.json")
    refused(nothing)
    (root / "manifest.json").rename(root / "dist/manifest.json")
    packed.sdist(root / "dist", {"src/other.py": ""})
    refused(f"{SDIST} was changed or removed after it was built")
    (root / "dist" / SDIST).unlink()
    refused(nothing)
    shutil.rmtree(root / "dist")
    refused(nothing)
    assert calls(root) == []


def test_wheels_are_built_only_from_an_sdist_of_the_current_commit(root: Path) -> None:
    # The manifest says of which commit all of its files are.
    write(root, {"src/demo_app/__init__.py": "changed = True\n"})
    old = git(root, "rev-parse", "HEAD")
    new = commit_all(root)
    ran = build_all(root, "--wheels", LINUX_JOB)
    assert ran.code == 2, ran.text
    assert f"{SDIST} was built from {old}, but this checkout is at {new}" in ran.err
    write(root, {"src/demo_app/__init__.py": "changed = 'again'\n"})
    assert build_all(root, "--from-tree").code == 0
    ran = build_all(root, "--wheels", LINUX_JOB)
    assert ran.code == 2, ran.text
    assert f"{SDIST} was built from {new} with uncommitted changes" in ran.err
    assert calls(root) == []


def test_an_unknown_job_lists_the_jobs(root: Path) -> None:
    ran = build_all(root, "--wheels", "demo-app-linux-x86_64")
    assert ran.code == 1, ran.text
    assert "job demo-app-linux-x86_64 is not in the matrix" in ran.err
    assert f"use one of {LINUX_JOB}, {WINDOWS_JOB}" in ran.err
    text = (root / "pyproject.toml").read_text().partition("[tool.relnox.wheels]")[0]
    (root / "pyproject.toml").write_text(text)
    ran = build_all(root, "--wheels", LINUX_JOB)
    assert ran.code == 1, ran.text
    assert "list packages in [tool.relnox.wheels] first" in ran.err


def test_a_missing_cibuildwheel_is_reported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("cibuildwheel", path=str(Path(sys.executable).parent)):
        pytest.fail("cibuildwheel is beside this Python: it is none of the dependencies of the tests")
    (root.parent / "bin/cibuildwheel").unlink()
    ran = build_all(root, "--wheels", LINUX_JOB)
    assert ran.code == 1, ran.text
    assert "cibuildwheel is not installed" in ran.err
    assert "pip install cibuildwheel" in ran.err
    assert archives(root / "dist") == [SDIST]
