"""Hooks of the project, as steps of plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from packaging.version import Version

from relnox.core.settings.config import HookEvent
from relnox.project import Project
from relnox.steps.hooks import EventPackage, RunHook

_PRIVATE = ("edit-bump", "before-build")
"""The events before anything is published, whose hooks run in rehearsals and for test indexes as well."""


def hook_steps(  # noqa: PLR0913 - fields of the steps
    event: HookEvent,
    task: str,
    packages: Sequence[EventPackage],
    project: Project,
    *,
    rehearsal: bool = False,
    needs: tuple[str, ...] = (),
    **values: Any,
) -> tuple[RunHook, ...]:
    """Return the steps that run the hooks of an event, one after the other.

    Args:
        event: The event.
        task: The name of the task that runs the hooks.
        packages: The packages that the task works on.
        project: The project.
        rehearsal: Whether the task publishes nothing permanently.
        needs: The keys of the steps that must succeed before the first hook runs.
        values: Values of other fields of the steps.
    """
    rehearsal = rehearsal or project.is_rehearsal
    if not packages or (rehearsal and event not in _PRIVATE):
        return ()
    steps: list[RunHook] = []
    for number, hook in enumerate(project.config.hooks.by_event.get(event, ()), 1):
        steps.append(
            RunHook(
                event=event,
                number=number,
                hook=hook,
                task=task,
                packages=tuple(packages),
                rehearsal=rehearsal,
                needs=(*needs, *(step.key for step in steps[-1:])),
                **values,
            )
        )
    return tuple(steps)


def event_packages(versions: Mapping[str, Version | None], project: Project) -> tuple[EventPackage, ...]:
    """Return packages as hooks receive them, with the tag of the version that each is built or released in.

    They are none if the project has no hooks.
    """
    if not project.config.hooks.by_event:
        return ()
    return tuple(
        EventPackage(
            name=name,
            directory=project.workspace.by_name[name].directory if name in project.workspace.by_name else ".",
            version=version,
            tag=project.tag_formats[name].render(version)
            if version is not None and name in project.tag_formats
            else None,
        )
        for name, version in versions.items()
    )
