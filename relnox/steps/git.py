"""Commit, tag and push, so that an interrupted bump can be resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.core.planning.changes import NewTag
from relnox.core.planning.step import Step
from relnox.core.text import format_count, join_names
from relnox.errors import Conflict, ExitCode, Failed
from relnox.source import file_edits
from relnox.source.git import changes, contents, remotes
from relnox.steps.action import Action
from relnox.steps.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Mapping


class Commit(Step, kw_only=True):
    """Commit exactly these files, whatever else is staged.

    Attributes:
        files: The files, with the content that the edits of the plan give them.
        time: The time of the commit in seconds since 1970; None for the current time.
    """

    key = "commit"
    atomic = True
    recorded = True
    exclusive = True
    message: str
    files: tuple[str, ...]
    time: int | None = None

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
    planned: Mapping[str, bytes | None] = {}

    def check(self) -> str | None:
        """Return a reason to skip the commit if HEAD and git's index already contain the edited files."""
        self.planned = {edit.file: edit.after for edit in self.run.service(Transaction).edits_of(self.step)}
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
        self.committed = contents.files_match_head(git, self.step.files)
        is_done = self.committed and git.index_matches_head(self.step.files)
        return f"already committed in {self.before[:10]}" if is_done and self.before is not None else None

    def apply(self) -> None:
        git = self.run.checkout
        if self.committed and self.before is not None:
            # git was killed after the commit, before it wrote the index.
            changes.unstage(git, self.step.files)
            return
        self.run.service(Transaction).undo.callback(changes.restore, git, self.before, changes.read_index(git))
        try:
            changes.commit(git, self.step.message, self.step.files, self.step.time)
        except Failed as error:
            # Formatters in pre-commit fix the files, fail, and succeed on the second run.
            if not self._files_changed_by_hook():
                raise
            self._accept_formatting(error)
            changes.commit(git, self.step.message, self.step.files, self.step.time)

    def verify(self) -> str:
        """Check that the commit has the planned changes and no others; accept formatting by a commit hook."""
        git = self.run.checkout
        head, before = git.head(), git.parent_commit() if self.committed else self.before
        if head is None or head == before:
            raise Failed(
                "commit-missing",
                "git commit succeeded, but created no commit",
                fix="check the current commit: git log -1",
            )
        self._check_changes(contents.changes_since(git, before))
        if changed_files := self._files_changed_by_hook():
            self._accept_formatting(None)
            changes.unstage(git, self.step.files)  # git keeps the files from before the hook there
            them = "it" if len(changed_files) == 1 else "them"
            return f"{head[:10]}, {join_names(changed_files)} as a commit hook reformatted {them}"
        return head[:10]

    def _check_changes(self, changed: Mapping[str, str | None]) -> None:
        """Raise `Failed` if the commit lacks the content of planned files, or changes other files as well."""
        git, files = self.run.checkout, self.step.files
        planned = {f"{git.prefix}{name}": name for name in files}
        ids = {planned[path]: object_id for path, object_id in changed.items() if path in planned}
        ids |= contents.object_ids_at_head(git, [name for name in files if name not in ids])
        if different := contents.differing_files(git, ids):
            raise Failed(
                "hook-changed-files",
                f"the commit lacks the planned content of {join_names(different)} (changed by a commit hook)",
                fix="exclude the files from the hook, or configure it to leave them unchanged",
            )
        if others := [path.removeprefix(git.prefix) for path in changed if path not in planned]:
            raise Failed(
                "hook-changed-files",
                f"a commit hook added {join_names(others)} to the commit",
                fix="configure the hook to add no files; if a release needs them: [[tool.relnox.hooks.edit-bump]]",
            )

    def _files_changed_by_hook(self) -> list[str]:
        root = self.run.root
        return [
            name for name in self.step.files if file_edits.read_content(f"{root}/{name}") != self.planned[name]
        ]

    def _accept_formatting(self, error: Failed | None) -> None:
        """Accept the changes that a commit hook made to the files if they are only formatting."""
        planned_edits = {edit.file: edit for edit in self.run.service(Transaction).edits_of(self.step)}
        changed_files = self._files_changed_by_hook()
        contents = {name: file_edits.read_content(self.run.root / name) for name in changed_files}
        different = [
            name
            for name, content in contents.items()
            if name not in planned_edits
            or not core.editing.is_same_except_formatting(name, planned_edits[name].after, content)
        ]
        if different:
            output = f"{error.message}\n" if error is not None else ""
            raise Failed(
                "hook-changed-files",
                f"{output}a commit hook changed the content of {join_names(different)}",
                fix="exclude the files from the hook, or configure it to leave them unchanged",
            )
        self.run.service(Transaction).amend(
            self.step, {name: content for name, content in contents.items() if content is not None}
        )


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
                "push-incomplete",
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
