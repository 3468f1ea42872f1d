from __future__ import annotations

import json

import pytest

from relnox.core.planning.plan import Plan, Table
from relnox.core.planning.step import Edit, NewTag
from relnox.core.records import replace
from relnox.errors import Conflict
from relnox.steps.edit_files import EditFiles
from relnox.steps.git import Commit, CreateTags, Push


def plan() -> Plan:
    edits = (
        Edit(file="pyproject.toml", before=b'version = "1.0"\n', after=b'version = "1.1"\n'),
        Edit(file="datei-\xfc.bin", before=b"\xff\xfe", after=None),
    )
    return Plan(
        task="bump",
        steps=(
            EditFiles(edits=edits),
            Commit(message="Release 1.1\n\nWith a body", files=("pyproject.toml", "old")),
            CreateTags(tags=(NewTag(name="v1.1", message="Release 1.1"),)),
            Push(remote_name="origin", branch="main", tags=("v1.1",)),
        ),
        notes=("a note",),
        problems=(Conflict("tag-exists", "a problem", fix="a fix"),),
        tables=(Table(title="", columns=("package", "to"), rows=(("demo", "1.1"),)),),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"task": "build-all"},
        {"steps": plan().steps[:-1]},
        {"steps": plan().steps[::-1]},
        {"commit": "3f2c1aa"},
        {"steps": (replace(plan().steps[0], needs=("commit",)), *plan().steps[1:])},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_differs_changes_the_digest(change: dict[str, object]) -> None:
    other = replace(plan(), **change)  # every value is of its field's type
    assert other.digest != plan().digest


def test_one_byte_of_an_edit_changes_the_digest() -> None:
    def with_after(after: bytes | None) -> str:
        return Plan(task="bump", steps=(EditFiles(edits=(Edit(file="f", before=b"a", after=after),)),)).digest

    assert len({with_after(after) for after in (b"a", b"b", b"", None, b"\xff")}) == 5


def test_programs_read_what_each_step_will_do() -> None:
    document = json.loads(plan().to_json())
    assert document["digest"] == plan().digest
    assert document["task"] == "bump"
    assert [(step["kind"], step["title"], step["remote"]) for step in document["steps"]] == [
        ("EditFiles", "edit pyproject.toml, datei-\xfc.bin", False),
        ("Commit", "commit 'Release 1.1'", False),
        ("CreateTags", "tag v1.1", False),
        ("Push", "push main, v1.1 to origin atomically", True),
    ]
    assert document["problems"][0]["exit_code"] == 4
    assert "\xfc" in plan().to_json()  # read by people, too: no escapes
