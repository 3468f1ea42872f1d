"""The settings of hooks, `[tool.relnox.hooks]`: programs that run at certain events of a release."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Literal, get_args

from relnox.core.settings import rules
from relnox.core.settings.kinds import ListOf, TableOf, Text
from relnox.core.settings.schema import EMPTY, Settings, Table, required, setting

HookEvent = Literal["edit-bump", "before-build", "before-publish", "after-publish"]
"""The events at which hooks run."""


class Hook(Settings):
    """A hook."""

    run: tuple[str, ...] = required(
        "The program and its arguments, without a shell.",
        ListOf(Text(), first=rules.command_violation, may_be_empty=False),
    )
    env: Mapping[str, str] = setting(
        EMPTY,
        "Environment variables.",
        TableOf(Text(), keys=Text(rule=rules.variable_name_violation)),
    )
    time_limit: int = setting(900, "Seconds until it is killed, with all processes that it started.")

    @property
    def command(self) -> str:
        """The command line of the hook, for messages."""
        return shlex.join(self.run)


_HOOKS = ListOf(Table(Hook))


class HooksConfig(Settings):
    """Programs that run at events of a release; a list of tables for each event."""

    edit_bump: tuple[Hook, ...] = setting(
        (), "In a copy of the checkout with the new versions: its edits become part of the bump.", _HOOKS
    )
    before_build: tuple[Hook, ...] = setting(
        (), "In the exported commit, before packages are built: it writes files that git ignores.", _HOOKS
    )
    before_publish: tuple[Hook, ...] = setting((), "Before the first upload, such as tests.", _HOOKS)
    after_publish: tuple[Hook, ...] = setting((), "When all files are verified on the index.", _HOOKS)

    @property
    def by_event(self) -> dict[HookEvent, tuple[Hook, ...]]:
        """The hooks of each event that has any, in the order of the events."""
        events: tuple[HookEvent, ...] = get_args(HookEvent)
        hooks = {event: getattr(self, event.replace("-", "_")) for event in events}
        return {event: of_event for event, of_event in hooks.items() if of_event}
