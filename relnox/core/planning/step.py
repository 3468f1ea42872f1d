"""The base class of steps, and edits of files and tags as data; the steps themselves are in `relnox.steps`."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from typing import Any, ClassVar, dataclass_transform

from relnox.core.records import Record
from relnox.core.release.manifest import Distribution
from relnox.core.text import split_lines
from relnox.errors import Failed


class Edit(Record, kw_only=True):
    """The edit of one file, with its content before and after.

    Attributes:
        file: POSIX path relative to the project's root; in previews of other texts, what the text is, such as
            `release page of v1.2.0`.
        before: The content before the edit, or None if the file does not exist yet.
        after: The content after the edit, or None if the edit removes the file.
        is_link: Whether the file is a symbolic link, whose content is its target.
    """

    file: str
    before: bytes | None
    after: bytes | None
    is_link: bool = False

    def diff(self) -> str:
        """Return the edit as a unified diff with one line of context, also of bytes that are not UTF-8.

        It is empty if no line changes.
        """
        old, new = (split_lines((part or b"").decode("utf-8", "replace")) for part in (self.before, self.after))

        lines = difflib.unified_diff(old, new, f"a/{self.file}", f"b/{self.file}", lineterm="", n=1)
        return "\n".join(lines)


class NewTag(Record, kw_only=True):
    """An annotated tag to create, on the commit that the plan creates or else on `HEAD`."""

    name: str
    message: str


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Step(Record, ABC, kw_only=True):
    """The base class of steps: what to do, as data; whether it is done; and how it is done.

    A subclass adds fields, and implements `apply`, and `reason_to_skip` or `verify`. It is declared with a `key`
    and a `title`, format strings with fields such as `{self.file}`, or overrides the properties of these names.
    `run` is a `relnox.steps.run.Run`.

    Attributes:
        remote: Whether the step changes something outside this machine.
        atomic: Whether an interruption waits for the end of the step, because a half-done step would be worse.
        concurrent: Whether the step may run at the same time as other concurrent steps next to it in the plan.
        exclusive: Whether the step changes the checkout or its archives, so that only one run at a time may
            execute it.
        runs_project_code: Whether the step runs code of the project, of its packages or of their requirements.
        runs_task: Whether the step runs another task, whose events appear between the start and the end of the
            step.
        publishes: Whether the step only serves to make files public; its failure is ignored once all files are
            verified.
        quiet_if_done: Whether the step, if skipped, is shown with `--verbose` only: another step says as much.
        makes_public: Whether a release is partly public if a later step fails.
        needs: Keys of the steps that must succeed before this one; see `keys_of`.
    """

    _key: ClassVar[str] = ""
    _title: ClassVar[str] = ""

    remote: ClassVar[bool] = False
    atomic: ClassVar[bool] = False
    concurrent: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    runs_project_code: ClassVar[bool] = False
    runs_task: ClassVar[bool] = False
    publishes: ClassVar[bool] = False
    quiet_if_done: ClassVar[bool] = False
    makes_public: ClassVar[bool] = False

    needs: tuple[str, ...] = ()

    def __init_subclass__(cls, *, key: str | None = None, title: str | None = None) -> None:
        super().__init_subclass__(kw_only=True)
        cls._key = cls._key if key is None else key
        cls._title = cls._title if title is None else title

    @property
    def key(self) -> str:
        """The name that identifies the step in the plan."""
        return self._key.format(self=self)

    @property
    def title(self) -> str:
        """One line that tells the user what the step will do."""
        return self._title.format(self=self)

    def reason_to_skip(self, run: Any) -> str | None:
        """Return why nothing is left to do, as text for the user, or None if `apply` must be called.

        `run` is the `relnox.steps.run.Run` that executes the step. `verify` calls this method again after `apply`.
        """

    @abstractmethod
    def apply(self, run: Any) -> Any:
        """Do what the title says, and return a result of any type, which later steps read with `run.result`.

        `run` is the `relnox.steps.run.Run` that executes the step.
        """

    def verify(self, run: Any, result: Any) -> str:
        """Check that the step is done, and return a description of it for the user.

        That is `result`, which `apply` returned, if it is text; otherwise what `reason_to_skip` returns now. `run`
        is the `relnox.steps.run.Run` that executes the step.

        Raises:
            Failed: `reason_to_skip` returns None, since something is left to do.
        """
        if isinstance(result, str):  # `apply` found that it is done
            return result
        if (detail := self.reason_to_skip(run)) is None:
            raise Failed(
                "step-not-done",
                f"{self.title}: the change did not last (another process changes the same things)",
                fix="stop the other process, then rerun the command",
            )
        return detail

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        """The resources that the step uses while it runs, as pairs of any name and a limit.

        The limit is the number of concurrent steps that may use the resource of this name at the same time; None
        means as many as keep the processors of this machine busy.
        """
        return (("processors", None),)

    @property
    def previewed_edits(self) -> tuple[Edit, ...]:
        """The edits that a dry run shows as diffs, of files or of other texts, such as that of a release page."""
        return ()

    @property
    def upload(self) -> tuple[str, Distribution] | None:
        """The name of the index and the file that the step uploads there, or None if it uploads nothing."""
        return None

    @property
    def package_invalidated_by_failure(self) -> str | None:
        """The name of the package whose archives must not be released if this step fails, or None."""
        return None


def keys_of(*steps: Step | None) -> tuple[str, ...]:
    """Return the keys of steps, for the field `needs` of a step that can only run after them; None is ignored."""
    return tuple(step.key for step in steps if step is not None)
