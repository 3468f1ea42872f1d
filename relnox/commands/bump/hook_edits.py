"""The `edit-bump` hooks, whose edits are part of a bump."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from relnox.commands.bump.project_state import Observation
from relnox.commands.bump.snapshot import NO_FILES, Decision, GeneratedFiles
from relnox.commands.shared.project import Project
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.fixes import CREATE_REPOSITORY
from relnox.core.packages import VersionSource
from relnox.core.text import join_names
from relnox.core.versions import version_locations
from relnox.errors import Blocked, Failed
from relnox.system.process import clean_environment

if TYPE_CHECKING:
    from relnox.steps.hooks import EventPackage, RunHook


def run_edit_hooks(
    observation: Observation, decision: Decision, contents: Mapping[str, bytes | None], project: Project
) -> tuple[GeneratedFiles, tuple[str, ...]]:
    """Run each `edit-bump` hook in a copy of the checkout that has the new versions.

    Args:
        observation: The state of the project.
        decision: The bumps.
        contents: Maps the path of each changed file to its new content, or to None if the file is removed.
        project: The project.

    Returns:
        The files that the hooks edited, and a note for each hook.

    Raises:
        Blocked: The project is not in a git repository with a commit.
        Failed: A hook fails, leaves more than edits of files, or changes a version.
    """
    planned_hooks = observation.hooks.hook_steps("edit-bump", "bump", _hook_packages(observation, decision.bumps))
    if not planned_hooks:
        return NO_FILES, ()
    state = observation.state
    if project.git is None or state is None or state.head is None:
        raise Blocked(
            "not-a-git-repository",
            "edit-bump hooks need a git repository with a commit (they run in a clone of it)",
            fix=CREATE_REPOSITORY,
        )
    project.before_tools()
    variables = clean_environment(os.environ, own_indexes=True, passed=project.config.pass_env)
    after: dict[str, bytes | None] = {}
    notes = []
    for step in planned_hooks:
        contents_before = {**contents, **after}
        on_line = partial(project.on_output, step)
        edits = step.edit_copy(project.git, contents_before, variables=variables, on_line=on_line)
        _check_versions(step, decision.bumps, contents_before, edits)
        after |= edits
        notes.append(f"edit-bump hook ({step.hook.command}) edits {join_names(edits) if edits else 'nothing'}")
    return GeneratedFiles(project.read_files(after), after), tuple(notes)


def _hook_packages(observation: Observation, bumps: Iterable[VersionBump]) -> tuple[EventPackage, ...]:
    """Return the bumped packages as hooks receive them, with their versions and new tags; none without hooks."""
    if not observation.hooks.by_event:
        return ()
    from relnox.steps.hooks import EventPackage

    return tuple(
        EventPackage(
            name=bump.package.name,
            directory=bump.package.directory,
            old_version=bump.before,
            version=bump.after,
            tag=observation.tag_formats[bump.package.name].render(bump.after),
        )
        for bump in bumps
    )


def _check_versions(
    step: RunHook,
    bumps: Iterable[VersionBump],
    contents: Mapping[str, bytes | None],
    edits: Mapping[str, bytes | None],
) -> None:
    """Raise Failed if a hook changed a version that the bump sets; `contents` has the contents before it ran."""
    for bump in bumps:
        for location in bump.package.locations:
            if location.file in edits and _versions_at(contents, location) != _versions_at(edits, location):
                raise Failed(
                    "hook-failed",
                    f"edit-bump hook ({step.hook.command}) changed the version of {bump.package.name} in "
                    f"{location.file}",
                    fix="change the hook so that it does not edit that version",
                )


def _versions_at(contents: Mapping[str, bytes | None], location: VersionSource) -> list[str] | None:
    """Return the versions at a version location, or None if its file is missing or has no version there."""
    content = contents.get(location.file)
    try:
        return version_locations.read_versions((content or b"").decode(), location)
    except (ValueError, Blocked):  # a removed file, or one without the version
        return None
