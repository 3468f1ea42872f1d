"""The settings of hooks, `[tool.relnox.hooks]`: programs that run at certain events of a release."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - plans are read back by these types
from typing import Any, Literal, get_args

from relnox.core.settings import rules
from relnox.core.settings.kinds import Flag, ListOf, TableOf, Text
from relnox.core.settings.patterns import PACKAGE_PATTERN
from relnox.core.settings.schema import EMPTY, Settings, Table, fields_of, setting
from relnox.errors import Blocked

HookEvent = Literal[
    "before-bump", "edit-bump", "before-build", "after-build", "before-publish", "after-publish", "after-verify"
]
"""The events at which hooks run."""
_PRIVATE = frozenset({"before-bump", "edit-bump", "before-build", "after-build"})
"""The events before anything is published. By default, their hooks run in rehearsals, too."""
_EXAMPLE = 'for example: run = ["python", "tools/generate.py"]'


def _session_name_violation(text: str) -> rules.RuleViolation | None:
    """Check that a text can be the name of a nox session or an invoke task."""
    if text.strip() and not text.startswith("-"):
        return None
    return rules.RuleViolation("it is not a name", 'for example: session = "tests"')


def _directory_violation(text: str) -> rules.RuleViolation | None:
    """Check that a text is the path of a directory in the project; `.` is the root."""
    return None if text == "." else rules.file_path_violation(text)


class Hook(Settings):
    """A hook."""

    run: tuple[str, ...] = setting(
        (), "The program and its arguments, without a shell.", ListOf(Text(), first=rules.command_violation)
    )
    session: str | None = setting(
        None, "Instead of `run`: a session of the project's noxfile.", rule=_session_name_violation
    )
    task: str | None = setting(
        None, "Instead of `run`: a task of the project's tasks file.", rule=_session_name_violation
    )
    packages: tuple[str, ...] = setting(
        (),
        "Names or directories of packages, or globs of them: the hook runs if one of them takes part.",
        ListOf(PACKAGE_PATTERN),
        otherwise="all",
    )
    directory: str = setting(
        ".",
        "The directory it runs in, relative to the root.",
        Text(rule=_directory_violation, convert=lambda path: path.replace("\\", "/").strip("/")),
    )
    env: Mapping[str, str] = setting(
        EMPTY,
        "Environment variables.",
        TableOf(Text(), keys=Text(rule=rules.variable_name_violation)),
    )
    pass_env: tuple[str, ...] = setting(
        (), "Variables that it gets although they look like credentials.", rule=rules.passed_variable_violation
    )
    time_limit: int = setting(900, "Seconds until it is killed, with all processes that it started.")
    on_failure: Literal["fail", "warn"] = setting(
        "fail", "Whether a failure ends the task, or is a warning.", choices=("fail", "warn")
    )
    in_rehearsal: bool | None = setting(
        None,
        "Whether it also runs in rehearsals and for test indexes.",
        Flag(),
        otherwise="`true` for bumps and builds, else `false`",
    )
    writes: tuple[str, ...] = setting(
        (),
        "`edit-bump` and `before-build`: globs of the files that it writes, relative to the root.",
        rule=rules.file_path_violation,
        otherwise="`edit-bump`: any; `before-build`: none",
    )

    @property
    def command(self) -> str:
        """The command line of the hook, for messages."""
        import shlex

        if self.session is not None:
            return f"nox -s {shlex.quote(self.session)}"
        return f"invoke {shlex.quote(self.task)}" if self.task is not None else shlex.join(self.run)

    def is_rehearsed(self, event: HookEvent) -> bool:
        """Return whether the hook, configured for `event`, also runs in rehearsals and for test indexes."""
        return event in _PRIVATE if self.in_rehearsal is None else self.in_rehearsal


class _HookTable(Table):
    """The table of a hook, which must have exactly one of `run`, `session` and `task`."""

    def check(self, value: Any, key: str) -> Hook:
        """Validate and convert the table of a hook; see `Kind.check`."""
        hook: Hook = super().check(value, key)
        commands = [name for name in ("run", "session", "task") if hook.is_set(name)]
        if len(commands) != 1:
            why = f"it has {' and '.join(commands)}" if commands else "it has none of them"
            message = f"{key} is not valid: {why}, and needs one of run, session and task"
            raise Blocked("hook-command", message, fix=_EXAMPLE)
        if commands == ["run"] and not hook.run:
            raise Blocked("hook-command", f"{key}.run is not valid: it is empty", fix=_EXAMPLE)
        if hook.time_limit == 0:
            raise Blocked(
                "value-invalid", f"{key}.time-limit is not valid: it is 0", fix="set it to a number of seconds"
            )
        return hook


_WRITING = ListOf(_HookTable(Hook))
"""The kind of the list of hooks of an event at which hooks may change files."""
_READING = ListOf(_HookTable(Hook, tuple(field for field in fields_of(Hook) if field.name != "writes")))
"""The kind of the list of hooks of other events; these hooks have no key `writes`."""


class HooksConfig(Settings):
    """Programs that run at events of a release; a list of tables for each event."""

    before_bump: tuple[Hook, ...] = setting((), "Before files are edited, such as checks.", _READING)
    edit_bump: tuple[Hook, ...] = setting(
        (), "In a copy of the checkout with the new versions: its edits become part of the bump.", _WRITING
    )
    before_build: tuple[Hook, ...] = setting(
        (), "In the exported commit, before packages are built, such as code generators.", _WRITING
    )
    after_build: tuple[Hook, ...] = setting(
        (), "When all archives are built and checked, before the manifest is written.", _READING
    )
    before_publish: tuple[Hook, ...] = setting((), "Before the first upload, such as tests.", _READING)
    after_publish: tuple[Hook, ...] = setting(
        (), "When all files are verified on the index, unless every upload was skipped.", _READING
    )
    after_verify: tuple[Hook, ...] = setting((), "When the published files are installed and verified.", _READING)

    @property
    def by_event(self) -> dict[HookEvent, tuple[Hook, ...]]:
        """The hooks of each event that has any, in the order of the events."""
        events: tuple[HookEvent, ...] = get_args(HookEvent)
        hooks = {event: getattr(self, event.replace("-", "_")) for event in events}
        return {event: of_event for event, of_event in hooks.items() if of_event}
