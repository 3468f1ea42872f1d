"""invoke tasks: relnox's tasks beside those of the user, and exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from projects import git, python, single, write

from relnox.commands import TASKS

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

OWN_TASK = """
from invoke.tasks import task

@task
def lint(context):
    print("the user's lint ran")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package outside git; each test writes its tasks file."""
    return single(tmp_path / "demo")


def invoke(root: Path, *words: str, **variables: str) -> CompletedProcess[str]:
    return python(root, "-m", "invoke", *words, **variables)


def collection(root: Path) -> dict[str, Any]:
    """What invoke knows of a tasks file."""
    done = invoke(root, "--list", "--list-format=json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names(of: dict[str, Any]) -> set[str]:
    return {task["name"] for task in of["tasks"]}


def test_a_star_keeps_the_users_own_tasks(project: Path) -> None:
    write(project, {"tasks.py": f"from relnox.tasks import *\n{OWN_TASK}"})

    assert names(collection(project)) == {*TASKS, "lint"}
    assert invoke(project, "lint").stdout == "the user's lint ran\n"


def test_one_import_is_one_task(project: Path) -> None:
    write(project, {"tasks.py": f"from relnox.tasks import publish\n{OWN_TASK}"})

    assert names(collection(project)) == {"publish", "lint"}


def test_a_whole_module_can_be_a_collection(project: Path) -> None:
    write(
        project,
        {
            "tasks.py": (
                f"from invoke.collection import Collection\nimport relnox.tasks\n{OWN_TASK}\n"
                'ns = Collection(lint, Collection.from_module(relnox.tasks, name="release"))\n'
            )
        },
    )

    found = collection(project)

    assert names(found) == {"lint"}
    (release,) = found["collections"]
    assert (release["name"], names(release)) == ("release", set(TASKS))
    assert invoke(project, "release.status").stdout.splitlines()[1].split()[:4] == ["demo", "1.2.3", "-", "-"]


def test_a_collection_gives_another_name(project: Path) -> None:
    write(
        project,
        {
            "tasks.py": (
                "from invoke.collection import Collection\nfrom relnox.tasks import build_all\n"
                'ns = Collection()\nns.add_task(build_all, name="make")\n'
            )
        },
    )

    assert "make" in invoke(project, "--list").stdout
    assert invoke(project, "build-all").returncode == 1


def test_import_names_are_aliases(shared: Path) -> None:
    aliases = {task["name"]: task["aliases"] for task in collection(shared)["tasks"] if task["aliases"]}

    assert aliases == {"bump": ["version-bump"], "publish-test": ["testpypi"]}


@pytest.mark.parametrize(
    ("alias", "flags", "task"),
    [("version-bump", ("--part", "minor"), "bump"), ("testpypi", ("--index", "embedded"), "publish-test")],
)
def test_an_alias_is_the_task(shared: Path, alias: str, flags: tuple[str, ...], task: str) -> None:
    done = invoke(shared, alias, *flags, "--dry-run")

    assert done.returncode == 0
    assert f"Plan of {task} " in done.stdout


def test_invokes_own_dry_mode_changes_nothing(workspace: Path) -> None:
    head = git(workspace, "rev-parse", "HEAD")

    done = invoke(workspace, "--dry", "bump", "--part", "minor", "--commit", "--tag", "--push")

    assert done.returncode == 0
    assert "Plan of bump " in done.stdout
    assert git(workspace, "rev-parse", "HEAD") == head
    assert git(workspace, "status", "--porcelain") == ""
    assert git(workspace, "tag") == "v3.0.0"


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("status",), 0),
        (("publish", "--index", "embedded", "--dist", "nowhere"), 1),
        (("bump", "--part", "major", "--commit", "--tag"), 4),
    ],
)
def test_exit_codes_reach_the_shell(shared: Path, words: tuple[str, ...], exit_code: int) -> None:
    done = invoke(shared, *words)

    assert done.returncode == exit_code
    assert "Traceback" not in done.stderr
    assert ("error: " in done.stderr) is (exit_code != 0)


def test_a_failed_task_stops_those_behind_it(shared: Path) -> None:
    done = invoke(shared, "publish", "--index", "embedded", "--dist", "nowhere", "status")

    assert done.returncode == 1
    assert done.stdout == ""


def test_a_package_may_be_named_again_and_again(shared: Path) -> None:
    done = invoke(shared, "status", "--package", "core", "--package=acme-vespa")

    assert [line.split()[0] for line in done.stdout.splitlines()[1:] if line] == ["acme-core", "acme-vespa"]


@pytest.mark.parametrize(
    ("flags", "variables", "state"),
    [
        ((), {}, "off"),
        (("--strict",), {}, "on"),
        ((), {"RELNOX_STRICT": "1"}, "on"),
        (("--no-strict",), {"RELNOX_STRICT": "1"}, "off"),
        (("--strict",), {"RELNOX_STRICT": "0"}, "on"),
    ],
)
def test_a_switch_has_three_states(
    shared: Path, tmp_path: Path, flags: tuple[str, ...], variables: dict[str, str], state: str
) -> None:
    plan = tmp_path / "plan.json"

    invoke(shared, "build-all", *flags, "--dry-run", "--plan", str(plan), **variables)

    (build, *_) = (step for step in json.loads(plan.read_bytes())["steps"] if step["kind"] == "Build")
    assert build["strict"] is (state == "on")


@pytest.mark.parametrize(
    ("words", "error", "fix"),
    [
        (
            "bump --part minro",
            (
                "--part = 'minro' is not one of major, minor, patch, release, pre, phase, post, dev, auto "
                "[value-invalid]"
            ),
            "did you mean minor?",
        ),
        (
            "verify-install --wait long",
            "--wait = 'long' is not a whole number [value-invalid]",
            "set --wait to a whole number",
        ),
        (
            "build-all --strict --no-strict",
            "--strict cannot be used with --no-strict [options-conflict]",
            "remove --strict or --no-strict",
        ),
    ],
)
def test_a_wrong_value_is_a_clear_error(shared: Path, words: str, error: str, fix: str) -> None:
    done = invoke(shared, *words.split())

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {error}\nfix: {fix}\n"


def test_flags_belong_to_the_task_that_they_follow(workspace: Path) -> None:
    done = invoke(workspace, "status", "bump", "--part", "minor", "--dry-run")

    assert done.returncode == 0
    assert "Plan of bump " in done.stdout
    assert git(workspace, "status", "--porcelain") == ""


def test_a_listing_loads_nothing_heavy(shared: Path) -> None:
    done = python(shared, "-X", "importtime", "-m", "invoke", "--list")

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "relnox.tasks" in loaded
    assert loaded.isdisjoint({"build", "nox", "requests", "rich", "semver", "tomlkit", "twine"})


@pytest.mark.parametrize("name", ["bump", "version_bump", "publish_test", "testpypi"])
def test_both_spellings_can_be_imported(project: Path, name: str) -> None:
    write(project, {"tasks.py": f"from relnox.tasks import {name}\n"})

    assert names(collection(project)) == {"publish-test" if "test" in name else "bump"}


COLLECTION = """
from invoke.collection import Collection
from invoke.tasks import task
from relnox import tasks

@task
def before(context):
    print("before")

@task
def after(context):
    print("after")

ns = Collection(before, after, tasks.collection({arguments}))
"""


def test_a_collection_has_settings(workspace: Path) -> None:
    arguments = (
        '"version_bump", "build_all", name="rel", pre={"bump": [before]}, post={"bump": [after]}, '
        'defaults={"bump": {"part": "minor"}, "build-all": {"strict": True}}'
    )
    write(workspace, {"tasks.py": COLLECTION.format(arguments=arguments)})
    found = collection(workspace)

    done = invoke(workspace, "--dry", "rel.bump")

    (release,) = found["collections"]
    assert (release["name"], names(release)) == ("rel", {"bump", "build-all"})
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "2.1.0" in done.stdout
    major = invoke(workspace, "rel.bump", "--part", "major", "--dry-run")
    assert "3.0.0" in major.stdout


def test_a_failed_task_runs_nothing_after_it(project: Path) -> None:
    arguments = 'name="rel", post={"publish": [after]}'
    write(project, {"tasks.py": COLLECTION.format(arguments=arguments)})

    done = invoke(project, "rel.publish")

    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ('"buildall"', "error: unknown task buildall [task-unknown]\nfix: did you mean build-all?\n"),
        (
            '"bump", pre={"publish": [before]}',
            (
                "error: pre names publish, which this call does not add [task-unknown]\n"
                "fix: remove it from pre, or add it\n"
            ),
        ),
        (
            'defaults={"publish": {"yes": True}}',
            (
                "error: defaults set yes for publish, but it can only be set on the command line "
                "[command-line-only]\nfix: remove yes from defaults\n"
            ),
        ),
        (
            'defaults={"bump": {"part": 5}}',
            "error: defaults of bump: part = 5 is not a string [value-invalid]\nfix: set part to a string\n",
        ),
    ],
)
def test_a_wrong_collection_is_a_clear_error(project: Path, arguments: str, error: str) -> None:
    write(project, {"tasks.py": COLLECTION.format(arguments=arguments)})

    done = invoke(project, "--list")

    assert (done.returncode, done.stdout, done.stderr) == (1, "", error)


def test_words_after_the_dashes_are_not_ignored(workspace: Path) -> None:
    done = invoke(workspace, "bump", "--part", "minor", "--", "--dry-run")

    assert (done.returncode, done.stdout) == (1, "")
    assert "error: invoke bump takes no words after the dashes: --dry-run [option-invalid]" in done.stderr
    assert git(workspace, "status", "--porcelain") == ""


def test_words_after_the_dashes_are_not_for_a_task_that_the_project_calls(workspace: Path) -> None:
    tasks = (
        "from invoke import task\nimport relnox.tasks\n\n\n"
        "@task\ndef preview(context):\n    relnox.tasks.bump(context, part='patch', dry_run=True)\n"
    )
    write(workspace, {"tasks.py": tasks})
    git(workspace, "add", "tasks.py")
    git(workspace, "commit", "--quiet", "--message", "tasks")

    done = invoke(workspace, "preview", "--", "major", "-x")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[2] == "2.0.1"


def test_flags_are_completed(shared: Path) -> None:
    done = invoke(shared, "--complete", "--", "inv", "bump", "--al")

    assert done.returncode == 0
    assert {"--all", "--allow-lower", "--always-increment"} <= set(done.stdout.split())


def test_choices_are_in_the_help(shared: Path) -> None:
    done = invoke(shared, "--help", "bump")

    assert "One of major, minor, patch," in " ".join(done.stdout.split())
