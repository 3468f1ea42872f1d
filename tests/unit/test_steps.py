"""Steps are found by their names, and planning with them loads nothing that only a run needs."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

from relnox import steps
from relnox.core.planning.step import Step, after
from relnox.steps import ClearCache, WriteMatrix
from relnox.steps.action import action_class

SLOW = ("asyncio", "build", "concurrent.futures", "dataclasses", "logging", "requests", "rich", "tomlkit", "twine")
ONLY_FOR_RUNS = ("relnox.building.archives", "relnox.indexes", "relnox.system.network")
TOPICS = sorted(info.name for info in pkgutil.iter_modules(steps.__path__))


def test_every_step_is_an_attribute_of_steps() -> None:
    declared = {
        kind
        for topic in TOPICS
        for kind in vars(import_module(f"relnox.steps.{topic}")).values()
        if isinstance(kind, type) and issubclass(kind, Step) and kind is not Step
    }
    assert declared == set(steps.step_classes())
    assert all(getattr(steps, kind.__name__) is kind for kind in declared)


@pytest.mark.parametrize("kind", steps.step_classes(), ids=lambda kind: kind.__name__)
def test_every_step_says_what_it_is_and_how_it_is_done(kind: type[Step]) -> None:
    assert kind.__doc__
    assert "key" in vars(kind)
    assert not kind.__abstractmethods__
    action = action_class(kind.__new__(kind))
    assert not action.__abstractmethods__
    assert action.__module__ == kind.__module__


def test_an_unknown_step_is_an_error() -> None:
    with pytest.raises(AttributeError, match="nonexistent"):
        steps.nonexistent  # type: ignore[attr-defined]  # noqa: B018 - the access is the test


def test_steps_can_be_planned_without_what_a_run_needs() -> None:
    code = "import sys; from relnox import steps; steps.step_classes(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()).isdisjoint((*SLOW, *ONLY_FOR_RUNS))


def test_a_step_needs_others_by_their_keys() -> None:
    assert after(ClearCache(), None, WriteMatrix(file="jobs.json", text="")) == ("clear cache", "matrix")
    assert after() == ()
