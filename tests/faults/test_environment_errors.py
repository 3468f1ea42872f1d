"""What a machine may lack: a working directory, memory, a place for temporary files, write access, short names.

Each ends in an error that says what to do, and what it says to do helps.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import commit_all, everything, git, repository, write
from running import RunResult

import relnox
from relnox.commands import TASKS
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="limits, permissions and working directories as POSIX has them"),
]

LAUNCH = "import os, sys\n{first}\nos.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
LOST = "os.mkdir({directory!r})\nos.chdir({directory!r})\nos.rmdir({directory!r})"
LIMITED = "import resource\nresource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))"
POWERLESS = """
if os.geteuid() == 0:  # root may write anywhere: without these two capabilities it is like everybody else
    import ctypes
    PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        assert ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
"""
ONE_TEMPORARY_DIRECTORY = (
    "import os, tempfile\ntempfile._candidate_tempdir_list = lambda: [os.environ['TMPDIR']]\n"
)
TOO_LONG = "x" * 300
DENIED = (
    "fix: grant read and write permission for it (chmod u+rw), or work in a copy of the project, "
    "then rerun the command"
)


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    root = in_tree(tmp_path / "demo", "demo", "1.2.3")
    write(root, {".gitignore": "/dist/\n__pycache__/\n"})
    return repository(root)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A directory that nothing can be written into."""
    directory = tmp_path / "locked"
    directory.mkdir(mode=0o555)
    yield directory
    directory.chmod(0o755)


def launched(cwd: Path, first: str, *words: str, **variables: str) -> RunResult:
    """Run `python WORDS` after a few statements of the same process."""
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH.format(first=first), *words],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    ran = RunResult(done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in ran.text, ran.text
    return ran


def lost(tmp_path: Path, *words: str) -> RunResult:
    return launched(tmp_path, LOST.format(directory=str(tmp_path / "gone")), "-m", "relnox", *words)


@pytest.mark.parametrize("task", [*TASKS, "init"])
def test_a_lost_working_directory_is_an_error(tmp_path: Path, task: str) -> None:
    ran = lost(tmp_path, task, *(["--from", "dist"] if task == "collect" else []))

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "error: the working directory no longer exists [file-not-writable]\n"
        "fix: cd into the project's directory, or pass it: --project DIR\n"
    )


def test_python_code_gets_a_problem_for_a_lost_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with pytest.raises(Blocked, match="the working directory no longer exists"):
        relnox.Workspace.open()


def test_without_a_working_directory_a_project_can_be_named(tmp_path: Path, demo: Path) -> None:
    assert lost(tmp_path, "--version").code == 0
    assert lost(tmp_path, "status", "--help").code == 0
    assert "1.2.3" in lost(tmp_path, "status", "--project", str(demo)).out

    ran = lost(tmp_path, "bump", "--part", "minor", "--commit", "--tag", "--project", str(demo))
    assert (ran.code, git(demo, "tag")) == (0, "v1.3.0"), ran.text

    with (demo / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("[tool.relnox]\nbranches = 3\n")
    ran = lost(tmp_path, "status", "--project", str(demo))
    assert (ran.code, f"{demo}/pyproject.toml: " in ran.err) == (1, True), ran.text


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("status", ("--project", TOO_LONG)),
        ("status", ("--plan", TOO_LONG)),
        ("status", ("--report", TOO_LONG)),
        ("build-all", ("--output", TOO_LONG)),
        ("build-all", ("--output", f"a/{TOO_LONG}/b")),
        ("collect", ("--from", TOO_LONG)),
        ("publish", ("--index", "embedded", "--dist", TOO_LONG)),
        ("verify-install", ("--from", "dist", "--dist", TOO_LONG)),
    ],
)
def test_a_name_that_is_too_long_is_an_error(demo: Path, task: str, options: tuple[str, ...]) -> None:
    before = everything(demo)

    ran = launched(demo, "", "-m", "relnox", task, *options)

    assert ran.code in (1, 2), ran.text
    assert "File name too long" in ran.err
    assert "fix: " in ran.err
    assert everything(demo) == before


@pytest.mark.parametrize("kind", ["file", "broken link"])
@pytest.mark.parametrize("options", [("build-all",), ("build-all", "--clean"), ("collect", "--from", "job")])
def test_an_output_directory_that_is_a_file_is_an_error(demo: Path, options: tuple[str, ...], kind: str) -> None:
    built = launched(demo, "", "-m", "relnox", "build-all", "--output", "job")
    assert built.code == 0, built.text
    if kind == "file":
        (demo / "dist").touch()
    else:
        (demo / "dist").symlink_to("missing")

    ran = launched(demo, "", "-m", "relnox", *options)

    assert ran.code in (1, 2), ran.text
    assert "dist: File exists" in ran.err or "dist (File exists)" in ran.err, ran.err
    assert "fix: " in ran.err
    (demo / "dist").unlink()
    assert launched(demo, "", "-m", "relnox", *options).code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce RLIMIT_AS")
def test_too_little_memory_is_an_error(demo: Path, tmp_path: Path) -> None:
    # Compiling modules takes more memory than running them, and without it Python may report wrong syntax.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(Path(relnox.__file__).parent)], check=True)
    ended = {}
    for megabytes in (64, 96, 128, 256):
        for task in ("status", "build-all"):
            options = ("--from-tree", "--output", str(tmp_path / str(megabytes))) if task == "build-all" else ()
            first = LIMITED.format(limit=megabytes << 20)
            ran = launched(demo, first, "-m", "relnox", task, *options)
            assert ran.code in (0, 2), ran.text
            assert ran.code == 0 or "fix: " in ran.err, ran.text
            ended[megabytes, task] = ran

    failures = [ran for ran in ended.values() if "out of memory" in ran.err]
    assert failures
    assert all("raise the memory limit" in ran.err for ran in failures)
    assert ended[256, "status"].code == 0
    assert git(demo, "status", "--porcelain") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one encoding for file names")
@pytest.mark.parametrize("options", [("build-all",), ("bump", "--part", "minor")])
def test_another_encoding_of_file_names_than_utf_8_is_an_error(demo: Path, options: tuple[str, ...]) -> None:
    write(demo, {"über.py": '__version__ = "1.2.3"\n'})
    commit_all(demo)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = launched(demo, "", "-m", "relnox", *options, **ascii_only)
    assert ran.code == 1, ran.text
    assert "error: Python encodes file names as ascii (relnox needs UTF-8, as git " in ran.err
    assert "fix: export PYTHONUTF8=1, then rerun the command" in ran.err
    assert git(demo, "status", "--porcelain") == ""
    assert launched(demo, "", "-m", "relnox", *options, **(ascii_only | {"PYTHONUTF8": "1"})).code == 0


def test_a_temporary_directory_that_cannot_be_written_is_skipped(demo: Path, locked: Path) -> None:
    ran = launched(demo, POWERLESS, "-m", "relnox", "build-all", TMPDIR=str(locked))

    assert ran.code == 0, ran.text
    assert list(locked.iterdir()) == []


def test_no_temporary_directory_names_the_variable(demo: Path, locked: Path, tmp_path: Path) -> None:
    site = write(tmp_path / "site", {"sitecustomize.py": ONE_TEMPORARY_DIRECTORY})
    variables = {"PYTHONPATH": str(site), "TMPDIR": str(locked)}

    ran = launched(demo, POWERLESS, "-m", "relnox", "build-all", **variables)

    assert ran.code == 2
    assert f"No usable temporary directory found in ['{locked}']" in ran.err
    assert "fix: set TMPDIR to a writable directory, then rerun the command" in ran.err
    assert not (demo / "dist/manifest.json").exists()

    (tmp_path / "free").mkdir()
    variables["TMPDIR"] = str(tmp_path / "free")
    assert launched(demo, POWERLESS, "-m", "relnox", "build-all", **variables).code == 0
    assert list((tmp_path / "free").glob("relnox-*")) == []


@pytest.fixture
def sealed(demo: Path) -> Iterator[Path]:
    """A project with a build and an embedded index, none of whose files and directories can be written."""
    assert launched(demo, "", "-m", "relnox", "build-all").code == 0
    assert launched(demo, "", "-m", "relnox", "publish", "--index", "embedded", "--dry-run").code == 0
    _change_modes(demo, lambda mode: mode & ~0o222)
    yield demo
    _change_modes(demo, lambda mode: mode | 0o200)


def _change_modes(root: Path, change: Callable[[int], int]) -> None:
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(change(stat.S_IMODE(path.stat().st_mode)))


@pytest.mark.parametrize(
    "options",
    [
        ("bump", "--part", "minor"),
        ("bump", "--part", "minor", "--commit", "--tag"),
        ("build-all",),
        ("build-all", "--clean", "--from-tree"),
        ("collect", "--from", "dist"),
        ("init",),
    ],
    ids=" ".join,
)
def test_a_project_that_cannot_be_written_is_an_error(sealed: Path, options: tuple[str, ...]) -> None:
    before = everything(sealed)

    ran = launched(sealed, POWERLESS, "-m", "relnox", *options)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: {sealed}/.git/relnox/lock: Permission denied [system-error]\n{DENIED}\n"
    assert everything(sealed) == before


def test_what_only_looks_works_there(sealed: Path) -> None:
    before = everything(sealed)

    for options in (("status",), ("bump", "--part", "minor", "--dry-run"), ("verify-install", "--from", "dist")):
        ran = launched(sealed, POWERLESS, "-m", "relnox", *options)
        assert ran.code == 0, ran.text
    assert everything(sealed) == before


def test_an_index_that_cannot_store_is_not_said_to_find_files_too_large(sealed: Path) -> None:
    ran = launched(sealed, POWERLESS, "-m", "relnox", "publish-test", "--index", "embedded")

    assert ran.code not in (0, 1), ran.text
    assert "embedded cannot store demo-1.2.3" in ran.err
    assert "allow it to write to its storage; then rerun the command" in ran.err
