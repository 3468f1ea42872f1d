"""The Markdown report of a run: how it ended, its checklist, steps, problems and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relnox.core.planning.checklist import problems_of_checklist
from relnox.core.planning.events import Outcome
from relnox.core.planning.plan import Table
from relnox.core.text import escape_markdown
from relnox.errors import Problem
from relnox.reporters import text
from relnox.system.secrets import mask_secrets


def render(outcome: Outcome, convert: text.CommandConverter = str) -> str:
    """Format the report of a run as Markdown.

    `convert` changes the commands in a text to the form that the user has to type.
    """
    lines = [summary(outcome, convert), ""]
    for problem in (*outcome.plan.problems, *_step_and_checklist_problems(outcome)):
        lines += _problem_lines(problem, convert)
    for note in outcome.plan.notes:
        lines.append(f"- note: {escape(convert(note))}")
    for task in (outcome, *outcome.stages):
        for table in task.tables:
            lines += ["", *table_lines(table)]
    lines += [f"- [ ] {escape(item.title)}" for item in outcome.checklist if item.status == "by hand"]
    return "\n".join(lines).rstrip() + "\n"


def summary(outcome: Outcome, convert: text.CommandConverter = str) -> str:
    """Format how a run ended as Markdown: the result, a table of its steps, and which files are public.

    `convert` changes the commands in a text to the form that the user has to type.
    """
    lines = [f"### {escape(text.ending_line(outcome))}"]
    if outcome.results:
        lines += ["", "| step | status | |", "| --- | --- | --- |"]
    for result in outcome.results:
        cells = (result.step.title, text.MARKS[result.status], " ".join(convert(result.detail).split()))
        lines.append(_table_row(cells))
    if files := list(text.published_lines(outcome)):
        lines += ["", *(f"- {escape(convert(line))}" for line in files)]
    return "\n".join(lines)


def table_lines(table: Table) -> Iterator[str]:
    """Yield the lines of a table of results as Markdown, after its title if it has one."""
    if table.title:
        yield f"#### {escape(table.title)}"
        yield ""
    yield _table_row(table.columns)
    yield _table_row(["---"] * len(table.columns))
    yield from (_table_row(row) for row in table.rows)
    yield ""


def escape(cell: str) -> str:
    """Return a text with secrets masked, escaped for Markdown: no HTML, links, mentions or column separators."""
    return escape_markdown(mask_secrets(cell))


def _step_and_checklist_problems(outcome: Outcome) -> Iterator[Problem]:
    """Yield the errors and warnings of the steps, and the warnings of a checklist."""
    yield from (problem for problem in problems_of_checklist(outcome.plan.items) if problem.level == "warning")
    for result in outcome.results:
        yield from filter(None, (result.error, *result.warnings))


def _problem_lines(problem: Problem, convert: text.CommandConverter) -> Iterator[str]:
    """Yield the lines of a problem as a Markdown list: its message and, one level deeper, why and fix.

    `convert` changes the commands in a text to the form that the user has to type.
    """
    yield f"- **{problem.level}**: {escape(convert(text.message_of(problem)))}"
    for label, detail in (("why", problem.why), ("fix", problem.fix)):
        if detail:
            yield f"  - {label}: {escape(convert(detail))}"


def _table_row(cells: Iterable[str]) -> str:
    """Return a row of a Markdown table, with the texts of its cells escaped."""
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"
