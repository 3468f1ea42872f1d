"""Create the tags of a release on its commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.bump.changes import NewTag
from relnox.core.planning.step import Step
from relnox.core.text import counted, listing
from relnox.errors import Conflict, Failed
from relnox.source.git import changes
from relnox.steps.action import Action
from relnox.steps.transaction import Transaction

if TYPE_CHECKING:
    from relnox.steps.run import Run


class CreateTags(Step, kw_only=True):
    """Create annotated tags, all or none."""

    key = "tag"
    atomic = True
    exclusive = True
    tags: tuple[NewTag, ...]

    @property
    def title(self) -> str:
        return f"tag {listing([tag.name for tag in self.tags])}"


class CreateTagsAction(Action[CreateTags]):
    """Creates annotated tags on HEAD, or on the release commit if a development version follows it."""

    run_extension = Transaction

    def __init__(self, step: CreateTags, run: Run) -> None:
        super().__init__(step, run)
        self.head = ""
        self.missing: list[NewTag] = []
        self.stale: list[str] = []

    def check(self) -> str | None:
        """Skip the step if every tag is on the commit to tag."""
        self._inspect()
        return None if self.missing else "the tags already exist on this commit"

    def apply(self) -> None:
        """Create the missing tags, all or none."""
        git = self.run.checkout
        changes.delete_tags(git, self.stale)
        changes.create_tags(git, self.missing, self.head)
        self.run.service(Transaction).undo.callback(changes.delete_tags, git, [tag.name for tag in self.missing])

    def verify(self) -> str:
        """Check that every tag is on the commit to tag."""
        if set(self._find_tags().values()) != {self.head}:
            self._inspect()
            if self.missing:
                raise Failed(
                    "tag-missing",
                    f"tag {self.missing[0].name} is missing, although git created it",
                    fix="check that no hook or other program deletes tags, and rerun the command",
                )
        first = self.step.tags[0].name
        return first if len(self.step.tags) == 1 else counted(len(self.step.tags), "tag")

    def _find_tags(self) -> dict[str, str | None]:
        """Return the commit of each tag of the step, or None for one that does not exist."""
        return self.run.checkout.find_tags([tag.name for tag in self.step.tags])

    def _inspect(self) -> None:
        """Find the commit to tag, its missing tags, and tags of an interrupted run that became outdated."""
        git = self.run.checkout
        if any(self._find_tags().values()):
            head, existing = git.head_and_tags()
        else:
            head, existing = git.head(), {}
        head = self.run.service(Transaction).released_commit() or head
        self.head, self.stale = head or "", []
        for tag in self.step.tags:
            if existing.get(tag.name, head) != head:
                # A tag of the interrupted run, if its commit was rebased since: it was never pushed.
                if git.tag_subject(tag.name) == tag.message and not git.is_ancestor(existing[tag.name]):
                    self.stale.append(tag.name)
                    continue
                raise Conflict(
                    "tag-exists",
                    f"tag {tag.name} already exists on another commit ({existing[tag.name][:10]})",
                    fix=f"choose a higher version, or delete the tag: git tag -d {tag.name}",
                )
        self.missing = [tag for tag in self.step.tags if tag.name not in existing or tag.name in self.stale]
