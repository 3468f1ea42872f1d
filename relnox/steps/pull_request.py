"""Push a commit to the branch of a pull request, and open or update the pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.changes import Edit
from relnox.core.planning.events import Status
from relnox.core.planning.plan import Table
from relnox.core.planning.step import Step
from relnox.core.records import replace
from relnox.core.text import format_count
from relnox.errors import Conflict, Failed
from relnox.forges.pull_requests import PullRequest
from relnox.source.git import changes, remotes, trees
from relnox.steps.action import Action
from relnox.steps.run import RunExtension

if TYPE_CHECKING:
    from relnox.core.planning.events import Outcome
    from relnox.forges import Forge


class CommitToBranch(Step, kw_only=True):
    """Commit the edited files on top of a commit, and push that to a branch, which is created or replaced.

    Neither the checkout nor a local branch changes.

    Attributes:
        edits: The edits, with paths from the root of the project.
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
    tree: str
    replaces: str | None

    @property
    def title(self) -> str:
        return f"commit {format_count(len(self.edits), 'file')} to branch {self.branch} of {self.remote_name}"

    @property
    def previewed_edits(self) -> tuple[Edit, ...]:
        return self.edits


class CommitToBranchAction(Action[CommitToBranch]):
    """Pushes a commit; the ref on the remote decides on success, not the exit status."""

    def check(self) -> str | None:
        """Return a reason to skip the step if the head of the branch has the planned parent, tree and message."""
        step, head = self.step, self._remote_head()
        if head is None:
            return None
        content = trees.read_branch_head(self.run.checkout, head, step.remote_name, step.branch)
        if content != (step.tree, (step.parent,), step.message.strip()):
            return None
        return f"{step.branch} is up to date ({head[:10]})"

    def apply(self) -> None:
        step, git = self.step, self.run.checkout
        tree = trees.plan_tree(git, step.edits, step.parent, stored=True).id
        if tree != step.tree:
            raise Failed(
                "branch-changed",
                f"the files have another content than planned (tree {tree[:10]} instead of {step.tree[:10]})",
                fix="rerun the command",
            )
        self.commit = changes.commit_tree(git, tree, step.parent, step.message)
        self.pushed = remotes.push_commit(git, step.remote_name, self.commit, step.branch, step.replaces)

    def verify(self) -> str:
        """Check that the branch points to the commit."""
        step, head = self.step, self._remote_head()
        if head == self.commit:
            return self.commit[:10]
        if head == step.replaces:
            raise Failed(
                "push-rejected",
                f"{step.remote_name} rejected the push to {step.branch}:\n{remotes.quote_output(self.pushed)}",
                fix="allow this account or job to push that branch (docs/release-pull-requests.md lists what it "
                "needs), then rerun the command",
            )
        raise Conflict(
            "branch-changed",
            f"branch {step.branch} of {step.remote_name} points to {(head or 'no commit')[:10]} instead of "
            f"{self.commit[:10]} (it was moved while relnox was running)",
            fix=f"git fetch {step.remote_name} {step.branch}, check what changed, then rerun the command",
        )

    def _remote_head(self) -> str | None:
        refs = remotes.read_push_refs(self.run.checkout, self.step.remote_name)
        return refs.get(f"refs/heads/{self.step.branch}")


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
        if (request := self._run.result(PullRequest)) is None:
            return outcome
        rows = ((str(request.number), request.url, request.title),)
        table = Table(title="pull request", columns=("number", "address", "title"), rows=rows)
        return replace(outcome, tables=(*outcome.tables, table))


class OpenPullRequestAction(Action[OpenPullRequest]):
    run_extension = PullRequestTable

    def check(self) -> str | None:
        """Return a reason to skip the step if an open pull request has this title and description."""
        step = self.step
        request = self._forge.open_pull_request(step.head, step.base)
        if request is None or not self._is_as_planned(request):
            return None
        self.result = request
        return f"pull request {request.number} is up to date: {request.url}"

    def apply(self) -> None:
        step = self.step
        request = self._forge.create_pull_request(step.head, step.base, step.name, step.body)
        if not self._is_as_planned(request):
            request = self._forge.update_pull_request(request.number, title=step.name, body=step.body)
        self.result = request

    def verify(self) -> str:
        """Check that the pull request is open, and has the planned text."""
        self.result = request = self._forge.pull_request(self.result.number)
        if not self._is_as_planned(request):
            raise Conflict(
                "pull-request-changed",
                f"pull request {request.number} was changed or closed in the meantime ({request.url})",
                fix=f"review it ({request.url}), then rerun the command",
            )
        return f"pull request {request.number}: {request.url}"

    @property
    def _forge(self) -> Forge:
        return self.run.forge(self.step.remote_name)

    def _is_as_planned(self, request: PullRequest) -> bool:
        planned = (True, self.step.name, _normalized_lines(self.step.body))
        return (request.is_open, request.title, _normalized_lines(request.body)) == planned


def _normalized_lines(body: str) -> list[str]:
    """Return the lines of a description for comparison: forges change line ends and trailing white space."""
    return [line.rstrip() for line in body.strip().splitlines()]
