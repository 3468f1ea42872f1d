"""Push tags that the remote does not have yet, so that each triggers its workflows and one of two runs wins."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.text import join_names
from relnox.errors import Conflict, ExitCode, Failed, RelnoxError
from relnox.source.git import changes, parse_tags, remotes
from relnox.steps.action import Action

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from relnox.source.git import Git
    from relnox.steps.run import Run
    from relnox.system.process import Completed

MAX_TAGS = 3
"""Tags in one push: GitHub creates no events for more."""


class PushTags(Step, kw_only=True):
    """Push a few tags in one transaction.

    Attributes:
        created: Tags that this plan creates; they are deleted here if the remote rejects them.
    """

    remote = True
    atomic = True
    remote_name: str
    tags: tuple[tuple[str, str], ...]
    created: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"push {self.tags[0][0]}"

    @property
    def title(self) -> str:
        return f"push {join_names([tag for tag, _ in self.tags])} to {self.remote_name}"


@contextmanager
def count_pushed_tags_in_exit_code(run: Run) -> Iterator[None]:
    """Give errors the exit code 3 (partly public) if a step of the run has already pushed tags."""
    try:
        yield
    except RelnoxError as error:
        if error.exit_code in (ExitCode.BLOCKED, ExitCode.FAILED) and run.results(PushedTags):
            error.exit_code = ExitCode.PARTLY_PUBLIC
        raise


class PushedTags(Record):
    """The result of a push of tags.

    Attributes:
        by_other_runs: Those tags that another run pushed meanwhile.
    """

    by_other_runs: frozenset[str]


class PushTagsAction(Action[PushTags]):
    """Pushes tags; the refs on the remote decide on success, not the exit status."""

    missing: tuple[str, ...]

    def check(self) -> str | None:
        """Return a reason to skip the push if the remote has all tags, whether from this run or another."""
        self.foreign: set[str] = set()
        with count_pushed_tags_in_exit_code(self.run):
            self._find_missing_tags(frozenset(self.step.created))
        if self.missing:
            return None
        return self._describe_foreign_tags() or f"{self.step.remote_name} has the tags already"

    def apply(self) -> None:
        """Push the missing tags; after a failure check the remote, where they may have arrived."""
        with count_pushed_tags_in_exit_code(self.run):
            while self.missing:
                tried = self.missing
                completed = remotes.push_new_tags(self.run.checkout, self.step.remote_name, tried)
                # Equal tags of two runs in one second: for the second one they are up to date.
                self._find_missing_tags({tag for tag in tried if f"\n=\trefs/tags/{tag}:" in completed.output})
                if completed.returncode == 0:
                    return
                if len(self.missing) == len(tried):
                    raise self._rejection_error(completed, self.run.checkout)

    def verify(self) -> str:
        """Check that the remote has the tags; `apply` looked at it after the push."""
        if self.missing:
            raise Failed(
                "push-rejected",
                f"tag {self.missing[0]} is missing on {self.step.remote_name} after the push",
                fix=f"check the remote: git ls-remote {self.step.remote_name}; then rerun the command",
            )
        count = len(self.step.tags)
        return (
            self._describe_foreign_tags()
            or f"{self.step.remote_name} has {'the tag' if count == 1 else f'{count} tags'}"
        )

    def _find_missing_tags(self, not_pushed: AbstractSet[str]) -> None:
        """Find the tags that the remote lacks, and those of other runs: on the remote, but `not_pushed` here.

        Raises:
            Conflict: The remote has a tag on a commit of another line of history.
        """
        git = self.run.checkout
        remote_refs, local_refs = remotes.read_push_refs(git, self.step.remote_name), git.local_refs()
        remote = parse_tags(remote_refs)
        missing = []
        for tag, commit in self.step.tags:
            ref = f"refs/tags/{tag}"
            if tag not in remote:
                missing.append(tag)
            elif remote[tag] != commit:
                self._check_related(tag, commit, remote[tag], git)
                self.foreign.add(tag)
            elif tag in self.step.created and (tag in not_pushed or remote_refs[ref] != local_refs.get(ref)):
                self.foreign.add(tag)
        self.missing, self.result = tuple(missing), PushedTags(by_other_runs=frozenset(self.foreign))
        # git would not fetch the remote's tag over another one of that name.
        refs = {tag: f"refs/tags/{tag}" for tag in sorted(self.foreign) if tag in self.step.created}
        outdated_tags = [tag for tag, ref in refs.items() if local_refs.get(ref, "") not in ("", remote_refs[ref])]
        changes.delete_tags(git, outdated_tags)

    def _check_related(self, tag: str, commit: str, other: str, git: Git) -> None:
        """Raise an error unless the remote's tag is on an ancestor or a descendant of the commit."""
        if git.resolve_commit(other) is None:
            remotes.try_to_fetch_objects(git, self.step.remote_name, f"refs/tags/{tag}", timeout=60.0)
        is_related = git.is_ancestor(other, commit) or git.is_ancestor(commit, other)
        if not is_related and not git.is_shallow():
            raise Conflict(
                "tag-exists",
                f"tag {tag} must be on commit {commit[:10]}, but {self.step.remote_name} has it on {other[:10]} "
                "(on another branch)",
                fix=f"release a higher version: {fixes.task_command('bump')}; to see the tag of "
                f"{self.step.remote_name}: git fetch {self.step.remote_name} refs/tags/{tag} && "
                "git show FETCH_HEAD",
            )

    def _describe_foreign_tags(self) -> str:
        """Return which tags another run pushed, for display, or an empty string if none."""
        return f"tagged by another run: {join_names(sorted(self.foreign))}" if self.foreign else ""

    def _rejection_error(self, completed: Completed, git: Git) -> Failed:
        """Delete the tags that were created for this push, and return the error with the remote's output."""
        remote = remotes.read_push_refs(git, self.step.remote_name)
        changes.delete_tags(git, [tag for tag in self.step.created if f"refs/tags/{tag}" not in remote])
        return Failed(
            "push-rejected",
            f"{self.step.remote_name} rejected {join_names(self.missing)}:\n{remotes.quote_output(completed)}",
            fix="allow this account or job to create tags (see docs/auto-tag.md for the permissions), then rerun "
            "the command",
        )
