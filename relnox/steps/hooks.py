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
from relnox.steps.export_commit import GeneratedFiles, source_to_build

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from relnox.source.git import Git
    from relnox.steps.run import Run

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

    def done(self, run: Run) -> str | None:
        """Return the reason to skip the hook; one that failed or was killed runs again."""
        del run
        return self.skip

    def apply(self, run: Run) -> GeneratedFiles | None:
        try:
            return self._run(run)
        except Failed as error:
            if self.event == "after-publish":
                error.exit_code = ExitCode.PARTLY_PUBLIC  # rerunning the command runs the hook again
            raise

    def verify(self, run: Run, result: GeneratedFiles | None) -> str:
        del run
        return "done" if result is None else f"wrote {join_names(result.files)}"

    def _run(self, run: Run) -> GeneratedFiles | None:
        from relnox.source import hooks
        from relnox.source.git import Git

        source = source_to_build(run)
        builds = self.event == "before-build"
        is_copy = builds and source.export is not None
        root, git = run.root, run.git
        if is_copy and run.git is not None:
            root, git = source.directory, Git(source.directory, run.git.prefix)
        commit = source.commit if builds else run.git.head() if run.git is not None else None
        directory = str(run.root / self.directory) if self.directory is not None else None
        event = event_document(self, root=str(root), commit=commit, directory=directory, files=self.files)
        ignored_before = _ignored_files(git) if is_copy else set()
        with hooks.unchanged_checkout(self.hook, event, None if self.event == "after-publish" else git):
            variables, on_line = run.variables(own_indexes=True), run.on_line(self)
            hooks.run_hook(self.hook, event, root, variables=variables, on_line=on_line, is_copy=is_copy)
        names = sorted(_ignored_files(git) - ignored_before) if is_copy else []
        if not names:
            return None
        _set_times(root, names, (git.head_time() if git is not None else None) or 0)
        return GeneratedFiles(files=tuple(names))


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
