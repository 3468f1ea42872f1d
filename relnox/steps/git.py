"""Commit, tag and push, so that an interrupted bump can be resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.changes import NewTag
from relnox.core.planning.step import Step
from relnox.core.text import format_count, join_names
from relnox.errors import Conflict, ExitCode, Failed
from relnox.source import file_edits
from relnox.source.git import changes, remotes, trees
from relnox.steps.action import Action
from relnox.steps.transaction import Transaction

if TYPE_CHECKING:
    from relnox.core.planning.changes import Edit


class Commit(Step, kw_only=True):
    """Commit exactly these files, whatever else is staged.

    Attributes:
        files: The files, with the content that the edits of the plan give them.
    """

    key = "commit"
    atomic = True
    recorded = True
    exclusive = True
    message: str
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"commit {self.message.splitlines()[0]!r}"


class CommitDevelopment(Commit, kw_only=True):
    """Commit the next development version on top of the release."""

    key = "commit-development"


class CommitAction(Action[Commit]):
    run_extension = Transaction
    committed = False
    before: str | None = None
    edits: tuple[Edit, ...] = ()
    tree = ""

    def check(self) -> str | None:
        """Return a reason to skip the commit if HEAD and git's index already contain the edited files."""
        self.edits = self.run.service(Transaction).edits_of(self.step)
        git = self.run.checkout
        self.before = git.head()
        is_release = not isinstance(self.step, CommitDevelopment)
        if is_release and (commit := self.run.service(Transaction).released_commit()) is not None:
            self.committed = commit == self.before
            is_done = not self.committed or git.index_matches_head(self.step.files)
            return f"already committed in {commit[:10]}" if is_done else None
        pending = self.run.service(Transaction).pending
        if pending is not None and pending.head == self.before:
            return None  # nothing was committed since the bump began
        self.committed = git.files_match_head(self.step.files)
        is_done = self.committed and git.index_matches_head(self.step.files)
        return f"already committed in {self.before[:10]}" if is_done and self.before is not None else None

    def apply(self) -> None:
        git = self.run.checkout
        if self.committed and self.before is not None:
            # git was killed after the commit, before it wrote the index.
            self.before = git.parent_commit()
            self.tree = trees.plan_tree(git, self.edits, f"{self.before}", stored=True).id
            changes.unstage(git, self.step.files)
            return
        self.run.service(Transaction).undo.callback(changes.restore, git, self.before, changes.read_index(git))
        self.tree = changes.commit(git, self.step.message, self.edits)

    def verify(self) -> str:
        """Check that the commit has the planned changes and no others."""
        git = self.run.checkout
        head = git.head()
        if head is None or head == self.before:
            raise Failed(
                "branch-changed",
                "git commit succeeded, but created no commit",
                fix="check the current commit: git log -1",
            )
        planned = {f"{git.prefix}{edit.file}" for edit in self.edits}
        paths = git.read_entries("diff-tree", "-r", "--name-only", "--no-renames", self.tree, "HEAD")
        if paths:
            changed, added = (
                join_names([path.removeprefix(git.prefix) for path in paths if (path in planned) == is_planned])
                for is_planned in (True, False)
            )
            actions = [
                f"changed the content of {changed} in the commit" if changed else "",
                f"added {added} to the commit" if added else "",
            ]
            raise Failed(
                "hook-changed-files",
                f"a commit hook {' and '.join(filter(None, actions))}",
                fix="configure the hook to leave these files alone; if a release needs them: "
                "[[tool.relnox.hooks.edit-bump]]",
            )
        root = self.run.root
        changed_files = [
            edit.file for edit in self.edits if file_edits.read_content(root / edit.file) != edit.after
        ]
        return f"{head[:10]}, without later changes of {join_names(changed_files)}" if changed_files else head[:10]


class CreateTags(Step, kw_only=True):
    """Create annotated tags, all or none."""

    key = "tag"
    atomic = True
    recorded = True
    exclusive = True
    tags: tuple[NewTag, ...]

    @property
    def title(self) -> str:
        return f"tag {join_names([tag.name for tag in self.tags])}"


class CreateTagsAction(Action[CreateTags]):
    """Creates annotated tags on HEAD, or on the release commit if a development version follows it."""

    run_extension = Transaction

    head: str
    missing: list[NewTag]
    stale: list[str]

    def check(self) -> str | None:
        self._inspect()
        return None if self.missing else "the tags already exist on this commit"

    def apply(self) -> None:
        git = self.run.checkout
        changes.delete_tags(git, self.stale)
        changes.create_tags(git, self.missing, self.head)
        self.run.service(Transaction).undo.callback(changes.delete_tags, git, [tag.name for tag in self.missing])

    def verify(self) -> str:
        if set(self._find_tags().values()) != {self.head}:
            self._inspect()
            if self.missing:
                raise Failed(
                    "tag-missing",
                    f"tag {self.missing[0].name} is missing, although git created it",
                    fix="check that no hook or other program deletes tags, and rerun the command",
                )
        first = self.step.tags[0].name
        return first if len(self.step.tags) == 1 else format_count(len(self.step.tags), "tag")

    def _find_tags(self) -> dict[str, str | None]:
        """Return the commit of each tag of the step, or None for one that does not exist."""
        return self.run.checkout.tag_targets([tag.name for tag in self.step.tags])

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
                is_own = self.run.service(Transaction).resumed and git.tag_subject(tag.name) == tag.message
                if is_own and not git.is_ancestor(existing[tag.name]):
                    self.stale.append(tag.name)
                    continue
                raise Conflict(
                    "tag-exists",
                    f"tag {tag.name} already exists on another commit ({existing[tag.name][:10]})",
                    fix=f"choose a higher version: --to VERSION; to see the tag: git show {tag.name}",
                )
        self.missing = [tag for tag in self.step.tags if tag.name not in existing or tag.name in self.stale]


class Push(Step, kw_only=True):
    """Push the branch and the tags atomically."""

    key = "push"
    remote = True
    atomic = True
    recorded = True
    remote_name: str
    branch: str
    tags: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"push {join_names(filter(None, [self.branch, *self.tags]))} to {self.remote_name} atomically"


class PushAction(Action[Push]):
    """Pushes branch and tags atomically; the refs on the remote decide on success, not the exit status."""

    run_extension = Transaction

    missing: list[str]

    def check(self) -> str | None:
        self._find_missing_refs()
        return None if self.missing else f"{self.step.remote_name} is up to date"

    def apply(self) -> None:
        """Push what is missing; if that fails, check the remote, since an interrupted push may have arrived."""
        before = self.missing
        branch = self.step.branch if f"refs/heads/{self.step.branch}" in before else ""
        try:
            remotes.push(self.run.checkout, self.step.remote_name, branch, self.step.tags)
        except Failed as error:
            self._find_missing_refs()
            if self.missing and self.missing != before:
                error.exit_code = ExitCode.PARTLY_PUBLIC
                error.fix = "fix what the remote reports above, then rerun the command"
            if self.missing:
                raise

    def verify(self) -> str:
        self._find_missing_refs()
        if self.missing:
            error = Failed(
                "push-rejected",
                f"{self.missing[0]} is missing on {self.step.remote_name} after the push",
                fix=f"check the remote: git remote -v, git ls-remote {self.step.remote_name}; then rerun the "
                "command",
            )
            error.exit_code = ExitCode.PARTLY_PUBLIC  # git reported success
            raise error
        tags = [format_count(len(self.step.tags), "tag")] if self.step.tags else []
        branch = ["the branch"] if self.step.branch else []
        return f"{self.step.remote_name} has {' and '.join([*branch, *tags])}"

    def _find_missing_refs(self) -> None:
        """Find the refs that the remote lacks; its branch may have further commits that others pushed."""
        git = self.run.checkout
        remote, local = remotes.read_push_refs(git, self.step.remote_name), git.local_refs()
        branch = f"refs/heads/{self.step.branch}"
        refs = [branch, *(f"refs/tags/{tag}" for tag in self.step.tags)]
        self.missing = [ref for ref in refs if remote.get(ref) != local.get(ref)]
        if branch in self.missing and self._contains(remote.get(branch), local.get(branch)):
            self.missing.remove(branch)

    def _contains(self, remote: str | None, local: str | None) -> bool:
        """Return whether the remote's commit of the branch is a descendant of the local one."""
        if remote is None or local is None:
            return False
        git = self.run.checkout
        if git.resolve_commit(remote) is None:
            remotes.try_to_fetch_objects(git, self.step.remote_name, f"refs/heads/{self.step.branch}")
        return git.is_ancestor(local, remote)
