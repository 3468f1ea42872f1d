"""Run the project's hooks, which read their event as a JSON document."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.release.manifest import Distribution
from relnox.core.settings.config import Hook, HookEvent
from relnox.core.text import join_names
from relnox.errors import ExitCode, Failed
from relnox.source.copies import copy_commit, read_changes_in_copy
from relnox.source.git import Git
from relnox.steps.build import HookGeneratedFiles, source_to_build
from relnox.steps.run import Run
from relnox.system import files, process
from relnox.system.process import path_variable

_EVENT_VARIABLE = "RELNOX_EVENT"
"""The environment variable with the path of the file that describes the event."""
_EVENT_SCHEMA = 1
"""The version of the events that hooks read: it changes where a program that reads them would break."""
_UMASK = 0o022
"""The umask of hooks in copies, as in exports: backends copy the permissions of files into archives."""


class EventPackage(Record, kw_only=True):
    """A package in the JSON document from which a hook learns about its event.

    Attributes:
        directory: Its directory, relative to the root.
        old_version: The version before a bump, or None for other events and for a first version.
        version: The version, or None if it is not known before the build.
        tag: The name of the tag for the version, which need not exist; None if the version or the format is not
            known.
    """

    name: str
    directory: str
    old_version: Version | None = None
    version: Version | None = None
    tag: str | None = None


class RunHook(Step, key="{self.event} {self.number}", title="run {self.event} hook: {self.hook.command}"):
    """Run a hook: a program of the project that runs at an event of a release, such as `before-build`.

    Attributes:
        number: The position of the hook among the hooks of the event, from 1.
        task: The name of the task, such as `publish`, in which the event occurs.
        index: The name of the index to publish to; None at the events of tasks that do not publish.
        directory: The directory with the archives, relative to the root; None if there are none at this event.
        files: The archives; empty if they are not known before the run.
        rehearsal: Whether nothing becomes public, because the task runs in a rehearsal.
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

    def reason_to_skip(self, run: Run) -> str | None:
        """Return `skip`, the reason that was planned, or None; a hook that an earlier run has run is run again."""
        del run
        return self.skip

    def apply(self, run: Run) -> HookGeneratedFiles | None:
        """Run the hook; return the files that it generated in the copy of a commit to build, else None.

        Only `before-build` hooks can generate files, and only those that git ignores are returned.

        Raises:
            Failed: The hook fails or, except after publishing, leaves changes that git would commit, or another
                HEAD.
        """
        source, builds = source_to_build(run), self.event == "before-build"
        is_copy = builds and source.commit is not None
        root, git = run.root, run.git
        if is_copy and run.git is not None:
            root, git = source.directory, Git(source.directory, run.git.prefix)
        commit = source.commit if builds else run.git.head() if run.git is not None else None
        directory = str(run.root / self.directory) if self.directory is not None else None
        checked_git = None if self.event == "after-publish" else git
        head = checked_git.head_and_branch() if checked_git is not None else None
        changed_files = set(checked_git.changed_and_untracked_files()) if checked_git is not None else set()
        ignored_before = _ignored_files(git) if is_copy else set()
        try:
            variables, on_line = run.environment_variables(own_indexes=True), run.line_callback(self)
            event = self._event_document(root, commit, directory)
            self._run_program(event, root, variables=variables, on_line=on_line, is_copy=is_copy)
        except Failed as error:
            if self.event == "after-publish":
                error.exit_code = ExitCode.PARTLY_PUBLIC  # rerunning the command runs the hook again
            raise
        if checked_git is not None and head is not None:
            self._check_same_head(checked_git, head)
            if left := sorted(changed_files ^ set(checked_git.changed_and_untracked_files())):
                raise self._leftover_error(join_names(left))
        names = sorted(_ignored_files(git) - ignored_before) if is_copy else []
        time = (git.commit_time() if git is not None else None) or 0
        for name in names:
            if (root / name).is_file():
                os.utime(root / name, (time, time), follow_symlinks=False)
        return HookGeneratedFiles(files=tuple(names)) if names else None

    def verify(self, run: Run, result: HookGeneratedFiles | None) -> str:
        """Return the names of the files that the hook generated, as text, or `done` if there are none."""
        del run
        return "done" if result is None else f"wrote {join_names(result.files)}"

    def run_in_copy(
        self,
        git: Git,
        contents: Mapping[str, bytes | None],
        *,
        variables: Mapping[str, str],
        on_line: Callable[[str], None] | None = None,
    ) -> dict[str, bytes | None]:
        """Run the hook in a temporary copy of the current commit with planned edits; return what it changes.

        `contents` are the edits. They and the result map paths, relative to the root, to the new content, or None
        for a removed file. `variables` is the environment of the hook; `on_line` is called with each line of its
        output.

        Raises:
            Failed: The hook fails, makes commits, or leaves anything but regular files with unchanged permissions.
        """
        with files.temporary_directory() as scratch:
            copy = copy_commit(git, git.head() or "HEAD", scratch, contents)
            head = copy.head_and_branch()
            event = self._event_document(copy.root, head[0], None)
            self._run_program(event, copy.root, variables=variables, on_line=on_line, is_copy=True)
            self._check_same_head(copy, head)
            names = sorted({*copy.changed_and_untracked_files(), *contents})
            modes = copy.run("diff", "--summary", "HEAD", stderr=False).output.splitlines()
            unsupported = [
                *(name for name in names if (copy.root / name).is_symlink() or (copy.root / name).is_dir()),
                *(line.split(maxsplit=5)[5] for line in modes if line.startswith(" mode change ")),
            ]
            if unsupported:
                raise self._leftover_error(f"links, repositories or other permissions: {join_names(unsupported)}")
            return read_changes_in_copy(copy, contents)

    def _run_program(
        self,
        event: Mapping[str, Any],
        root: Path,
        *,
        variables: Mapping[str, str],
        on_line: Callable[[str], None] | None,
        is_copy: bool,
    ) -> None:
        """Run the program in `root`, with `event` in a JSON file and, in a copy, with a fixed umask.

        Raises:
            Failed: It fails, or exceeds the time limit.
        """
        hook, name = self.hook, self._name_in_messages
        with files.temporary_directory() as scratch:
            path = scratch / "event.json"
            path.write_text(json.dumps(event, indent=2), encoding="utf-8")
            own = {_EVENT_VARIABLE: str(path), "PYTHONDONTWRITEBYTECODE": "1", "PATH": path_variable(os.environ)}
            program = str(root / hook.run[0]) if "/" in hook.run[0] or os.sep in hook.run[0] else hook.run[0]
            try:
                process.run(
                    [shutil.which(program, path=own["PATH"]) or program, *hook.run[1:]],
                    cwd=root,
                    env={**variables, **own, **dict(hook.env)},
                    timeout=hook.time_limit,
                    on_line=on_line,
                    umask=_UMASK if is_copy else -1,
                    kill_leftovers=True,
                ).check(name)
            except Failed as error:
                raise Failed(
                    "hook-failed",
                    error.message if error.message.startswith(name) else f"{name}: {error.message}",
                    fix="fix what the hook reports, or its command and time limit in "
                    f"[[tool.relnox.hooks.{self.event}]]; then rerun the command",
                ) from error

    @property
    def _name_in_messages(self) -> str:
        return f"{self.event} hook ({self.hook.command})"

    def _check_same_head(self, git: Git, before: tuple[str | None, str | None]) -> None:
        """Raise `Failed` if the hook changed the current commit or branch, which were `before`."""
        if git.head_and_branch() != before:
            raise self._leftover_error("another current commit or branch")

    def _leftover_error(self, leftovers: str) -> Failed:
        """Return the error that the hook left changes in the checkout, named by `leftovers`."""
        return Failed(
            "hook-failed",
            f"{self._name_in_messages} left changes in the checkout: {leftovers}",
            fix=f"change the hook in [[tool.relnox.hooks.{self.event}]], so that it writes elsewhere or into "
            "files that git ignores; look at what it left: git status",
        )

    def _event_document(self, root: Path, commit: str | None, directory: str | None) -> dict[str, Any]:
        """Return the JSON document for the hook, which runs in `root`; `directory` has the archives, if any."""
        archives: dict[str, list[Distribution]] = {package.name: [] for package in self.packages}
        for file in self.files:
            archives.setdefault(file.package, []).append(file)
        return {
            "schema": _EVENT_SCHEMA,
            "event": self.event,
            "task": self.task,
            "rehearsal": self.rehearsal,
            "root": str(root),
            "commit": commit,
            "index": self.index,
            "tags": list(dict.fromkeys(package.tag for package in self.packages if package.tag is not None)),
            "directory": directory,
            "packages": [
                {
                    "name": package.name,
                    "directory": package.directory,
                    "old_version": package.old_version and str(package.old_version),
                    "version": next(map(str, filter(None, versions)), None),
                    "tag": package.tag,
                    "files": [
                        {field: getattr(file, field) for field in ("filename", "kind", "size", "sha256")}
                        for file in archives[package.name]
                    ],
                }
                for package in self.packages
                for versions in [(package.version, *(file.version for file in archives[package.name]))]
            ],
        }


def _ignored_files(git: Git | None) -> set[str]:
    """Return the paths, relative to the root, of existing files that git ignores; none if `git` is None."""
    options = ("ls-files", "--others", "--ignored", "--exclude-standard")
    return set(git.read_entries(*options)) if git is not None else set()
