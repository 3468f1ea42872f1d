"""Edits of several files, all or none."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import git, repository, single

from relnox.core.planning.step import Edit
from relnox.errors import Conflict, Failed
from relnox.source import file_edits
from relnox.system import files

if TYPE_CHECKING:
    from pathlib import Path


def edit(file: str, before: bytes | None, after: bytes | None) -> Edit:
    return Edit(file=file, before=before, after=after)


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a directory, hidden ones as well."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def put(root: Path, files: dict[str, bytes]) -> Path:
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


CONTENT = st.none() | st.binary(max_size=40)
CHANGES = st.dictionaries(st.sampled_from(["a", "b", "c \xfc", "d.toml"]), st.tuples(CONTENT, CONTENT), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(changes=CHANGES)
def test_edits_are_applied_and_undone_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, tuple[bytes | None, bytes | None]]
) -> None:
    before = {name: content for name, (content, _) in changes.items() if content is not None}
    after = {name: content for name, (_, content) in changes.items() if content is not None}
    root = put(tmp_path_factory.mktemp("edits"), before)
    planned = [edit(name, *pair) for name, pair in changes.items()]
    file_edits.apply_edits(root, iter(planned))
    assert contents(root) == after
    assert file_edits.are_edits_applied(root, planned)
    assert file_edits.apply_edits(root, planned) == ()  # applying them again changes nothing
    assert contents(root) == after
    for _ in range(2):
        assert file_edits.restore_files(root, planned) == []
        assert contents(root) == before


def test_half_of_the_edits_is_completed(tmp_path: Path) -> None:
    put(tmp_path, {"a": b"2", "b": b"1"})
    planned = [edit("a", b"1", b"2"), edit("b", b"1", b"2"), edit("c", None, b"2")]
    assert not file_edits.are_edits_applied(tmp_path, planned)
    file_edits.apply_edits(tmp_path, planned)
    assert contents(tmp_path) == {"a": b"2", "b": b"2", "c": b"2"}


@pytest.mark.parametrize("present", [b"3", None])
def test_a_file_changed_since_the_plan_is_a_conflict(tmp_path: Path, present: bytes | None) -> None:
    before = {"a": b"1"} | ({} if present is None else {"b": present})
    put(tmp_path, before)
    with pytest.raises(Conflict, match="b has changed since the plan was made") as caught:
        file_edits.apply_edits(tmp_path, [edit("a", b"1", b"2"), edit("b", b"1", b"2")])
    assert contents(tmp_path) == before
    assert caught.value.fix is not None
    assert "git stash push -- b" in caught.value.fix


@pytest.mark.parametrize(("before", "after"), [(b"1", b"2"), (b"1", None), (None, b"2")])
def test_a_file_that_is_saved_after_the_first_was_edited_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None, after: bytes | None
) -> None:
    replace_file = files.replace_file

    def replace_and_save(path: Path, *rest: Any, **options: Any) -> None:
        replace_file(path, *rest, **options)
        (tmp_path / "b").write_bytes(b"saved")

    put(tmp_path, {"a": b"1"} | ({} if before is None else {"b": before}))
    monkeypatch.setattr(files, "replace_file", replace_and_save)
    with pytest.raises(Conflict) as caught:
        file_edits.apply_edits(tmp_path, [edit("a", b"1", b"2"), edit("b", before, after)])
    assert caught.value.message == "b has changed since the plan was made"
    assert contents(tmp_path) == {"a": b"1", "b": b"saved"}


def test_a_file_that_cannot_be_written_restores_the_others(tmp_path: Path) -> None:
    # The second file's directory does not exist any more.
    put(tmp_path, {"a": b"1", "gone": b"a file by now"})
    with pytest.raises(Failed, match="gone/b cannot be written "):
        file_edits.apply_edits(
            tmp_path,
            [edit("a", b"1", b"2"), edit("new", None, b"2"), edit("gone/b", None, b"2")],
        )
    assert contents(tmp_path) == {"a": b"1", "gone": b"a file by now"}


def test_permissions_stay_and_a_new_file_has_the_usual_ones(tmp_path: Path) -> None:
    put(tmp_path, {"script": b"1"})
    (tmp_path / "script").chmod(0o750)
    umask = os.umask(0o027)
    try:
        file_edits.apply_edits(tmp_path, [edit("script", b"1", b"2"), edit("new", None, b"2")])
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "script").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    put(tmp_path, {"real/pyproject.toml": b"1"})
    (tmp_path / "pyproject.toml").symlink_to("real/pyproject.toml")
    planned = [edit("pyproject.toml", b"1", b"2")]
    file_edits.apply_edits(tmp_path, planned)
    assert (tmp_path / "pyproject.toml").is_symlink()
    assert (tmp_path / "real/pyproject.toml").read_bytes() == b"2"
    assert file_edits.are_edits_applied(tmp_path, planned)


def test_new_files_are_staged_elsewhere_and_what_a_killed_run_left_there_is_replaced(tmp_path: Path) -> None:
    staging = put(tmp_path / "staging", {".a.relnox": b"half"})
    root = put(tmp_path / "root", {"a": b"2", "b": b"3", ".a.relnox": b"mine"})
    file_edits.apply_edits(root, [edit("a", b"2", b"3"), edit("b", b"2", b"3")], staging)
    assert contents(root) == {"a": b"3", "b": b"3", ".a.relnox": b"mine"}
    assert contents(staging) == {}


OLD, NEW = bytes(range(256)) * 8, b"new" * 700


def test_files_that_something_else_wrote_since_are_not_restored(tmp_path: Path) -> None:
    put(tmp_path, {"a": b"saved", "b": b"2", "new": b"saved", "made": b"2"})
    edits = [edit("a", b"1", b"2"), edit("b", b"1", b"2"), edit("new", None, b"2"), edit("made", None, b"2")]
    (tmp_path / "directory").mkdir()
    edits = [edit("directory", b"1", b"2"), *edits, edit("gone", b"1", b"2")]
    assert file_edits.restore_files(tmp_path, edits) == ["directory", "a", "new", "gone"]
    assert contents(tmp_path) == {"a": b"saved", "b": b"1", "new": b"saved"}


@pytest.mark.skipif(os.name != "posix", reason="has no named pipes")
def test_a_file_that_is_a_pipe_by_now_does_not_keep_the_others_from_being_restored(tmp_path: Path) -> None:
    put(tmp_path, {"b": b"2"})
    os.mkfifo(tmp_path / "a")
    assert file_edits.restore_files(tmp_path, [edit("a", b"1", b"2"), edit("b", b"1", b"2")]) == ["a"]
    assert (tmp_path / "b").read_bytes() == b"1"


def test_a_killed_edit_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    root = repository(single(tmp_path / "demo"))
    kill = (
        "import os, sys\n"
        "sys.addaudithook(lambda event, _: os._exit(9) if event == 'os.rename' else None)\n"
        "from relnox.cli import main\n"
        "main(['bump', 'minor'])\n"
    )
    assert subprocess.run([sys.executable, "-c", kill], cwd=root, check=False).returncode == 9
    assert git(root, "status", "--porcelain", "--untracked-files=all") == ""
