"""Run the project's hooks, which read their event as a JSON document."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from relnox.core import serialization
from relnox.core.planning.events import StepWarning
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.release.manifest import Distribution
from relnox.core.settings.hook_settings import Hook, HookEvent
from relnox.core.text import join_names
from relnox.errors import ExitCode, Failed
from relnox.steps.action import Action
from relnox.steps.export_commit import GeneratedFiles, source_to_build
from relnox.steps.transaction import Transaction
from relnox.system import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from relnox.core.planning.changes import NewTag
    from relnox.source.git import Git
    from relnox.steps.run import Run

_EVENT_SCHEMA = 1
"""The version of the events that hooks read: it changes where a program that reads them would break."""
_DUE_HOOKS = "due-hooks"
"""The directory with a file for each hook that is due once the release is public."""


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
    recorded = True
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
    """Runs a hook of the project. A hook that was killed runs again."""

    run_extension = Transaction  # which has no effect unless a bump is recorded

    detail = "done"
    before: Mapping[str, str | None] = {}
    repositories: frozenset[str] = frozenset()

    def check(self) -> str | None:
        if self.step.skip is not None:
            return self.step.skip
        match self.step.event:
            case "before-bump" if self._has_bump_begun():
                return "the bump has begun already"
            case "after-build" if not self._built_files():
                return "no archive was built"
            case "after-publish" if not self._is_due():
                _due_record_path(self.step, self.run).unlink(missing_ok=True)
                return "this release was published before: every upload was skipped"
        return None

    def apply(self) -> None:
        """Run the hook; a failure is only a warning if the settings say so."""
        from relnox.source import hook_effects

        # A hook of another event may commit: what is released is fixed by then.
        git = self._checkout() if self.step.event in {"before-bump", "before-build"} else None
        position = git.head_and_branch() if git is not None else None
        archives = [file for file in self._built_files() if self._is_unchanged(file)]
        try:
            self._run_command()
        except Failed as error:
            if self.step.hook.on_failure == "warn":
                self.warnings = (StepWarning(error.code, self.step.key, error.message, error.fix or ""),)
                self.detail = "failed, which is a warning (on-failure = warn)"
            else:
                if self.step.event.startswith("after-") and self.step.task in {"publish", "publish-test"}:
                    error.exit_code = ExitCode.PARTLY_PUBLIC  # rerunning the command runs the hook again
                raise
        event = {"event": self.step.event}
        with hook_effects.attribute_git_errors_to_hook(self.step.hook, event):
            if git is not None and position is not None:
                is_copy = git.root != self.run.root
                hook_effects.check_head_is_unchanged(self.step.hook, event, git, position, is_copy=is_copy)
                if self.step.event == "before-bump":
                    self._check_tags(git)
            if self.step.event == "before-build":
                self._check_and_record_writes()
        if self.step.event in {"after-build", "before-publish"}:
            changed_archives = [file.filename for file in archives if not self._is_unchanged(file)]
            hook_effects.check_archives_are_unchanged(self.step.hook, event, changed_archives)

    def verify(self) -> str:
        if self.step.event == "after-publish":
            _due_record_path(self.step, self.run).unlink(missing_ok=True)
        return self.detail

    def _run_command(self) -> None:
        from relnox.source.hooks import run_hook

        step, run = self.step, self.run
        builds = step.event == "before-build"
        source = source_to_build(run)
        root = source.directory if builds else run.root
        commit = source.commit if builds else run.git.head() if run.git is not None else None
        event = event_document(
            step,
            root=str(root),
            commit=commit,
            directory=str(run.root / step.directory) if step.directory is not None else None,
            files=self._built_files(),
        )
        if builds:
            self.before, self.repositories = self._written_files()
        run_hook(
            step.hook,
            event,
            root,
            on_line=self.on_line,
            variables=run.temporary_variables(),
            is_copy=builds and source.export is not None,
        )

    def _is_unchanged(self, file: Distribution) -> bool:
        from relnox.building.file_hashes import file_matches

        return file_matches(self.run.root / str(self.step.directory) / file.filename, file.size, file.sha256)

    def _built_files(self) -> tuple[Distribution, ...]:
        """Return the archives of the packages that take part."""
        if self.step.event != "after-build":
            return self.step.files
        from relnox.steps.built_archives import built_packages  # the record of a bump imports this module

        packages = built_packages(self.run)
        return tuple(
            file
            for package in self.step.packages
            if package.name in packages
            for file in packages[package.name].files
        )

    def _has_bump_begun(self) -> bool:
        """Return whether a planned edit was made or, if the bump has no edits, a planned tag exists."""
        from relnox.source import file_edits

        run = self.run
        if planned_edits := run.service(Transaction).planned_edits:
            return any(file_edits.read_content(run.root / edit.file) != edit.before for edit in planned_edits)
        return run.git is not None and any(tag.name in run.git.tags() for tag in self._planned_tags())

    def _check_tags(self, git: Git) -> None:
        """Check that the hook created none of the bump's tags, none of which existed before."""
        existing_tags = git.tags()
        created_tags = [tag.name for tag in self._planned_tags() if tag.name in existing_tags]
        if created_tags:
            raise Failed(
                "hook-created-tag",
                f"the before-bump hook ({self.step.hook.command}) created {join_names(created_tags)}, which "
                "bump creates itself",
                fix="change the hook so that it creates no tags, then delete them: git tag -d "
                f"{' '.join(created_tags)}",
            )

    def _planned_tags(self) -> Sequence[NewTag]:
        pending = self.run.service(Transaction).pending
        return pending.tags if pending is not None else ()

    def _is_due(self) -> bool:
        """Return whether a file was uploaded by this run, or by an earlier run that ended before the hook."""
        from relnox.core.release.publication import UploadStatus
        from relnox.steps.published_files import Publication

        uploads = any(file.upload is UploadStatus.UPLOADED for file in self.run.service(Publication).files)
        is_new = any(due.key == self.step.key for due in self.run.results(NewDueHook))
        return uploads or (not is_new and _due_record_path(self.step, self.run).exists())

    def _written_files(self) -> tuple[dict[str, str | None], frozenset[str]]:
        """Return the files and nested repositories that differ from the commit, declared ignored ones included."""
        from relnox.source import hook_effects

        git = self._checkout()
        if git is None:
            return {}, frozenset()
        # A fresh copy has no ignored files of others: all of them can end up in the archives.
        ignored_patterns = ("*",) if git.root != self.run.root else self.step.hook.writes
        return (
            hook_effects.hash_changed_files(git, ignored_patterns),
            hook_effects.find_nested_repositories(git, ignored_patterns),
        )

    def _checkout(self) -> Git | None:
        """Return the checkout in which the hook runs, or None outside git."""
        from relnox.source.git import Git

        run = self.run
        if run.git is None or self.step.event != "before-build":
            return run.git
        return Git(source_to_build(run).directory, run.git.prefix)

    def _check_and_record_writes(self) -> None:
        """Check that the hook wrote only the files that it declares, and add them to the build."""
        from relnox.source import hook_effects

        run, source = self.run, source_to_build(self.run)
        after, repositories = self._written_files()
        event = {"event": self.step.event}
        hook_effects.check_no_nested_repositories(self.step.hook, event, repositories - self.repositories)
        names = [name for name in {**self.before, **after} if self.before.get(name, "") != after.get(name, "")]
        changes = {name: after.get(name) for name in names}
        hook_effects.check_writes_are_declared(self.step.hook, event, names)
        self.result = GeneratedFiles(
            packages=tuple(package.name for package in self.step.packages), digests=tuple(changes.items())
        )
        if source.commit is not None and run.git is not None:
            time = run.git.head_time() or 0
            for name in names:
                if (source.directory / name).is_file():
                    os.utime(source.directory / name, (time, time), follow_symlinks=False)
        if names and self.detail == "done":
            self.detail = f"wrote {join_names(sorted(names))}"


class NewDueHook(Record, kw_only=True):
    """A hook that was recorded as due by this run, and not by an earlier one."""

    key: str


class RecordDueHook(Step, kw_only=True):
    """Record that a hook is due once the release is public, so that it runs even if this run is killed before."""

    hook: RunHook

    @property
    def key(self) -> str:
        return f"record {self.hook.key}"

    @property
    def title(self) -> str:
        return f"record that the {self.hook.event} hook is due: {self.hook.hook.command}"


class RecordDueHookAction(Action[RecordDueHook]):
    def check(self) -> str | None:
        return "already recorded" if _due_record_path(self.step.hook, self.run).exists() else None

    def apply(self) -> None:
        path = _due_record_path(self.step.hook, self.run)
        files.make_private_directory(self.run.private)
        files.make_private_directory(path.parent)
        files.replace_file(path, f"{self.step.hook.title}\n".encode(), mode=0o600, keep_mode=False)
        self.result = NewDueHook(key=self.step.hook.key)

    def verify(self) -> str:
        path = _due_record_path(self.step.hook, self.run)
        if not path.exists():
            raise Failed(
                "hook-not-recorded",
                f"{path} disappeared after relnox wrote it",
                fix="check whether another program removes files there, then rerun the command",
            )
        return "recorded"


def _due_record_path(step: RunHook, run: Run) -> Path:
    """Return the path of the file that records that a hook is due for a release on an index."""
    identity = [step.event, step.number, step.index, sorted(file.sha256 for file in step.files)]
    return run.private / _DUE_HOOKS / serialization.digest(identity)[:32]


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
