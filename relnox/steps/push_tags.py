"""Push tags that the remote does not have yet, so that each triggers its workflows and one of two runs wins."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.text import join_names
from relnox.errors import Conflict, Failed
from relnox.source.git import changes, parse_tags, remotes
from relnox.steps.run import Run

MAX_TAGS = 3
"""Tags in one push: GitHub creates no events for more."""


class PushTags(Step, kw_only=True):
    """Push a few tags in one transaction; the refs on the remote decide on success, not the exit status.

    Attributes:
        created: Tags that this plan creates; they are deleted here if the remote rejects them.
    """

    remote = True
    atomic = True
    makes_public = True
    remote_name: str
    tags: tuple[tuple[str, str], ...]
    created: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"push {self.tags[0][0]}"

    @property
    def title(self) -> str:
        return f"push {join_names([tag for tag, _ in self.tags])} to {self.remote_name}"

    def done(self, run: Run) -> str | None:
        missing, foreign = self._compare(run, self.created)
        return None if missing else _describe(foreign) or f"{self.remote_name} has the tags already"

    def apply(self, run: Run) -> frozenset[str]:
        """Push the missing tags; return those that other runs pushed meanwhile."""
        missing, foreign = self._compare(run, self.created)
        while missing:
            completed = remotes.push_new_tags(run.checkout, self.remote_name, missing)
            # Equal tags of two runs in one second: for the second one they are up to date.
            not_pushed = [tag for tag in missing if f"\n=\trefs/tags/{tag}:" in completed.output]
            tried = missing
            missing, others = self._compare(run, not_pushed)
            foreign |= others
            if missing and (completed.returncode == 0 or missing == tried):
                refs = remotes.read_push_refs(run.checkout, self.remote_name)
                changes.delete_tags(run.checkout, [tag for tag in self.created if f"refs/tags/{tag}" not in refs])
                raise Failed(
                    "push-rejected",
                    f"{self.remote_name} rejected {join_names(missing)}:\n{remotes.quote_output(completed)}",
                    fix="allow this account or job to create tags (see docs/auto-tag.md), then rerun the command",
                )
        return foreign

    def verify(self, run: Run, result: frozenset[str]) -> str:
        """Describe the result; `apply` looked at the remote after the push."""
        del run
        count = len(self.tags)
        return _describe(result) or f"{self.remote_name} has {'the tag' if count == 1 else f'{count} tags'}"

    def _compare(self, run: Run, not_pushed: Sequence[str]) -> tuple[list[str], frozenset[str]]:
        """Return the tags that the remote lacks, and those of other runs: on the remote, but not pushed here.

        Raises:
            Conflict: The remote has a tag on a commit of another line of history.
        """
        git = run.checkout
        remote_refs, local_refs = remotes.read_push_refs(git, self.remote_name), git.local_refs()
        remote_tags = parse_tags(remote_refs)
        missing, foreign = [], set()
        for tag, commit in self.tags:
            ref = f"refs/tags/{tag}"
            if tag not in remote_tags:
                missing.append(tag)
            elif remote_tags[tag] != commit:
                self._check_related(run, tag, commit, remote_tags[tag])
                foreign.add(tag)
            elif tag in self.created and (tag in not_pushed or remote_refs[ref] != local_refs.get(ref)):
                foreign.add(tag)
        # git would not fetch the remote's tag over another one of that name.
        refs = {tag: f"refs/tags/{tag}" for tag in sorted(foreign) if tag in self.created}
        outdated_tags = [tag for tag, ref in refs.items() if local_refs.get(ref, "") not in ("", remote_refs[ref])]
        changes.delete_tags(git, outdated_tags)
        return missing, frozenset(foreign)

    def _check_related(self, run: Run, tag: str, commit: str, other: str) -> None:
        """Raise an error unless the remote's tag is on an ancestor or a descendant of the commit."""
        git = run.checkout
        if git.resolve_commit(other) is None:
            remotes.try_to_fetch_objects(git, self.remote_name, f"refs/tags/{tag}", timeout=60.0)
        is_related = git.is_ancestor(other, commit) or git.is_ancestor(commit, other)
        if not is_related and not git.is_shallow():
            raise Conflict(
                "tag-exists",
                f"tag {tag} must be on commit {commit[:10]}, but {self.remote_name} has it on {other[:10]} "
                "(on another branch)",
                fix=f"release a higher version: {fixes.task_command('bump', '--part', 'patch')}; to see the tag "
                f"of {self.remote_name}: git fetch {self.remote_name} refs/tags/{tag} && git show FETCH_HEAD",
            )


def _describe(foreign: AbstractSet[str]) -> str:
    """Return which tags another run pushed, for display, or an empty string if none."""
    return f"tagged by another run: {join_names(sorted(foreign))}" if foreign else ""
