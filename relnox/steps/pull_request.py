"""Push a commit to the branch of a pull request, and open or update the pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.bump import pull_request_text
from relnox.core.planning.plan import Table
from relnox.core.planning.step import Edit, Step
from relnox.core.text import format_count
from relnox.errors import Conflict, Failed
from relnox.source.git import commits, remotes
from relnox.steps.run import Run

if TYPE_CHECKING:
    from relnox.forges.api import PullRequest


class CommitToBranch(Step, key="commit to branch"):
    """Create a commit on top of `parent` with edits, and push it to a branch, which is created or replaced.

    Neither the checkout nor a local branch changes.

    Attributes:
        branch: The short name of the branch on the remote.
        parent: The id of the parent commit.
        edits: The edits, with paths relative to the root.
        tree: The id of the tree that the commit will have.
        replaces: The commit that the remote's branch must still point to; None if there must be no such branch.
    """

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

    def reason_to_skip(self, run: Run) -> str | None:
        head = self._remote_head(run)
        if head is None:
            return None
        content = commits.read_or_fetch_commit(run.checkout, head, self.remote_name, self.branch)
        if content != (self.tree, (self.parent,), self.message.strip()):
            return None
        return f"{self.branch} is up to date ({head[:10]})"

    def apply(self, run: Run) -> None:
        """Create and push the commit; the branch of the remote decides on success, not git's exit status.

        Raises:
            Failed: The remote rejects the push.
            Conflict: The branch was moved or deleted in the meantime.
        """
        git = run.checkout
        tree = commits.plan_tree(git, self.edits, self.parent, stored=True).id
        commit = commits.commit_tree(git, tree, self.parent, self.message)
        pushed = remotes.push_commit(git, self.remote_name, commit, self.branch, self.replaces)
        head = self._remote_head(run)
        if head == self.replaces:
            raise Failed(
                "push-rejected",
                f"{self.remote_name} rejected the push to {self.branch}:\n{remotes.quote_push_output(pushed)}",
                fix="allow this account or job to push that branch (docs/release-pull-requests.md lists what it "
                "needs), then rerun the command",
            )
        if head != commit:
            raise Conflict(
                "branch-changed",
                f"branch {self.branch} of {self.remote_name} points to {(head or 'no commit')[:10]} instead of "
                f"{commit[:10]} (it was moved while relnox was running)",
                fix=f"git fetch {self.remote_name} {self.branch}, check what changed, then rerun the command",
            )

    def _remote_head(self, run: Run) -> str | None:
        """Return the commit that the remote's branch points to, or None if there is no such branch."""
        return remotes.read_push_refs(run.checkout, self.remote_name).get(f"refs/heads/{self.branch}")


class OpenPullRequest(
    Step, key="pull request", title="open or update the pull request from {self.head} to {self.base}: {self.name}"
):
    """Open the pull request of a branch, or update the open one.

    Attributes:
        head: Short name of the branch to merge.
        base: Short name of the branch to merge into.
        name: The title.
        body: The description, in Markdown.
    """

    remote = True
    atomic = True
    remote_name: str
    head: str
    base: str
    name: str
    body: str

    def reason_to_skip(self, run: Run) -> str | None:
        """Return a reason if a pull request with the planned title and description is open, else None.

        In this case, record a table with its number and address, which is shown at the end of the run.
        """
        request = run.forge(self.remote_name).find_open_pull_request(self.head, self.base)
        if request is None or not self._matches_plan(request):
            return None
        run.record_result(self, _pull_request_table(request))
        return f"pull request {request.number} is up to date: {request.url}"

    def apply(self, run: Run) -> PullRequest:
        forge = run.forge(self.remote_name)
        request = forge.create_pull_request(self.head, self.base, self.name, self.body)
        if not self._matches_plan(request):
            body = pull_request_text.keep_checked_tasks(self.body, request.body)
            request = forge.update_pull_request(request.number, title=self.name, body=body)
        return request

    def verify(self, run: Run, result: PullRequest) -> str:
        """Return the number and address of the pull request, as text.

        A table of them is recorded, which is shown at the end of the run.

        Raises:
            Conflict: It is closed, or its title or description is not the planned one.
        """
        request = run.forge(self.remote_name).pull_request(result.number)
        if not self._matches_plan(request):
            raise Conflict(
                "pull-request-changed",
                f"pull request {request.number} was changed or closed in the meantime ({request.url})",
                fix=f"review it ({request.url}), then rerun the command",
            )
        run.record_result(self, _pull_request_table(request))
        return f"pull request {request.number}: {request.url}"

    def _matches_plan(self, request: PullRequest) -> bool:
        """Return whether a pull request is open, with the planned title and description."""
        planned = (True, self.name, _normalized_lines(self.body))
        return (request.is_open, request.title, _normalized_lines(request.body)) == planned


def _pull_request_table(request: PullRequest) -> Table:
    """Return a table of one row with the number, address and title, which is shown at the end of the run."""
    rows = ((str(request.number), request.url, request.title),)
    return Table(title="pull request", columns=("number", "address", "title"), rows=rows)


def _normalized_lines(body: str) -> list[str]:
    """Return the lines of a description for comparisons: with `- [ ]` for `- [x]`, and without trailing blanks.

    Blank lines at the beginning and the end are left out.
    """
    return [pull_request_text.uncheck_task(line).rstrip() for line in body.strip().splitlines()]
