"""Wheels that install nothing, or lack their native modules: refused by build-all, collect and publish."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest
import releases
from backends import in_tree
from package_index import PackageIndex
from packed import MODULES, TOP, sdist, wheel
from projects import repository
from running import run, run_in_process

from relnox.building import archives, checks
from relnox.building.checks.expected import ExpectedArchive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

PLAIN = ExpectedArchive(name="demo-app")
EMPTY = "error: is empty (no modules, scripts or data)"
LINUX = f"{TOP}-cp312-cp312-manylinux_2_28_x86_64.whl"
ELF = b"\x7fELF" + bytes(12)


def found(path: Path, expected: ExpectedArchive = PLAIN) -> list[str]:
    return [
        f"{each.level}: {each.message}" for each in checks.check_archive(archives.read_archive(path), expected)
    ]


NOTHING = {
    "only metadata and scripts of missing modules": {},
    "files of the source": {"README.md": "", "LICENSE": "", "setup.py": "", "pyproject.toml": ""},
    "a marker without a module": {"demo_app/py.typed": ""},
    "files that keep a directory": {"demo_app/.gitkeep": "", "demo_app/__pycache__/a.cpython-312.pyc": "x"},
}


@pytest.mark.parametrize("files", NOTHING.values(), ids=NOTHING)
def test_a_wheel_that_installs_nothing_is_an_error(files: dict[str, str], tmp_path: Path) -> None:
    path = wheel(tmp_path, files)
    assert EMPTY in found(path)
    allowed = ExpectedArchive(name="demo-app", may_be_empty=True)
    assert not [each for each in found(path, allowed) if each.startswith("error")]
    fix = next(
        each.fix for each in checks.check_archive(archives.read_archive(path), PLAIN) if each.message in EMPTY
    )
    settings = tomllib.loads(fix.rpartition(", set ")[2].removesuffix(" in [tool.relnox]"))
    assert settings == {"metadata-only": ["demo-app"]}


SOMETHING = {
    "a module": {"demo_app.py": ""},
    "a package in a namespace": {"acme/demo/core.py": ""},
    "stubs": {"demo_app-stubs/__init__.pyi": ""},
    "a script": {f"{TOP}.data/scripts/demo": "#!python\n"},
    "data": {"demo_app/table.json": "{}"},
    "data of the prefix": {f"{TOP}.data/data/share/demo/table.json": "{}"},
    "headers": {f"{TOP}.data/headers/demo.h": ""},
    "a path file": {"demo-app.pth": "import demo"},
    "a module in purelib": {f"{TOP}.data/purelib/demo_app.py": ""},
}


@pytest.mark.parametrize("files", SOMETHING.values(), ids=SOMETHING)
def test_a_wheel_with_modules_scripts_or_data_is_not_empty(files: dict[str, str], tmp_path: Path) -> None:
    assert not [each for each in found(wheel(tmp_path, files)) if each.startswith("error")]


def test_a_wheel_with_only_tests_is_an_error_if_its_sdist_has_more(tmp_path: Path) -> None:
    tests = archives.read_archive(wheel(tmp_path, {"tests/__init__.py": "", "tests/test_demo.py": ""}))
    source = archives.read_archive(sdist(tmp_path, {"src/demo_app/__init__.py": "", "tests/__init__.py": ""}))
    said = [each.message for each in checks.check_wheels_against_sdist([source, tests]) if each.level == "error"]
    assert said == ["has no modules except tests, but its sdist has demo_app, tests"]


@pytest.mark.parametrize(
    ("files", "native"),
    [
        ({}, False),
        ({"demo_app/table.json": "{}"}, False),
        ({"demo_app/_fast.cpython-312-x86_64-linux-gnu.so": ELF}, True),
        ({"demo_app.libs/libz-1234.so.1.3": ELF}, True),
        ({"demo_app/driver/node": ELF}, True),
        ({f"{TOP}.data/scripts/demo": ELF}, True),
        ({"demo_app/_fast.pyd": b"MZ"}, True),
    ],
)
def test_platform_wheels_need_native_files(files: dict[str, str | bytes], native: bool, tmp_path: Path) -> None:
    path = wheel(tmp_path, MODULES | files, name=LINUX)
    said = "error: is tagged for manylinux_2_28_x86_64, but has no native modules or programs"
    assert (said in found(path)) is not native
    optional = ExpectedArchive(name="demo-app", extensions_are_optional=True)
    assert said not in found(path, optional)


SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
HATCHLING = '[build-system]\nbuild-backend = "hatchling.build"\n'
DECLARED = {
    "setuptools": f'{SETUPTOOLS}[tool.setuptools]\next-modules = [{{name = "a", sources = ["a.c"]}}]\n',
    "setuptools-rust": f'{SETUPTOOLS}[[tool.setuptools-rust.ext-modules]]\ntarget = "a"\n',
    "maturin": '[build-system]\nbuild-backend = "maturin"\n',
    "hatch-cython": f"{HATCHLING}[tool.hatch.build.hooks.cython]\n",
}
NOT_DECLARED = {
    "hatch-mypyc, off by default": (
        f"{HATCHLING}[tool.hatch.build.targets.wheel.hooks.mypyc]\nenable-by-default = false\n"
    ),
    "no declaration": SETUPTOOLS,
}


@pytest.mark.parametrize("settings", [*DECLARED.values(), *NOT_DECLARED.values()], ids=[*DECLARED, *NOT_DECLARED])
def test_wheels_need_the_extensions_that_the_sdist_declares(settings: str, tmp_path: Path) -> None:
    files = {f"src/{name}": text for name, text in MODULES.items()}
    source = archives.read_archive(sdist(tmp_path, files | {"pyproject.toml": settings}))
    pure = archives.read_archive(wheel(tmp_path))
    compiled = archives.read_archive(wheel(tmp_path, MODULES | {"demo_app/_fast.so": ELF}, name=LINUX))

    findings = checks.check_wheels_against_sdist([source, pure])

    assert [each.level for each in findings] == (["error"] if settings in DECLARED.values() else [])
    assert all("has no native modules, although" in each.message for each in findings)
    assert checks.check_wheels_against_sdist([source, pure], optional_extensions=True) == ()
    # One without native modules serves all other machines, where there is one with them.
    assert checks.check_wheels_against_sdist([source, pure, compiled]) == ()
    assert checks.check_wheels_against_sdist([source, compiled]) == ()


@pytest.mark.parametrize(
    "settings",
    [
        'relnox]\nmetadata-only = ["home"]\n',
        "hatch.build.targets.wheel]\nbypass-selection = true\n",
        "setuptools]\npy-modules = []\n",
        "setuptools]\npackages = []\n",
    ],
)
def test_a_build_of_an_empty_wheel_fails_unless_the_settings_allow_it(tmp_path: Path, settings: str) -> None:
    root = in_tree(tmp_path / "home")
    house = root / "backend" / "house.py"
    house.write_text(house.read_text().replace("['home.py']", "[]"))
    repository(root)

    ran = run(root, "relnox", "build-all", code=2)

    assert "home-1.0-py3-none-any.whl: is empty (no modules, scripts or data)" in ran.err
    assert 'set metadata-only = ["home"] in [tool.relnox]' in ran.err
    assert not (root / "dist/manifest.json").exists()

    with (root / "pyproject.toml").open("a") as out:
        out.write(f"\n[tool.{settings}")
    ran = run(root, "relnox", "build-all", "--from-tree", code=0)


def test_warnings_are_shown_counted_and_reported(tmp_path: Path) -> None:
    root = in_tree(tmp_path / "home")
    house = root / "backend" / "house.py"
    hook = "def build_sdist(directory, settings=None):\n"
    house.write_text(house.read_text().replace(hook, f"{hook}    pathlib.Path('extra.py').write_text('')\n"))
    repository(root)
    ran = run(root, "relnox", "build-all", "--report", "../report.json", "--reporter", "plain", code=0)

    warned = "warning: home-1.0.tar.gz: contains files that git does not track: extra.py [archive-content]"
    fix = "exclude them: [tool.hatch.build] exclude (hatchling), MANIFEST.in (setuptools); or add them to git"
    assert f"        {warned}\n          fix: {fix}\n" in ran.err
    assert "verified, 3 warnings (" in ran.err
    assert ran.out.split() == [
        *("package", "version", "build", "files", "warnings"),
        *("home", "1.0", "success", "2", "3"),
    ]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["warnings"] == 3
    (built,) = (step for step in report["steps"] if step["warnings"])
    assert built["warnings"] == [
        *(
            {
                "code": code,
                "file": "home-1.0.tar.gz, home-1.0-py3-none-any.whl",
                "message": f"metadata lacks {lacking}",
                "fix": f"add {lacking} to [project]",
            }
            for code, lacking in (
                ("metadata-missing", "description, readme, requires-python"),
                ("metadata-incomplete", "authors, license, classifiers, urls"),
            )
        ),
        {
            "code": "archive-content",
            "file": "home-1.0.tar.gz",
            "message": "contains files that git does not track: extra.py",
            "fix": fix,
        },
    ]
    ran = run(root, "relnox", "build-all", "--reporter", "github")
    assert "::warning title=build home 1.0" in ran.err


def test_incomplete_wheels_are_neither_collected_nor_published_unless_settings_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    root, empty = tmp_path, "acme_all-1.0-py3-none-any.whl: is empty (no modules, scripts or data)"
    wheel_of_nothing = releases.made_wheel(root / "dist", "acme-all", {})
    with PackageIndex() as index:
        own = f'[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
        for allowed, settings in ((False, own), (True, f'metadata-only = ["acme-*"]\n{own}')):
            releases.project_of(root, wheel_of_nothing, settings=f"{settings}production = false\n")
            for task in ("publish --index own --dry-run", "collect --from dist --dry-run --partial"):
                ran = run_in_process(root, *task.split())
                assert (ran.code, empty in ran.text) == ((0, False) if allowed else (1, True)), ran.text
        assert index.uploads == ()
