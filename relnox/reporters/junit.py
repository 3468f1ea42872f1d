"""The JUnit report of a run, which CI providers show as test results: a case for each item and each step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET

from relnox.core.planning.events import Outcome, Status, StepFinished
from relnox.core.text import escape_line, split_lines
from relnox.errors import Problem
from relnox.reporters import text
from relnox.system.secrets import mask_secrets

_NOT_RUN = ("not checkable here", "skipped", "by hand")


def render(outcome: Outcome, convert: text.CommandConverter = str) -> str:
    """Format the report of a run as JUnit XML: a suite for the task, and one for each task that it ran.

    `convert` changes the commands in a text to the form that the user has to type.
    """
    root = ET.Element("testsuites", name="relnox")
    for task in (outcome, *outcome.stages):
        _add_suite(root, task, convert)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_suite(root: ET.Element, outcome: Outcome, convert: text.CommandConverter) -> None:
    """Add the suite of a task, with a case for each checklist item, and for each step that decides no item.

    Without items, there is a case `plan` for the problems of the plan, or if no step was run. `convert` changes
    the commands in a text to the form that the user has to type.
    """
    suite = ET.SubElement(root, "testsuite", name=outcome.plan.task, time=f"{outcome.seconds:.3f}")
    of_items = {key for item in outcome.checklist for key in item.steps}
    for item in outcome.checklist:
        case = _add_case(suite, item.name, 0.0)
        errors = [problem for problem in item.problems if problem.level == "error"]
        _add_problems(case, errors, convert)
        if item.status in _NOT_RUN:
            ET.SubElement(case, "skipped", message=_one_line(f"{item.status}: {convert(item.detail)}"))
        if warnings := [problem for problem in item.problems if problem.level != "error"]:
            ET.SubElement(case, "system-out").text = _describe_problems(warnings, convert)
    if not outcome.plan.items:
        if problems := outcome.plan.problems:
            _add_problems(_add_case(suite, "plan", 0.0), problems, convert)
        elif not outcome.results:
            _add_case(suite, "plan", 0.0)
    for result in outcome.results:
        if result.step.key not in of_items:
            _add_step(suite, result, convert)
    for kind in ("failure", "error", "skipped"):
        name = kind if kind == "skipped" else f"{kind}s"
        suite.set(name, str(len(suite.findall(f"testcase/{kind}"))))
    suite.set("tests", str(len(suite)))


def _add_step(suite: ET.Element, result: StepFinished, convert: text.CommandConverter) -> None:
    """Add the case of a step: an error if it was aborted, a failure if it failed; warnings are its output.

    `convert` changes the commands in a text to the form that the user has to type.
    """
    case = _add_case(suite, result.step.title, result.seconds)
    if result.status is Status.ABORTED:
        ET.SubElement(case, "error", type="aborted", message=_one_line(convert(result.detail)))
    elif result.error is not None:
        _add_problems(case, [result.error], convert)
    elif result.status is Status.SKIPPED:
        ET.SubElement(case, "skipped", message=_one_line(convert(result.detail)))
    if result.warnings:
        ET.SubElement(case, "system-out").text = _describe_problems(result.warnings, convert)


def _add_case(suite: ET.Element, name: str, seconds: float) -> ET.Element:
    """Add a case without a result, which stands for success, to a suite, and return it."""
    return ET.SubElement(
        suite, "testcase", classname=f"relnox.{suite.get('name')}", name=_one_line(name), time=f"{seconds:.3f}"
    )


def _add_problems(case: ET.Element, problems: Iterable[Problem], convert: text.CommandConverter) -> None:
    """Add one failure for all problems of a case, if any, since many readers show only the first one.

    `convert` changes the commands in a text to the form that the user has to type.
    """
    problems = list(problems)
    if problems:
        first = _one_line(convert(problems[0].message))
        failure = ET.SubElement(case, "failure", type=problems[0].code, message=first)
        failure.text = _describe_problems(problems, convert)


def _describe_problems(problems: Iterable[Problem], convert: text.CommandConverter) -> str:
    """Return the lines of problems as one text, each problem with its level, code, why and fix.

    `convert` changes the commands in a text to the form that the user has to type.
    """
    return "\n".join(line for problem in problems for line in _problem_lines(problem, convert))


def _problem_lines(problem: Problem, convert: text.CommandConverter) -> Iterator[str]:
    """Yield the lines of a problem (message, why and fix), without secrets and styles.

    `convert` changes the commands in a text to the form that the user has to type.
    """
    for line in text.problem_lines(problem, problem.level):
        joined = "".join(part if isinstance(part, str) else part[0] for part in line)
        yield from (_one_line(convert(part)) for part in split_lines(joined))


def _one_line(text: str) -> str:
    """Return text as one line without secrets and without the characters that XML does not have."""
    return escape_line(mask_secrets(" ".join(text.split()) if "\n" in text else text))
