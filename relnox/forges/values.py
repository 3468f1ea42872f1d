"""What forges have in common: pull requests, runs of CI workflows, commits, and the protocol of a forge."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["Commit", "FileChange", "Forge", "PullRequest", "PullRequestState", "Run", "RunStatus"]


class PullRequestState(StrEnum):
    """The state of a pull request."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED_UNMERGED = "closed"


class RunStatus(StrEnum):
    """The status of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """Waiting for an approval or another manual action."""
    SUCCESS = "success"
    FAILURE = "failure"
    """Failed, or timed out."""
    CANCELED = "canceled"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        """Whether the run is over."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING)


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


class PullRequest(Record, kw_only=True):
    """A pull request; a merge request on GitLab.

    Attributes:
        number: Its number in the repository.
        url: Its page.
        title: Its title.
        body: Its description.
        state: Its state.
        head: The branch that is to be merged.
        head_commit: The last commit of that branch.
        base: The branch to merge into.
        conflicts: Whether it has merge conflicts; None if the forge does not know, or does not know yet.
        merge_commit: The commit on the base branch that the merge made; None before it, or if it is not known.
    """

    number: int
    url: str
    title: str
    body: str
    state: PullRequestState
    head: str
    head_commit: str
    base: str
    conflicts: bool | None
    merge_commit: str | None


class Run(Record, kw_only=True):
    """A run of a workflow; a pipeline on GitLab.

    Attributes:
        id: Its number, which increases from run to run.
        url: Its page.
        ref: The short name of its branch or tag.
        commit: The commit that it runs on.
        event: What started it, in the words of the forge, such as `workflow_dispatch`.
        status: Its status.
        created: When it was created, in UTC.
    """

    id: int
    url: str
    ref: str
    commit: str
    event: str
    status: RunStatus
    created: datetime


class Forge(Protocol):
    """A repository on a forge. Each method sends requests, with retries, and waits at most about ten minutes.

    Methods that create something can be repeated: if the answer to a request is lost, or is an error although the
    request had an effect, they look before they send it again.

    Refs have full names: `refs/heads/main`, `refs/tags/v1.0`. Commits have full hashes.

    All methods raise `TryLater` if the forge is down, or rate-limits requests for longer than they wait; `Blocked`
    if the token is missing, not accepted or lacks a permission, and if the request is not possible; `Conflict` if
    something else is in the way; and `Failed` for an answer that is not understood.
    """

    @property
    def name(self) -> str:
        """The name of the forge, for messages, such as `GitHub`."""

    @property
    def repository(self) -> str:
        """The path of the repository on the forge, such as `owner/name`."""

    def check_token(self) -> None:
        """Check that there is a token to change something with; whether it is allowed to, only a request tells.

        Raises:
            Blocked: There is none.
        """

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

    def pull_requests(
        self, head: str, *, state: PullRequestState | None = PullRequestState.OPEN, marker: str = ""
    ) -> tuple[PullRequest, ...]:
        """Return the pull requests of a branch of this repository, not of forks; the newest first.

        Args:
            head: Short name of the branch.
            state: Only those in this state; None for all.
            marker: Only those whose body contains this text.
        """

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request; wait some seconds for a forge that still looks for merge conflicts.

        Raises:
            Blocked: There is none of that number.
        """

    def create_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Create a pull request, or return the open one between the two branches unchanged.

        Args:
            head: Short name of the branch to merge.
            base: Short name of the branch to merge into.
            title: The title.
            body: The description, in Markdown.

        Raises:
            Blocked: A branch does not exist, or the head has no commits that the base lacks.
        """

    def update_pull_request(
        self, number: int, *, title: str | None = None, body: str | None = None, is_open: bool | None = None
    ) -> PullRequest:
        """Change a pull request; what is None stays.

        Args:
            number: Its number.
            title: The new title.
            body: The new description.
            is_open: Reopens or closes it.
        """

    def start_run(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> Run:
        """Start a run of a workflow on a branch or tag.

        If the answer is lost, the newest run on that ref that was not there before counts as this one.

        Args:
            workflow: File name of the workflow, such as `release.yml`; empty on GitLab, which has one pipeline.
            ref: Full name of the branch or tag, which must have the workflow.
            inputs: Its inputs.

        Raises:
            Blocked: The ref or the workflow does not exist, or the workflow cannot be started so.
        """

    def run(self, number: int) -> Run:
        """Return a run.

        Raises:
            Blocked: There is none of that number.
        """

    def runs(
        self,
        *,
        workflow: str = "",
        ref: str = "",
        commit: str = "",
        event: str = "",
        since: datetime | None = None,
    ) -> tuple[Run, ...]:
        """Return runs, the newest first.

        Args:
            workflow: Only those of the workflow with this file name.
            ref: Only those on the branch or tag with this full name.
            commit: Only those on this commit.
            event: Only those that this event started.
            since: Only those created at this time or later; use it: old repositories have thousands of runs.
        """
