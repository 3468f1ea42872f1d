"""Steps that run other tasks, in the checkout or in a temporary clone of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from relnox.building.archives import hash_of_file_inside
from relnox.core import fixes
from relnox.core.planning.events import Outcome, Status
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.release.manifest import MANIFEST_JSON
from relnox.core.text import format_count
from relnox.errors import ExitCode, Failed, Problem
from relnox.source import copies
from relnox.source.git import find_repository
from relnox.steps.built_archives import read_manifest_if_valid
from relnox.steps.run import Run


class TemporaryClone(Record):
    """The temporary clone of the checkout in which the stages of a rehearsal run.

    Attributes:
        directory: The project's directory in it.
    """

    directory: Path


def directory_of_stages(run: Run) -> Path:
    """Return the directory in which the stages of a run work: the temporary clone, or the project's directory."""
    clone = run.result(TemporaryClone)
    return run.root if clone is None else clone.directory


class CreateTemporaryClone(
    Step, key="clone", title="clone commit {self.commit:.10} and a remote for it to a temporary directory"
):
    """Clone the checkout to a temporary directory, with another clone as its remote, for a rehearsal.

    Attributes:
        commit: The full id of the commit to check out.
        branch: The branch that points to `commit` in the clone and its remote.
        output: The directory to which stages write archives, relative to the project's directory in the clone.
    """

    commit: str
    branch: str
    remote_name: str
    output: str

    def apply(self, run: Run) -> TemporaryClone:
        """Clone the checkout to a bare repository, to which stages push, and clone that one for the stages."""
        directory = copies.clone_with_remote(run.checkout, run.scratch, self.commit, self.branch, self.remote_name)
        return TemporaryClone(directory=directory)

    def verify(self, run: Run, result: TemporaryClone) -> str:
        """Return the commit of the clone, such as `at 0123456789`.

        Raises:
            Failed: `output` is a symbolic link in the commit, so that archives would be written to its target.
        """
        del run
        if (result.directory / self.output).is_symlink():
            raise Failed(
                "file-is-link",
                f"{self.output} is a symbolic link in the commit (archives would be written to its target)",
                fix=f"git rm --cached {self.output} && git commit -m 'Remove {self.output}'",
            )
        return f"at {self.commit[:10]}"


class StageCallbacks(Record):
    """The functions by which steps that run other tasks (stages) plan and run these, and ask the user.

    Attributes:
        run: Plans and runs the task of a stage in a directory; if it fails, the outcome has the errors.
        plan: Plans the task of a stage in a directory; raises `Blocked` if the plan has problems.
        confirm: Asks a question, and raises `Blocked` if it is not confirmed.
    """

    run: Callable[[Stage, Path], Outcome]
    plan: Callable[[Stage, Path], Plan]
    confirm: Callable[[str], None]


class Stage(Step):
    """A step that runs another task, which is planned when the step starts.

    Attributes:
        options: The options of the task, as pairs of a field name, such as `expect_plan`, and a value.
        name: The key of the stage; empty to use that of the task.
        purpose: What the stage does, in words for the user.
    """

    runs_project_code = True
    runs_task = True
    task: str
    options: tuple[tuple[str, str | bool | int | tuple[str, ...]], ...]
    name: str = ""
    purpose: str = ""

    @property
    def key(self) -> str:
        return self.name or self.task

    @property
    def title(self) -> str:
        return " ".join([self.task, *(word for option in self.options for word in fixes.option_words(*option))])

    def apply(self, run: Run) -> Outcome:
        """Plan and run the task; return its outcome, or raise the error that determined its exit code."""
        runner = run.result(StageCallbacks)
        assert runner is not None  # noqa: S101 - a value of every run
        outcome = runner.run(self, directory_of_stages(run))
        if outcome.exit_code != ExitCode.DONE:
            error = _adapt_exit_code(_deciding_error(self.task, outcome), run, self.task)
            run.record_result(self, outcome)
            raise error
        return outcome

    def verify(self, run: Run, result: Outcome) -> str:
        """Return how many steps of the task succeeded and were skipped or, if it made checks, these by status."""
        del run
        if result.checklist:
            counts = Counter(item.status for item in result.checklist)
            return ", ".join(f"{count} {status}" for status, count in counts.items())
        if not result.results:
            return "nothing left to do"
        succeeded_count = sum(step.status is Status.SUCCESS for step in result.results)
        skipped_count = sum(step.status is Status.SKIPPED for step in result.results)
        return format_count(succeeded_count, "step") + (f", {skipped_count} skipped" if skipped_count else "")


class SendingStage(Stage):
    """A stage that makes something public: tags, files or a release page."""

    remote = True
    makes_public = True


class BuildStage(Stage):
    """Build the packages of a commit, unless `directory` has a complete build of it already.

    A second build could differ from the first one, whose files may be public.

    Attributes:
        packages: The packages that the build must have.
        directory: The directory with the manifest, relative to the root.
        commit: The commit or tag to build; None for HEAD.
    """

    packages: tuple[str, ...]
    directory: str
    commit: str | None = None

    def reason_to_skip(self, run: Run) -> str | None:
        """Return a reason if `directory` has a complete, unchanged build of the commit's `packages`, else None."""
        root = directory_of_stages(run)
        directory, git = root / self.directory, find_repository(root)
        commit = git.resolve_commit(self.commit or "HEAD") if git is not None else None
        manifest = read_manifest_if_valid(directory)
        if manifest is None or manifest.dirty or manifest.missing or commit is None or manifest.commit != commit:
            return None
        if not set(self.packages) <= set(manifest.packages):
            return None
        for file in manifest.distributions:
            path = directory / file.filename
            if hash_of_file_inside(directory, path) != file.sha256:
                return None
        files = format_count(len(manifest.distributions), "file")
        return f"{self.directory}/{MANIFEST_JSON} has the build of {commit[:10]}: {files} with these hashes"


class Gate(Step, key="gate"):
    """Plan the stages that make something public, and ask for confirmation before the first of them.

    Attributes:
        stages: The stages that make something public.
        yes: Whether `--yes` confirms it, so that the user is not asked.
        purpose: What the gate does, in words for the user.
    """

    runs_task = True
    stages: tuple[Stage, ...]
    yes: bool
    purpose: str = ""

    @property
    def title(self) -> str:
        return "gate: check what becomes public" + (", confirmed by --yes" if self.yes else ", and ask")

    def apply(self, run: Run) -> str:
        """Plan the stages, and ask the user if anything becomes public, unless `yes` is set.

        Return as text how it was confirmed, or that nothing is left to be made public.

        Raises:
            Problem: One of the stages is blocked, or the user declined.
        """
        runner = run.result(StageCallbacks)
        assert runner is not None  # noqa: S101 - a value of every run
        try:
            plans = [runner.plan(stage, directory_of_stages(run)) for stage in self.stages]
            pushed = [step.title for plan in plans for step in plan.steps if step.remote and step.upload is None]
            questions = [plan.consent for plan in plans if plan.consent is not None]
            first = [f"{title[0].upper()}{title[1:]}." for title in dict.fromkeys(pushed)]
            if not self.yes and (first or questions):
                runner.confirm(" ".join([*first, *(questions or ["Continue?"])]))
        except Problem as error:
            raise _adapt_exit_code(error, run) from None
        if self.yes:
            return "confirmed by --yes"
        return "confirmed" if first or questions else "nothing is left to be made public"


def _adapt_exit_code(error: Problem, run: Run, task: str = "") -> Problem:
    """Return the error of a stage with the exit code that the whole run ends with.

    Only `BLOCKED` and `FAILED` change. They become `CONFLICT` if `task` is `verify-install` and `publish` ran
    before: running the command again does not help. They become `FAILED` if an earlier stage changed the checkout
    or a remote, except in a temporary clone. `task` is the task of the stage, empty for the `Gate`.
    """
    earlier = run.results(Outcome)
    if error.exit_code not in (ExitCode.BLOCKED, ExitCode.FAILED):
        return error
    if task == "verify-install" and any(outcome.plan.task == "publish" for outcome in earlier):
        return error.but(exit_code=ExitCode.CONFLICT)
    has_changed = any(
        result.status is Status.SUCCESS and (result.step.exclusive or result.step.remote)
        for outcome in earlier
        for result in outcome.results
    )
    is_here = run.result(TemporaryClone) is None
    return error.but(exit_code=ExitCode.FAILED) if has_changed and is_here else error


def _deciding_error(task: str, outcome: Outcome) -> Problem:
    """Return the first error of a step with the exit code of the outcome, else one that names the task."""
    for result in outcome.results:
        if result.error is not None and result.error.exit_code == outcome.exit_code:
            return result.error
    failure = Failed(
        "program-failed",
        f"{task} failed with exit code {outcome.exit_code.value}",
        fix="fix the errors above, then rerun the command",
    )
    failure.exit_code = outcome.exit_code
    return failure
