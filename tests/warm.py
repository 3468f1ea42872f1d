"""Builds with backends that share warm processes, and what their archives are compared with."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from running import RunResult, checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EPOCH = 1_700_000_000

needs_fork = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="Windows has no fork, and macOS's own libraries do not survive one"
)

BACKENDS = {
    "hatchling": ("hatchling.build", '[tool.hatch.version]\npath = "src/{module}/__init__.py"\n'),
    "flit-core": ("flit_core.buildapi", ""),
    "poetry-core": ("poetry.core.masonry.api", ""),
    "uv_build": ("uv_build", ""),
    "setuptools": (
        "setuptools.build_meta",
        '[tool.setuptools]\ndynamic.version.attr = "{module}.__version__"\npackage-data."*" = ["data/*"]\n',
    ),
    "pdm-backend": (
        "pdm.backend",
        '[tool.pdm.version]\nsource = "file"\npath = "src/{module}/__init__.py"\n',
    ),
}
"""Requirement: its module, and settings. All but poetry-core and uv_build find the version by themselves."""

_FIXED = ("poetry-core", "uv_build")


@contextmanager
def settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let all builds see the same clock, time zone, hash seed and umask."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    before = os.umask(0o022)
    yield
    os.umask(before)


def alive(pid: int) -> bool:
    """Return whether a process runs; a dead one that was not reaped does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone in between, or a system that tells nothing
        return not Path("/proc/self/stat").exists()


def all_end(pids: Iterable[int], within: float = 10.0) -> bool:
    """Whether processes end, soon."""
    deadline = time.monotonic() + within
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def wait_for(path: Path, within: float = 60.0) -> str:
    """What is in a file, once it is there and its last line is whole."""
    deadline = time.monotonic() + within
    while not (path.exists() and path.read_text(encoding="utf-8").endswith("\n")):
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)
    return path.read_text(encoding="utf-8")


def package(
    name: str, requirement: str = "setuptools", *, extra: str = "", stated: bool = False
) -> dict[str, str]:
    """The files of a package with all that a backend has to find, by name relative to its directory.

    Its version is in its module, or stated in pyproject.toml.
    """
    backend, settings = BACKENDS[requirement]
    module = name.replace("-", "_")
    version = 'version = "1.2"' if stated or requirement in _FIXED else 'dynamic = ["version"]'
    if stated and "version" in settings:
        settings = ""
    return {
        "pyproject.toml": f"""\
[build-system]
requires = ["{requirement}"]
build-backend = "{backend}"

[project]
name = "{name}"
{version}
description = "It"
readme = "README.md"
license = "MIT"
license-files = ["LICENSE"]
requires-python = ">=3.8"
dependencies = ["packaging>=20; python_version<'3.12'"]
optional-dependencies.fast = ["attrs"]

[project.scripts]
{name} = "{module}:main"

[project.entry-points."some.group"]
it = "{module}:main"

{settings.format(module=module)}{extra}""",
        "README.md": "# It — in UTF-8\n",
        "LICENSE": "MIT\n",
        f"src/{module}/__init__.py": '"""It."""\n\n__version__ = "1.2"\n\n\ndef main() -> None: ...\n',
        f"src/{module}/data/table.txt": "1 2 3\n",
        f"src/{module}/inner/__init__.py": "",
    }


def workspace(root: Path, packages: dict[str, dict[str, str]], settings: str = "") -> Path:
    """Packages in directories of their names, all of one time; one of their data files can be executed."""
    listed = ", ".join(f'"{name}"' for name in packages)
    text = f'[tool.relnox]\npackages = [{listed}]\nversions = "independent"\n{settings}'
    files = {"pyproject.toml": text}
    files |= {f"{name}/{file}": content for name, made in packages.items() for file, content in made.items()}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(0o755 if path.name == "table.txt" else 0o644)
        os.utime(path, (EPOCH, EPOCH))
    return root


def build_all(root: Path, *options: str, code: int | None = None) -> RunResult:
    """`relnox build-all` in a directory; a traceback in what a hook printed stands behind a bar."""
    ran = subprocess.run(
        [sys.executable, "-m", "relnox", "build-all", *options],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert not ran.stderr.startswith("Traceback"), ran.stderr
    assert "\nTraceback" not in ran.stderr, ran.stderr
    return checked(RunResult(ran.returncode, ran.stdout, ran.stderr), code)


def frontend(source: Path, output: Path) -> None:
    """What `python -m build` makes of a directory."""
    made = subprocess.run(
        [sys.executable, "-m", "build", "--installer", "uv", "--outdir", output, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr


def contents(archive: Path) -> list[tuple[Any, ...]]:
    """All that is in an archive, in its order, with modes and owners, but without times."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return [(each.filename, each.external_attr, wheel.read(each)) for each in wheel.infolist()]
    with tarfile.open(archive) as sdist:
        return [
            (
                *(each.name, each.type, oct(each.mode), each.uid, each.gid, each.uname, each.gname, each.linkname),
                content.read() if (content := sdist.extractfile(each)) is not None else None,
            )
            for each in sdist
        ]
