"""Run the project's hooks, which read their event as a JSON document."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.release.manifest import Distribution
from relnox.core.settings.hook_settings import Hook, HookEvent
from relnox.core.text import join_names
from relnox.errors import ExitCode, Failed
from relnox.steps.action import Action
from relnox.steps.export_commit import GeneratedFiles, source_to_build

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from relnox.source.git import Git

_EVENT_SCHEMA = 1
"""The version of the events that hooks read: it changes where a program that reads them would break."""


class EventPackage(Record, kw_only=True):
    """A package that takes part in an event.

    Attributes:
        directory: Its directory, relative to the root.
        old_version: The version before a bump, or None for other events and for a first version.
        version: The version, or None if it is not known before the build.
        tag: The tag of the version, or None if it has none.
    """

    name: str
    directory: str
    old_version: Version | None = None
    version: Version | None = None
    tag: str | None = None


class RunHook(Step, kw_only=True):
    """Run a hook of the project.

    Attributes:
        number: The position of the hook among the hooks of the event, from 1.
        task: The task that runs the hook.
        packages: The packages that take part.
        index: The index of the release, or None before it is published.
        directory: The directory with the archives, or None if there are none at this event.
        files: The archives, if they are known before the run.
        rehearsal: Whether nothing becomes public, because it is a rehearsal or a test index is used.
        skip: The reason to skip the hook, or None to run it.
    """

    runs_project_code = True
    event: HookEvent
    number: int
    hook: Hook
    task: str
    packages: tuple[EventPackage, ...]
    index: str | None = None
    directory: str | None = None
    files: tuple[Distribution, ...] = ()
    rehearsal: bool = False
    skip: str | None = None

    @property
    def key(self) -> str:
        return f"{self.event} {self.number}"

    @property
    def title(self) -> str:
        return f"run {self.event} hook: {self.hook.command}"


class RunHookAction(Action[RunHook]):
    """Runs a hook of the project. A hook that failed or was killed runs again."""

    detail = "done"

    def check(self) -> str | None:
        return self.step.skip

    def apply(self) -> None:
        try:
            self._run()
        except Failed as error:
            if self.step.event == "after-publish":
                error.exit_code = ExitCode.PARTLY_PUBLIC  # rerunning the command runs the hook again
            raise

    def verify(self) -> str:
        return self.detail

    def _run(self) -> None:
        from relnox.source import hooks
        from relnox.source.git import Git

        step, run = self.step, self.run
        source = source_to_build(run)
        builds = step.event == "before-build"
        is_copy = builds and source.export is not None
        root, git = run.root, run.git
        if is_copy and run.git is not None:
            root, git = source.directory, Git(source.directory, run.git.prefix)
        commit = source.commit if builds else run.git.head() if run.git is not None else None
        directory = str(run.root / step.directory) if step.directory is not None else None
        event = event_document(step, root=str(root), commit=commit, directory=directory, files=step.files)
        ignored_before = _ignored_files(git) if is_copy else set()
        with hooks.unchanged_checkout(step.hook, event, None if step.event == "after-publish" else git):
            variables = run.variables(own_indexes=True)
            hooks.run_hook(step.hook, event, root, variables=variables, on_line=self.on_line, is_copy=is_copy)
        if is_copy and (names := sorted(_ignored_files(git) - ignored_before)):
            self.result = GeneratedFiles(files=tuple(names))
            self.detail = f"wrote {join_names(names)}"
            _set_times(root, names, (git.head_time() if git is not None else None) or 0)


def _ignored_files(git: Git | None) -> set[str]:
    """Return the files that git ignores; in a fresh copy, only hooks write some."""
    options = ("ls-files", "--others", "--ignored", "--exclude-standard")
    return set(git.read_entries(*options)) if git is not None else set()


def _set_times(root: Path, names: Iterable[str], time: int) -> None:
    for name in names:
        if (root / name).is_file():
            os.utime(root / name, (time, time), follow_symlinks=False)


def event_document(
    step: RunHook, *, root: str, commit: str | None, directory: str | None, files: Iterable[Distribution]
) -> dict[str, Any]:
    """Return the document that a hook reads, with the directory it runs in, and the archives in `directory`."""
    by_package: dict[str, list[Distribution]] = {}
    for file in files:
        by_package.setdefault(file.package, []).append(file)
    return {
        "schema": _EVENT_SCHEMA,
        "event": step.event,
        "task": step.task,
        "rehearsal": step.rehearsal,
        "root": root,
        "commit": commit,
        "index": step.index,
        "tags": list(dict.fromkeys(package.tag for package in step.packages if package.tag is not None)),
        "directory": directory,
        "packages": [
            {
                "name": package.name,
                "directory": package.directory,
                "old_version": _text_or_none(package.old_version),
                "version": _text_or_none(package.version or next((file.version for file in archives), None)),
                "tag": package.tag,
                "files": [
                    {field: getattr(file, field) for field in ("filename", "kind", "size", "sha256")}
                    for file in archives
                ],
            }
            for package in step.packages
            for archives in [by_package.get(package.name, [])]
        ],
    }


def _text_or_none(version: object) -> str | None:
    return None if version is None else str(version)
