"""Plans, results and problems as lines of text, and the reporter that prints them, for logs and pipes.

A line consists of parts, each a text or a pair of text and style; the terminal reporter applies the styles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from relnox.core.planning.checklist import problems_of_checklist, summarize_checklist
from relnox.core.planning.events import (
    Event,
    Outcome,
    OutputLine,
    RunFinished,
    RunStarted,
    Status,
    StepFinished,
    StepStarted,
    Waiting,
)
from relnox.core.planning.plan import Plan, Table
from relnox.core.release.publication import are_all_verified, summary_lines
from relnox.core.text import escape_line, format_count, split_lines
from relnox.errors import Blocked, ExitCode, Problem
from relnox.reporters.streams import STDERR, STDOUT, Stream

Part = str | tuple[str, str]
Line = tuple[Part, ...]
CommandConverter = Callable[[str], str]
"""Converts the commands in a text to the form that the user has to type."""

MARKS = {Status.SUCCESS: "ok", Status.SKIPPED: "SKIPPED", Status.FAILED: "FAILED", Status.ABORTED: "ABORTED"}
_STYLES = {Status.SUCCESS: "green", Status.SKIPPED: "cyan", Status.FAILED: "bold red", Status.ABORTED: "yellow"}
_PROBLEM_STYLES = {"warning": "yellow", "note": "dim"}
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}
MAX_ABORTED = 8
"""The maximum number of aborted steps to show one by one."""
_INDENT = " " * 8

_ENDINGS = {
    ExitCode.DONE: "done, verified",
    ExitCode.BLOCKED: "blocked; nothing was changed",
    ExitCode.FAILED: "failed; nothing is public",
    ExitCode.PARTLY_PUBLIC: "partly public: rerun the command to finish it",
    ExitCode.CONFLICT: "conflict: manual action required",
    ExitCode.TRY_LATER: "not done, or not verified yet: rerun the command later",
    ExitCode.INTERRUPTED: "interrupted: rerun the command",
    ExitCode.TERMINATED: "terminated: rerun the command",
}
_FAILED_AFTERWARDS = {
    **_ENDINGS,
    ExitCode.FAILED: "failed",
    ExitCode.CONFLICT: "published, but a check failed afterwards: manual action required",
    ExitCode.TRY_LATER: "published, but not completely verified: rerun the command later",
}


class PlainReporter:
    """A reporter that prints lines: progress on standard error, results on standard output.

    Args:
        convert: Converts commands in messages, fixes and notes to the form that the user has to type.
        quiet: Whether to show only results, warnings and errors.

    Attributes:
        verbose: Whether to show the output of programs.
    """

    verbose = False

    def __init__(self, convert: CommandConverter = str, *, quiet: bool = False) -> None:
        self._convert = convert
        self._quiet = quiet
        self._aborted: list[StepFinished] = []
        self._reasons: dict[str, str] = {}

    def show_event(self, event: Event, *, nested: bool) -> None:
        """Show an event, unless `quiet` hides it; `nested` is whether it is of a task that another task runs."""
        if not self._quiet or _is_important(event):
            self._write_event(event, nested=nested)

    def _write_event(self, event: Event, *, nested: bool) -> None:
        indent = "  " if nested else ""
        match event:
            case RunStarted(plan):
                self._reasons |= {key: item.why for item in plan.items for key in item.steps}
                for note in (*plan.notes, *(plan.details if self.verbose else ())):
                    self._show_progress(labeled_lines("note:", "dim", note), indent)
            case StepStarted(step) if step.runs_task:
                self._show_progress([((step.title, "bold"),)], indent)
            case OutputLine(step, line) if self.verbose:
                key = f"{step.key} " if step.concurrent else ""
                self._print(STDERR, (indent, (f"  {key}| {line.expandtabs()}", "dim")))
            case Problem():
                self._show_progress(problem_lines(event, event.level), indent)
            case Waiting():
                self._show_progress([((waiting_line(event), "yellow"),)], indent)
            case StepFinished(status=Status.ABORTED):
                self._aborted.append(event)
            case StepFinished(step, status) if self.verbose or not (
                step.quiet_if_done and status is Status.SKIPPED
            ):
                self._show_result(event, indent)
            case RunFinished(outcome):
                self._write_end_of_run(outcome, nested=nested)
            case _:
                pass

    def show_plan(self, plan: Plan) -> None:
        """Show a plan that is not run (`--dry-run`)."""
        self.show_tables(plan.tables)
        for line in plan_lines(plan, self._convert):
            self._print(STDOUT, line)

    def show_tables(self, tables: Sequence[Table]) -> None:
        """Show tables with the results of a run."""
        for table in tables:
            for line in (*aligned_lines(table), ""):
                self._print(STDOUT, (line,))

    def show_next_command(self, command: str) -> None:
        """Show the command that the user has to run next; nothing if it is empty, or with `quiet`.

        It is called last, so that the command follows all other output.
        """
        if command and not self._quiet:
            self._show_progress(labeled_lines("next:", "bold", command))

    def annotate_problems(self, problems: Iterable[Problem]) -> None:
        """Annotate files with the problems of a plan, if the output can do that; `show_error` shows them all."""

    def show_error(self, error: Problem) -> None:
        """Show the error that ends the run."""
        self._show_progress(problem_lines(error, "error", fix_indent=""))

    def _show_result(self, event: StepFinished, indent: str) -> None:
        """Show the result of a step; if it failed and decides a checklist item, also why the item matters."""
        self._show_progress(self._result_lines(event), indent)
        if event.error is not None and event.step.key in self._reasons:
            self._show_progress(labeled_lines("why:", "bold", self._reasons[event.step.key], f"{indent}{_INDENT}"))

    def _write_end_of_run(self, outcome: Outcome, *, nested: bool) -> None:
        """Show aborted steps, or one line if there are many; public files; and, unless `nested`, how it ended."""
        indent = "  " if nested else ""
        if len(self._aborted) > MAX_ABORTED:
            self._show_progress(aborted_lines(self._aborted), indent)
        else:
            for event in self._aborted:
                self._show_progress(self._result_lines(event), indent)
        self._aborted.clear()
        self._show_progress([(line,) for line in published_lines(outcome)], indent)
        if not nested:
            style = "bold green" if outcome.exit_code is ExitCode.DONE else "bold red"
            self._show_progress([((ending_line(outcome), style),)])

    def _result_lines(self, event: StepFinished) -> Iterable[Line]:
        return result_lines(event)

    def _show_progress(self, lines: Iterable[Line], indent: str = "") -> None:
        """Print indented lines to standard error, with their commands converted."""
        for line in lines:
            self._print(STDERR, (indent, *convert_line(line, self._convert)))

    def _print(self, stream: Stream, line: Line) -> None:
        """Print a line; subclasses apply the styles of its parts."""
        stream.write_line("".join(part if isinstance(part, str) else part[0] for part in line))


def convert_line(line: Line, convert: Callable[[str], str]) -> Line:
    """Return a line with `convert` applied to the text of each of its parts, but not to styles."""
    return tuple(convert(part) if isinstance(part, str) else (convert(part[0]), part[1]) for part in line)


def _is_important(event: Event) -> bool:
    """Return whether to show an event in quiet mode, because it is a warning or a failure."""
    match event:
        case StepFinished(status=status, warnings=warnings):
            return status in (Status.FAILED, Status.ABORTED) or bool(warnings)
        case Problem(level=level):
            return level != "note"
        case RunFinished(outcome):
            return outcome.exit_code is not ExitCode.DONE or outcome.plan.skipped is not None
        case _:
            return False


# --- problems ------------------------------------------------------------------------------------------


def problem_lines(problem: Problem, label: str, indent: str = "", fix_indent: str = "  ") -> Iterator[Line]:
    """Format a problem: its message and code after a label; then why and fix, indented by `fix_indent` more.

    The label also decides the style: `warning`, `note`, or any other for an error.
    """
    yield from labeled_lines(f"{label}:", _PROBLEM_STYLES.get(label, "bold red"), message_of(problem), indent)
    if problem.why:
        yield from labeled_lines("why:", "bold", problem.why, indent + fix_indent)
    if problem.fix:
        yield from labeled_lines("fix:", "bold", problem.fix, indent + fix_indent)


def message_of(problem: Problem) -> str:
    """Return the message of a problem with its file, if it has one, and its code: `FILE: MESSAGE [CODE]`."""
    file = f"{problem.file}: " if problem.file else ""
    return _add_code(f"{file}{problem.message}", problem.code)


def combine_problems(plan: Plan) -> Blocked:
    """Return one error that has all problems of a plan, at least one, and the worst of their exit codes."""
    exit_code = ExitCode.worst([problem.exit_code for problem in plan.problems])
    if len(plan.problems) == 1:
        (problem,) = plan.problems
        return Blocked(problem.code, problem.message, problem.fix, exit_code=exit_code, file=problem.file)
    lines = [f"{plan.task} is blocked by {len(plan.problems)} problems"]
    for problem in plan.problems:
        lines += _indent_lines(f"- {message_of(problem)}", "  ")
        lines += _indent_lines(f"fix: {problem.fix}", "    ") if problem.fix else ()
    return Blocked("several-problems", "\n".join(lines), exit_code=exit_code)


def labeled_lines(label: str, style: str, message: str, indent: str = "") -> Iterator[Line]:
    """Yield the lines of a message, indented by `indent`, the first one after a label in a style of rich."""
    first, *rest = _indent_lines(message, indent)
    yield indent, (label, style), f" {first.removeprefix(indent)}"
    yield from ((line,) for line in rest)


def _indent_lines(text: str, indent: str) -> Iterator[str]:
    """Split a text into lines indented by `indent`, all but the first by at least two more spaces.

    So untrusted text after a line break never begins a line of the output.
    """
    first, *rest = split_lines(text) or [""]
    yield f"{indent}{first}"
    yield from (f"{indent}{line}" if line.startswith("  ") else f"{indent}  {line}" for line in rest)


def _add_code(message: str, code: str) -> str:
    """Return a message with the code of a problem at the end of its first line: `MESSAGE [CODE]`.

    A colon at the end of that line stays there. Without a code, the message is unchanged.
    """
    first, *rest = split_lines(message) or [""]
    colon = ":" if rest and first.endswith(":") else ""
    return "\n".join([f"{first.removesuffix(colon)} [{code}]{colon}", *rest]) if code else message


# --- plans and results ---------------------------------------------------------------------------------


def plan_lines(plan: Plan, convert: CommandConverter = str) -> Iterator[Line]:
    """Format a plan that is not run: its steps, diffs, notes and problems.

    `convert` changes the commands in notes and problems to the form that the user has to type.
    """
    yield (f"Plan of {plan.task}", "bold"), f" ({plan.digest}): {format_count(len(plan.steps), 'step')}"
    for number, step in enumerate(plan.steps, 1):
        yield f"{number:>4}. {step.title}", ("  [remote]" if step.remote else "", "yellow")
    for step in plan.steps:
        for edit in step.previewed_edits:
            yield ("",)
            for line in split_lines(edit.diff()):
                yield ((line.expandtabs(), _DIFF_STYLES.get(line[:1], "")),)
    notes = (*plan.notes, *plan.details)
    if notes or plan.problems or plan.consent:
        yield ("",)
    for note in notes:
        yield from (convert_line(line, convert) for line in labeled_lines("note:", "dim", note))
    if plan.consent:
        yield ("would ask:", "yellow"), f" {plan.consent}"
    for problem in plan.problems if not plan.items else ():
        yield from (convert_line(line, convert) for line in problem_lines(problem, "blocked"))
    for problem in problems_of_checklist(plan.items):
        yield from (convert_line(line, convert) for line in problem_lines(problem, problem.level))


def waiting_line(event: Waiting) -> str:
    """Format a wait as one line: its reason, the time of the next attempt, and the time when attempts end."""
    attempt, deadline = f"{event.next_attempt:%H:%M:%S %Z}", f"{event.deadline:%H:%M:%S %Z}"
    return f"{'waiting':<8}{event.reason}; next try at {attempt}, gives up at {deadline}"


def result_lines(event: StepFinished, *, detailed: bool = True) -> Iterator[Line]:
    """Format the result of a step: its status and title, its detail if `detailed`, and its fix and warnings."""
    seconds = f" ({event.seconds:.1f} s)" if event.seconds >= 0.05 else ""  # noqa: PLR2004 - printed with one digit
    yield (f"{MARKS[event.status]:<8}", _STYLES[event.status]), event.step.title, (seconds, "dim")
    if event.detail and detailed:
        detail = _add_code(event.detail, event.error.code if event.error is not None else "")
        yield from (((line, "dim"),) for line in _indent_lines(detail, _INDENT))
    if event.error is not None and event.error.fix:
        yield from labeled_lines("fix:", "bold", event.error.fix, _INDENT)
    for warning in event.warnings:
        yield from problem_lines(warning, "warning", _INDENT)


def aborted_lines(results: Sequence[StepFinished]) -> Iterator[Line]:
    """Summarize aborted steps: how many, the first one, and why it was aborted."""
    count = f" {format_count(len(results), 'step')}, the first is: {results[0].step.title}"
    yield (MARKS[Status.ABORTED], _STYLES[Status.ABORTED]), count
    yield from ((line,) for line in _indent_lines(results[0].detail, _INDENT))


def aligned_lines(table: Table) -> Iterator[str]:
    """Yield the lines of a table, after its title if it has one, with columns as wide as their widest cell."""
    lines = [[escape_line(cell) for cell in line] for line in (table.columns, *table.rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(table.columns))]
    if table.title:
        yield table.title
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def published_lines(outcome: Outcome) -> Iterator[str]:
    """Yield lines that say which files are public, not verified or not uploaded.

    There are none if the run was successful, or has no files to publish.
    """
    if outcome.publication and outcome.exit_code is not ExitCode.DONE:
        yield from summary_lines(outcome.publication)


def ending_line(outcome: Outcome) -> str:
    """Format how a run ended, as one line."""
    result = _ENDINGS[outcome.exit_code]
    if outcome.exit_code is ExitCode.FAILED and not any(step.remote for step in outcome.plan.steps):
        result = "failed"  # nothing was to be published, so it says nothing about what is public
    if outcome.exit_code is not ExitCode.DONE and outcome.publication and are_all_verified(outcome.publication):
        result = f"{_FAILED_AFTERWARDS[outcome.exit_code]}; the uploaded files stay on the index"
    if outcome.plan.skipped is not None and outcome.exit_code is ExitCode.DONE:
        result = f"skipped; {outcome.plan.skipped}"
    if outcome.checklist and outcome.exit_code < ExitCode.INTERRUPTED:
        result = summarize_checklist(outcome.checklist)
    until = f" before {outcome.deadline}" if outcome.deadline is not None else ""
    warnings = (
        f", {format_count(outcome.warning_count, 'warning')}"
        if outcome.warning_count and not outcome.checklist
        else ""
    )
    seconds = f" ({outcome.seconds:.1f} s)" if outcome.results or not outcome.checklist else ""
    return f"{outcome.plan.task}: {result}{until}{warnings}{seconds}"
