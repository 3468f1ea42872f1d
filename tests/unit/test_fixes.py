"""Commands in hints: one form in plans, the front end's form on the screen, and none written any other way."""

from __future__ import annotations

import tomllib

import pytest

from relnox.commands import COMMAND_LINE
from relnox.core import fixes
from relnox.core.fixes import FrontEnd, TaskCommand
from relnox.core.planning.events import OutputLine, RunStarted, Status, StepFinished
from relnox.core.planning.plan import Plan
from relnox.core.records import replace
from relnox.core.settings.config import Config
from relnox.errors import Blocked, Failed
from relnox.reporters.github import GitHubReporter
from relnox.reporters.terminal import TerminalReporter
from relnox.reporters.text import PlainReporter
from relnox.steps.built_archives import CleanDirectory

NOX = FrontEnd({**COMMAND_LINE.tasks, "build-all": TaskCommand("nox -s release-build-all", "--")})
INVOKE = FrontEnd({**COMMAND_LINE.tasks, "build-all": TaskCommand("invoke release.build-all")})


@pytest.mark.parametrize(
    ("text", "nox", "invoke"),
    [
        ("relnox build-all", "nox -s release-build-all", "invoke release.build-all"),
        (
            "build again: relnox build-all --package x, then go on",
            "build again: nox -s release-build-all -- --package x, then go on",
            "build again: invoke release.build-all --package x, then go on",
        ),
        (
            'rerun "relnox build-all"; relnox build-all --clean',
            'rerun "nox -s release-build-all"; nox -s release-build-all -- --clean',
            'rerun "invoke release.build-all"; invoke release.build-all --clean',
        ),
        ("relnox publish --yes", "relnox publish --yes", "relnox publish --yes"),
        ("relnox build-allx, /usr/bin/relnox build-all", None, None),
        ("relnox builds and publishes what it tags", None, None),
        ("error:\n  | relnox build-all\nhint: relnox init", None, None),
    ],
)
def test_commands_have_the_form_of_the_front_end(text: str, nox: str | None, invoke: str | None) -> None:
    assert fixes.adapt_commands(text, COMMAND_LINE) == text
    assert fixes.adapt_commands(text, NOX) == (nox or text)
    assert fixes.adapt_commands(text, INVOKE) == (invoke or text)


def test_a_project_that_was_named_is_named_in_each_command() -> None:
    words = ("--project", "my project")
    text = "relnox build-all --clean; relnox bump"

    assert fixes.adapt_commands(text, replace(NOX, options=words)) == (
        "nox -s release-build-all -- --project 'my project' --clean; relnox bump --project 'my project'"
    )
    assert fixes.adapt_commands(text, replace(INVOKE, options=words)) == (
        "invoke release.build-all --project 'my project' --clean; relnox bump --project 'my project'"
    )


def test_words_of_a_command_are_quoted_for_the_shell() -> None:
    assert fixes.task_command("build-all", "--package", "a b") == "relnox build-all --package 'a b'"
    assert fixes.install_command("relnox[check]") == 'pip install "relnox[check]"'
    assert fixes.install_command("cibuildwheel", upgrade=True) == "pip install --upgrade cibuildwheel"


STEP = CleanDirectory(directory="dist", files=("x",))
TEXT = "fix it: relnox build-all --package x"


@pytest.mark.parametrize(
    "kind",
    [PlainReporter, TerminalReporter, lambda shown: GitHubReporter({}, shown)],
    ids=["plain", "rich", "github"],
)
def test_every_reporter_shows_commands_so(
    kind: type[PlainReporter | TerminalReporter], capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = kind(lambda text: fixes.adapt_commands(text, NOX))
    plan = Plan(task="status", notes=(TEXT,), problems=(Blocked("build-missing", TEXT, fix=TEXT),))
    reporter.verbose = True

    reporter.show_plan(plan)
    for event in (
        RunStarted(plan),
        Blocked("build-missing", TEXT, TEXT, level="warning"),
        StepFinished(STEP, Status.FAILED, TEXT, 0.0, Failed("build-missing", TEXT, fix=TEXT)),
    ):
        reporter.show_event(event, nested=False)
    reporter.show_error(Failed("build-missing", TEXT, fix=TEXT))

    text = "".join(capsys.readouterr())
    assert "relnox build-all" not in text
    assert text.count("nox -s release-build-all -- --package x") >= 10

    reporter.show_event(OutputLine(STEP, "relnox build-all --package x"), nested=False)
    assert "relnox build-all --package x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("", ["[tool.relnox]", 'versions = "lockstep"', "[tool.relnox.tag-formats]", 'a = "a{version}"']),
        (
            "[tool.relnox]\n",
            ['[tool.relnox] versions = "lockstep"', "[tool.relnox.tag-formats]", 'a = "a{version}"'],
        ),
        (
            "[tool.relnox]\ntag-formats = { b = 'b{version}' }\n",
            ['[tool.relnox] versions = "lockstep"', '[tool.relnox.tag-formats] a = "a{version}"'],
        ),
        (
            "[tool.relnox.tag-formats]\nb = 'b{version}'\n",
            ['[tool.relnox] versions = "lockstep"', '[tool.relnox.tag-formats] a = "a{version}"'],
        ),
    ],
)
def test_a_table_that_is_there_is_not_shown_to_be_pasted_again(written: str, shown: list[str]) -> None:
    config = Config.parse(tomllib.loads(written)["tool"]["relnox"]) if written else Config()
    text = fixes.settings_to_toml({"versions": "lockstep", "tag-formats": {"a": "a{version}"}}, config)
    assert [line for line in text.splitlines() if line] == shown
    tomllib.loads(written + "\n".join(line for line in shown if "] " not in line))
