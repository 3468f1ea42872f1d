"""invoke tasks: relnox's tasks beside those of the user, and exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from projects import git, python, write

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


def invoke(root: Path, *words: str, code: int | None = None, **variables: str) -> CompletedProcess[str]:
    return python(root, "-m", "invoke", *words, code=code, **variables)


def collection(root: Path) -> dict[str, Any]:
    """What invoke knows of a tasks file."""
    done = invoke(root, "--list", "--list-format=json", code=0)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names(of: dict[str, Any]) -> set[str]:
    return {task["name"] for task in of["tasks"]}


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("from relnox.tasks import *\n", {*TASKS, "lint"}),
        ("from relnox.tasks import publish\n", {"publish", "lint"}),
        ("from relnox.tasks import bump, version_bump, testpypi\n", {"bump", "publish-test", "lint"}),
    ],
    ids=["star", "name", "both spellings"],
)
def test_what_is_imported_is_a_task_beside_the_users_own(project: Path, text: str, tasks: set[str]) -> None:
    write(project, {"tasks.py": f"{text}{OWN_TASK}"})

    assert names(collection(project)) == tasks


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


def test_import_names_are_aliases(shared: Path) -> None:
    aliases = {task["name"]: task["aliases"] for task in collection(shared)["tasks"] if task["aliases"]}

    assert aliases == {"bump": ["version-bump"], "publish-test": ["testpypi"]}


def test_invokes_own_dry_mode_changes_nothing(workspace: Path) -> None:
    head = git(workspace, "rev-parse", "HEAD")

    done = invoke(workspace, "--dry", "bump", "--part", "minor", "--commit", "--tag", "--push", code=0)

    assert "Plan of bump " in done.stdout
    assert git(workspace, "rev-parse", "HEAD") == head
    assert git(workspace, "status", "--porcelain") == ""
    assert git(workspace, "tag") == "v3.0.0"


def test_a_failed_task_stops_those_behind_it(shared: Path) -> None:
    done = invoke(shared, "publish", "--index", "embedded", "--dist", "nowhere", "status", code=1)

    assert done.stdout == ""


def test_a_switch_is_not_both_on_and_off(shared: Path) -> None:
    done = invoke(shared, "build-all", "--strict", "--no-strict")

    error = "--strict cannot be used with --no-strict [options-conflict]"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {error}\nfix: remove --strict or --no-strict\n"


def test_a_listing_loads_nothing_heavy(shared: Path) -> None:
    done = python(shared, "-X", "importtime", "-m", "invoke", "--list")

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "relnox.tasks" in loaded
    assert loaded.isdisjoint({"build", "nox", "requests", "rich", "semver", "tomlkit", "twine"})


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


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ('"buildall"', "error: unknown task buildall [task-unknown]\nfix: did you mean build-all?\n"),
        (
            '"bump", pre={"publish": [before]}',
            (
                "error: pre has a value for publish, which is not among the tasks of this call [task-unknown]\n"
                'fix: add "publish" to the tasks, or remove its key from pre\n'
            ),
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


def test_flags_are_completed(shared: Path) -> None:
    done = invoke(shared, "--complete", "--", "inv", "bump", "--al", code=0)

    assert {"--all", "--allow-lower", "--always-increment"} <= set(done.stdout.split())


def test_choices_are_in_the_help(shared: Path) -> None:
    done = invoke(shared, "--help", "bump")

    assert "One of major, minor, patch," in " ".join(done.stdout.split())
