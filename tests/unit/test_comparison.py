"""Comparison of an approved plan with the present one: what is shown, and what a resumed run may leave out."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.version import Version

from relnox import steps
from relnox.core.planning.changes import Edit, NewTag
from relnox.core.planning.comparison import CREDENTIALS_NOTE, LEFT_OUT_NOTE, plan_differences
from relnox.core.planning.plan import Inputs, Plan, Table
from relnox.core.problems import Problem
from relnox.core.records import replace
from relnox.core.release.manifest import Distribution
from relnox.core.settings.config_tables import InstallChecks
from relnox.core.settings.hook_settings import Hook
from relnox.steps.hooks import EventPackage

WHEEL = Distribution(
    package="demo",
    version=Version("1.0"),
    filename="demo-1.0-py3-none-any.whl",
    kind="wheel",
    size=10,
    sha256="a" * 64,
    blake2b_256="c" * 64,
)
EDIT = steps.EditFiles(edits=(Edit(file="pyproject.toml", before=b"1", after=b"2"),))
TAGS = steps.CreateTags(tags=(NewTag(name="a-v1", message="a"), NewTag(name="b-v1", message="b")))
PUSH = steps.Push(remote_name="origin", branch="main", tags=("a-v1", "b-v1"))
UPLOAD = steps.Upload(index="own", file=WHEEL, directory="dist")
LOG_IN = steps.LogIn(index="own", packages=("demo", "more"))
INPUTS = Inputs(options=(("part", "minor"),), commit="1" * 40, date=None)
PLAN = Plan(
    task="bump",
    steps=(EDIT, TAGS, PUSH, LOG_IN, UPLOAD),
    notes=("a note", f"{CREDENTIALS_NOTE}own: a token"),
    consent="Publish?",
    tables=(Table(title="", columns=("package",), rows=(("demo",),)),),
    inputs=INPUTS,
)


def changed(**changes: Any) -> Plan:
    return replace(PLAN, **changes)


def with_step(old: object, new: Any) -> Plan:
    return changed(steps=tuple(new if step == old else step for step in PLAN.steps))


@pytest.mark.parametrize(
    "current",
    [
        PLAN,
        changed(notes=("a note", f"{CREDENTIALS_NOTE}own: another token")),
        changed(resumes=True),
        changed(resumes=True, notes=("resuming",), consent=None, steps=(TAGS, PUSH)),
        changed(resumes=True, steps=(steps.CreateTags(tags=(NewTag(name="b-v1", message="another"),)), UPLOAD)),
        changed(resumes=True, steps=(replace(LOG_IN, packages=("more",)), UPLOAD)),
        changed(resumes=True, steps=(), inputs=replace(INPUTS, commit="2" * 40)),
    ],
)
def test_the_same_plan_or_the_rest_of_it_holds(current: Plan) -> None:
    assert plan_differences(PLAN, current) == ()


PROBLEM = Problem(code="tree-dirty", message="the tree is dirty:\n  a.py", fix="commit")


@pytest.mark.parametrize(
    ("current", "lines"),
    [
        (
            changed(inputs=replace(INPUTS, commit="2" * 40)),
            [f"commit: {'1' * 40} in the plan file, {'2' * 40} now"],
        ),
        (changed(steps=PLAN.steps[1:]), ["step only in the plan file: edit pyproject.toml"]),
        (
            with_step(PUSH, replace(PUSH, branch="other")),
            [
                "step differs: push main, a-v1, b-v1 to origin atomically",
                '  branch in the plan file: "main"',
                '  branch now: "other"',
            ],
        ),
        (
            with_step(UPLOAD, replace(UPLOAD, needs=("push",))),
            [
                "step 5 in the plan file: upload demo-1.0-py3-none-any.whl (10 bytes) to own (after nothing)",
                "step 5 now: upload demo-1.0-py3-none-any.whl (10 bytes) to own (after push)",
            ],
        ),
        (changed(problems=(PROBLEM,)), ["problem only now: the tree is dirty: [tree-dirty]"]),
        (changed(notes=()), ["note only in the plan file: a note"]),
        (changed(consent=None), ["question only in the plan file: Publish?"]),
        (changed(tables=()), ["table row only in the plan file: demo"]),
    ],
)
def test_another_plan_is_shown_with_both_sides(current: Plan, lines: list[str]) -> None:
    assert list(plan_differences(PLAN, current)) == lines


def test_notes_on_files_that_are_left_out_may_differ() -> None:
    assert plan_differences(PLAN, changed(notes=(*PLAN.notes, f"{LEFT_OUT_NOTE}todo.txt is untracked"))) == ()
    assert plan_differences(changed(notes=(f"{LEFT_OUT_NOTE}todo.txt is untracked", *PLAN.notes)), PLAN) == ()


@pytest.mark.parametrize(
    "current",
    [
        with_step(UPLOAD, replace(UPLOAD, file=replace(WHEEL, sha256="b" * 64))),
        with_step(LOG_IN, replace(LOG_IN, packages=("demo", "other"))),
        with_step(TAGS, steps.CreateTags(tags=(NewTag(name="c-v1", message="c"),))),
        changed(steps=(*PLAN.steps, steps.Commit(message="Another", files=()))),
        changed(consent="Publish more?"),
    ],
)
def test_a_resumed_run_does_nothing_that_was_not_approved(current: Plan) -> None:
    assert plan_differences(PLAN, replace(current, resumes=True))


def test_a_hook_of_a_resumed_run_gets_the_packages_that_were_approved() -> None:
    demo, more = (EventPackage(name=name, directory=name, version=Version("1.0")) for name in ("demo", "more"))
    hook = steps.RunHook(
        event="before-publish", number=1, hook=Hook(run=("true",)), task="publish", packages=(demo, more)
    )
    approved = changed(steps=(hook,), tables=())
    for packages, holds in (
        ((demo,), True),
        ((replace(demo, version=Version("2.0")),), False),
        ((replace(demo, directory="other"), more), False),
    ):
        current = replace(approved, resumes=True, steps=(replace(hook, packages=packages),))
        assert (not plan_differences(approved, current)) is holds


def test_a_skipped_step_does_not_run_in_a_resumed_run() -> None:
    provenance = steps.VerifyInstall(
        package="demo",
        version=Version("1.0"),
        python="",
        siblings=(),
        installer="auto",
        checks=InstallChecks(),
    )
    skipped = replace(provenance, skip="why")
    whole, rest = (Plan(task="verify-install", steps=(step,)) for step in (provenance, skipped))
    assert plan_differences(whole, replace(rest, resumes=True)) == ()
    assert plan_differences(rest, replace(whole, resumes=True))
