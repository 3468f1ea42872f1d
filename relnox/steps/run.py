"""What all steps of a run share: directories, results, services, and how to undo what they did."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from relnox.core import fixes
from relnox.core.planning.events import Event, OutputLine, Status, StepFinished
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import Step
from relnox.errors import Failed, Problem
from relnox.source.git import Git, remotes
from relnox.system.process import clean_environment

if TYPE_CHECKING:
    from relnox.forges import Forge
    from relnox.indexes import Indexes


class SharedService:
    """The base class of objects that the steps of a run share; `Run.service` creates them when needed."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def close(self) -> None:
        """End its work; called at the end of the run and on an interruption, possibly several times.

        By default, nothing is done.
        """


T = TypeVar("T")
V = TypeVar("V", bound=SharedService)


class Run:
    """One run of a plan: what its steps share.

    Objects that only some steps need, such as `StageCallbacks`, are passed to the constructor as `values`; steps
    get them from `result`.

    Attributes:
        root: The project's directory; paths of steps are relative to it.
        git: The checkout, or None outside git.
        unsuccessful: The steps that failed or were aborted.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run
        self,
        *,
        plan: Plan,
        root: Path,
        git: Git | None,
        indexes: Callable[[], Indexes],
        emit: Callable[[Event], None],
        scratch: Path,
        passed: Collection[str] = (),
        values: Iterable[object] = (),
    ) -> None:
        self.plan = plan
        self.root = root
        self.git = git
        self.unsuccessful: list[Step] = []
        self._indexes = indexes
        self._passed = passed
        self._values = tuple(values)
        self._emit = emit
        self._emitting = threading.Lock()
        self._scratch = scratch
        self._results: dict[str, Any] = {}
        self._warnings: dict[str, tuple[Problem, ...]] = {}
        self._services: dict[type[SharedService], Any] = {}
        self._forges: dict[str, Forge] = {}
        self._opening = threading.RLock()
        self._undo: list[Callable[[], object]] = []
        self._is_undone = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_services()

    def record_result(self, step: Step, result: Any) -> None:
        """Record what a step produced, so that later steps get it from `result`; None is ignored; thread-safe.

        It replaces what was recorded for the step before.
        """
        if result is not None:
            self._results[step.key] = result

    def add_warnings(self, step: Step, warnings: Iterable[Problem]) -> None:
        """Add warnings to those that are reported with the step's result; thread-safe."""
        self._warnings[step.key] = (*self.warnings(step), *warnings)

    def warnings(self, step: Step) -> tuple[Problem, ...]:
        """Return the warnings that were added for a step so far; empty if there are none."""
        return self._warnings.get(step.key, ())

    def results(self, kind: type[T]) -> tuple[T, ...]:
        """Return all objects of a class: `values` of the run, then results of steps, in the order of the plan."""
        results = (*self._values, *(self._results.get(step.key) for step in self.plan.steps))
        return tuple(result for result in results if isinstance(result, kind))

    def result(self, kind: type[T]) -> T | None:
        """Return the first object of a class among the `values` of the run and the results of steps, or None."""
        return next(iter(self.results(kind)), None)

    def service(self, kind: type[V]) -> V:
        """Return the service of a class, which is created on first use and shared by all steps of the run."""
        with self._opening:
            if kind not in self._services:
                self._services[kind] = kind(self)
            service: V = self._services[kind]
            return service

    def undo_on_failure(self, undo: Callable[..., object], *arguments: object) -> None:
        """Have `undo(*arguments)` called at the end of the run if a local step is the first one to fail.

        An aborted step counts as failed. What is registered last is called first. If a remote step is the first
        one to fail, all changes stay, for a rerun.
        """
        self._undo.append(partial(undo, *arguments))

    def undo_or_keep_changes(self, *, undo: bool) -> bool:
        """Undo the changes of the steps if `undo` is true; return whether there were some and all are undone.

        If undoing one fails, a warning is shown, and the changes before it stay.
        """
        changes, self._undo = self._undo, []
        try:
            for undo_change in reversed(changes if undo else ()):
                undo_change()
        except (Problem, OSError) as error:
            self.report_not_undone(f"not undone completely: {error}", "git status; git log -1")
        return undo and bool(changes) and self._is_undone

    def report_not_undone(self, message: str, fix: str) -> None:
        """Show a warning that a change of a step could not be undone; `undo_or_keep_changes` then returns False.

        `fix` is a command that shows the user what is left.
        """
        self._is_undone = False
        self.emit(Problem("not-undone", message, fix, level="warning"))

    def close_services(self) -> None:
        """Close all services that steps have requested, even if they are still working."""
        for service in tuple(self._services.values()):
            service.close()

    @property
    def checkout(self) -> Git:
        """The git checkout; raises `Failed` outside git, where steps that need it are not planned."""
        if self.git is None:
            raise Failed(
                "not-a-git-repository", f"{self.root} is not in a git repository", fix=fixes.CREATE_REPOSITORY
            )
        return self.git

    def forge(self, remote: str) -> Forge:
        """Return the forge, such as GitHub, that hosts the remote of this name; all steps get the same object.

        Raises:
            Blocked: The remote is not on a known forge, or the forge's token is not valid.
            Failed: The project is not in a git checkout.
        """
        from relnox import forges

        with self._opening:
            if remote not in self._forges:
                self._forges[remote] = forges.forge_of(remotes.read_remote_url(self.checkout, remote))
            return self._forges[remote]

    @property
    def indexes(self) -> Indexes:
        """The package indexes of the project's settings; read on first use."""
        return self._indexes()

    @property
    def scratch(self) -> Path:
        """The temporary directory of the run, which is removed when the run ends."""
        return self._scratch

    def create_temporary_directory(self, purpose: str) -> Path:
        """Create an empty directory, with its purpose in its name, which is removed when the run ends."""
        prefix = purpose.replace("/", "_").replace(" ", "-")
        return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self.scratch))

    def emit(self, event: Event) -> None:
        """Pass an event to the reporter; add a step that failed or was aborted to `unsuccessful`; thread-safe."""
        with self._emitting:
            if isinstance(event, StepFinished) and event.status in (Status.FAILED, Status.ABORTED):
                self.unsuccessful.append(event.step)
            self._emit(event)

    def line_callback(self, step: Step) -> Callable[[str], None]:
        """Return a function that reports each line that it is called with as output of the step."""
        return lambda line: self.emit(OutputLine(step, line))

    def environment_variables(
        self, *, own_indexes: bool = False, more: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the environment of this process without credentials, for programs of the project.

        Variables that the project's settings let through are kept. Temporary files go to `scratch`. With
        `own_indexes`, pip and uv use the user's index configuration, and its logins, else only indexes on their
        command line. `more` adds or replaces variables.
        """
        names = ("TEMP", "TMP") if os.name == "nt" else ("TMPDIR",)
        temporary = dict.fromkeys(names, str(self.scratch)) | dict(more or {})
        return clean_environment(os.environ, own_indexes=own_indexes, passed=self._passed, more=temporary)
