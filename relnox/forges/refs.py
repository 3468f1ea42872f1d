"""Branches, tags and commits on a forge."""

from __future__ import annotations

from abc import abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from relnox.core.records import Record
from relnox.errors import Blocked, Conflict
from relnox.forges.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relnox.forges.answers import Answer


class FileChange(Record):
    """A file of a commit that differs from the commit's parent.

    Attributes:
        path: Path from the root of the repository, with slashes.
        content: The new content; None deletes the file.
        executable: Whether the file is executable.
    """

    path: str
    content: bytes | None
    executable: bool = False


class Commit(Record):
    """A commit that the forge made.

    Attributes:
        id: Its hash.
        verified: Whether the forge signed it, and shows it as verified.
    """

    id: str
    verified: bool


def short_name(ref: str) -> str:
    """Return the short name of a branch or tag: `v1.0` of `refs/tags/v1.0`.

    Raises:
        ValueError: It is not the full name of a branch or tag.
    """
    for prefix in ("refs/heads/", "refs/tags/"):
        if ref.startswith(prefix) and ref != prefix:
            return ref.removeprefix(prefix)
    raise ValueError(f"not the full name of a branch or tag: {ref!r}")


def described(ref: str) -> str:
    """Return a ref for messages: `tag v1.0` of `refs/tags/v1.0`."""
    return f"{'tag' if ref.startswith('refs/tags/') else 'branch'} {short_name(ref)}"


class Refs(Repository):
    """The branches, tags and commits of a repository."""

    ref_restriction: ClassVar[str] = ""
    """Another reason why a token may be denied to create a ref."""
    commit_path: ClassVar[str]

    @abstractmethod
    def commit_of(self, ref: str) -> str | None:
        """Return the commit that a branch or tag points to; None if it does not exist."""

    def create_ref(self, ref: str, commit: str, message: str = "") -> bool:
        """Create a branch or tag that must not exist.

        Args:
            ref: Its full name.
            commit: A commit that the forge has.
            message: The message of an annotated tag; without it the tag is a lightweight one.

        Returns:
            Whether it was created; False if it exists, and points to that commit.

        Raises:
            Conflict: It exists, and points to another commit.
            Blocked: The forge does not have the commit, or rejects the ref.
        """
        kind_and_name = described(ref)
        doing = f"cannot create {kind_and_name} on {self.repository}"
        path, body = self._new_ref(ref, commit, message, doing)

        def change() -> bool:
            answer = self._api.send("POST", path, body)
            if answer.is_rejection and (target := self.commit_of(ref)) is not None:
                if target == commit:
                    return False
                raise Conflict(
                    "ref-exists",
                    f"{kind_and_name} already exists on {self.repository}, on another commit ({target[:7]})",
                    fix=f"git push origin --delete {ref}",
                )
            document = self._document(answer, doing, "contents: write", commit=commit, more=self.ref_restriction)
            if not self._is_new_ref(document, body):
                raise self._api.invalid(f"another ref than {ref}")
            return True

        return self._api.until_confirmed(change, lambda: self.commit_of(ref) == commit or None)

    @abstractmethod
    def _new_ref(self, ref: str, commit: str, message: str, doing: str) -> tuple[str, Mapping[str, str]]:
        """Return path and body of the request that creates a ref."""

    @abstractmethod
    def _is_new_ref(self, document: Any, body: Mapping[str, str]) -> bool:
        """Return whether an answer is that of the ref in the body."""

    @abstractmethod
    def commit(
        self, branch: str, parent: str, message: str, changes: Sequence[FileChange], *, replaces: str | None = None
    ) -> Commit:
        """Make a commit with one parent, and have a branch point to it.

        If the branch points to an equal commit (same parent, message and files), returns that commit.

        Args:
            branch: Short name of the branch.
            parent: The parent, which the forge has.
            message: The message.
            changes: What differs from the parent: at least one file, each once.
            replaces: The commit that the branch points to before; None if there must be no such branch. It need
                not be the parent: a branch is replaced in one step, so that its pull request stays open.

        Raises:
            Conflict: The branch points to another commit.
        """

    def _commit_once(
        self,
        branch: str,
        replaces: str | None,
        equal: Callable[[str], Commit | None],
        prepare: Callable[[], tuple[Callable[[], Answer], Callable[[Any], Commit]]],
    ) -> Commit:
        """Have a branch point to a new commit, unless it points to an equal one.

        Args:
            branch: Short name of the branch.
            replaces: The commit that it points to before.
            equal: Returns a commit if it equals the planned one.
            prepare: Returns a function that sends the request, and one that returns the commit in its answer.
        """

        def present() -> Commit | None:
            """Return the branch's commit if it equals the planned one; None if it is the commit to replace."""
            head = self.commit_of(f"refs/heads/{branch}")
            if head is not None and (commit := equal(head)) is not None:
                return commit
            if head != replaces:
                raise self._branch_moved(branch, head, replaces)
            return None

        if (commit := present()) is not None:
            return commit
        send, accept = prepare()

        def change() -> Commit:
            answer = send()
            if answer.is_rejection and (commit := present()) is not None:
                return commit
            doing = f"cannot commit to branch {branch} of {self.repository}"
            return accept(self._document(answer, doing, "contents: write", more=self.ref_restriction))

        return self._api.until_confirmed(change, present)

    def _read_commit(self, commit: str, doing: str) -> Any:
        answer = self._api.get(self.commit_path.format(quote(commit)))
        if answer.status == HTTPStatus.NOT_FOUND:
            raise self._commit_missing(doing, commit)
        return self._document(answer, doing, "contents: read")

    def _branch_moved(self, branch: str, head: str | None, expected: str | None) -> Conflict:
        actual = f"commit {head[:7]}" if head else "no commit"
        before = f"commit {expected[:7]}" if expected else "no commit"
        return Conflict(
            "branch-moved",
            f"branch {branch} of {self.repository} points to {actual}, not to {before} (it was changed meanwhile)",
            fix=f"git fetch origin {branch}, check what changed, then rerun the command",
        )

    def _ref_missing(self, doing: str, ref: str) -> Blocked:
        name = short_name(ref)
        return Blocked("ref-missing", f"{doing} (the forge has no such ref)", fix=f"git push origin {name}")
