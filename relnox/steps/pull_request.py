"""Put a commit on a branch of the forge, and open or update the pull request of that branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.changes import Edit
from relnox.core.planning.events import Status
from relnox.core.planning.plan import Table
from relnox.core.planning.step import Step
from relnox.core.records import replace
from relnox.core.text import format_count
from relnox.errors import Conflict, Failed
from relnox.source.git.trees import read_branch_head
from relnox.steps.action import Action
from relnox.steps.run import RunExtension

if TYPE_CHECKING:
    from relnox import forges
    from relnox.core.planning.events import Outcome


class CommitToBranch(Step, kw_only=True):
    """Commit files to a branch of the forge, which is created or replaced.

    Attributes:
        edits: The edits, with paths from the root of the project, and contents as they are committed.
        prefix: Path of the project's root in the repository, empty or ending in a slash.
        executable: The paths of the edited files that are executable.
        tree: The hash of the commit's tree.
        replaces: The commit to which the branch points before, or None if the branch does not exist.
    """

    key = "commit to branch"
    remote = True
    atomic = True
    remote_name: str
    branch: str
    parent: str
    message: str
    edits: tuple[Edit, ...]
    prefix: str
    executable: tuple[str, ...]
    tree: str
    replaces: str | None

    @property
    def title(self) -> str:
        return f"commit {format_count(len(self.edits), 'file')} to branch {self.branch} of {self.remote_name}"

    @property
    def previewed_edits(self) -> tuple[Edit, ...]:
        return self.edits


class CommitToBranchAction(Action[CommitToBranch]):
    """Commits through the API of the forge; the tree that git fetches decides on success."""

    def check(self) -> str | None:
        """Return a reason to skip the step if the head of the branch has the planned parent, tree and message."""
        head = self.run.forge(self.step.remote_name).branch_head(self.step.branch)
        if head is None or not self._is_equal(head):
            return None
        return f"{self.step.branch} is up to date ({head[:10]})"

    def apply(self) -> None:
        from relnox import forges

        step = self.step
        changes = [
            forges.FileChange(f"{step.prefix}{edit.file}", edit.after, executable=edit.file in step.executable)
            for edit in step.edits
        ]
        self.result = self.run.forge(step.remote_name).commit(
            step.branch, step.parent, step.message, changes, replaces=step.replaces
        )

    def verify(self) -> str:
        """Check that the branch points to the commit, and that its tree is the planned one."""
        step, commit = self.step, self.result.id
        head = self.run.forge(step.remote_name).branch_head(self.step.branch)
        if head != commit:
            raise Conflict(
                "branch-changed",
                f"branch {step.branch} was moved to {(head or 'no commit')[:10]} right after commit {commit[:10]}",
                fix="review the commits of that branch, then rerun the command",
            )
        if not self._is_equal(commit):
            raise Failed(
                "branch-changed",
                f"commit {commit[:10]} on {step.branch} does not have the planned files, parent or message",
                fix=f"inspect it: git fetch {step.remote_name} {step.branch} && git show {commit[:10]}",
            )
        signature_note = ", signed by the forge" if self.result.verified else ""
        return f"{commit[:10]}{signature_note}"

    def _is_equal(self, commit: str) -> bool:
        step = self.step
        content = read_branch_head(self.run.checkout, commit, step.remote_name, step.branch)
        return content == (step.tree, (step.parent,), step.message.strip())


class OpenPullRequest(Step, kw_only=True):
    """Open the pull request of a branch, or update the open one.

    Attributes:
        head: Short name of the branch to merge.
        base: Short name of the branch to merge into.
        body: The description, in Markdown.
    """

    key = "pull request"
    remote = True
    atomic = True
    remote_name: str
    head: str
    base: str
    name: str
    body: str

    @property
    def title(self) -> str:
        return f"open or update the pull request from {self.head} to {self.base}: {self.name}"


class PullRequestTable(RunExtension):
    """The table with the number and URL of the pull request, shown at the end of the run and in its report."""

    def add_details(self, outcome: Outcome) -> Outcome:
        """Add the table, if the pull request is as planned."""
        if any(result.status not in (Status.SUCCESS, Status.SKIPPED) for result in outcome.results):
            return outcome
        from relnox.forges import PullRequest

        if (request := self._run.result(PullRequest)) is None:
            return outcome
        rows = ((str(request.number), request.url, request.title),)
        table = Table(title="pull request", columns=("number", "address", "title"), rows=rows)
        return replace(outcome, tables=(*outcome.tables, table))


class OpenPullRequestAction(Action[OpenPullRequest]):
    run_extension = PullRequestTable

    def check(self) -> str | None:
        """Return a reason to skip the step if an open pull request has this title and description."""
        request = self._find_open_request()
        if request is None or not self._is_equal(request):
            return None
        self.result = request
        return f"pull request {request.number} is up to date: {request.url}"

    def apply(self) -> None:
        step, of_remote = self.step, self.run.forge(self.step.remote_name)
        request = self._find_open_request() or of_remote.create_pull_request(
            step.head, step.base, step.name, step.body
        )
        if not self._is_equal(request):
            request = of_remote.update_pull_request(request.number, title=step.name, body=step.body)
        self.result = request

    def verify(self) -> str:
        """Check that the pull request is open, has the planned text, and has no merge conflicts."""
        from relnox import forges

        step, request = self.step, self.run.forge(self.step.remote_name).pull_request(self.result.number)
        if request.state is not forges.PullRequestState.OPEN or not self._is_equal(request):
            raise Conflict(
                "pull-request-changed",
                f"pull request {request.number} was changed or closed in the meantime ({request.url})",
                fix=f"review it ({request.url}), then rerun the command",
            )
        self.result = request
        conflicts = f", but it has conflicts with {step.base}: rerun the command" if request.conflicts else ""
        return f"pull request {request.number}: {request.url}{conflicts}"

    def _find_open_request(self) -> forges.PullRequest | None:
        requests = self.run.forge(self.step.remote_name).pull_requests(self.step.head)
        return next((request for request in requests if request.base == self.step.base), None)

    def _is_equal(self, request: forges.PullRequest) -> bool:
        return (request.title, _normalized_lines(request.body)) == (
            self.step.name,
            _normalized_lines(self.step.body),
        )


def _normalized_lines(body: str) -> list[str]:
    """Return the lines of a description for comparison: forges change line ends and trailing white space."""
    return [line.rstrip() for line in body.strip().splitlines()]
