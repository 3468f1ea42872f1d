"""Hooks of the project, as steps of plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packaging.version import Version

from relnox.core.settings.config import HookEvent
from relnox.project import Project
from relnox.steps.hooks import EventPackage, RunHook

_UNPUBLISHED = ("edit-bump", "before-build")
"""The events before anything is published, whose hooks run in rehearsals and for test indexes as well."""


def hook_steps(  # noqa: PLR0913 - fields of the steps
    event: HookEvent,
    task: str,
    versions: Mapping[str, Version | None],
    project: Project,
    *,
    old_versions: Mapping[str, Version | None] | None = None,
    rehearsal: bool = False,
    needs: tuple[str, ...] = (),
    **fields: Any,
) -> tuple[RunHook, ...]:
    """Return the steps that run the hooks of an event in a task, one after the other.

    `versions` maps the packages of the task to the versions that are built or released, or to None if these are
    not known yet; without packages, there are no steps. `old_versions` has the versions before a bump. `rehearsal`
    says that nothing permanent is published, as in a rehearsal or with a test index: then only the hooks
    `edit-bump` and `before-build` run. The first step needs those with the keys `needs`; `fields` are other fields
    of each step.
    """
    rehearsal = rehearsal or project.is_rehearsal
    own_hooks = project.config.hooks.by_event.get(event, ())
    if not (own_hooks and versions) or (rehearsal and event not in _UNPUBLISHED):
        return ()
    by_name, formats = project.workspace.by_name, project.tag_formats
    packages = tuple(
        EventPackage(
            name=name,
            directory=by_name[name].directory if name in by_name else ".",
            old_version=(old_versions or {}).get(name),
            version=version,
            tag=formats[name].render(version) if version is not None and name in formats else None,
        )
        for name, version in versions.items()
    )
    steps: list[RunHook] = []
    for number, hook in enumerate(own_hooks, 1):
        steps.append(
            RunHook(
                event=event,
                number=number,
                hook=hook,
                task=task,
                packages=packages,
                rehearsal=rehearsal,
                needs=(*needs, *(step.key for step in steps[-1:])),
                **fields,
            )
        )
    return tuple(steps)
