"""Text that others wrote, in every field and every output: it is shown, and does nothing."""

from __future__ import annotations

import io
import json
import pkgutil
import re
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from enum import Enum
from importlib import import_module
from inspect import isabstract
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from backends import in_tree
from hostile_text import TEXTS
from packaging.version import Version
from projects import repository, single
from running import RunResult, run_front_end
from workflow_commands import commands

from relnox import steps
from relnox.cli import main
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
from relnox.core.planning.step import Step
from relnox.core.records import Record, field_names, replace
from relnox.errors import Blocked, ExitCode, Failed
from relnox.reporters.github import GitHubReporter
from relnox.reporters.json import render
from relnox.reporters.terminal import TerminalReporter
from relnox.reporters.text import PlainReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from relnox.reporters.text import PlainReporter as Reporter


def step_classes() -> tuple[type[Any], ...]:
    modules = [import_module(f"relnox.steps.{module.name}") for module in pkgutil.iter_modules(steps.__path__)]
    classes = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    return tuple(kind for kind in dict.fromkeys(classes) if issubclass(kind, Step) and not isabstract(kind))


STEPS = step_classes()
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RICH = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What rich itself writes: styles, and where the cursor goes while its spinner turns."""


def filled(kind: Any, text: str) -> Any:
    """A value of a type in which every text is this one."""
    if isinstance(kind, type) and issubclass(kind, Record):
        fixes = get_type_hints(kind)
        return kind(**{name: filled(fixes[name], text) for name in field_names(kind)})
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return filled(next(each for each in inner if each is not NoneType), text)
    if origin is tuple:
        return (filled(inner[0], text),) if inner[1:] == (...,) else tuple(filled(each, text) for each in inner)
    if origin is Literal:
        return inner[0]
    if origin is Mapping:
        return {filled(inner[0], text): filled(inner[1], text)}
    if issubclass(kind, Enum):
        return next(iter(kind))
    made = {str: text, bytes: text.encode(errors="surrogatepass"), bool: True, int: 1, float: 1.5}
    return made[kind] if kind in made else {Version: Version("1.0"), object: text}[kind]


def plan_of(text: str, kinds: Sequence[type[Any]]) -> Plan:
    """A plan with this text in every field that is a text."""
    return Plan(
        task="bump",
        steps=tuple(filled(kind, text) for kind in kinds),
        notes=(text, text),
        problems=(Blocked("tag-exists", text, fix=text),),
        consent=text,
        tables=(Table(title=text, columns=(text, "column"), rows=((text, text), ("cell", text))),),
        skipped=text,
    )


def report_everything(reporter: Reporter, text: str, kinds: Sequence[type[Any]]) -> Outcome:
    """Send all events to a reporter, with this text wherever there is a text."""
    plan = plan_of(text, kinds)
    error = Failed("command-failed", text, fix=text)
    reporter.verbose = True
    reporter.show_event(RunStarted(plan), nested=False)
    reporter.show_event(Waiting(text, NOON, NOON), nested=True)
    results = []
    for step in plan.steps:
        for status in Status:
            reporter.show_event(StepStarted(step), nested=False)
            reporter.show_event(OutputLine(step, text), nested=False)
            failed = error if status is Status.FAILED else None
            results.append(StepFinished(step, status, text, 0.5, failed))
            reporter.show_event(results[-1], nested=False)
    outcome = Outcome(
        plan=plan,
        results=tuple(results),
        exit_code=ExitCode.FAILED,
        seconds=1.0,
        tables=plan.tables,
        deadline=text,
        waits=(Waiting(text, NOON, NOON),),
    )
    reporter.show_event(RunFinished(outcome), nested=False)
    reporter.show_plan(plan)
    reporter.show_tables(plan.tables)
    reporter.show_error(error)
    return outcome


def names_in(printed: str) -> list[str]:
    return [command.name for command in commands(printed)]


def assert_inert(printed: str, text: object) -> None:
    """Lines of printable characters."""
    for line in printed.split("\n"):
        assert line.isprintable(), (text, line)


def test_a_thousand_texts_are_inert_on_github(tmp_path: Path) -> None:
    """Each text is in every field of a plan, its results and its errors, with the steps by turns.

    The commands are those of a run with harmless texts.
    """
    summary = tmp_path / "summary.md"
    expected: dict[type[Any], list[str]] = {}
    harmless = [("harmless", kind) for kind in STEPS]
    for text, kind in (*harmless, *((text, STEPS[number % len(STEPS)]) for number, text in enumerate(TEXTS))):
        summary.write_text("", encoding="utf-8")
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            report_everything(GitHubReporter({"GITHUB_STEP_SUMMARY": str(summary)}), text, [kind])
        printed = out.getvalue(), err.getvalue(), summary.read_text(encoding="utf-8")
        found = [names_in(each) for each in printed]
        assert found == [[], expected.setdefault(kind, found[1]), []], text
        for each in printed:
            assert_inert(each, text)
        assert not re.search(r"[<>`]|(?<!#)\]\(", printed[2]), text


@pytest.mark.parametrize("kind", [PlainReporter, TerminalReporter])
@pytest.mark.parametrize("color", [False, True])
def test_texts_are_inert_in_plain_lines_and_on_a_terminal(
    kind: Callable[[], Reporter], color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if color:
        monkeypatch.setenv("FORCE_COLOR", "1")
    for number, text in enumerate(TEXTS[:: 2 if kind is PlainReporter else 20]):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            report_everything(kind(), text, [STEPS[number % len(STEPS)]])
        for printed in (out.getvalue(), err.getvalue()):
            shown = RICH.sub("", printed) if kind is TerminalReporter and color else printed
            assert_inert(shown, text)
            assert names_in(shown) == [], text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "utf-16"])
@pytest.mark.parametrize("kind", [PlainReporter, TerminalReporter, lambda: GitHubReporter({})])
def test_output_works_in_small_encodings(kind: Callable[[], Reporter], encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    text = "naïve 中文 ✓ \U0001f600 \udcff"
    with redirect_stdout(stream), redirect_stderr(stream):
        report_everything(kind(), text, STEPS[:2])
        stream.flush()
    printed = raw.getvalue().decode(encoding)
    assert r"\udcff" in printed
    assert "中文" in printed or r"\u4e2d\u6587" in printed


def test_json_has_every_text_unchanged() -> None:
    for number, text in enumerate(TEXTS):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            outcome = report_everything(PlainReporter(), text, [STEPS[number % len(STEPS)]])
        report, plan, refused = (
            render(outcome),
            outcome.plan.to_json(),
            render(replace(outcome, results=())),
        )
        for document in (report, plan, refused):
            assert_inert(document, text)
            assert names_in(document) == [], text
            document.encode()
        assert json.loads(report)["steps"][0]["detail"] == text
        assert json.loads(plan)["notes"] == [text, text]
        assert json.loads(refused)["problems"][0]["message"] == text


# the command line, on real repositories


def run_inert(root: Path, *words: str) -> RunResult:
    """Run relnox as on GitHub, and check that its output is inert for the runner and for a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("GITHUB_ACTIONS", "true")
        patch.setenv("GITHUB_STEP_SUMMARY", str(root.parent / "summary.md"))
        code = main([words[0], "--project", str(root), *words[1:]])
    ran = RunResult(code, out.getvalue(), err.getvalue())
    for printed in (ran.out, ran.err):
        assert_inert(printed, words)
    assert names_in(ran.out) == []
    assert {*names_in(ran.err)} <= {"group", "endgroup", "error", "warning", "stop-commands", "resume"}
    for command in commands(ran.err):
        assert_inert(command.data, words)
        assert command.name != "error" or re.search(
            rf"::error title=[^:]+::{re.escape(command.data[:5])}", ran.err
        )
    return ran


FILES = ["::error::x", "a\x1b[31m", "b\n::set-output name=a::b", "c\udcff", "\u202egpj.exe", "##[error]d"]


@pytest.mark.parametrize("name", FILES)
def test_hostile_file_names_are_shown_and_inert(tmp_path: Path, name: str) -> None:
    root = single(tmp_path / "demo")
    (root / name).write_text("x", encoding="utf-8")
    repository(root)
    (root / name).write_text("y", encoding="utf-8")
    (root / f"{name}.d").mkdir()
    (root / f"{name}.d" / "pyproject.toml").write_text("not [ TOML", encoding="utf-8")
    done = run_inert(root, "bump", "--part", "minor", "--commit", "--tag")
    assert done.code == 1
    run_inert(root, "status")
    run_inert(root / name, "status")
    run_inert(root, "bump", "--part", "minor", "--package", name)
    run_inert(root, "build-all", f"--{name}")


@pytest.mark.parametrize(
    "text", ["\\u001b[2J::error::x", "::error::x\\n::error::y", "\\u202e##[error]x", "\\udead"]
)
def test_hostile_settings_and_names_are_shown_and_inert(tmp_path: Path, text: str) -> None:
    root = single(tmp_path / "demo")
    stated = (root / "pyproject.toml").read_text(encoding="utf-8")
    for settings in (
        f'[tool.relnox]\n"{text}" = 1\n',
        f'[tool.relnox]\nversions = "{text}"\n',
        f'[tool.relnox]\ntag-format = "{text}"\n',
        f'[tool.relnox]\nindexes = {{ "{text}" = {{ upload = "{text}", simple = "{text}" }} }}\n',
        f'[tool.relnox]\nbranch = "{text}"\n',
        f'[tool.relnox]\npackages = ["{text}"]\n',
        f'[tool.relnox]\nverify.skip = {{ demo = "{text}" }}\ncommit-message = "{text}"\n',
        f'[tool.relnox]\nmanaged-by = "{text}"\n',
    ):
        (root / "pyproject.toml").write_text(f"{stated}\n{settings}", encoding="utf-8")
        run_inert(root, "status")
        run_inert(root, "bump", "--part", "minor", "--dry-run")
    (root / "pyproject.toml").write_text(stated.replace('"demo"', f'"{text}"'), encoding="utf-8")
    assert run_inert(root, "status").code == 1


@pytest.mark.skipif("os.name != 'posix'", reason="arguments are bytes there")
@pytest.mark.parametrize("front_end", ["nox", "relnox"])
def test_hostile_arguments_are_shown_and_inert(tmp_path: Path, front_end: str) -> None:
    root = single(tmp_path / "demo")
    for text in ("\x1b[2J", "\udcff", "::error::x", "##[error]x", "a\n::error::x"):
        done = run_front_end(front_end, root, "build-all", f"--typo={text}")
        shown = [line for line in done.err.split("\n") if not line.startswith("nox > ")]
        assert_inert("\n".join(shown), text)
        assert names_in("\n".join(shown)) == []
        assert done.code == 1


def test_hostile_output_of_a_build_is_shown_and_inert(tmp_path: Path) -> None:
    printing = [text for text in TEXTS[:100] if text.isascii()]
    hook = "for text in " + repr(printing) + ":\n    print(text, flush=True)\n"
    root = repository(in_tree(tmp_path / "home", hook=hook))
    done = run_inert(root, "build-all")
    assert done.code == 0, done.err
    assert r"\x1b[2J" in done.err
    assert r"\x3a:set-env name=PATH,file=a::data" in done.err
