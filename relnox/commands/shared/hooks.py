"""Hooks of the project, as steps of plans."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from relnox import core, steps
from relnox.core.records import Record
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.commands.shared.project import Project
    from relnox.core.release.manifest import Manifest
    from relnox.core.settings.hook_settings import Hook, HookEvent
    from relnox.core.tagging.tags import TagFormat
    from relnox.steps.hooks import EventPackage


class SelectedHook(NamedTuple):
    """A hook, its position among those of its event (from 1), and its packages: their names, or None for all."""

    number: int
    hook: Hook
    packages: frozenset[str] | None


class Hooks(Record):
    """The hooks that a task may run, and the facts about packages that they receive.

    `running` are the events whose hooks started this relnox process, directly or indirectly. Directories and tag
    formats are by package.
    """

    by_event: Mapping[HookEvent, tuple[SelectedHook, ...]] = MappingProxyType({})
    rehearsal: bool = False
    running: frozenset[str] = frozenset()
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
    ) -> tuple[steps.RunHook, ...]:
        """Return the steps that run the hooks of an event, one after the other.

        Args:
            event: The event.
            task: The name of the task that runs the hooks.
            packages: The packages that the task works on; hooks for other packages only are left out.
            rehearsal: Whether the task publishes nothing permanently; only hooks enabled for rehearsals run.
            needs: The keys of the steps that must succeed before the first hook runs.
            values: Values of other fields of the steps.

        Raises:
            Blocked: A hook of this event runs relnox, which would run it again.
        """
        rehearsal = rehearsal or self.rehearsal
        planned_steps: list[steps.RunHook] = []
        for number, hook, names in self._hooks_to_run(event, task, rehearsal=rehearsal):
            participants = tuple(package for package in packages if names is None or package.name in names)
            if not participants:
                continue
            planned_steps.append(
                steps.RunHook(
                    event=event,
                    number=number,
                    hook=hook,
                    task=task,
                    packages=participants,
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

    def check_not_recursive(self, events: Iterable[HookEvent], task: str, *, rehearsal: bool) -> None:
        """Raise `Blocked` if a hook of one of the events has started relnox; `hook_steps` has the arguments."""
        for event in events:
            self._hooks_to_run(event, task, rehearsal=rehearsal or self.rehearsal)

    def _hooks_to_run(self, event: HookEvent, task: str, *, rehearsal: bool) -> list[SelectedHook]:
        """Return the hooks of an event that the task has to run."""
        selected_hooks = [
            hook for hook in self.by_event.get(event, ()) if not rehearsal or hook.hook.is_rehearsed(event)
        ]
        if selected_hooks and event in self.running:
            raise Blocked(
                "hook-recursion",
                f"{task} was started by a {event} hook, and would run the {event} hooks again",
                fix=f"remove {task} from the hooks in [[tool.relnox.hooks.{event}]]",
            )
        return selected_hooks


def read_hooks(project: Project) -> Hooks:
    """Read the hooks of a project."""
    hooks = project.config.hooks.by_event
    if not hooks:
        return Hooks()
    from relnox.source.hooks import RUNNING_HOOKS_VARIABLE

    return Hooks(
        by_event={event: tuple(_resolve_packages(of_event, project)) for event, of_event in hooks.items()},
        rehearsal=project.is_rehearsal,
        running=frozenset(filter(None, os.environ.get(RUNNING_HOOKS_VARIABLE, "").split(","))),
        directories={package.name: package.directory for package in project.workspace.packages},
        tag_formats=project.tag_formats,
    )


def _resolve_packages(hooks: Iterable[Hook], project: Project) -> Iterator[SelectedHook]:
    """Number the hooks of an event, and resolve their package patterns to names."""
    for number, hook in enumerate(hooks, 1):
        names = None
        if hook.packages:
            packages = core.patterns.select_packages(hook.packages, project.workspace.packages)
            names = frozenset(package.name for package in packages)
        yield SelectedHook(number, hook, names)


def plan_after_verify_hooks(
    hooks: Hooks, task: str, manifest: Manifest, **values: Any
) -> tuple[steps.RunHook, ...]:
    """Return the steps that run the `after-verify` hooks; see `Hooks.hook_steps` for `values`."""
    packages = hooks.describe_packages({name: manifest.version(name) for name in manifest.packages})
    return hooks.hook_steps("after-verify", task, packages, files=manifest.distributions, **values)
