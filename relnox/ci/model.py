"""The jobs of CI, whatever the provider: when they run, with what permissions, and which command each runs.

A provider turns `Workflow` into the text of a file. Everything that a reader should know about a job (`Job.name`,
`Job.about`, `Permission.reason`) is written here once, and becomes names and comments there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from relnox.core.records import Record

PYTHON = "3.13"
"""The Python of jobs that neither the project nor the runner provides with one."""
RETENTION_DAYS = 30
"""How long files of jobs are kept: longer than the public index accepts files for a release (14 days)."""

# --- values that are known when a run starts, or when an earlier job has ended


class Output(Record):
    """The value of an output of an earlier job, which must be in the `needs` of the job that uses it."""

    job: str
    name: str


class Input(Record):
    """The text that a person typed in for the input `name` when starting the run; without one, `otherwise`."""

    name: str
    otherwise: str | Output = ""


class MatrixValue(Record):
    """The value of a key in the row of the matrix that the job runs for."""

    name: str


class Secret(Record):
    """The value of a secret of the repository or of the job's environment."""

    name: str


class JobToken(Record):
    """The token that each job gets, limited to `Job.permissions`."""


Expression: TypeAlias = str | Input | Output | MatrixValue | Secret | JobToken
"""The value of an environment variable: a constant text, or what the provider replaces when the job starts."""


# --- when a workflow runs


class OnTag(Record):
    """The trigger for a pushed tag that matches one of the globs."""

    patterns: tuple[str, ...]


class OnPublishedRelease(Record):
    """The trigger for a published release page of the forge; the run is for its tag."""


class OnMerge(Record):
    """The trigger for new commits on one of the branches, of which there is at least one."""

    branches: tuple[str, ...]


class OnPullRequest(Record):
    """The trigger for a new or updated pull request to one of the branches (none: any). The run has no secrets."""

    branches: tuple[str, ...]


class OnSchedule(Record):
    """The trigger for times, in the five fields of cron, in UTC."""

    cron: str


class InputField(Record, kw_only=True):
    """An input of a run that is started by hand: any text, a choice, or a switch, which is off by default.

    Attributes:
        name: The name of the input, in lower case with hyphens.
        help: The description, one line.
        choices: The possible values, the default one first; empty for any text, and for a switch.
    """

    name: str
    help: str
    choices: tuple[str, ...] = ()
    is_switch: bool = False


class ByHand(Record):
    """The trigger for a run that a person starts, with the inputs to fill in."""

    inputs: tuple[InputField, ...] = ()


Trigger = OnTag | OnPublishedRelease | OnMerge | OnPullRequest | OnSchedule | ByHand


# --- what a workflow consists of


class Permission(Record):
    """A permission of a job's token, in GitHub's terms (`contents`, `write`), and what the job needs it for."""

    scope: str
    level: Literal["read", "write"]
    reason: str


class Command(Record, kw_only=True):
    """The tasks that a job runs: as nox sessions of the project, or as `relnox TASK` (`Job.runs_project_code`).

    Attributes:
        tasks: The names of the tasks, such as `build-all`; the first one that fails ends the job. `cibuildwheel`,
            always alone, stands for the program of that name.
        words: The options: for all nox sessions, or for the last `relnox TASK` only. For text that a person types
            in, the word is a variable such as `$INDEX`, whose value is in `variables`: as a part of the script,
            the text could be executed.
        variables: The environment variables of the command.
    """

    tasks: tuple[str, ...]
    words: tuple[str, ...] = ()
    variables: Mapping[str, Expression] = {}


class Matrix(Record):
    """The rows of a job that runs once for each row.

    Attributes:
        rows: An output of an earlier job with JSON: `{"include": ROWS}`, a list of objects with the same keys.
        label: The key of the value that tells rows apart, for the names of the job and of its artifact.
        runner: The key of the value that names the machine to run on (`runs-on`).
    """

    rows: Output
    label: str
    runner: str


class Job(Record, kw_only=True):
    """A job: a machine of its own that gets files, runs one command, and keeps files.

    Attributes:
        key: The name of the job for other jobs.
        name: What it does, as shown in lists of jobs.
        about: Why it exists or is made as it is, for a comment; empty if the name says it all.
        command: None for a job that only waits for approval (`environment`).
        runs_project_code: Whether the command is a nox session or cibuildwheel. Otherwise it is `relnox TASK`,
            from the locked requirements, and nothing of the project is imported, built or executed.
        checkout: `none`; `commit`, without history; or `history`, with all commits and tags.
        needs: The keys of the jobs that must have succeeded; the job is skipped if one of them was.
        unless: The switch of a run by hand that skips the job if it is on, or None.
        only_if: The output of an earlier job that must be `true`, or else the job is skipped; or None.
        only_value: An input and the text that it must be, or else the job is skipped; or None.
        matrix: The rows that it runs for, or None if it runs once.
        permissions: All permissions of its token.
        environment: The environment for approval, secrets and identity; empty for none.
        takes: The names of the artifacts of earlier jobs to download to `dist`; a name that ends with `*` stands
            for all that begin like it, each in a directory of its own in `parts`.
        keeps: The name of the artifact with the files in `dist`, or with a row's wheels (then the row's label is
            added to the name); empty if nothing is kept.
        outputs: The names of the outputs that the command writes, for other jobs.
        minutes: The time limit.
    """

    key: str
    name: str
    about: str = ""
    command: Command | None
    runs_project_code: bool = True
    checkout: Literal["none", "commit", "history"] = "commit"
    needs: tuple[str, ...] = ()
    unless: Input | None = None
    only_if: Output | None = None
    only_value: tuple[Input, str] | None = None
    matrix: Matrix | None = None
    permissions: tuple[Permission, ...] = ()
    environment: Expression = ""
    takes: tuple[str, ...] = ()
    keeps: str = ""
    outputs: tuple[str, ...] = ()
    minutes: int = 30

    def shell_line(self, directory: str, words: Sequence[str]) -> str:
        """Return the shell line that runs the command of the job, which must have one.

        `directory` contains the programs `nox` and `relnox`; `words` are those of the command, quoted for the
        shell.
        """
        tasks = self.command.tasks if self.command is not None else ()
        if not self.runs_project_code:
            return " ".join((" && ".join(f"{directory}/relnox {task}" for task in tasks), *words))
        first_error = ("-x",) if len(tasks) > 1 else ()
        options = ("--", *words) if words else ()
        return " ".join((f"{directory}/nox", *first_error, "-s", *tasks, *options))


class Workflow(Record, kw_only=True):
    """A workflow: jobs that are started together.

    Attributes:
        key: The name of the file, without directory and suffix.
        name: What it does, as shown in lists of workflows.
        about: What starts it and what it does: the lines of a comment.
        triggers: What starts a run; one of them is enough.
        jobs: The jobs, each after those that it needs.
        queue: The name of a queue: its runs wait for each other, and none is canceled. Empty: runs do not wait,
            but a newer one cancels the older one for the same pull request or branch.
        python: The Python that the jobs run on, such as 3.13; empty for that of the runner.
        is_relnox: Whether the project is relnox itself. Jobs then install relnox from its built wheel or from the
            checkout, not from an index.
    """

    key: str
    name: str
    about: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    jobs: tuple[Job, ...]
    queue: str = ""
    python: str = ""
    is_relnox: bool = False

    @property
    def inputs(self) -> tuple[InputField, ...]:
        """The inputs of a run that is started by hand; empty if no trigger has any."""
        return tuple(field for trigger in self.triggers if isinstance(trigger, ByHand) for field in trigger.inputs)

    def job(self, key: str) -> Job:
        """Return the job with this key, which must exist."""
        return next(job for job in self.jobs if job.key == key)
