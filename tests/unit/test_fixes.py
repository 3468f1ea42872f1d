"""Commands in hints: one form in plans, the front end's form on the screen, and none written any other way."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import relnox
from relnox.commands import COMMAND_LINE, TASKS
from relnox.commands.running import install_commands
from relnox.core import fixes
from relnox.core.fixes import FrontEnd, TaskCommand
from relnox.core.planning.events import Notice, OutputLine, RunStarted, Status, StepFinished
from relnox.core.planning.plan import Plan
from relnox.core.problems import Problem
from relnox.core.records import replace
from relnox.errors import Failed
from relnox.reporters.github import GitHub
from relnox.reporters.plain import Plain
from relnox.reporters.terminal import Terminal
from relnox.steps import WriteMatrix

NOX = FrontEnd({**COMMAND_LINE.tasks, "build-all": TaskCommand("nox -s release-build-all", "--")})
INVOKE = FrontEnd({**COMMAND_LINE.tasks, "build-all": TaskCommand("invoke release.build-all")})
PACKAGE = Path(relnox.__file__).parent


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
    assert fixes.show_commands(text, COMMAND_LINE) == text
    assert fixes.show_commands(text, NOX) == (nox or text)
    assert fixes.show_commands(text, INVOKE) == (invoke or text)


def test_a_project_that_was_named_is_named_in_each_command() -> None:
    words = ("--project", "my project")
    text = "relnox build-all --clean; relnox bump"

    assert fixes.show_commands(text, replace(NOX, options=words)) == (
        "nox -s release-build-all -- --project 'my project' --clean; relnox bump --project 'my project'"
    )
    assert fixes.show_commands(text, replace(INVOKE, options=words)) == (
        "invoke release.build-all --project 'my project' --clean; relnox bump --project 'my project'"
    )


def test_words_of_a_command_are_quoted_for_the_shell() -> None:
    assert fixes.task_command("build-all", "--package", "a b") == "relnox build-all --package 'a b'"
    assert fixes.install_command("relnox[wheels]") == 'pip install "relnox[wheels]"'
    assert fixes.install_command("cibuildwheel", upgrade=True) == "pip install --upgrade cibuildwheel"


HEADER = '# /// script\n# dependencies = ["nox", "relnox>=1"]\n# ///\nimport nox\n'


@pytest.mark.parametrize(
    ("files", "of_nox", "prefix", "programs", "shown"),
    [
        ({}, False, "venv with pip", (), 'pip install "relnox[x]" or pip install --upgrade twine'),
        ({}, False, "venv", ("uv",), 'uv pip install "relnox[x]" or uv pip install --upgrade twine'),
        ({}, False, "venv", (), 'pip install "relnox[x]" or pip install --upgrade twine'),
        (
            {"uv.lock": ""},
            False,
            "venv",
            ("uv",),
            'uv add --dev "relnox[x]" or uv add --dev twine --upgrade-package twine',
        ),
        (
            {"poetry.lock": ""},
            True,
            "venv with pip",
            (),
            'poetry add --group dev "relnox[x]" or poetry add --group dev twine',
        ),
        (
            {"noxfile.py": HEADER, "uv.lock": ""},
            True,
            "venv",
            ("uv",),
            'uv add --script noxfile.py "relnox[x]" or uv add --script noxfile.py twine',
        ),
        (
            {"noxfile.py": HEADER},
            True,
            "venv",
            (),
            'add "relnox[x]" to the dependencies in the script header of noxfile.py or add twine',
        ),
        (
            {"noxfile.py": HEADER, "pdm.lock": ""},
            False,
            "venv",
            (),
            'pdm add --dev "relnox[x]" or pdm add --dev',
        ),
        (
            {"uv.lock": ""},
            False,
            "uv/tools/relnox",
            ("uv",),
            'uv tool install relnox --with "relnox[x]" or uv tool',
        ),
        (
            {"uv.lock": ""},
            False,
            "pipx/venvs/nox",
            (),
            'pipx inject nox "relnox[x]" or pipx inject --force nox twine',
        ),
    ],
)
def test_requirements_are_installed_as_the_project_does_it(  # noqa: PLR0917 - a table
    files: dict[str, str],
    of_nox: bool,
    prefix: str,
    programs: tuple[str, ...],
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, directory, there = tmp_path / "root", tmp_path / prefix.removesuffix(" with pip"), tmp_path / "programs"
    for place in (root, directory / "bin", there):
        place.mkdir(parents=True)
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    executables = [there / name for name in programs] + (
        [directory / "bin/pip"] if prefix.endswith(" pip") else []
    )
    for executable in executables:
        executable.touch(0o755)
    monkeypatch.setenv("PATH", str(there))
    monkeypatch.setattr(sys, "prefix", str(directory))

    way = install_commands.install_commands(root, in_nox=of_nox)
    text = f"{fixes.install_command('relnox[x]')} or {fixes.install_command('twine', upgrade=True)}"

    assert fixes.show_commands(text, COMMAND_LINE, way.command).startswith(shown)


def test_another_command_that_installs_is_unchanged() -> None:
    text = "uv pip install x, python -m pip install y, pip installs"

    assert fixes.show_commands(text, COMMAND_LINE, lambda *_: "CHANGED") == text


STEP = WriteMatrix(file="matrix.json", text="")
TEXT = "fix it: relnox build-all --package x"


@pytest.mark.parametrize(
    "kind", [Plain, Terminal, lambda shown: GitHub({}, shown)], ids=["plain", "rich", "github"]
)
def test_every_reporter_shows_commands_so(
    kind: type[Plain | Terminal], capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = kind(lambda text: fixes.show_commands(text, NOX))
    plan = Plan(task="status", notes=(TEXT,), problems=(Problem(code="build-missing", message=TEXT, fix=TEXT),))
    reporter.verbose = True

    reporter.plan(plan)
    for event in (
        RunStarted(plan),
        Notice(TEXT, TEXT),
        StepFinished(STEP, Status.FAILED, TEXT, 0.0, Failed("build-missing", TEXT, fix=TEXT)),
    ):
        reporter.event(event, nested=False)
    reporter.error(Failed("build-missing", TEXT, fix=TEXT))

    text = "".join(capsys.readouterr())
    assert "relnox build-all" not in text
    assert text.count("nox -s release-build-all -- --package x") >= 10

    reporter.event(OutputLine(STEP, "relnox build-all --package x"), nested=False)
    assert "relnox build-all --package x" in capsys.readouterr().err


SPELLED = re.compile(rf"\bnox -s |\binvoke [a-z]|\brelnox ({'|'.join([*TASKS, 'init'])})\b(?!-)|\bpip install\b")
SPELLERS = {
    "core/fixes.py",
    "commands/running/install_commands.py",
    "sessions.py",
    "tasks.py",
    "cli.py",
    "__main__.py",
}


def literals(file: Path) -> list[str]:
    """The texts of a module: no docstrings, and of f-strings what is fixed."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def test_no_text_is_a_statement_of_its_own() -> None:
    # Two strings are joined only inside parentheses; otherwise, the second one is lost.
    lost = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.JoinedStr)
    ]
    assert lost == []


def test_no_message_spells_a_command_by_itself() -> None:
    files = {file.relative_to(PACKAGE).as_posix(): file for file in PACKAGE.rglob("*.py")}
    spelled = {
        name: found
        for name, file in files.items()
        if name not in SPELLERS
        if (found := [text for text in literals(file) if SPELLED.search(text)])
    }

    assert spelled == {}
    assert any(SPELLED.search(text) for name in SPELLERS for text in literals(files[name]))
