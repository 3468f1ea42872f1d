"""Branches and commits on a forge."""

from __future__ import annotations

from abc import abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from relnox.core.records import Record
from relnox.errors import Conflict
from relnox.forges.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relnox.forges.api_responses import ApiResponse


class FileChange(Record):
    """A file that a commit adds, changes or deletes.

    Attributes:
        path: The path from the root of the repository, with slashes.
        content: The new content, or None to delete the file.
    """

    path: str
    content: bytes | None
    executable: bool = False


class Commit(Record):
    """A commit that the forge created.

    Attributes:
        id: The hash of the commit.
        verified: Whether the forge signed the commit and shows it as verified.
    """

    id: str
    verified: bool


class Branches(Repository):
    """The operations on the branches of a repository, and commits to them."""

    ref_restriction: ClassVar[str] = ""
    """Another reason why a token may not be allowed to create a ref, added to error messages."""
    commit_path: ClassVar[str]

    @abstractmethod
    def branch_head(self, branch: str) -> str | None:
        """Return the hash of the commit that a branch points to, or None if the branch does not exist."""

    @abstractmethod
    def commit(
        self, branch: str, parent: str, message: str, changes: Sequence[FileChange], *, replaces: str | None = None
    ) -> Commit:
        """Create a commit with one parent, and make a branch point to it.

        If the branch points to an equal commit (same parent, message and files) already, return that commit.

        Args:
            branch: The short name of the branch.
            parent: The parent commit, which must exist on the forge.
            message: The commit message.
            changes: The files that differ from the parent: at least one, each once.
            replaces: The commit that the branch has to point to before, or None if the branch must not exist. It
                need not be the parent: the branch is updated in one step, so that its pull request stays open.

        Raises:
            Conflict: The branch points to another commit.
        """

    def _commit_once(
        self,
        branch: str,
        replaces: str | None,
        equal: Callable[[str], Commit | None],
        prepare: Callable[[], tuple[Callable[[], ApiResponse], Callable[[Any], Commit]]],
    ) -> Commit:
        """Make a branch point to a new commit, unless it points to an equal one.

        Args:
            branch: The short name of the branch.
            replaces: The commit that the branch has to point to before, or None if the branch must not exist.
            equal: Returns the commit with a hash if it equals the planned one, and None otherwise.
            prepare: Returns a function that sends the request, and one that returns the commit in the response.
        """

        def present() -> Commit | None:
            """Return the branch's commit if it is the planned one, or None if it is the one to replace."""
            head = self.branch_head(branch)
            if head is not None and (commit := equal(head)) is not None:
                return commit
            if head != replaces:
                raise self._branch_moved_error(branch, head, replaces)
            return None

        if (commit := present()) is not None:
            return commit
        send, accept = prepare()

        def change() -> Commit:
            response = send()
            if response.is_rejection and (commit := present()) is not None:
                return commit
            failure = f"cannot commit to branch {branch} of {self.repository}"
            return accept(self._document(response, failure, "contents: write", more=self.ref_restriction))

        return self._api.until_confirmed(change, present)

    def _read_commit(self, commit: str, failure: str) -> Any:
        """Return the JSON document of a commit.

        Raises:
            Blocked: The forge does not have the commit.
        """
        response = self._api.get(self.commit_path.format(quote(commit)))
        if response.status == HTTPStatus.NOT_FOUND:
            raise self._commit_missing_error(failure, commit)
        return self._document(response, failure, "contents: read")

    def _branch_moved_error(self, branch: str, head: str | None, expected: str | None) -> Conflict:
        """Return the error for a branch whose commit is `head` instead of `expected`; None means no branch."""
        actual = f"commit {head[:7]}" if head else "no commit"
        before = f"commit {expected[:7]}" if expected else "no commit"
        return Conflict(
            "branch-behind",
            f"branch {branch} of {self.repository} points to {actual} instead of {before} "
            "(it was moved while relnox was running)",
            fix=f"git fetch origin {branch}, check what changed, then rerun the command",
        )
