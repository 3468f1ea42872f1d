"""Output of the reporters."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from relnox import reporters
from relnox.core.planning.checklist import CheckedItem, problems_of_checklist
from relnox.core.planning.events import (
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
from relnox.core.planning.step import Edit
from relnox.core.records import replace
from relnox.errors import Blocked, ExitCode, Failed
from relnox.reporters import github, text
from relnox.reporters.json import render
from relnox.reporters.terminal import TerminalReporter
from relnox.reporters.text import PlainReporter
from relnox.steps.edit_files import EditFiles
from relnox.steps.git import Push

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relnox.core.planning.events import Event
    from relnox.reporters.text import PlainReporter as Reporter

EDIT = EditFiles(edits=(Edit(file="pyproject.toml", before=b'version = "1"\n', after=b'version = "2"\n'),))
PUSH = Push(remote_name="origin", branch="main", tags=("v2",))
PLAN = Plan(
    task="bump",
    steps=(EDIT, PUSH),
    notes=("1 becomes 2",),
    problems=(Blocked("tree-dirty", "the tree is dirty", fix="git stash"),),
    tables=(Table(title="Bumps", columns=("package", "to"), rows=(("demo", "2"),)),),
)
ERROR = Failed(
    "git-push-failed", "git push failed with status 1:\n  | ::set-env name=PATH::evil", fix="ask\nthe admin"
)
RESULTS = (
    StepFinished(EDIT, Status.SKIPPED, "the files are already edited", 0.0),
    StepFinished(PUSH, Status.FAILED, ERROR.message, 1.25, ERROR),
)
OUTCOME = Outcome(plan=PLAN, results=RESULTS, exit_code=ExitCode.FAILED, seconds=2.0)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WAITING = Waiting("pypi is down", NOON + timedelta(seconds=30), NOON + timedelta(minutes=20))
EVENTS: tuple[Event, ...] = (
    RunStarted(PLAN),
    StepStarted(EDIT),
    RESULTS[0],
    StepStarted(PUSH),
    OutputLine(PUSH, "::add-path::/evil"),
    RESULTS[1],
    RunFinished(OUTCOME),
)


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = PlainReporter()
    for event in EVENTS:
        reporter.show_event(event, nested=False)
    printed = capsys.readouterr()
    assert printed.out == ""  # results only
    assert printed.err.splitlines() == [
        "note: 1 becomes 2",
        "SKIPPED edit pyproject.toml",
        "        the files are already edited",
        "FAILED  push main, v2 to origin atomically (1.2 s)",
        "        git push failed with status 1 [git-push-failed]:",
        "          | ::set-env name=PATH::evil",
        "        fix: ask",
        "          the admin",
        "bump: failed; nothing is public (2.0 s)",
    ]


@pytest.mark.parametrize("kind", [PlainReporter, TerminalReporter, lambda: github.GitHubReporter({})])
@pytest.mark.parametrize("many", [2, 100])
def test_many_aborted_steps_are_one_line(
    kind: Callable[[], Reporter], many: int, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = kind()
    failed = StepFinished(EDIT, Status.FAILED, "no room", 0.0, Failed("disk-full", "no room"))
    for event in (failed, *[StepFinished(PUSH, Status.ABORTED, "an earlier step failed", 0.0)] * many):
        reporter.show_event(event, nested=False)
    reporter.show_event(RunFinished(OUTCOME), nested=False)
    printed = capsys.readouterr().err
    assert "no room" in printed
    assert printed.count("an earlier step failed") == (many if many < text.MAX_ABORTED else 1)
    assert ("100 steps" in printed) == (many > text.MAX_ABORTED)


@pytest.mark.parametrize("kind", [PlainReporter, TerminalReporter, lambda: github.GitHubReporter({})])
def test_a_wait_is_shown_at_once_with_its_end(
    kind: Callable[[], Reporter], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    reporter = kind()
    reporter.show_event(StepStarted(PUSH), nested=False)
    capsys.readouterr()
    reporter.show_event(WAITING, nested=True)
    printed = "  waiting pypi is down; next try at 12:00:30 UTC, gives up at 12:20:00 UTC"
    assert printed in capsys.readouterr().err.splitlines()
    reporter.show_event(RESULTS[1], nested=False)
    assert "12:00:30" not in capsys.readouterr().err


def test_a_report_contains_waits() -> None:
    document = json.loads(render(replace(OUTCOME, waits=(WAITING,))))
    assert document["waits"] == [
        {
            "reason": "pypi is down",
            "next_attempt": "2026-11-21T12:00:30+00:00",
            "deadline": "2026-11-21T12:20:00+00:00",
        }
    ]


@pytest.mark.parametrize("kind", [PlainReporter, TerminalReporter])
def test_a_plan_shows_its_steps_and_problems(
    kind: Callable[[], Reporter], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    kind().show_plan(replace(PLAN, tables=()))
    assert capsys.readouterr().out.splitlines() == [
        f"Plan of bump ({PLAN.digest}): 2 steps",
        "   1. edit pyproject.toml",
        "   2. push main, v2 to origin atomically  [remote]",
        "",
        "--- a/pyproject.toml",
        "+++ b/pyproject.toml",
        "@@ -1 +1 @@",
        '-version = "1"',
        '+version = "2"',
        "",
        "note: 1 becomes 2",
        "blocked: the tree is dirty [tree-dirty]",
        "  fix: git stash",
    ]


@pytest.mark.parametrize(
    ("file", "place"),
    [
        (".github/workflows/a,b.yml", ""),
        (".github/workflows/release.yml:12", "file=.github/workflows/release.yml,line=12,"),
        ("pyproject.toml", "file=pyproject.toml,"),
        ("../other.yml:1", ""),
        ("demo-1.0.tar.gz, demo-1.0-py3-none-any.whl", ""),
        ("", ""),
    ],
)
def test_github_annotates_the_line_of_a_file(file: str, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem = Blocked("code", "wrong", "right", file=file)
    reporter = github.GitHubReporter({})
    reporter.annotate_problems([problem])
    shown = f"{file}: " if file else ""
    annotation = f"::error {place}title=relnox%3A code::{shown}wrong%0Aright\n"
    assert capsys.readouterr().err == (annotation if place else "")
    reporter.show_event(problem.but(level="warning"), nested=False)
    assert capsys.readouterr().err.endswith(annotation.replace("error", "warning", 1))


def test_github_groups_and_annotates_and_lets_no_command_through(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # what programs print stands between stop-commands with a random word.
    summary = tmp_path / "summary.md"
    reporter = github.GitHubReporter({"GITHUB_STEP_SUMMARY": str(summary)})
    for event in EVENTS:
        reporter.show_event(event, nested=False)
    lines = capsys.readouterr().err.splitlines()
    stop = next(line for line in lines if line.startswith("::stop-commands::"))
    word = stop.removeprefix("::stop-commands::")
    assert len(word) == 32
    inside = lines[lines.index(stop) + 1 : lines.index(f"::{word}::")]
    assert inside == ["\\x3a:add-path::/evil"]
    annotation = next(line for line in lines if line.startswith("::error "))
    assert annotation == (
        "::error title=push main%2C v2 to origin atomically%3A git-push-failed::"
        "git push failed with status 1:%0A  | ::set-env name=PATH::evil%0Aask%0Athe admin"
    )
    groups = [line for line in lines if line.startswith(("::group::", "::endgroup::"))]
    assert groups == [
        "::group::edit pyproject.toml",
        "::endgroup::",
        "::group::push main, v2 to origin atomically",
        "::endgroup::",
    ]
    assert "| push main, v2 to origin atomically | FAILED |" in summary.read_text(encoding="utf-8")


def test_the_terminal_shows_foreign_text_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    reporter = TerminalReporter()
    failed = Failed("upload-rejected", "[bold]not markup[/bold]", fix="[link]")
    reporter.show_event(StepFinished(PUSH, Status.FAILED, failed.message, 0.0, failed), nested=False)
    reporter.show_error(failed)
    reporter.show_plan(PLAN)
    printed = capsys.readouterr()
    assert "[bold]not markup[/bold]" in printed.err
    assert "[bold]not markup[/bold] [upload-rejected]" in printed.err
    assert "fix: [link]" in printed.err
    assert "blocked: the tree is dirty [tree-dirty]" in printed.out
    assert '+version = "2"' in printed.out


@pytest.mark.parametrize(
    ("name", "environment", "expected"),
    [
        (None, {}, "PlainReporter"),
        (None, {"GITHUB_ACTIONS": "true"}, "GitHubReporter"),
        ("plain", {"GITHUB_ACTIONS": "true"}, "PlainReporter"),
        (None, {"RELNOX_REPORTER": "terminal"}, "TerminalReporter"),
        ("auto", {"CI": "true"}, "PlainReporter"),
    ],
)
def test_the_reporter_fits_where_the_output_goes(
    name: str | None, environment: dict[str, str], expected: str
) -> None:
    assert type(reporters.choose_reporter(name, environment)).__name__ == expected


WHY = "readers look for it there"
CHECKLIST = Plan(
    task="check",
    items=(
        CheckedItem(name="git-clean", title="everything is committed", why="only commits are built", status="ok"),
        CheckedItem(
            name="changelog",
            title="the changelog has the version",
            why=WHY,
            status="failed",
            problems=(
                Blocked("changelog-missing", "no <entry> & more", fix="relnox bump", why=WHY),
                Blocked("changelog-invalid", "an odd heading", fix="edit it", why=WHY, level="warning"),
            ),
        ),
        CheckedItem(name="ci", title="CI is green", why="w", status="not checkable here", detail="no token"),
        CheckedItem(name="edit", title="files are right", why="w", status="ok", steps=(EDIT.key, PUSH.key)),
    ),
    problems=(Blocked("changelog-missing", "no <entry> & more", fix="relnox bump", why=WHY),),
    steps=(EDIT, PUSH),
)
CHECKED = Outcome(plan=CHECKLIST, results=RESULTS, exit_code=ExitCode.FAILED, seconds=2.0)


def test_a_checklist_shows_problems_with_their_reason_and_how_many_items_have_which_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    events: tuple[Event, ...] = (
        *problems_of_checklist(CHECKLIST.items),
        RunStarted(CHECKLIST),
        RunFinished(CHECKED),
    )
    for event in events:
        PlainReporter(lambda text: text.replace("relnox ", "nox -s "), quiet=True).show_event(event, nested=False)
    assert capsys.readouterr().err.splitlines() == [
        "error: no <entry> & more [changelog-missing]",
        f"  why: {WHY}",
        "  fix: nox -s bump",
        "warning: an odd heading [changelog-invalid]",
        f"  why: {WHY}",
        "  fix: edit it",
        "check: 2 failed, 1 not checkable here, 1 ok (2.0 s)",
    ]


def cases(outcome: Outcome) -> dict[str | None, list[str]]:
    """The cases of a JUnit report, each with what is in it."""
    root = ET.fromstring(reporters.render(outcome, "report.xml"))
    return {
        case.get("name"): [f"{kind.tag} {kind.get('message')}" for kind in case] for case in root.iter("testcase")
    }


def test_junit_has_a_case_for_each_step_and_each_item_of_a_checklist() -> None:
    failed = "failure git push failed with status 1: | \\x3a:set-env name=PATH::evil"
    assert cases(OUTCOME) == {
        "plan": ["failure the tree is dirty"],
        EDIT.title: ["skipped the files are already edited"],
        PUSH.title: [failed.replace("\\x3a", ":")],
    }
    assert cases(CHECKED) == {
        "git-clean": [],
        "changelog": ["failure no <entry> & more", "system-out None"],
        "ci": ["skipped not checkable here: no token"],
        "edit": [failed.replace("\\x3a", ":")],
    }
    assert cases(replace(OUTCOME, plan=Plan(task="status"), results=())) == {"plan": []}
    suite = ET.fromstring(reporters.render(CHECKED, "report.XML"))[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "2", "errors": "0", "skipped": "1",
    }  # fmt: skip


def test_markdown_has_problems_with_their_fixes_and_tables_and_no_markup_of_others() -> None:
    report = reporters.render(replace(CHECKED, tables=PLAN.tables), "report.md")
    for line in (
        "### check: 2 failed, 1 not checkable here, 1 ok &#40;2.0 s&#41;",
        "- **error**: no &#60;entry&#62; &#38; more &#91;changelog-missing&#93;",
        f"  - why: {WHY}",
        "  - fix: relnox bump",
        "#### Bumps",
        "| package | to |",
    ):
        assert line in report.splitlines()
