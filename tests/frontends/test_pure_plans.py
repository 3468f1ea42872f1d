"""Plans are pure: made again from the same project and options they are equal, byte by byte, and read nothing."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from planned import PLANNED
from projects import repository, single

from relnox.cli import main
from relnox.commands import COMMANDS, import_task_module
from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relnox.core.planning.plan import Plan

pytestmark = pytest.mark.heavy

OUTSIDE = ("open", "os.listdir", "os.scandir", "os.system", "subprocess.", "socket.", "tempfile.", "shutil.")
"""Audit events of whatever reads or changes something outside the process."""

SEALED: set[int] = set()
"""The thread that makes a plan."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if threading.get_ident() in SEALED and event.startswith(OUTSIDE):
        raise AssertionError(f"a plan looks at the world: {event} {arguments[:1]}")


@pytest.fixture(scope="module", autouse=True)
def watched() -> None:
    sys.addaudithook(_audit)  # there is no way to remove it: outside `sealed` it does nothing


@contextmanager
def sealed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No files, programs, connections and clocks inside the block; other threads, such as an index, have them."""
    thread = threading.get_ident()

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **options: object) -> Any:
            if threading.get_ident() == thread:
                raise AssertionError(f"a plan looks at the world: {real.__qualname__}")
            return real(*arguments, **options)

        return call

    class Stopped(dt.datetime):
        now = guarded(dt.datetime.now)
        today = guarded(dt.datetime.today)

    clock = retries.Clock()
    with monkeypatch.context() as patch:
        for module, name in ((os, "stat"), (os, "lstat"), (os, "urandom"), (time, "time"), (time, "monotonic")):
            patch.setattr(module, name, guarded(getattr(module, name)))
        for name in ("monotonic", "utc_now", "pause"):
            patch.setattr(clock, name, guarded(getattr(clock, name)))
        patch.setattr(retries, "CLOCK", clock)
        patch.setattr(dt, "datetime", Stopped)
        SEALED.add(thread)
        try:
            yield
        finally:
            SEALED.clear()


HOOK = "[[tool.relnox.hooks.edit-bump]]\nrun = ['touch', 'edited']\n"

ALL_PLANNED = [*PLANNED, ("init", "", 0), ("init", "--update", 0)]


def test_every_task_is_planned() -> None:
    assert {task for task, _, _ in ALL_PLANNED} == set(COMMANDS)


@pytest.mark.parametrize(
    "look",
    [
        lambda: Path(__file__).read_bytes(),
        lambda: Path(__file__).exists(),
        lambda: Path(__file__).resolve(),
        lambda: list(Path(__file__).parent.iterdir()),
        lambda: subprocess.run(["git", "--version"], check=False),
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: dt.datetime.now(dt.UTC),
        lambda: time.time(),  # noqa: PLW0108 - looked up in the block
    ],
)
def test_a_look_at_the_world_is_noticed(monkeypatch: pytest.MonkeyPatch, look: Callable[[], object]) -> None:
    with sealed(monkeypatch), pytest.raises(AssertionError, match="a plan looks at the world"):
        look()


def assert_reads_once(monkeypatch: pytest.MonkeyPatch, root: Path, task: str, flags: str, exit_code: int) -> None:
    """Plan a task in a project, several times from the same view of it."""
    module: Any = import_task_module(task)
    make_plan, plans = module.plan, []

    def watched_plan(*arguments: Any) -> Plan:
        plans.append(make_plan(*arguments).to_json())  # reads what it needs to know, once
        with sealed(monkeypatch):
            plans.extend(make_plan(*arguments).to_json() for _ in range(2))
        return make_plan(*arguments)  # type: ignore[no-any-return]

    monkeypatch.chdir(root)
    monkeypatch.setattr(module, "plan", watched_plan)
    assert main([task, *flags.split(), "--dry-run"]) == exit_code
    assert len(plans) == 3
    assert len(set(plans)) == 1


@pytest.mark.parametrize(("task", "flags", "exit_code"), ALL_PLANNED)
def test_a_plan_reads_the_world_once(
    shared: Path, monkeypatch: pytest.MonkeyPatch, task: str, flags: str, exit_code: int
) -> None:
    assert_reads_once(monkeypatch, shared, task, flags, exit_code)


@pytest.mark.parametrize(
    ("hook", "before", "flags"),
    [
        (HOOK, "", "--part minor --commit --tag"),
        (HOOK, "--part minor --commit --tag", "--undo"),
        (HOOK, "--part minor --commit", "--part minor --commit --tag --then-dev"),  # to be finished
        ("", "--part minor", "--part minor --commit --tag"),  # edited, but not committed
    ],
)
def test_a_bump_reads_the_world_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str, before: str, flags: str
) -> None:
    root = single(tmp_path / "demo")
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text() + hook)
    repository(root)
    monkeypatch.chdir(root)
    assert not before or main(["bump", *before.split()]) == 0
    assert_reads_once(monkeypatch, root, "bump", flags, 0)
