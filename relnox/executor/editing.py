"""Files, commit, tags, push: a bump as one transaction.

Every step looks first whether it is done, so that an interrupted bump goes on where it was. A local step that
fails takes the ones before it back; a push that fails leaves them, to be pushed by the same command again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.editing import is_equivalent
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
        """Done when every file is as it should become."""
        return "the files are edited already" if edits.is_applied(self.run.root, self.step.edits) else None

    def do(self) -> None:
        """Edit."""
        _apply(self.step.edits, self.run)
        self.run.undo.callback(edits.restore, self.run.root, self.step.edits)

    def verify(self) -> str:
        """Every file reads as planned."""
        if not edits.is_applied(self.run.root, self.step.edits):
            raise Failed(
                "todo", "the files do not read as they were written", fix="does something else write them?"
            )
        return f"{len(self.step.edits)} files"


class Committing:
    """Commits exactly the edited files."""

    def __init__(self, step: Commit, run: Run) -> None:
        self.step = step
        self.run = run
        self.committed = False

    def check(self) -> str | None:
        """Done when the present commit, and the index, hold the edited files as they are in the checkout."""
        git = _git(self.run)
        self.committed = git.matches_head(self._files)
        head = git.head() if self.committed and git.index_matches_head(self._files) else None
        return None if head is None else f"committed already, in {head[:10]}"

    def do(self) -> None:
        """Commit; a commit that a hook changed is taken back."""
        git = _git(self.run)
        before = git.head()
        if self.committed and before is not None:
            git.reset_index(self._files)  # git was killed after the commit, before it wrote the index
            return
        self.run.undo.callback(git.reset_to, before, self._files)
        try:
            git.commit(self.step.message, self._files)
        except Failed as error:
            # pre-commit's formatters fix the files, fail, and succeed on the second run.
            if not self._reformatted():
                raise
            self._accept(error)
            git.commit(self.step.message, self._files)

    def verify(self) -> str:
        """The commit holds the files as planned."""
        git = _git(self.run)
        if not git.matches_head(self._files):
            raise Failed(
                "todo",
                "the commit does not hold the files as they were planned: a hook changed them",
                fix="let the hook accept the files as relnox writes them",
            )
        changed = self._reformatted()
        if changed:
            self._accept(None)
            git.reset_index(self._files)  # git keeps what it had before the hook there
        head = (git.head() or "")[:10]
        return f"{head}, {listing(changed)} as a commit hook reformatted {_it(changed)}" if changed else head

    def _reformatted(self) -> list[str]:
        """Files that a hook of the commit changed."""
        return [name for name, sha256 in self.step.files if edits.digest(self.run.root / name) != sha256]

    def _accept(self, error: Failed | None) -> None:
        """Take what a hook made of the files for what was planned, if it says the same in another form.

        Raises:
            Failed: It says something else.
        """
        planned = {edit.file: edit for edit in self.run.planned_edits}
        changed = self._reformatted()
        contents = {name: edits.content(self.run.root / name) for name in changed}
        unlike = [
            name
            for name, content in contents.items()
            if name not in planned or not is_equivalent(name, planned[name].after, content)
        ]
        if unlike:
            before = f"{error.message}\n" if error is not None else ""
            what = f"{listing(unlike)} no longer {_say(unlike)} what was planned"
            raise Failed(
                "todo",
                f"{before}a commit hook changed the files: {what}",
                fix="let the hook accept the files as relnox writes them",
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
        self.stale: list[str] = []

    def check(self) -> str | None:
        """Done when every tag leads to the present commit."""
        return None if self._missing() else "the tags are there, on this commit"

    def do(self) -> None:
        """Create those that are missing, all or none."""
        git = _git(self.run)
        missing = self._missing()
        git.delete_tags(self.stale)
        git.create_tags(missing, git.head() or "")
        self.run.undo.callback(git.delete_tags, [tag.name for tag in missing])

    def verify(self) -> str:
        """Every tag leads to the present commit."""
        if missing := self._missing():
            raise Failed("todo", f"the tag {missing[0].name} is not there", fix="git tag --list")
        first = self.step.tags[0].name
        return first if len(self.step.tags) == 1 else f"{len(self.step.tags)} tags"

    def _missing(self) -> list[Tag]:
        git = _git(self.run)
        head, present = git.head(), git.tags()
        self.stale = []
        for tag in self.step.tags:
            if present.get(tag.name, head) != head:
                # Of the run that was interrupted, if the commit was rebased since: nobody else has that tag.
                if git.tag_subject(tag.name) == tag.message and not git.is_ancestor(present[tag.name]):
                    self.stale.append(tag.name)
                    continue
                raise Conflict(
                    "todo",
                    f"the tag {tag.name} is there and leads to another commit, {present[tag.name][:10]}",
                    fix=f"git show {tag.name}; then choose another version, or delete a wrong tag",
                )
        return [tag for tag in self.step.tags if tag.name not in present or tag.name in self.stale]


class UndoingBump:
    """Takes a bump back: the tags and the commit in one transaction of refs, then the files."""

    def __init__(self, step: UndoBump, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Done when nothing of the bump is left."""
        return None if self._left() else "nothing of it is left"

    def do(self) -> None:
        """Take it back."""
        self.run.halfway = self.step.commit is not None or bool(self.step.tags)  # which no failure brings back
        if self.step.commit is not None:
            git = _git(self.run)
            present = git.tags()
            tags = [tag for tag in self.step.tags if tag in present]
            git.undo_commit(self.step.commit, tags, [edit.file for edit in self.step.edits])
        elif self.step.tags:
            _git(self.run).delete_tags(self.step.tags)
        _apply(self.step.edits, self.run)

    def verify(self) -> str:
        """Tags and commit are gone, the files are as before."""
        if left := self._left():
            raise Failed("todo", f"{left} is still there", fix="git status, git log -1, git tag --list")
        return f"{len(self.step.edits)} files are as before"

    def _left(self) -> str | None:
        if not edits.is_applied(self.run.root, self.step.edits):
            return "an edit"
        if self.step.commit is not None and _git(self.run).head() == self.step.commit:
            return f"commit {self.step.commit[:10]}"
        present = _git(self.run).tags() if self.step.tags else {}
        return next((f"the tag {tag}" for tag in self.step.tags if tag in present), None)


class Pushing:
    """Pushes branch and tags, all or none; what the remote holds decides, not the exit status."""

    def __init__(self, step: Push, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Done when the remote has all of it."""
        return f"{self.step.to} has it already" if not self._missing() else None

    def do(self) -> None:
        """Push. A push that was cut off may have arrived: the remote is asked before it counts as failed."""
        make_durable(self.run)  # what others have must not be lost here
        try:
            _git(self.run).push(self.step.to, self.step.branch, self.step.tags)
        except Failed:
            if self._missing():
                raise

    def verify(self) -> str:
        """The remote has all of it."""
        if missing := self._missing():
            raise Failed("todo", f"{self.step.to} does not have {missing[0]}", fix=f"git ls-remote {self.step.to}")
        return f"{self.step.to} has the branch and {len(self.step.tags)} tags"

    def _missing(self) -> list[str]:
        git = _git(self.run)
        remote, local = git.remote_refs(self.step.to), git.local_refs()
        wanted = [f"refs/heads/{self.step.branch}", *(f"refs/tags/{tag}" for tag in self.step.tags)]
        return [ref for ref in wanted if remote.get(ref) != local.get(ref)]


def make_durable(run: Run) -> None:
    """Have all that the local steps did on the disk: files, commit, tags and the index of git.

    It is done once, before anything is pushed and before the record of the run is dropped.
    """
    if run.pending is not None and not run.durable:
        changed = [
            edit for step in run.pending.steps if isinstance(step, EditFiles | UndoBump) for edit in step.edits
        ]
        edits.sync(run.root, changed, run.private)
        run.durable = True


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _say(names: list[str]) -> str:
    return "says" if len(names) == 1 else "say"


def _apply(planned: Iterable[Edit], run: Run) -> None:
    """Make all edits, or none; only a disk that does not let them be taken back leaves some."""
    try:
        edits.apply(run.root, planned, recorded=run.pending is not None)
    except OSError:
        run.halfway = True
        raise


def _git(run: Run) -> Git:
    if run.git is None:
        raise Failed("todo", "this is no git checkout", fix="git init")
    return run.git
