"""Versions that a backend reads from other files: discovery, and bumps that change nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import repository, write
from running import run

from relnox.core.settings.config import Config
from relnox.source.discovery import discover_packages

if TYPE_CHECKING:
    from pathlib import Path

CODE = '"""Demo."""\r\n\r\n__version__ = \'1.2.3\'  # the one place\r\n'

LAYOUTS = {
    "hatch path": (
        '[tool.hatch.version]\npath = "demo/__init__.py"',
        "hatchling.build",
        {"demo/__init__.py": CODE},
    ),
    "hatch pattern": (
        "[tool.hatch.version]\npath = 'about.txt'\npattern = 'version is (?P<version>\\S+)'",
        "hatchling.build",
        {"about.txt": "the version is 1.2.3 today\n", "demo/__init__.py": ""},
    ),
    "setuptools attr": (
        '[tool.setuptools.dynamic]\nversion = { attr = "demo.__version__.__version__" }',
        "setuptools.build_meta",
        {"src/demo/__init__.py": "", "src/demo/__version__.py": CODE},
    ),
    "setuptools package-dir": (
        (
            '[tool.setuptools]\npackage-dir = { "" = "lib" }\n'
            '[tool.setuptools.dynamic]\nversion = { attr = "demo.v" }'
        ),
        "setuptools.build_meta",
        {"lib/demo/__init__.py": 'v = "1.2.3"\n'},
    ),
    "setuptools package-dir of one package": (
        (
            '[tool.setuptools]\npackages = ["demo"]\npackage-dir = { demo = "lib/code" }\n'
            '[tool.setuptools.dynamic]\nversion = { attr = "demo.about.v" }'
        ),
        "setuptools.build_meta",
        {"lib/code/__init__.py": "", "lib/code/about.py": 'v = "1.2.3"\n'},
    ),
    "setuptools packages.find": (
        (
            '[tool.setuptools.packages.find]\nwhere = ["./lib/"]\n'
            '[tool.setuptools.dynamic]\nversion = { attr = "demo.v" }'
        ),
        "setuptools.build_meta",
        {"lib/demo/__init__.py": 'v = "1.2.3"\n'},
    ),
    "setuptools src layout beside a script": (
        '[tool.setuptools.dynamic]\nversion = { attr = "demo.v" }',
        "setuptools.build_meta",
        {"src/demo/__init__.py": 'v = "1.2.3"\n', "demo.py": 'v = "1.2.0"\n'},
    ),
    "setuptools packages beside an old src": (
        '[tool.setuptools]\npackages = ["demo"]\n[tool.setuptools.dynamic]\nversion = { attr = "demo.v" }',
        "setuptools.build_meta",
        {"demo/__init__.py": 'v = "1.2.3"\n', "src/demo/__init__.py": 'v = "1.2.0"\n'},
    ),
    "setuptools file": (
        '[tool.setuptools.dynamic]\nversion = { file = ["VERSION"] }',
        "setuptools.build_meta",
        {"VERSION": "1.2.3\n", "demo.py": ""},
    ),
    "flit": ("", "flit_core.buildapi", {"src/demo_app/__init__.py": CODE}),
    "flit module": ('[tool.flit.module]\nname = "other"', "flit_core.buildapi", {"other.py": CODE}),
    "pdm file": (
        '[tool.pdm.version]\nsource = "file"\npath = "src/demo/about.py"',
        "pdm.backend",
        {"src/demo/about.py": CODE, "src/demo/__init__.py": ""},
    ),
}


def project(root: Path, table: str, backend: str, files: dict[str, str]) -> Path:
    root.mkdir()
    head = '[project]\nname = "demo-app"\ndynamic = ["version"]\n\n'
    build = f'[build-system]\nrequires = []\nbuild-backend = "{backend}"\n\n'
    write(root, {"pyproject.toml": f"{head}{build}{table}\n"})
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    return repository(root)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_bump_changes_the_version_that_the_backend_reads(layout: str, tmp_path: Path) -> None:
    root = project(tmp_path / "demo", *LAYOUTS[layout])
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts}
    ran = run(root, "relnox", "bump", "--part", "minor", "--commit", "--tag")
    assert ran.code == 0, ran.text
    after = {path: path.read_bytes() for path in before}
    changed = [path for path in before if before[path] != after[path]]
    assert len(changed) == 1
    assert after[changed[0]] == before[changed[0]].replace(b"1.2.3", b"1.3.0")
    assert str(discover_packages(root, Config()).packages[0].version) == "1.3.0"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "demo/__init__.py, which is not there"),
        ("x = 1\n", "assigned 0 times"),
        ("__version__ = '1'\n__version__ = '2'\n", "assigned 2 times"),
        ("__version__ = 'unknown'\n", "not a valid version"),
    ],
)
def test_a_location_without_exactly_one_version_is_blocked(code: str | None, said: str, tmp_path: Path) -> None:
    table = '[tool.setuptools.dynamic]\nversion = { attr = "demo.__version__" }'
    files = {"demo/other.py": ""} if code is None else {"demo/__init__.py": code}
    root = project(tmp_path / "demo", table, "setuptools.build_meta", files)
    assert run(root, "relnox", "status").code == 0
    ran = run(root, "relnox", "bump", "--part", "minor")
    assert ran.code == 1, ran.text
    assert said in ran.err or code is None


def test_two_packages_may_share_one_file(tmp_path: Path) -> None:
    root = tmp_path / "both"
    root.mkdir()
    for name in ("one", "two"):
        write(
            root,
            {
                f"{name}/pyproject.toml": (
                    f'[project]\nname = "{name}"\ndynamic = ["version"]\ndependencies = []\n'
                    '[build-system]\nrequires = []\nbuild-backend = "hatchling.build"\n'
                    '[tool.hatch.version]\npath = "../VERSION"\npattern = "(?P<version>.+)"\n'
                )
            },
        )
    write(
        root,
        {
            "VERSION": "1.0\n",
            "pyproject.toml": '[tool.relnox]\npackages = ["one", "two"]\nversions = "lockstep"\n',
        },
    )
    repository(root)
    ran = run(root, "relnox", "bump", "--part", "minor", "--commit", "--tag")
    assert ran.code == 0, ran.text
    assert (root / "VERSION").read_text() == "1.1\n"
