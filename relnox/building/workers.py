"""The near end of `fork_server`: programs run in forks of a warm process, as `process.run` runs fresh ones."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import TYPE_CHECKING, Self

from relnox.core import fixes
from relnox.errors import Failed
from relnox.process import Completed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Fork", "ForkServer", "has_fork", "twine_program", "warm_twine"]

_PROGRAM = Path(__file__).with_name("fork_server.py")
_START_LIMIT = 120.0
_UMASK = 0o022
_GLANCE = 0.5
"""Seconds between two looks at what a program that takes its time has printed."""


def has_fork() -> bool:
    """Whether a process can be forked: not on Windows, and on macOS its own libraries do not survive it."""
    return hasattr(os, "fork") and sys.platform != "darwin"


def twine_program() -> str:
    """The script behind `python -m twine`."""
    from importlib.util import find_spec

    spec = find_spec("twine.__main__")
    if spec is None or spec.origin is None:
        raise Failed("todo", "twine is not installed as it should be", fix=fixes.install("twine", upgrade=True))
    return spec.origin


def warm_twine(variables: Mapping[str, str], folder: Path) -> ForkServer:
    """A process that imports what `twine check` needs while something else is done; its forks are twine.

    Args:
        variables: The environment variables that it starts with.
        folder: An existing folder for what twine prints.
    """
    modules = (
        *("twine.__main__", "twine.commands.check", "readme_renderer.markdown", "readme_renderer.rst"),
        *("rich.console", "rich.markup", "encodings.cp437", "gzip"),
    )
    return ForkServer(Path(sys.executable), modules, variables, folder)


class ForkServer:
    """One warm process.

    Args:
        python: The interpreter of the environment that it serves.
        modules: What is imported once, before the first fork.
        variables: The environment variables that it starts with.
        folder: An existing folder for what programs print.
    """

    def __init__(self, python: Path, modules: Sequence[str], variables: Mapping[str, str], folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[int]] = {}
        self._writing = threading.Lock()
        self._ready: Future[int] = Future()
        self._process = subprocess.Popen(
            [python, _PROGRAM, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(variables),
            start_new_session=True,
            umask=_UMASK,  # of what Python compiles, too
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def is_single_threaded(self) -> bool:
        """Whether its forks are whole; they are not if something started threads when it was imported."""
        with contextlib.suppress(Late):
            return self._ready.result(_START_LIMIT) == 1
        return False

    def close_stdin(self) -> None:
        """Have it end soon, and whatever its forks still do."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """End it, and whatever its forks still do."""
        self.close_stdin()
        try:
            self._process.wait(_GLANCE * 4)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def expect(self) -> tuple[int, Path, Future[int]]:
        """The number of a new request, the file for what is printed, and what will be its status."""
        number = next(self._numbers)
        ended = self._waiting[number] = Future()
        return number, self._folder / f"{number}.printed", ended

    def ask(self, request: Mapping[str, object]) -> None:
        """Send a request; see `fork_server`.

        Raises:
            Failed: The warm process is gone.
        """
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        line = json.dumps(request).encode() + b"\n"
        try:
            with self._writing:
                self._process.stdin.write(line)
                self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise _gone() from error

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        with self._process.stdout as answers:
            for line in answers:
                told = json.loads(line)
                if "threads" in told:
                    self._ready.set_result(told["threads"])
                elif (ended := self._waiting.pop(told["id"], None)) is not None:
                    ended.set_result(told["status"])
        if not self._ready.done():
            self._ready.set_result(0)
        while self._waiting:
            with contextlib.suppress(KeyError):
                self._waiting.popitem()[1].set_exception(_gone())


class Fork:
    """A fork of a warm process. Programs run in it one after the other: the last one of a build, and those before.

    Args:
        server: The warm process.
    """

    def __init__(self, server: ForkServer) -> None:
        self.server = server
        self._after: int | None = None

    def run(  # noqa: PLR0913 - what a program is given
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None,
        env: Mapping[str, str],
        timeout: float,
        on_line: Callable[[str], None],
        stays: bool = False,
    ) -> Completed:
        """Run the program with these arguments; see `process.run`.

        Args:
            argv: The program and its arguments.
            cwd: Where.
            env: All of its environment variables.
            timeout: Seconds after which it is ended.
            on_line: Called with each line that it prints.
            stays: Whether one more program is to run in this fork, if this one does well.

        Raises:
            Failed: It took too long, or the warm process is gone.
        """
        number, output, ended = self.server.expect()
        request = {
            "id": number,
            "argv": list(argv),
            "cwd": None if cwd is None else str(cwd),
            "environ": dict(env),
            "output": str(output),
        }
        if self._after is not None:
            request["after"] = self._after
        if stays:
            request["stays"] = True
        self.server.ask(request)
        with _Printed(output, on_line) as printed:
            status = self._wait(number, ended, timeout, printed)
        self._after = number if stays and status == 0 else None
        return Completed(tuple(argv), status, printed.text)

    def end(self) -> None:
        """End the fork, if it stayed."""
        if self._after is not None:
            self.server.ask({"end": self._after})
            self._after = None

    def _wait(self, number: int, ended: Future[int], timeout: float, printed: _Printed) -> int:
        for _ in range(max(1, int(timeout / _GLANCE))):
            with contextlib.suppress(Late):
                return ended.result(_GLANCE)
            printed.read()
        self.server.ask({"end": number})
        with contextlib.suppress(Late):
            ended.exception(_GLANCE * 4)
        raise Failed("todo", f"a build hook did not end within {timeout:g} s", fix="see what it prints: --verbose")


class _Printed:
    """What a program prints into a file, told line by line."""

    def __init__(self, path: Path, on_line: Callable[[str], None]) -> None:
        self._path = path
        self._on_line = on_line
        self._told = 0
        self._content = b""

    @property
    def text(self) -> str:
        """All that it printed so far."""
        return self._content.decode(errors="replace")

    def read(self, *, to_the_end: bool = False) -> None:
        """Tell the lines that are new; one that is not ended yet only at the end."""
        with contextlib.suppress(FileNotFoundError):
            self._content = self._path.read_bytes()
        until = len(self._content) if to_the_end else self._content.rfind(b"\n") + 1
        for line in self._content[self._told : until].decode(errors="replace").splitlines():
            self._on_line(line)
        self._told = max(self._told, until)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.read(to_the_end=True)
        self._path.unlink(missing_ok=True)


def _gone() -> Failed:
    return Failed(
        "todo",
        "the warm process of a build backend ended",
        fix="type the same command again, with --isolation strict",
    )
