"""Runs of every task that are killed at random: what they leave, and that the same command finishes them.

Each run is a process with a directory for temporary files and a cache of its own, so that whatever is left in
them, and every process that still works with them, is known.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from backends import in_tree
from killing import publishing
from projects import commit_all, copy_of, git, remote_of, repository, write
from releases import is_whole

from relnox.core.release.manifest import MANIFEST_JSON, MANIFEST_TEXT, Manifest

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

__all__ = ["SIGNALS", "TASKS", "Kills", "Result"]

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LIMIT = 600.0
SETTLED = 10.0
"""Seconds within which a process that outlives its run must have ended."""
TASKS = {
    "bump": ("--part", "minor", "--commit", "--tag", "--push"),
    "build-all": (),
    "collect": ("--from", "jobs"),
    "publish": ("--index", "own"),
    "publish-test": ("--index", "embedded"),
    "verify-install": ("--from", "dist"),
    "rehearse": ("--part", "minor"),
}
ARCHIVES = ("home-1.0-py3-none-any.whl", "home-1.0.tar.gz")
VERSION = """\
import tomllib
VERSION = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
METADATA = METADATA.replace("Version: 1.0", f"Version: {VERSION}")
STEM = """
SETTINGS = '\n[tool.relnox]\nbranch = "main"\n'


class Result(NamedTuple):
    """What became of a run that was killed.

    Attributes:
        task: What was run.
        number: The signal.
        seconds: When it came, after the start.
        code: How the run ended; negative for a signal.
        ended_before: Whether it was done before the signal came, or took effect.
    """

    task: str
    number: signal.Signals
    seconds: float
    code: int
    ended_before: bool


class Place(NamedTuple):
    """Where a task runs: a project, and the environment variables that keep it apart."""

    root: Path
    temporary: Path
    variables: dict[str, str]

    def left(self) -> list[str]:
        """What is in the directory for temporary files."""
        return sorted(path.relative_to(self.temporary).as_posix() for path in self.temporary.rglob("*"))

    def processes(self) -> list[str]:
        """The processes that work with that directory, if the system tells."""
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                if os.fsencode(self.temporary) in (directory / "environ").read_bytes():
                    words = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    state = (directory / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
                    found += [f"{directory.name}: {words}"] if state != "Z" else []
            except OSError:  # gone, or of another user
                continue
        return found


class Kills:
    """Projects to kill runs in.

    Args:
        directory: An empty directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._templates: dict[str, Path] = {}
        self._durations: dict[str, float] = {}
        self._numbers = iter(range(10**6))

    def kill(self, task: str, number: signal.Signals, chance: random.Random) -> Result:
        """Kill one run, and see that all is well afterwards; a run that ended before it is another try."""
        seconds = chance.uniform(0, self._duration(task))
        while True:
            result = self._kill_after(task, number, seconds)
            if not result.ended_before or result.number != signal.SIGKILL:
                return result
            seconds *= chance.uniform(0.5, 1)

    def _kill_after(self, task: str, number: signal.Signals, seconds: float) -> Result:
        with self._place(task) as (place, is_done):
            printed = place.root.parent / "printed"
            with printed.open("wb") as out:
                going = _start(task, place, out)
                try:
                    going.wait(seconds)
                except subprocess.TimeoutExpired:
                    going.send_signal(number)
                code = going.wait(LIMIT)
            text = printed.read_text(encoding="utf-8", errors="replace")
            context = (task, number.name, seconds, code, text)
            assert "Traceback" not in text or _is_before_relnox(text), context
            # Python that is interrupted while it imports its own modules ends with 1.
            codes = {0, -number, *((128 + number,) if number != signal.SIGKILL else ())}
            assert code in codes | ({1} if "Traceback" in text else set()), context
            if code == 0:
                assert is_done(place), context
            elif not (task == "bump" and is_done(place)):  # who sees that it is done does not bump again
                self._rerun(task, place, context)
                assert is_done(place), context
            _settle(place, context)
            assert number == signal.SIGKILL or place.left() == [], context
        return Result(task, number, seconds, code, ended_before=code == 0)

    def _rerun(self, task: str, place: Place, context: object) -> None:
        again = place.root.parent / "again"
        with again.open("wb") as out:
            code = _start(task, place, out).wait(LIMIT)
        text = again.read_text(encoding="utf-8", errors="replace")
        assert code == 0, (context, code, text)
        assert "Traceback" not in text, (context, text)

    def _duration(self, task: str) -> float:
        """Seconds of a run that nothing happens to."""
        if task not in self._durations:
            with self._place(task) as (place, is_done):
                began = time.monotonic()
                self._rerun(task, place, "undisturbed")
                self._durations[task] = time.monotonic() - began
                assert is_done(place)
        return self._durations[task]

    @contextmanager
    def _place(self, task: str) -> Iterator[tuple[Place, type]]:
        directory = self._directory / f"{task}-{next(self._numbers)}"
        temporary, kept = directory / "temporary", directory / "kept"
        for each in (temporary, kept):
            each.mkdir(parents=True)
        variables = {**os.environ, "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(kept)}
        variables |= {"PYTHONDONTWRITEBYTECODE": "1", "RELNOX_OWN_TOKEN": "a-token", "NO_COLOR": "1"}
        if task == "publish":
            with publishing(directory / "home") as release:
                yield (
                    Place(release.root, temporary, variables),
                    lambda _: is_whole(release.index, release.manifest),
                )  # type: ignore[misc]
        else:
            root = copy_of(self._template(task), directory / "home")
            yield Place(root, temporary, variables), globals()[f"_{task.replace('-', '_')}_is_done"]
        shutil.rmtree(directory)

    def _template(self, task: str) -> Path:
        """A project on which the task has something to do."""
        kind = {"publish-test": "built", "verify-install": "built", "collect": "handed on"}.get(task, "plain")
        if kind not in self._templates:
            parent = self._directory / f"template {kind}"
            root = _project(parent) if kind == "plain" else copy_of(self._template(""), parent / "home")
            if kind != "plain":
                variables = {**os.environ, "XDG_CACHE_HOME": str(parent / "kept")}
                words = [sys.executable, "-m", "relnox", "build-all"]
                subprocess.run(words, cwd=root, env=variables, check=True, capture_output=True, timeout=LIMIT)
            if kind == "handed on":
                (root / "jobs").mkdir()
                (root / "dist").rename(root / "jobs" / "one")
            self._templates[kind] = root
        return self._templates[kind]


def _project(parent: Path) -> Path:
    """A package whose backend is in its tree, so that nothing has to be downloaded."""
    root = parent / "home"
    root.mkdir(parents=True)
    in_tree(root)
    backend = root / "backend" / "house.py"
    backend.write_text(backend.read_text(encoding="utf-8").replace("STEM = ", VERSION, 1), encoding="utf-8")
    pyproject = root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8") + SETTINGS, encoding="utf-8")
    write(root, {".gitignore": "/dist/\n/jobs/\n"})
    repository(root)
    commit_all(write(root, {"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- More\n"}))
    git(root, "push", "--quiet")
    return root


def _start(task: str, place: Place, out: IO[bytes]) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "relnox", task, *TASKS[task], "--reporter", "plain"]
    return subprocess.Popen(
        words,
        cwd=place.root,
        env=place.variables,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
    )


def _is_before_relnox(text: str) -> bool:
    """Whether a traceback is Python's own, of SIGINT before relnox has imported what it handles signals with."""
    files = re.findall(r'^  File "(.+?)", line (\d+), in (.+)$', text, re.MULTILINE)
    of_relnox = [(file, name) for file, _, name in files if "relnox" in Path(file).parts]
    return text.endswith("KeyboardInterrupt\n") and all(
        file.endswith(("__main__.py", "relnox/__init__.py")) and name == "<module>" for file, name in of_relnox
    )


def _settle(place: Place, context: object) -> None:
    """See that no process goes on."""
    deadline = time.monotonic() + SETTLED
    while left := place.processes():
        assert time.monotonic() < deadline, (context, left)
        time.sleep(0.05)


def _bump_is_done(place: Place) -> bool:
    root = place.root
    subjects = git(root, "log", "--format=%s").splitlines()
    private = {path.name for path in (root / ".git" / "relnox").glob("*")}
    return (
        subjects == ["Release 1.1", "Change", "Start"]
        and git(root, "status", "--porcelain") == ""
        and git(root, "tag") == "v1.1"
        and git(remote_of(root), "log", "--format=%s", "main").splitlines() == subjects
        and git(remote_of(root), "tag") == "v1.1"
        and 'version = "1.1"' in (root / "pyproject.toml").read_text(encoding="utf-8")
        and private <= {"lock", "last.json", "pending.json"}
        and not list((root / ".git").rglob("*.lock"))
    )


def _build_all_is_done(place: Place) -> bool:
    dist = place.root / "dist"
    if not (dist / MANIFEST_JSON).exists():
        return False
    manifest = Manifest.from_json((dist / MANIFEST_JSON).read_text(encoding="utf-8"), where="dist")
    names = sorted(path.name for path in dist.iterdir())
    assert len(git(place.root, "worktree", "list").splitlines()) == 1
    return sorted([*ARCHIVES, MANIFEST_JSON, MANIFEST_TEXT]) == names and len(manifest.distributions) == 2


_collect_is_done = _build_all_is_done


def _publish_test_is_done(place: Place) -> bool:
    files = place.root / ".git" / "relnox" / "index" / "files"
    return sorted(path.name for path in files.iterdir()) == sorted(ARCHIVES)


def _verify_install_is_done(place: Place) -> bool:
    return git(place.root, "status", "--porcelain") == ""


def _rehearse_is_done(place: Place) -> bool:
    return git(place.root, "log", "--format=%s").splitlines() == ["Change", "Start"] and not (
        git(place.root, "tag") or git(place.root, "status", "--porcelain")
    )
