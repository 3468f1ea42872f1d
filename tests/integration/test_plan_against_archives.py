"""Archives against the plan: what a backend makes of a project is what the project says, however it spells it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from projects import write
from running import run
from warm import BACKENDS

from relnox.building import archives
from relnox.core.packages import normalize_name

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

REQUIREMENTS = [
    "Six >=1.0",
    "zope.interface",
    "Typing_Extensions>=4,<5",
    "typed.Things<5 , >=4.0.0",
    "requests[socks, Security]>=2.0,!=2.9.*",
    "a-b.c_d ~= 1.4.2",
    "arbitrary===1.0",
    "wild==1.*",
    "marked>=1.0.post1,>0.9.dev0",
    "epoch>=1!2.0",
    "local==1.0+linux.1",
    "in-brackets (>=1,<2)",
    "attrs>=20 ; python_version<'3.12'",
    'tomli ; (python_version < "3.11")',
    "doubly ; ((python_version < '3.11'))",
    "colorama; sys_platform=='win32' and (python_version>='3.8' or implementation_name=='pypy')",
    "mixed; os_name=='nt' or os_name=='posix' and python_version>'3.8'",
    "importlib-metadata; python_full_version<'3.10.2'",
    "pywin32 ; 'win32' == sys_platform",
    "newer ; '3.10' <= python_version",
    "cffi ; platform_python_implementation != 'PyPy' and os_name == \"posix\"",
    "some>=1;python_version in '3.9 3.10'",
    "others ; python_version not in '3.9 3.10'",
    "compatible ; python_version ~= '3.9'",
    "equal ; python_version == '3.11'",
    "starred ; python_version != '3.8.*'",
    "same <2; python_version<'3.10'",
    "same>=2; python_version>='3.10'",
    "machine; platform_machine=='aarch64' or platform_machine=='x86_64'",
    "tight>=1;sys_platform!='win32'",
    "at @ https://example.org/at-1.0.zip ; python_version>='3.8'",
    "at-tight@https://example.org/at_tight-1.0-py3-none-any.whl",
]

UNKNOWN = {
    "poetry-core": ["arbitrary===1.0", "pywin32 ; 'win32' == sys_platform", "newer ; '3.10' <= python_version"]
}
"""What a backend refuses to build."""

REWRITTEN = ["a-b.c_d ~= 1.4.2", "marked>=1.0.post1,>0.9.dev0", "bounded<3,<4"]
"""Where poetry-core writes other clauses that accept the same versions: `>=1.4.2,<1.5.0`, or fewer of them."""

EXTRAS = {
    "Fast_Mode": [
        "attrs>=21 ; python_version<'3.12' or os_name=='nt'",
        "Six ; python_version >= '3' and (os_name == 'nt' or os_name=='posix')",
        "plain",
    ],
    "test": ["pytest>=7", 'coverage[toml]; python_version>="3.9"', "wild==1.*; (sys_platform == 'linux')"],
    "docs.site": ["sphinx>=7", "myst-parser; 'linux' in sys_platform"],
    "nothing": [],
}


def build_all(root: Path, *options: str, code: int | None = None) -> RunResult:
    return run(root, "relnox", "build-all", *options, code=code)


def pyproject(name: str, requirement: str, more: str = "") -> str:
    return (
        f'[build-system]\nrequires = ["{requirement}"]\nbuild-backend = "{BACKENDS[requirement][0]}"\n\n'
        f'[project]\nname = "{name}"\nversion = "1.2"\ndescription = "It"\nrequires-python = ">=3.8"\n{more}'
    )


@pytest.mark.network
def test_requirements_compare_equal_for_every_backend(tmp_path: Path, surrounded: None) -> None:
    unknown = {"poetry-core": [*UNKNOWN["poetry-core"], *REWRITTEN]}  # see below
    names = {requirement: f"of-{requirement.replace('_', '-')}" for requirement in BACKENDS}
    settings = f'[tool.relnox]\npackages = {json.dumps(list(names.values()))}\nversions = "independent"\n'
    files = {"pyproject.toml": settings}
    for requirement, name in names.items():
        extras = {**EXTRAS, "all": [f"{name}[fast-mode,test]"]}
        taken = [each for each in REQUIREMENTS if each not in unknown.get(requirement, ())]
        more = f"dependencies = {json.dumps(taken)}\n\n[project.optional-dependencies]\n"
        more += "".join(f'"{extra}" = {json.dumps(needs)}\n' for extra, needs in extras.items())
        more += "\n[tool.hatch.metadata]\nallow-direct-references = true\n"
        files[f"{name}/pyproject.toml"] = pyproject(name, requirement, more)
        files[f"{name}/src/{name.replace('-', '_')}/__init__.py"] = '"""It."""\n'
    ran = build_all(write(tmp_path, files), "--verbose", "--continue-on-error", code=0)
    alarms = [line for line in ran.err.splitlines() if "the requirement" in line or "requires " in line]
    assert [line for line in alarms if "warning: of_" in line and "requirements by URL" not in line] == []
    for requirement, name in names.items():
        wanted = {
            normalize_name(Requirement(each).name)
            for each in REQUIREMENTS
            if each not in unknown.get(requirement, ())
        }
        module = name.replace("-", "_")
        for file in (f"{module}-1.2-py3-none-any.whl", f"{module}-1.2.tar.gz"):
            found = {
                normalize_name(Requirement(each).name)
                for each in archives.read_archive(tmp_path / "dist" / file).requires
            }
            assert found >= wanted | {"plain", "pytest", "sphinx"}  # there was something to compare


@pytest.mark.network
def test_clauses_that_a_backend_writes_in_another_way_compare_equal(tmp_path: Path, surrounded: None) -> None:
    stated = pyproject("home", "poetry-core", f"dependencies = {json.dumps(REWRITTEN)}\n")
    ran = build_all(write(tmp_path, {"pyproject.toml": stated, "src/home/__init__.py": ""}), "--verbose", code=0)
    assert "requirements differ" not in ran.text


HOOK = """\
from hatchling.metadata.plugin.interface import MetadataHookInterface

class Adds(MetadataHookInterface):
    def update(self, metadata):
        metadata["description"] = "It"
        metadata["dependencies"] = [*metadata.get("dependencies", []), "added>=1"]
"""


@pytest.mark.network
def test_requirements_added_by_a_metadata_hook(tmp_path: Path, surrounded: None) -> None:
    hook = "\n[tool.hatch.metadata.hooks.custom]\n"
    files = {"hatch_build.py": HOOK, "src/home/__init__.py": "", ".gitignore": "dist/\n"}
    stated = pyproject("home", "hatchling", f'dynamic = ["description"]\ndependencies = ["six"]\n{hook}')
    stated = stated.replace('description = "It"\n', "")  # hooks are run where anything is dynamic
    ran = build_all(write(tmp_path, {"pyproject.toml": stated, **files}), code=2)
    assert "home-1.2.tar.gz: requirement added>=1 is in the metadata, but not in pyproject.toml" in ran.err
    # hatchling asks its hooks no more where it builds of an sdist.
    assert "home-1.2-py3-none-any.whl: requirement added>=1 is in the metadata of its sdist only" in ran.err
    assert 'if a build hook adds it, set [project] dynamic = ["dependencies"]' in ran.err
    assert list((tmp_path / "dist").iterdir()) == []
    dynamic = pyproject("home", "hatchling", f'dynamic = ["dependencies"]\n{hook}')
    ran = build_all(write(tmp_path, {"pyproject.toml": dynamic}), code=0)
    assert archives.read_archive(tmp_path / "dist/home-1.2-py3-none-any.whl").requires == ("added>=1",)


@pytest.mark.network
def test_requirements_of_setup_py(tmp_path: Path, surrounded: None) -> None:
    setup = """\
        from setuptools import setup
        from setuptools.command.egg_info import egg_info

        class Adds(egg_info):
            def run(self):
                self.distribution.metadata.install_requires = ["added>=1"]
                super().run()

        setup(cmdclass={"egg_info": Adds})
        """
    files = {"setup.py": setup, "src/home/__init__.py": "", ".gitignore": "dist/\n"}
    stated = pyproject("home", "setuptools", 'dependencies = ["six"]\n')
    ran = build_all(write(tmp_path, {"pyproject.toml": stated, **files}), code=2)
    assert "requirement six is in pyproject.toml, but not in the metadata" in ran.err
    assert "requirement added>=1 is in the metadata, but not in pyproject.toml" in ran.err
    dynamic = pyproject("home", "setuptools", 'dynamic = ["dependencies"]\n')
    plain = "from setuptools import setup\n\nsetup(install_requires=['added>=1'])\n"
    ran = build_all(write(tmp_path, {"pyproject.toml": dynamic, "setup.py": plain}), code=0)
    assert archives.read_archive(tmp_path / "dist/home-1.2-py3-none-any.whl").requires == ("added>=1",)
