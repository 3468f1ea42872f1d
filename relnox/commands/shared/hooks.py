"""Hooks of the project, as steps of plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from relnox.commands.shared.project import Project
from relnox.core.records import Record
from relnox.core.settings.hook_settings import Hook, HookEvent
from relnox.core.tagging.tags import TagFormat
from relnox.steps.hooks import RunHook

if TYPE_CHECKING:
    from relnox.steps.hooks import EventPackage

_PRIVATE = ("edit-bump", "before-build")
"""The events before anything is published, whose hooks run in rehearsals and for test indexes as well."""


class Hooks(Record):
    """The hooks that a task may run, and the directories and tag formats of packages, which they receive."""

    by_event: Mapping[HookEvent, tuple[Hook, ...]] = MappingProxyType({})
    rehearsal: bool = False
    directories: Mapping[str, str] = MappingProxyType({})
    tag_formats: Mapping[str, TagFormat] = MappingProxyType({})

    def hook_steps(
        self,
        event: HookEvent,
        task: str,
        packages: Sequence[EventPackage],
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
            rehearsal: Whether the task publishes nothing permanently.
            needs: The keys of the steps that must succeed before the first hook runs.
            values: Values of other fields of the steps.
        """
        rehearsal = rehearsal or self.rehearsal
        if not packages or (rehearsal and event not in _PRIVATE):
            return ()
        planned_steps: list[RunHook] = []
        for number, hook in enumerate(self.by_event.get(event, ()), 1):
            planned_steps.append(
                RunHook(
                    event=event,
                    number=number,
                    hook=hook,
                    task=task,
                    packages=tuple(packages),
                    rehearsal=rehearsal,
                    needs=(*needs, *(step.key for step in planned_steps[-1:])),
                    **values,
                )
            )
        return tuple(planned_steps)

    def describe_packages(self, versions: Mapping[str, Version | None]) -> tuple[EventPackage, ...]:
        """Return packages as hooks receive them, with the tag of the version that each is built or released in."""
        from relnox.steps.hooks import EventPackage

        packages = []
        for name, version in versions.items():
            tag_format = self.tag_formats.get(name)
            tag = tag_format.render(version) if tag_format is not None and version is not None else None
            packages.append(
                EventPackage(name=name, directory=self.directories.get(name, "."), version=version, tag=tag)
            )
        return tuple(packages)


def read_hooks(project: Project) -> Hooks:
    """Read the hooks of a project."""
    if not project.config.hooks.by_event:
        return Hooks()
    return Hooks(
        by_event=project.config.hooks.by_event,
        rehearsal=project.is_rehearsal,
        directories={package.name: package.directory for package in project.workspace.packages},
        tag_formats=project.tag_formats,
    )
