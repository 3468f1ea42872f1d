"""What the actions of one run share: where they work, what they have made so far, whom they tell."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relnox import process
from relnox.building.environments import find_installer
from relnox.core.events import OutputLine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.building.environments import Environment, Installer
    from relnox.core.events import Event, Outcome
    from relnox.core.manifest import Distribution
    from relnox.core.steps import Stage, Step
    from relnox.indexes import Indexes
    from relnox.source.edits import Pending
    from relnox.source.git import Git

__all__ = ["Run"]


@dataclass(kw_only=True)
class Run:
    """One run of one plan.

    Attributes:
        root: The project's folder; paths of steps are relative to it.
        scratch: An empty folder that is removed when the run ends.
        private: Where relnox keeps what must outlive a run.
        git: The checkout, or None outside git.
        indexes: The indexes that steps name.
        emit: Tells the reporters.
        stage: Observes, plans and runs a task of a chain in a folder.
        pending: What is written down before the first step and dropped when the local ones are through.
        built: What this run built, by package, in order.
        environments: What this run created, by the step's name for it.
        fetched: What this run downloaded or may take from disk, by package: archives proven by hash.
        clone: The throw-away checkout that stages run in, where there is one.
        stages: How the stages of a chain went.
        undo: Takes the local steps back, the last first, when a later local one fails.
    """

    root: Path
    scratch: Path
    private: Path
    git: Git | None
    indexes: Indexes
    emit: Callable[[Event], None]
    stage: Callable[[Stage, Path], Outcome]
    pending: Pending | None = None
    built: dict[str, list[Distribution]] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    fetched: dict[str, list[Archive]] = field(default_factory=dict)
    clone: Path | None = None
    stages: list[Outcome] = field(default_factory=list)
    undo: ExitStack = field(default_factory=ExitStack)

    def tell(self, step: Step) -> Callable[[str], None]:
        """What to call with each line that a program prints during a step."""
        return lambda line: self.emit(OutputLine(step, line))

    def variables(self, *, own_indexes: bool = False, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment variables for programs that must not see credentials; see `process`."""
        return process.clean_environment(os.environ, own_indexes=own_indexes, more=more)

    def installer(self, name: str) -> Installer:
        """What makes environments."""
        return find_installer(name)

    def folder(self, name: str) -> Path:
        """A new folder under `scratch`."""
        folder = self.scratch / name.replace("/", "_").replace(" ", "-")
        folder.mkdir(parents=True)
        return folder
