"""How long `verify-install` waits: long for a release that has just been sent, shortly for one that never was."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import acts
import pytest
from package_index import FILE, PackageIndex, Rule, serving
from releases import INDEX, Package, made_wheel, project_of, publish, release
from running import run_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from releases import SimulatedClock
    from running import RunResult

pytestmark = pytest.mark.heavy


@pytest.fixture
def index(tmp_path: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "any")
    with PackageIndex(clock=clock.time) as index:
        yield index


def verify(root: Path, *options: str) -> RunResult:
    return run_in_process(root, "verify-install", "--index", INDEX, *options)


def deadline(root: Path, *options: str) -> dict[str, int]:
    """Seconds that each package may take, as the plan has them."""
    plan = root / "plan.json"
    assert verify(root, "--dry-run", "--plan", str(plan), *options).code == 0
    steps = json.loads(plan.read_text())["steps"]
    return {step["package"]: step["deadline"] for step in steps if step["title"].startswith("wait until")}


def test_a_release_that_was_never_sent_is_not_waited_for_long(
    index: PackageIndex, tmp_path: Path, clock: SimulatedClock
) -> None:
    root = tmp_path / "demo"
    release(root, [Package("core")])
    publish(root, index, "--dry-run")  # writes where the index is
    before = clock.monotonic()
    ran = verify(root)
    assert ran.code == 5, ran.text
    assert clock.monotonic() - before < 60
    assert "core 1.0 could not be verified on own within 30 s" in ran.err
    assert (
        f"publish it: relnox publish --project {root} --index own; if another job has just uploaded it:" in ran.err
    )
    assert f"relnox verify-install --project {root} --index own --wait 600" in ran.err


def test_what_was_sent_a_moment_ago_is_waited_for_and_what_is_old_is_not(
    index: PackageIndex, tmp_path: Path, clock: SimulatedClock
) -> None:
    root = tmp_path / "demo"
    release(root, [Package("core"), Package("top", ("core",))])
    assert publish(root, index, "--package", "core").code == 0
    assert deadline(root) == {"core": 600, "top": 600}  # the rest of the release may be on its way
    clock.pause(2 * 3600, threading.Event())
    assert deadline(root) == {"core": 600, "top": 30}


@pytest.mark.parametrize("said", ["option", "variable", "setting"])
def test_what_is_said_counts(
    said: str, index: PackageIndex, tmp_path: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    del clock
    root = tmp_path / "demo"
    release(root, [Package("core")])
    publish(root, index, "--dry-run")
    if said == "variable":
        monkeypatch.setenv("RELNOX_WAIT", "700")
    if said == "setting":
        with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write("[tool.relnox.verify]\nwait = 700\n")
    assert deadline(root, *(["--wait", "700"] if said == "option" else [])) == {"core": 700}


def test_wrong_content_is_an_error_after_publishing_only_if_it_stays(
    index: PackageIndex, tmp_path: Path, clock: SimulatedClock
) -> None:
    root = tmp_path / "demo"
    release(root, [Package("core")])
    now = clock.monotonic()
    wrong, absent = acts.serves(lambda content: content[:-1] + b"?"), acts.answers(404, "Not Found")
    index.misbehave(  # a proxy returns an error page, twice
        Rule(wrong, FILE, until=now + 2),
        Rule(absent, FILE, since=now + 2, until=now + 60),
        Rule(wrong, FILE, since=now + 60, until=now + 75),
    )
    ran = publish(root, index)
    assert ran.code == 0, ran.text
    assert clock.monotonic() > now + 60
    index.misbehave(Rule(wrong, FILE))
    ran = verify(root)
    assert ran.code == 4, ran.text
    assert "[served-content-differs]" in ran.err
    assert "report it to the index operator" in ran.err


def test_an_index_that_does_not_answer_or_tells_no_times_may_have_got_it(
    tmp_path: Path, clock: SimulatedClock
) -> None:
    del clock
    root = tmp_path / "demo"
    (root / "dist").mkdir(parents=True)
    first, second = made_wheel(root / "dist", "one"), made_wheel(root / "dist", "two")
    with serving(first) as own:
        table = f'[tool.relnox.indexes.{INDEX}]\nupload = "{own.simple_url}"\nsimple = "{own.simple_url}"\n'
        project_of(root, first, second, settings=table)
        assert deadline(root) == {"one": 600, "two": 600}
    assert deadline(root) == {"one": 600, "two": 600}
