"""Files, commit, tags, push: a bump as one transaction.

Every step looks first whether it is done, so that an interrupted bump goes on where it was. A local step that
fails takes the ones before it back; a push that fails leaves them, to be pushed by the same command again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.errors import Conflict, Failed
from relnox.source import edits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.steps import Commit, CreateTags, Edit, EditFiles, Push, Tag, TakeBack
    from relnox.executor.run import Run
    from relnox.source.git import Git

__all__ = ["Committing", "EditingFiles", "Pushing", "Tagging", "TakingBack"]


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

    def prove(self) -> str:
        """Every file reads as planned."""
        if not edits.is_applied(self.run.root, self.step.edits):
            raise Failed("the files do not read as they were written", hint="does something else write them?")
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
        git.commit(self.step.message, self._files)

    def prove(self) -> str:
        """The commit holds the files as planned."""
        git = _git(self.run)
        if not git.matches_head(self._files):
            raise Failed(
                "the commit does not hold the files as they were planned: a hook changed them",
                hint="let the hook accept the files as relnox writes them",
            )
        if any(edits.digest(self.run.root / name) != sha256 for name, sha256 in self.step.files):
            raise Failed("a commit hook changed the files", hint="let the hook accept them as relnox writes them")
        return (git.head() or "")[:10]

    @property
    def _files(self) -> list[str]:
        return [name for name, _ in self.step.files]


class Tagging:
    """Creates annotated tags on the present commit."""

    def __init__(self, step: CreateTags, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Done when every tag leads to the present commit."""
        return None if self._missing() else "the tags are there, on this commit"

    def do(self) -> None:
        """Create those that are missing, all or none."""
        git = _git(self.run)
        missing = self._missing()
        git.create_tags(missing, git.head() or "")
        self.run.undo.callback(git.delete_tags, [tag.name for tag in missing])

    def prove(self) -> str:
        """Every tag leads to the present commit."""
        if missing := self._missing():
            raise Failed(f"the tag {missing[0].name} is not there", hint="git tag --list")
        first = self.step.tags[0].name
        return first if len(self.step.tags) == 1 else f"{len(self.step.tags)} tags"

    def _missing(self) -> list[Tag]:
        git = _git(self.run)
        head, present = git.head(), git.tags()
        for tag in self.step.tags:
            if present.get(tag.name, head) != head:
                raise Conflict(
                    f"the tag {tag.name} is there and leads to another commit, {present[tag.name][:10]}",
                    hint=f"git show {tag.name}; then choose another version, or delete a wrong tag",
                )
        return [tag for tag in self.step.tags if tag.name not in present]


class TakingBack:
    """Takes a bump back: the tags and the commit in one transaction of refs, then the files."""

    def __init__(self, step: TakeBack, run: Run) -> None:
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
            git.take_back(self.step.commit, tags, [edit.file for edit in self.step.edits])
        elif self.step.tags:
            _git(self.run).delete_tags(self.step.tags)
        _apply(self.step.edits, self.run)

    def prove(self) -> str:
        """Tags and commit are gone, the files are as before."""
        if left := self._left():
            raise Failed(f"{left} is still there", hint="git status, git log -1, git tag --list")
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
        try:
            _git(self.run).push(self.step.to, self.step.branch, self.step.tags)
        except Failed:
            if self._missing():
                raise

    def prove(self) -> str:
        """The remote has all of it."""
        if missing := self._missing():
            raise Failed(f"{self.step.to} does not have {missing[0]}", hint=f"git ls-remote {self.step.to}")
        return f"{self.step.to} has the branch and {len(self.step.tags)} tags"

    def _missing(self) -> list[str]:
        git = _git(self.run)
        remote, local = git.remote_refs(self.step.to), git.local_refs()
        wanted = [f"refs/heads/{self.step.branch}", *(f"refs/tags/{tag}" for tag in self.step.tags)]
        return [ref for ref in wanted if remote.get(ref) != local.get(ref)]


def _apply(planned: Iterable[Edit], run: Run) -> None:
    """Make all edits, or none; only a disk that does not let them be taken back leaves some."""
    try:
        edits.apply(run.root, planned, recorded=run.pending is not None)
    except OSError:
        run.halfway = True
        raise


def _git(run: Run) -> Git:
    if run.git is None:
        raise Failed("this is no git checkout", hint="git init")
    return run.git
