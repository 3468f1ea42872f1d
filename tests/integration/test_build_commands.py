"""`[tool.relnox.build] commands`: a project's own command makes the archives, and nothing is let off for it."""

from __future__ import annotations

import json
import sys
import zipfile
from typing import TYPE_CHECKING

import packed
import pytest
from backends import in_tree
from projects import git, repository, write
from running import run

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

pytestmark = pytest.mark.heavy

PYPROJECT = """\
[project]
name = "demo-app"
version = "1.0"
description = "A demonstration"
requires-python = ">=3.11"
dependencies = ["six>=1"]
optional-dependencies.fast = ["attrs"]

[tool.relnox.build]
commands = { "Demo.App" = ["%s", "tools/make.py", "made", "{output}/"] }
"""

MAKE = """\
import os, pathlib, shutil, sys
made, output = map(pathlib.Path, sys.argv[1:])
wheel, sdist = output / "demo_app-1.0-py3-none-any.whl", output / "demo_app-1.0.tar.gz"
for path in (wheel, sdist):
    if (made / path.name).exists():
        shutil.copy(made / path.name, path)
"""

BOTH = ["demo_app-1.0-py3-none-any.whl", "demo_app-1.0.tar.gz"]


def project(root: Path, code: str = "") -> Path:
    """A package without any backend: its command copies what is right, and then does something with it."""
    (root / "made").mkdir(parents=True)
    packed.wheel(root / "made")
    packed.sdist(root / "made")
    files = {f"src/{name}": text for name, text in packed.MODULES.items()}
    return write(
        root,
        {
            "pyproject.toml": PYPROJECT % sys.executable,
            "README.md": "# Demo\n",
            "LICENSE": "MIT\n",
            ".gitignore": "/dist/\n",
            "tools/make.py": f"{MAKE}{code}\n",
            **files,
        },
    )


def build_all(root: Path, *options: str, code: int = 0) -> RunResult:
    return run(root, "relnox", "build-all", *options, code=code)


def refused(ran: RunResult, *said: str) -> None:
    for each in said:
        assert each in ran.err, ran.text


def left(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "dist").iterdir())


def test_archives_of_a_build_command_are_checked_and_recorded(tmp_path: Path) -> None:
    root = repository(project(tmp_path / "home"))
    build_all(root)
    assert left(root) == ["BUILD_MANIFEST.txt", *BOTH, "manifest.json"]
    for name in BOTH:
        assert (root / "dist" / name).read_bytes() == (root / "made" / name).read_bytes()
    artifacts = json.loads((root / "dist/manifest.json").read_text())["artifacts"]
    assert [each["name"] for each in artifacts] == BOTH[::-1]


def test_a_build_command_runs_in_the_commit(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    root = repository(project(tmp_path / "home", f"open({str(seen)!r}, 'a').write(os.getcwd() + '\\n')"))
    write(root, {"tools/make.py": "raise SystemExit('not committed')\n"})
    build_all(root)
    assert seen.read_text().splitlines() != [str(root)]
    git(root, "checkout", "--quiet", "tools")
    build_all(root, "--from-tree")
    assert seen.read_text().splitlines()[1] == str(root)


BAD = {
    "none": ("wheel.unlink(); sdist.unlink()", ["the build command wrote no archives", "{output}"]),
    "something else": (
        "wheel.unlink(); sdist.unlink(); (output / 'demo-1.0.zip').touch()",
        ["the build command wrote no archives"],
    ),
    "no archive": (
        "wheel.write_text('no zip')",
        ["demo_app-1.0-py3-none-any.whl cannot be read (File is not a zip file)"],
    ),
    "cut off": (
        "wheel.write_bytes(wheel.read_bytes()[:200])",
        ["demo_app-1.0-py3-none-any.whl cannot be read (File is not a zip file)"],
    ),
    "other name": (
        "wheel.rename(output / 'other-1.0-py3-none-any.whl')",
        [
            "name is other, but demo-app was planned",
            "Name is 'Demo-App' in the metadata, but other in the file name",
        ],
    ),
    "other version": (
        "sdist.rename(output / 'demo_app-2.0.tar.gz')",
        ["version is 2.0, but 1.0 was planned", "Version is '1.0' in the metadata, but 2.0 in the file name"],
    ),
    "no name": ("wheel.rename(output / 'demo.whl')", ["demo.whl is not a valid file name of a wheel or an sdist"]),
    "linux": (
        "wheel.rename(output / 'demo_app-1.0-cp312-cp312-linux_x86_64.whl')",
        ["platform tag linux_x86_64 is rejected by the public index", "relnox collect"],
    ),
    "fails": (
        "print('the last words'); sys.exit(7)",
        ["status 7", "| the last words", "tools/make.py"],
    ),
    "damaged": (
        "import zipfile; zipfile.ZipFile(wheel, 'a').writestr('stray.py', '')",
        ["stray.py is not mentioned in RECORD"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_archives_of_a_build_command_are_rejected_and_removed(case: str, tmp_path: Path) -> None:
    code, said = BAD[case]
    root = project(tmp_path / "home", code)
    if case == "linux":  # what the index refuses does not matter outside git
        repository(root)
    refused(build_all(root, code=2), *said)
    assert left(root) == []


def test_a_missing_program_is_reported(tmp_path: Path) -> None:
    root = project(tmp_path / "home")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace(sys.executable, "no-such-program"))
    refused(
        build_all(root, code=2),
        "no-such-program cannot be run",
        "install no-such-program, or add its directory to PATH",
    )


def test_the_output_directory_is_one_argument_whatever_its_name(tmp_path: Path) -> None:
    root = project(tmp_path / "a home; touch it")
    build_all(root, "--output", "the $(out) put")
    assert {path.name for path in (root / "the $(out) put").iterdir()} > set(BOTH)


def test_packages_without_a_build_command_use_their_backends(tmp_path: Path) -> None:
    project(tmp_path / "demo")
    command = (tmp_path / "demo/pyproject.toml").read_text().partition("[tool.relnox.build]")
    (tmp_path / "demo/pyproject.toml").write_text(command[0])
    in_tree(tmp_path / "plain", "plain", requires=("demo-app",))
    settings = '[tool.relnox]\npackages = ["demo", "plain"]\nversions = "independent"\n\n'
    write(tmp_path, {"pyproject.toml": f"{settings}[tool.relnox.build]{command[2]}"})
    build_all(tmp_path)
    assert [name for name in left(tmp_path) if name.endswith((".whl", ".gz"))] == [
        *BOTH,
        "plain-1.0-py3-none-any.whl",
        "plain-1.0.tar.gz",
    ]


def test_a_build_command_for_an_unknown_package_is_rejected(tmp_path: Path) -> None:
    root = project(tmp_path / "home")
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace("Demo.App", "dmeo-app"))
    ran = build_all(root, "--dry-run", code=1)
    assert "dmeo-app" in ran.err
    assert "demo-app" in ran.err  # the packages that there are


AGAIN = {
    "the same": ("pass", None),
    "less": ("wheel.unlink()", "demo_app-1.0-py3-none-any.whl is only in the first build"),
    "more": (
        "shutil.copy(wheel, output / 'demo_app-1.0-py3-none-win32.whl')",
        "demo_app-1.0-py3-none-win32.whl is only in the second build",
    ),
    "broken": ("sdist.write_bytes(b'no tar')", "demo_app-1.0.tar.gz differs"),
    "changed": (
        "import zipfile; zipfile.ZipFile(wheel, 'a').writestr('stray.py', '')",
        "demo_app-1.0-py3-none-any.whl differs",
    ),
}


@pytest.mark.parametrize("case", AGAIN)
def test_reproducible_runs_a_build_command_twice(case: str, tmp_path: Path) -> None:
    code, said = AGAIN[case]
    count = tmp_path / "count"
    counted = f"open({str(count)!r}, 'a').write('.')\nif os.path.getsize({str(count)!r}) == 2:\n    {code}"
    root = project(tmp_path / "home", counted)
    ran = build_all(root, "--reproducible", code=2 if said else 0)
    assert count.read_text() == ".."
    if said is None:
        assert "2 archives identical in both builds" in ran.err
    else:
        refused(ran, said, "diffoscope")


def test_tests_run_with_the_wheel_of_a_build_command(tmp_path: Path) -> None:
    root = project(tmp_path / "home")
    wheel = root / "made/demo_app-1.0-py3-none-any.whl"
    metadata = packed.with_fields(drop=["Requires-Dist", "Provides-Extra"])
    packed.wheel(root / "made", metadata=metadata)
    packed.sdist(root / "made", metadata=metadata)
    with zipfile.ZipFile(wheel) as made:
        assert made.testzip() is None
    text = (root / "pyproject.toml").read_text()
    for line in ('dependencies = ["six>=1"]\n', 'optional-dependencies.fast = ["attrs"]\n'):
        text = text.replace(line, "")
    look = "import demo_app; print('at', demo_app.__file__)"
    (root / "pyproject.toml").write_text(f'{text}\n[tool.relnox.test]\ncommand = ["python", "-Ic", "{look}"]\n')
    ran = build_all(root, "--test", "--verbose")
    assert "site-packages/demo_app/__init__.py" in ran.err
