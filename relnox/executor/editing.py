"""The actions of a bump: files, commit, tags and push as one transaction.

Every action first checks whether it is done, so that an interrupted bump can be resumed. A local step that fails
undoes the ones before it; a push that fails leaves them, and a rerun of the command pushes again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.bump.editing import is_equivalent
from relnox.core.steps import EditFiles, UndoBump
from relnox.core.steps.base import listing
from relnox.errors import Conflict, Failed
from relnox.source import edits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.steps import Commit, CreateTags, Edit, Push, Tag
    from relnox.executor.run import Run
    from relnox.source.git import Git

__all__ = ["Committing", "EditingFiles", "Pushing", "Tagging", "UndoingBump", "make_durable"]


class EditingFiles:
    """Edits files, all or none."""

    def __init__(self, step: EditFiles, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Done if every file has its new content."""
        return "the files are already edited" if edits.is_applied(self.run.root, self.step.edits) else None

    def apply(self) -> None:
        """Edit the files."""
        _apply(self.step.edits, self.run)
        self.run.undo.callback(edits.restore, self.run.root, self.step.edits)

    def verify(self) -> str:
        """Check that every file has its new content."""
        if not edits.is_applied(self.run.root, self.step.edits):
            raise Failed(
                "file-changed",
                "files changed while they were edited",
                fix="stop other programs that write them, then rerun the command",
            )
        return f"{len(self.step.edits)} files"


class Committing:
    """Commits exactly the edited files."""

    def __init__(self, step: Commit, run: Run) -> None:
        self.step = step
        self.run = run
        self.committed = False

    def check(self) -> str | None:
        """Done if the present commit and the index have the edited files as they are in the checkout."""
        git = _git(self.run)
        self.committed = git.matches_head(self._files)
        head = git.head() if self.committed and git.index_matches_head(self._files) else None
        return None if head is None else f"already committed in {head[:10]}"

    def apply(self) -> None:
        """Commit; a failure resets to the commit before."""
        git = _git(self.run)
        before = git.head()
        if self.committed and before is not None:
            git.reset_index(self._files)  # git was killed after the commit, before it wrote the index
            return
        self.run.undo.callback(git.reset_to, before, self._files)
        try:
            git.commit(self.step.message, self._files)
        except Failed as error:
            # Formatters in pre-commit fix the files, fail, and succeed on the second run.
            if not self._reformatted():
                raise
            self._accept(error)
            git.commit(self.step.message, self._files)

    def verify(self) -> str:
        """Check that the commit has the planned content; formatting by a commit hook is accepted."""
        git = _git(self.run)
        head = git.commit_with(self._files)
        if head is None:
            raise Failed(
                "hook-changed-files",
                "files in the commit differ from the planned content (changed by a commit hook)",
                fix="exclude the files from the hook, or make it accept them",
            )
        changed = self._reformatted()
        if changed:
            self._accept(None)
            git.reset_index(self._files)  # git keeps the files from before the hook there
        reformatted = f", {listing(changed)} as a commit hook reformatted {_it(changed)}" if changed else ""
        return f"{head[:10]}{reformatted}"

    def _reformatted(self) -> list[str]:
        """Return the files that a commit hook changed."""
        return [name for name, sha256 in self.step.files if edits.digest(self.run.root / name) != sha256]

    def _accept(self, error: Failed | None) -> None:
        """Accept a hook's changes of the files if they are formatting only.

        Raises:
            Failed: They are more than that.
        """
        planned = {edit.file: edit for edit in self.run.planned_edits}
        changed = self._reformatted()
        contents = {name: edits.content(self.run.root / name) for name in changed}
        different = [
            name
            for name, content in contents.items()
            if name not in planned or not is_equivalent(name, planned[name].after, content)
        ]
        if different:
            output = f"{error.message}\n" if error is not None else ""
            raise Failed(
                "hook-changed-files",
                f"{output}a commit hook changed the content of {listing(different)}",
                fix="exclude the files from the hook, or make it accept them",
            )
        self.run.amend({name: content for name, content in contents.items() if content is not None})

    @property
    def _files(self) -> list[str]:
        return [name for name, _ in self.step.files]


class Tagging:
    """Creates annotated tags on the present commit."""

    def __init__(self, step: CreateTags, run: Run) -> None:
        self.step = step
        self.run = run
        self.head = ""
        self.missing: list[Tag] = []
        self.stale: list[str] = []

    def check(self) -> str | None:
        """Done if every tag is on the present commit."""
        self._inspect()
        return None if self.missing else "the tags already exist on this commit"

    def apply(self) -> None:
        """Create the missing tags, all or none."""
        git = _git(self.run)
        git.delete_tags(self.stale)
        git.create_tags(self.missing, self.head)
        self.run.undo.callback(git.delete_tags, [tag.name for tag in self.missing])

    def verify(self) -> str:
        """Check that every tag is on the present commit."""
        self._inspect()
        if self.missing:
            raise Failed(
                "tag-missing", f"tag {self.missing[0].name} does not exist after tagging", fix="git tag --list"
            )
        first = self.step.tags[0].name
        return first if len(self.step.tags) == 1 else f"{len(self.step.tags)} tags"

    def _inspect(self) -> None:
        """Find the present commit, the tags that it lacks, and those of them that are on another commit."""
        git = _git(self.run)
        head, present = git.head_and_tags()
        self.head, self.stale = head or "", []
        for tag in self.step.tags:
            if present.get(tag.name, head) != head:
                # A tag of the interrupted run, if its commit was rebased since: it was never pushed.
                if git.tag_subject(tag.name) == tag.message and not git.is_ancestor(present[tag.name]):
                    self.stale.append(tag.name)
                    continue
                raise Conflict(
                    "tag-exists",
                    f"tag {tag.name} already exists on another commit ({present[tag.name][:10]})",
                    fix=f"choose a higher version, or delete the tag: git tag -d {tag.name}",
                )
        self.missing = [tag for tag in self.step.tags if tag.name not in present or tag.name in self.stale]


class UndoingBump:
    """Reverts a bump: first tags and commit in one ref transaction, then the files."""

    def __init__(self, step: UndoBump, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Done if nothing of the bump is left."""
        return None if self._left() else "already reverted"

    def apply(self) -> None:
        """Remove commit and tags, restore the files."""
        self.run.partly_applied = self.step.commit is not None or bool(
            self.step.tags
        )  # a failure cannot restore the refs
        if self.step.commit is not None:
            git = _git(self.run)
            present = git.tags()
            tags = [tag for tag in self.step.tags if tag in present]
            git.undo_commit(self.step.commit, tags, [edit.file for edit in self.step.edits])
        elif self.step.tags:
            _git(self.run).delete_tags(self.step.tags)
        _apply(self.step.edits, self.run)

    def verify(self) -> str:
        """Check that tags and commit are gone, and the files restored."""
        if left := self._left():
            raise Failed("undo-incomplete", f"{left} still exists", fix="git status, git log -1, git tag --list")
        return f"{len(self.step.edits)} files restored"

    def _left(self) -> str | None:
        if not edits.is_applied(self.run.root, self.step.edits):
            return "an edited file"
        if self.step.commit is not None and _git(self.run).head() == self.step.commit:
            return f"commit {self.step.commit[:10]}"
        present = _git(self.run).tags() if self.step.tags else {}
        return next((f"tag {tag}" for tag in self.step.tags if tag in present), None)


class Pushing:
    """Pushes branch and tags atomically; the refs of the remote count, not the exit status."""

    def __init__(self, step: Push, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Done if the remote has branch and tags."""
        return f"{self.step.to} is up to date" if not self._missing() else None

    def apply(self) -> None:
        """Push; if that fails, check the remote, since an interrupted push may have arrived."""
        make_durable(self.run)  # pushed commits must not be lost here
        try:
            _git(self.run).push(self.step.to, self.step.branch, self.step.tags)
        except Failed:
            if self._missing():
                raise

    def verify(self) -> str:
        """Check that the remote has branch and tags."""
        if missing := self._missing():
            raise Failed(
                "push-incomplete",
                f"{missing[0]} is missing on {self.step.to} after the push",
                fix=f"git ls-remote {self.step.to}",
            )
        tags = len(self.step.tags)
        return f"{self.step.to} has the branch and {tags} tag{'s' if tags != 1 else ''}"

    def _missing(self) -> list[str]:
        git = _git(self.run)
        remote, local = git.remote_refs(self.step.to), git.local_refs()
        refs = [f"refs/heads/{self.step.branch}", *(f"refs/tags/{tag}" for tag in self.step.tags)]
        return [ref for ref in refs if remote.get(ref) != local.get(ref)]


def make_durable(run: Run) -> None:
    """Sync the results of the local steps to disk: files, commit, tags and git's index.

    It is done once, before anything is pushed and before the record of the run is removed.
    """
    if run.pending is not None and not run.durable:
        changed = [
            edit for step in run.pending.steps if isinstance(step, EditFiles | UndoBump) for edit in step.edits
        ]
        edits.sync(run.root, changed, run.private)
        run.durable = True


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _apply(planned: Iterable[Edit], run: Run) -> None:
    """Make all edits, or none; some are left only if restoring the files fails as well."""
    try:
        edits.apply(run.root, planned, recorded=run.pending is not None)
    except OSError:
        run.partly_applied = True
        raise


def _git(run: Run) -> Git:
    if run.git is None:
        raise Failed("not-a-git-repository", "not a git repository", fix="git init")
    return run.git
