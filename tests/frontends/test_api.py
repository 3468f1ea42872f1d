"""The Python API: the same plans as the command line, values instead of printing, exceptions with codes."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from package_index import PackageIndex
from projects import git, repository, single, write
from releases import Package, release

import relnox
from relnox import Workspace
from relnox.core.planning.events import RunFinished, RunStarted, Status, StepFinished, Waiting
from relnox.errors import Blocked, ExitCode, Problem
from relnox.reporters.streams import Stream
from relnox.system import retries

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.core.planning.events import Event, Outcome


def test_a_workspace_shows_packages_versions_and_history(project: Path) -> None:
    repository(project)
    git(project, "tag", "v1.2.3")
    workspace = Workspace.open(project)
    assert [package.name for package in workspace.packages] == ["demo"]
    assert {name: str(version) for name, version in workspace.versions.items()} == {"demo": "1.2.3"}
    assert workspace.history["demo"].tag == "v1.2.3"
    assert workspace.root == project


def test_a_bump_is_planned_and_run_without_printing_anything(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[Event] = []
    with Workspace.open(project).plan("bump", part="minor") as plan:
        assert [type(step).__name__ for step in plan.steps] == ["EditFiles"]
        assert "1.2.3" in (project / "pyproject.toml").read_text(encoding="utf-8")
        outcome = plan.run(events.append)
    assert outcome.exit_code is ExitCode.DONE
    assert outcome.plan == plan.value
    assert [result.status for result in outcome.results] == [Status.SUCCESS]
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert any(isinstance(event, StepFinished) for event in events)
    assert 'version = "1.3.0"' in (project / "pyproject.toml").read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")


def test_a_release_to_the_embedded_index_names_what_is_released(tmp_path: Path) -> None:
    manifest = release(tmp_path, [Package("core"), Package("demo", ("core",), wheels=2)])
    outcome = Workspace.open(tmp_path).run("testpypi", index="embedded", verify=False)
    assert outcome.exit_code is ExitCode.DONE
    assert {(file.filename, file.sha256) for file in outcome.released} == {
        (file.filename, file.sha256) for file in manifest.distributions
    }


def test_a_dry_run_changes_nothing(project: Path) -> None:
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    outcome = relnox.run("bump", directory=project, part="minor", dry_run=True)
    assert (outcome.exit_code, outcome.results) == (ExitCode.DONE, ())
    assert [type(step).__name__ for step in outcome.plan.steps] == ["EditFiles"]
    text += '[tool.relnox]\ntag-format = "v{version}"\n'
    repository(write(project, {"pyproject.toml": text}))
    git(project, "tag", "v1.3.0", git(project, "commit-tree", "-m", "Elsewhere", "HEAD^{tree}"))
    blocked = relnox.run("bump", directory=project, part="minor", commit=True, tag=True, dry_run=True)
    assert blocked.exit_code is ExitCode.CONFLICT
    assert [problem.code for problem in blocked.plan.problems] == ["tag-exists"]
    assert (project / "pyproject.toml").read_text(encoding="utf-8") == text


def test_a_dry_run_uploads_nothing(tmp_path: Path) -> None:
    release(tmp_path, [Package("demo")])
    outcome = Workspace.open(tmp_path).run("publish", index="embedded", yes=True, dry_run=True)
    assert (outcome.exit_code, outcome.results, outcome.released) == (ExitCode.DONE, (), ())
    again = Workspace.open(tmp_path).run("publish", index="embedded", yes=True)
    assert [result.status for result in again.results if "upload" in result.step.title] == [Status.SUCCESS] * 2


def test_a_plan_runs_once(project: Path) -> None:
    with Workspace.open(project).plan("bump", part="patch") as plan:
        plan.run()
        with pytest.raises(Blocked) as error:
            plan.run()
    assert error.value.code == "plan-differs"


def test_a_closed_plan_is_not_run(project: Path) -> None:
    plan = Workspace.open(project).plan("bump", part="patch")
    plan.close()
    with pytest.raises(Blocked, match="not after it was closed"):
        plan.run()


@pytest.mark.parametrize(
    ("task", "options", "code"),
    [
        ("bmp", {}, "task-unknown"),
        (None, {}, "task-unknown"),
        ("bump", {"prt": "minor"}, "option-unknown"),
        ("bump", {"part": "minr"}, "value-invalid"),
        ("bump", {"commit": "yes"}, "value-invalid"),
        ("bump", {"package": ["demo", 1]}, "value-invalid"),
        ("bump", {"part": ("minor", "major")}, "value-invalid"),
        ("status", {"project": "."}, "option-unknown"),
        ("bump", {"part": "minor", "plan": "plan.json"}, "option-unknown"),
        ("bump", {"part": "minor", "report": "-"}, "option-unknown"),
    ],
)
def test_what_is_wrong_is_an_exception_with_a_code(
    project: Path, task: str, options: dict[str, Any], code: str
) -> None:
    with pytest.raises(Problem) as error:
        Workspace.open(project).plan(task, **options)
    assert error.value.code == code


def test_a_production_index_needs_the_option_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # At a terminal, too: Python code is never asked a question.
    monkeypatch.setattr(Stream, "isatty", lambda _: True)
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "token")
    project = tmp_path / "project"
    release(project, [Package("demo")])
    with PackageIndex() as index:
        with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
            urls = f'upload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
            file.write(f"\n[tool.relnox.indexes.own]\n{urls}")
        workspace = Workspace.open(project)
        with pytest.raises(Blocked) as error:
            workspace.run("publish", index="own")
        assert error.value.code == "confirmation-needed"
        assert index.uploads == ()
        outcome = workspace.run("publish", index="own", yes=True)
    assert outcome.exit_code is ExitCode.DONE
    assert len(outcome.released) == 2


def test_it_works_in_threads_and_leaves_signals_alone(project: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    seen: list[object] = []
    outcomes: list[Outcome] = []

    def on_event(_: Event) -> None:
        seen.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))

    threads = [
        threading.Thread(
            target=lambda: outcomes.append(relnox.run("status", directory=project, on_event=on_event))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes.append(relnox.run("bump", directory=project, part="major", on_event=on_event))
    assert [outcome.exit_code for outcome in outcomes] == [ExitCode.DONE] * 4
    assert set(seen) == {before}


def test_runs_in_threads_do_not_see_each_other(tmp_path: Path) -> None:
    """Each run has its own waits, and ends only its own requests and programs."""
    barrier = threading.Barrier(2, timeout=60)
    outcomes: dict[str, Outcome] = {}
    events: dict[str, list[Event]] = {"first": [], "second": []}

    def release_in_thread(name: str) -> None:
        project = single(tmp_path / name / "demo")

        def on_event(event: Event) -> None:
            events[name].append(event)
            if isinstance(event, RunStarted):
                barrier.wait()  # both run now
                now = datetime.now(UTC)
                retries.report_wait(Waiting(f"{name} waits", now, now))
                barrier.wait()

        outcomes[name] = relnox.run("bump", directory=project, part="minor", on_event=on_event)

    threads = [threading.Thread(target=release_in_thread, args=(name,)) for name in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, outcome in outcomes.items():
        assert outcome.exit_code is ExitCode.DONE
        assert [waiting.reason for waiting in outcome.waits] == [f"{name} waits"]
        assert [event.reason for event in events[name] if isinstance(event, Waiting)] == [f"{name} waits"]


def test_it_works_inside_an_event_loop_without_real_streams(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As in Jupyter, where a loop runs and the streams have neither a file descriptor nor a buffer."""

    async def cell() -> Outcome:
        return relnox.run("bump", directory=project, part="minor")

    with pytest.MonkeyPatch.context() as patch:
        streams = {name: io.StringIO() for name in ("stdin", "stdout", "stderr")}
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        outcome = asyncio.run(cell())
        assert (streams["stdout"].getvalue(), streams["stderr"].getvalue()) == ("", "")
    assert outcome.exit_code is ExitCode.DONE
    assert capfd.readouterr() == ("", "")


def test_the_import_is_lazy() -> None:
    code = "import sys, relnox; print([name for name in sys.modules if name.startswith('relnox')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['relnox']"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        relnox.nothing  # noqa: B018 - what is to fail
