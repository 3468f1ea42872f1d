"""Start a CI workflow on a tag, since a tag that a job pushes with its own token starts none."""

from __future__ import annotations

from relnox.core.planning.step import Step
from relnox.errors import Failed
from relnox.steps.action import Action
from relnox.steps.git import forge
from relnox.steps.push_tags import TagsOfOtherRuns, count_pushed_tags_in_exit_code


class StartRun(Step, kw_only=True):
    """Start a workflow on a tag, once.

    Attributes:
        on: The remote that has the tag, and whose forge has the workflow.
    """

    remote = True
    atomic = True
    workflow: str
    tag: str
    commit: str
    on: str

    @property
    def key(self) -> str:
        return f"run {self.workflow} {self.tag}"

    @property
    def title(self) -> str:
        return f"start {self.workflow} on {self.tag}"


class StartRunAction(Action[StartRun]):
    """Starts a run unless the tag already has one, whatever started it and however it ended."""

    def check(self) -> str | None:
        """Skip the step if the tag has a run, or if another relnox run pushed the tag and starts it."""
        if any(self.step.tag in tags for tags in self.run.results(TagsOfOtherRuns)):
            return "left to the run that pushed the tag"
        with count_pushed_tags_in_exit_code(self.run):
            runs = forge(self.run, self.step.on).runs(
                workflow=self.step.workflow, ref=self._ref, commit=self.step.commit
            )
        return f"run {runs[0].id} exists ({runs[0].status}): {runs[0].url}" if runs else None

    def apply(self) -> None:
        with count_pushed_tags_in_exit_code(self.run):
            self.result = forge(self.run, self.step.on).start_run(self.step.workflow, self._ref)

    def verify(self) -> str:
        """Check that the CI run is on the commit of the tag."""
        with count_pushed_tags_in_exit_code(self.run):
            started = forge(self.run, self.step.on).run(self.result.id)
        if started.commit != self.step.commit:
            raise Failed(
                "run-on-another-commit",
                f"run {started.id} of {self.step.workflow} is on commit {started.commit[:10]}, but tag "
                f"{self.step.tag} was pushed on {self.step.commit[:10]}",
                fix=f"cancel it ({started.url}), and check who moved the tag: git ls-remote {self.step.on}",
            )
        return f"run {started.id} ({started.status}): {started.url}"

    @property
    def _ref(self) -> str:
        return f"refs/tags/{self.step.tag}"
